"""What is wrong with a request, or with us."""

from telefonist.types import Catalogue

TEXTS: Catalogue = {
    "internal_error": {
        "ru": "Внутренняя ошибка. Сообщите номер запроса тому, кто ведёт сервис.",
        "en": "Internal error. Give the request id to whoever runs this service.",
    },
    "task_not_found": {
        "ru": "Задача {task_id} не найдена.",
        "en": "Task {task_id} was not found.",
    },
    "model_not_found": {
        "ru": "Модель «{model}» неизвестна. Есть: {known}.",
        "en": "Model '{model}' is unknown. Known models: {known}.",
    },
    "chatgpt_not_configured": {
        "ru": "ChatGPT здесь не настроен: задайте URL_GPT и API_KEY и запустите сервис снова. "
        "Без них есть только: {known}.",
        "en": "ChatGPT is not set up here: set URL_GPT and API_KEY and start the service again. "
        "Without them there is only: {known}.",
    },
    "gigachat_not_configured": {
        "ru": "GigaChat здесь не настроен: задайте AUTH_CREDENTIALS и запустите сервис снова.",
        "en": "GigaChat is not set up here: set AUTH_CREDENTIALS and start the service again.",
    },
    "idempotency_conflict": {
        "ru": "Этот Idempotency-Key уже использован с другим телом запроса. Возьмите новый ключ.",
        "en": "This Idempotency-Key was used with a different request body. Use a new key.",
    },
    "task_already_finished": {
        "ru": "Задача {task_id} уже завершена ({state}) и не может быть отменена.",
        "en": "Task {task_id} is already finished ({state}) and cannot be cancelled.",
    },
    "nothing_to_redeliver": {
        "ru": "У задачи {task_id} ещё нет ответа, который можно отправить снова ({state}).",
        "en": "Task {task_id} has no answer to send again yet ({state}).",
    },
    "payload_too_large": {
        "ru": "Тело запроса больше {limit} байт. Сократите его.",
        "en": "The request body is larger than {limit} bytes. Make it smaller.",
    },
    "body_timeout": {
        "ru": "Тело запроса не пришло за {seconds} с.",
        "en": "The request body did not arrive within {seconds} s.",
    },
    "unreadable_body": {
        "ru": "Тело запроса не удалось прочесть: нужен JSON в UTF-8 без лишней вложенности.",
        "en": "The request body could not be read: send JSON in UTF-8 that is not nested too deeply.",
    },
    "route_not_found": {
        "ru": "Здесь ничего нет: {path}. Список адресов: /docs.",
        "en": "There is nothing here: {path}. See /docs for what there is.",
    },
    "method_not_allowed": {
        "ru": "Метод {method} здесь не подходит. Можно: {allowed}.",
        "en": "Method {method} does not work here. Allowed: {allowed}.",
    },
    "rate_limited": {
        "ru": "Слишком много запросов: разрешено {limit}. Повторите через {seconds} с.",
        "en": "Too many requests: the limit is {limit}. Try again in {seconds} s.",
    },
    "why_anonymous_off": {
        "ru": "анонимный доступ выключен",
        "en": "anonymous access is off",
    },
    "why_listens_beyond_loopback": {
        "ru": "сервис слушает не только loopback",
        "en": "the service listens beyond loopback",
    },
    "why_public_url": {
        "ru": "у сервиса есть публичный адрес",
        "en": "the service has a public URL",
    },
    "why_foreign_peer": {
        "ru": "соединение пришло не с этой машины",
        "en": "the connection does not come from this machine",
    },
    "why_foreign_host": {
        "ru": "заголовок Host называет не loopback",
        "en": "the Host header does not name loopback",
    },
    "why_forwarded": {
        "ru": "запрос пришёл через прокси",
        "en": "the request came through a proxy",
    },
    "why_cross_site": {
        "ru": "запрос отправила страница другого сайта",
        "en": "the request was sent by a page of another site",
    },
    "why_not_json": {
        "ru": "тело без заголовка Content-Type: application/json",
        "en": "the body has no Content-Type: application/json",
    },
    "signature_missing": {
        "ru": "Нет заголовка {header}: сообщение не подписано.",
        "en": "There is no {header} header: the message is not signed.",
    },
    "signature_malformed": {
        "ru": "Заголовок {header} заполнен не по стандарту Standard Webhooks.",
        "en": "The {header} header is not what Standard Webhooks demands.",
    },
    "signature_expired": {
        "ru": "Время подписи расходится с нашими часами больше чем на {seconds} с.",
        "en": "The time of the signature is more than {seconds} s away from our clock.",
    },
    "signature_mismatch": {
        "ru": "Подпись не подходит ни к одному из секретов.",
        "en": "The signature matches none of the secrets.",
    },
    "account_required": {
        "ru": "Список задач доступен только учётной записи. Задача без учётной записи видна по её номеру.",
        "en": "Lists need an account. A task without an account is reached by its id.",
    },
    "only_on_loopback": {
        "ru": "Этот адрес для проб работает, только пока сервис слушает loopback.",
        "en": "This try-out address works only while the service listens on loopback.",
    },
    "storage_unavailable": {
        "ru": "База данных сейчас недоступна. Повторите через {seconds} с.",
        "en": "The database is unavailable right now. Try again in {seconds} s.",
    },
    "memory_unavailable": {
        "ru": "Сейчас нельзя проверить, сколько запросов уже было. Повторите через {seconds} с.",
        "en": "How many requests there were cannot be checked right now. Try again in {seconds} s.",
    },
    "shutting_down": {
        "ru": "Сервис останавливается. Повторите через {seconds} с.",
        "en": "The service is shutting down. Try again in {seconds} s.",
    },
    "invalid_input": {
        "ru": "Запрос неверен: {fields}.",
        "en": "The request is invalid: {fields}.",
    },
    "message_too_long": {
        "ru": "Сообщение длиннее окна модели {model}: около {tokens} токенов из {limit}. Сократите его.",
        "en": "The message is longer than the window of {model}: about {tokens} tokens of {limit}. Shorten it.",
    },
}
