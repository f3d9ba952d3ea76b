"""The rows of telefonist.toml that name providers and models, and the keys that make rows of their own."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from telefonist.settings.declaration import Setting, Table
from telefonist.settings.schema import Options
from telefonist.settings.values import ApiBaseUrl, ApiKey, ChatUrl, Headers, Integer, Price, Timeout, model_name

PRICE = "a price in credits for 1000 tokens, from 0 to 1000000 with at most six decimals"

GIGACHAT_URL = "https://gigachat.devices.sberbank.ru/api/v1/chat/completions"
GIGACHAT_AUTH_URL = "https://ngw.devices.sberbank.ru:9443/api/v2/oauth"
GIGACHAT_SCOPES = "GIGACHAT_API_PERS, GIGACHAT_API_B2B or GIGACHAT_API_CORP"
CA_BUNDLE = "./russian-trusted-root-ca.pem"

Name = Annotated[str, AfterValidator(model_name)]
Scope = Literal["GIGACHAT_API_PERS", "GIGACHAT_API_B2B", "GIGACHAT_API_CORP"]
Url = Annotated[ApiBaseUrl, Setting("an http:// or https:// URL", "https://openrouter.ai/api/v1")]


class ProviderRow(Table):
    """``[[providers]]``: an upstream. Fields are named as in ``ProviderConfig``, which they become."""

    name: Annotated[Name, Setting("a name without spaces", "openrouter")]
    kind: Annotated[
        Literal["openai", "gigachat", "anthropic", "demo"], Setting("openai, gigachat, anthropic or demo", "openai")
    ] = "openai"
    base_url: Url = ""
    chat_url: Annotated[
        ChatUrl, Setting("the URL of a chat-completions endpoint", "https://api.openai.com/v1/chat/completions")
    ] = ""
    api_key: Annotated[ApiKey, Setting("a key, or env:NAME for one in NAME", "env:OPENROUTER_API_KEY", secret=True)] = (
        ""
    )
    scope: Annotated[Scope | None, Setting(GIGACHAT_SCOPES, "GIGACHAT_API_PERS")] = None
    auth_url: Annotated[ChatUrl, Setting("the URL that hands out GigaChat's tokens", GIGACHAT_AUTH_URL)] = ""
    headers: Annotated[
        Headers, Setting("a table of header names and texts", {"X-Title": "Telefonist"}, secret=True)
    ] = Field(default_factory=dict)
    ca_bundle: Annotated[Path | None, Setting("the path of a PEM file", CA_BUNDLE)] = None
    max_concurrency: Annotated[Integer, Field(ge=0, le=100_000), Setting("a whole number, 0 for no limit", 10)] = 0
    connect_timeout: Annotated[Timeout, Setting("a time in seconds above 0", 10)] = 10
    header_timeout: Annotated[Timeout, Setting("a time in seconds above 0", 120)] = 120
    chunk_timeout: Annotated[Timeout, Setting("a time in seconds above 0", 60)] = 60
    total_timeout: Annotated[Timeout, Setting("a time in seconds above 0", 600)] = 600
    on_disconnect: Annotated[Literal["cancel", "drain"], Setting("cancel or drain", "drain")] = "cancel"


class ModelRow(Table):
    """``[[models]]``: what clients ask for. Fields are named as in ``Model``; prices become microcredits."""

    name: Annotated[Name, Setting("a name without spaces", "gpt-4")]
    kind: Annotated[Literal["chat", "embedding"], Setting("chat or embedding", "chat")] = "chat"
    provider: Annotated[Name | None, Setting("the name of a provider", "openrouter")] = None
    upstream: Annotated[Name, Setting("the provider's name of the model", "openai/gpt-4")] = ""
    context_window: Annotated[
        Integer, Field(ge=128, le=100_000_000), Setting("a number of tokens, at least 128", 128000)
    ] = 8192
    max_output: Annotated[Integer, Field(ge=1), Setting("a number of tokens above 0", 4096)] = 1024
    hold_output_default: Annotated[Integer, Field(ge=1, le=100_000_000), Setting("a number of tokens above 0", 512)] = (
        256
    )
    input_price: Annotated[Price, Field(alias="credits_per_1k_input"), Setting(PRICE, 200)] = 0
    output_price: Annotated[Price, Field(alias="credits_per_1k_output"), Setting(PRICE, 200)] = 0
    cached_input_price: Annotated[Price | None, Field(alias="credits_per_1k_cached_input"), Setting(PRICE, 100)] = None
    aliases: Annotated[tuple[Name, ...], Setting("a list of names", ["gpt-4-latest"])] = ()
    fallbacks: Annotated[tuple[Name, ...], Setting("a list of model names", ["gemini-flash"])] = ()


class ProviderKeys(Table):
    """The names of the environment that alone make models appear.

    The URLs count as secret too: a key pasted into the wrong line must not show in the error.
    """

    openrouter_api_key: Annotated[
        ApiKey, Setting("a key", "sk-or-...", "OPENROUTER_API_KEY", in_file=False, secret=True)
    ] = ""
    openai_api_key: Annotated[ApiKey, Setting("a key", "sk-...", "OPENAI_API_KEY", in_file=False, secret=True)] = ""
    openai_base_url: Annotated[
        ApiBaseUrl,
        Setting(
            "an http:// or https:// URL", "https://api.openai.com/v1", "OPENAI_BASE_URL", in_file=False, secret=True
        ),
    ] = ""
    anthropic_api_key: Annotated[
        ApiKey, Setting("a key", "sk-ant-...", "ANTHROPIC_API_KEY", in_file=False, secret=True)
    ] = ""
    anthropic_base_url: Annotated[
        ApiBaseUrl,
        Setting(
            "an http:// or https:// URL", "https://api.anthropic.com", "ANTHROPIC_BASE_URL", in_file=False, secret=True
        ),
    ] = ""
    api_key: Annotated[ApiKey, Setting("a key", "sk-...", "API_KEY", in_file=False, secret=True)] = ""
    url_gpt: Annotated[
        ChatUrl,
        Setting(
            "the URL of a chat-completions endpoint",
            "https://api.openai.com/v1/chat/completions",
            "URL_GPT",
            in_file=False,
            secret=True,
        ),
    ] = ""
    auth_credentials: Annotated[
        ApiKey, Setting("an authorization key", "bXktaWQ6bXktc2VjcmV0", "AUTH_CREDENTIALS", in_file=False, secret=True)
    ] = ""
    scope: Annotated[Scope, Setting(GIGACHAT_SCOPES, "GIGACHAT_API_PERS", "SCOPE", in_file=False, secret=True)] = (
        "GIGACHAT_API_PERS"
    )
    url_gigachat: Annotated[
        ChatUrl,
        Setting("the URL of a chat-completions endpoint", GIGACHAT_URL, "URL_GIGACHAT", in_file=False, secret=True),
    ] = GIGACHAT_URL
    auth_url: Annotated[
        ChatUrl,
        Setting("the URL that hands out GigaChat's tokens", GIGACHAT_AUTH_URL, "AUTH_URL", in_file=False, secret=True),
    ] = GIGACHAT_AUTH_URL
    gigachat_ca_bundle: Annotated[
        Path | None, Setting("the path of a PEM file", CA_BUNDLE, "GIGACHAT_CA_BUNDLE", in_file=False)
    ] = None


class Document(Options):
    """Everything that can be written down, in the shape of telefonist.toml."""

    default_model: Annotated[Name | None, Setting("the name of a model", "gpt-4", "TELEFONIST_DEFAULT_MODEL")] = None
    providers: tuple[ProviderRow, ...] = ()
    models: tuple[ModelRow, ...] = ()
    keys: ProviderKeys = ProviderKeys()
