"""What goes wrong between us and a model's provider."""

from telefonist.types import Catalogue

TEXTS: Catalogue = {
    "provider_unreachable": {
        "ru": "Провайдер «{provider}» недоступен: {reason}.",
        "en": "Provider '{provider}' cannot be reached: {reason}.",
    },
    "provider_timeout": {
        "ru": "Провайдер «{provider}» не ответил за {seconds} с ({phase}).",
        "en": "Provider '{provider}' did not answer within {seconds} s ({phase}).",
    },
    "provider_rate_limited": {
        "ru": "Провайдер «{provider}» ограничил частоту запросов: {reason}.",
        "en": "Provider '{provider}' limited our requests: {reason}.",
    },
    "provider_failed": {
        "ru": "Провайдер «{provider}» ответил ошибкой {status}: {reason}.",
        "en": "Provider '{provider}' failed with status {status}: {reason}.",
    },
    "provider_credentials_refused": {
        "ru": "Провайдер «{provider}» отверг наш ключ ({status}): {reason}.",
        "en": "Provider '{provider}' refused our key ({status}): {reason}.",
    },
    "provider_out_of_funds": {
        "ru": "У провайдера «{provider}» кончились средства: {reason}.",
        "en": "Provider '{provider}' is out of funds: {reason}.",
    },
    "provider_rejected_request": {
        "ru": "Провайдер «{provider}» отверг запрос ({status}): {reason}.",
        "en": "Provider '{provider}' rejected the request ({status}): {reason}.",
    },
    "provider_protocol_error": {
        "ru": "Провайдер «{provider}» ответил не по протоколу: {reason}.",
        "en": "Provider '{provider}' broke the protocol: {reason}.",
    },
}
