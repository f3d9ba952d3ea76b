"""Which providers and models follow from the keys alone.

Prices are 0 until telefonist.toml says otherwise: what a credit is worth is its owner's to decide. Bothub is the
exception, whose prices were given together with its address.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from telefonist.settings.rows import ProviderKeys
from telefonist.types import MICROCREDITS, Model, ProviderConfig

OPENROUTER_URL = "https://openrouter.ai/api/v1"
OPENAI_URL = "https://api.openai.com/v1"
ANTHROPIC_URL = "https://api.anthropic.com"
MAKES = {
    "openrouter": "OPENROUTER_API_KEY",
    "openai": "OPENAI_API_KEY",
    "chatgpt": "API_KEY together with URL_GPT",
    "anthropic": "ANTHROPIC_API_KEY",
    "gigachat": "AUTH_CREDENTIALS",
}
"""The setting that makes a provider appear, for whoever names one that is not there."""

DEMO = ProviderConfig(name="demo", kind="demo")
DEMO_MODELS = (
    *(Model(name=name, provider="demo", upstream=name) for name in ("demo", "demo-slow", "demo-failing")),
    Model(name="demo-embedding", provider="demo", upstream="demo-embedding", kind="embedding"),
)


@dataclass(frozen=True, slots=True)
class _Known:
    """A model as its vendor describes it; the price is in credits for 1000 tokens either way."""

    name: str
    context_window: int
    max_output: int
    credits: int = 0
    aliases: tuple[str, ...] = ()
    kind: Literal["chat", "embedding"] = "chat"

    def at(self, provider: str) -> Model:
        price = self.credits * MICROCREDITS
        return Model(
            name=self.name,
            provider=provider,
            upstream=self.name,
            context_window=self.context_window,
            max_output=self.max_output,
            input_price=price,
            output_price=price,
            aliases=self.aliases,
            kind=self.kind,
        )


OPENROUTER = (
    _Known("mistralai/mistral-7b-instruct:free", 32_768, 4096, aliases=("mistral/mistral-7b-instruct-free",)),
    _Known("openai/gpt-3.5-turbo-1106", 16_385, 4096),
)
GPT_35_TURBO = _Known("gpt-3.5-turbo", 16_385, 4096)
OPENAI = (
    _Known("gpt-4o-mini", 128_000, 4096),
    _Known("gpt-4o", 128_000, 4096),
    _Known("gpt-4.1-mini", 1_047_576, 4096),
    _Known("gpt-4.1", 1_047_576, 4096),
    GPT_35_TURBO,
    _Known("text-embedding-3-small", 8192, 1, kind="embedding"),
    _Known("text-embedding-3-large", 8192, 1, kind="embedding"),
)
ANTHROPIC = (
    _Known("claude-sonnet-5-5", 1_000_000, 16_000),
    _Known("claude-opus-5-5", 1_000_000, 16_000),
    _Known("claude-haiku-5-5", 1_000_000, 16_000),
)
BOTHUB = (
    _Known("gpt-4", 8192, 2048, credits=200),
    _Known("gemini-flash", 1_048_576, 4096, credits=100),
)
GIGACHAT = tuple(
    _Known(name, 128_000, 4096)
    for name in ("GigaChat:latest", "GigaChat", "GigaChat-2", "GigaChat-2-Pro", "GigaChat-2-Max")
)
BY_DOMAIN = {"api.openai.com": OPENAI, "bothub.chat": BOTHUB, "openrouter.ai": OPENROUTER}


GIGACHAT_STREAMS = {"GIGACHAT_API_PERS": 1, "GIGACHAT_API_B2B": 10, "GIGACHAT_API_CORP": 10}
"""How many requests GigaChat takes at once, by the scope of the credential."""


@dataclass(frozen=True, slots=True)
class KnownRows:
    """What the keys make, the provider to prefer first."""

    providers: tuple[ProviderConfig, ...]
    models: tuple[Model, ...]
    notes: tuple[str, ...]


def rows_from_keys(keys: ProviderKeys, directory: Path) -> KnownRows:
    """Make the rows that need no telefonist.toml; relative paths start from ``directory``."""
    providers: list[ProviderConfig] = []
    models: list[Model] = []
    openrouter_key = keys.openrouter_api_key or ("" if keys.url_gpt else keys.api_key)
    if openrouter_key:
        providers.append(ProviderConfig("openrouter", "openai", base_url=OPENROUTER_URL, api_key=openrouter_key))
        models += [known.at("openrouter") for known in OPENROUTER]
    if keys.openai_api_key:
        url = keys.openai_base_url or OPENAI_URL
        providers.append(ProviderConfig("openai", "openai", base_url=url, api_key=keys.openai_api_key))
        models += [known.at("openai") for known in _served_at(url)]
    if keys.url_gpt and keys.api_key:
        providers.append(ProviderConfig("chatgpt", "openai", chat_url=keys.url_gpt, api_key=keys.api_key))
        others = [known for known in _served_at(keys.url_gpt) if known != GPT_35_TURBO]
        models += [known.at("chatgpt") for known in (GPT_35_TURBO, *others)]
    if keys.anthropic_api_key:
        url = keys.anthropic_base_url or ANTHROPIC_URL
        providers.append(ProviderConfig("anthropic", "anthropic", base_url=url, api_key=keys.anthropic_api_key))
        models += [known.at("anthropic") for known in ANTHROPIC]
    if keys.auth_credentials:
        providers.append(replace(gigachat("gigachat", keys, directory), api_key=keys.auth_credentials))
        models += [known.at("gigachat") for known in GIGACHAT]
    return KnownRows(tuple(providers), tuple(models), tuple(_notes(keys)))


def gigachat(name: str, keys: ProviderKeys, directory: Path) -> ProviderConfig:
    """Make a row of GigaChat with everything that holds for each credential."""
    return ProviderConfig(
        name,
        "gigachat",
        chat_url=keys.url_gigachat,
        auth_url=keys.auth_url,
        scope=keys.scope,
        ca_bundle=str(directory / keys.gigachat_ca_bundle.expanduser()) if keys.gigachat_ca_bundle else "",
        max_concurrency=GIGACHAT_STREAMS[keys.scope],
    )


def _served_at(url: str) -> tuple[_Known, ...]:
    host = urlsplit(url).hostname or ""
    return next((rows for domain, rows in BY_DOMAIN.items() if f".{host}".endswith(f".{domain}")), ())


def _notes(keys: ProviderKeys) -> Iterator[str]:
    if keys.openrouter_api_key and keys.api_key not in ("", keys.openrouter_api_key) and not keys.url_gpt:
        yield "OPENROUTER_API_KEY and API_KEY differ: OPENROUTER_API_KEY is used for OpenRouter."
    if keys.openai_base_url and not keys.openai_api_key:
        yield (
            "OPENAI_BASE_URL has no effect without OPENAI_API_KEY: set that too (to any word, where the server asks "
            "for no key)."
        )
    if keys.anthropic_base_url and not keys.anthropic_api_key:
        yield "ANTHROPIC_BASE_URL has no effect without ANTHROPIC_API_KEY: set that too."
    if keys.url_gpt and not keys.api_key:
        yield "URL_GPT has no effect without API_KEY: set that too (to any word, where the server asks for no key)."


def notes_without_gigachat(keys: ProviderKeys) -> Iterator[str]:
    """Say what was set for a GigaChat that nobody has the credentials for."""
    names = ("scope", "url_gigachat", "auth_url", "gigachat_ca_bundle")
    given = [name.upper() for name in names if name in keys.model_fields_set]
    if given:
        yield f"{', '.join(given)}: no effect without AUTH_CREDENTIALS, the authorization key of a GigaChat project."
