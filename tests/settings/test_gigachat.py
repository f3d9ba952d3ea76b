"""What makes GigaChat's models appear, and what a row of that kind begins with."""

import pytest

from telefonist.types import ProviderConfig
from tests.settings.conftest import Folder

NAMES = ["GigaChat:latest", "GigaChat", "GigaChat-2", "GigaChat-2-Pro", "GigaChat-2-Max"]
CHAT_URL = "https://gigachat.devices.sberbank.ru/api/v1/chat/completions"
AUTH_URL = "https://ngw.devices.sberbank.ru:9443/api/v2/oauth"
ROW = "[[providers]]\nname = 'company'\nkind = 'gigachat'\napi_key = 'a2V5'\n"
MODEL = "[[models]]\nname = 'giga'\nprovider = 'company'\nupstream = 'GigaChat-2'\n"


def provider(folder: Folder, name: str, toml: str | None = None, **environ: str) -> ProviderConfig:
    return next(provider for provider in folder.start(toml, **environ).providers if provider.name == name)


def test_credentials_alone_make_the_models_appear(folder: Folder) -> None:
    settings = folder.start(AUTH_CREDENTIALS="a2V5")
    models = [model for model in settings.models if model.provider == "gigachat"]
    assert [model.name for model in models] == [model.upstream for model in models] == NAMES
    assert {(model.context_window, model.input_price) for model in models} == {(128_000, 0)}
    assert settings.default_model == "GigaChat:latest"
    assert settings.notes == ()


def test_credentials_alone_tell_where_to_ask(folder: Folder) -> None:
    assert provider(folder, "gigachat", AUTH_CREDENTIALS="a2V5") == ProviderConfig(
        "gigachat",
        "gigachat",
        chat_url=CHAT_URL,
        auth_url=AUTH_URL,
        scope="GIGACHAT_API_PERS",
        api_key="a2V5",
        max_concurrency=1,
    )


def test_everything_can_be_told_otherwise(folder: Folder) -> None:
    bundle = folder.write("ca.pem", "")
    changed = provider(
        folder,
        "gigachat",
        AUTH_CREDENTIALS="a2V5",
        SCOPE="GIGACHAT_API_B2B",
        URL_GIGACHAT="https://api.giga.chat/v1/chat/completions",
        AUTH_URL="https://auth.example/oauth",
        GIGACHAT_CA_BUNDLE="ca.pem",
    )
    assert changed.chat_url == "https://api.giga.chat/v1/chat/completions"
    assert (changed.auth_url, changed.scope) == ("https://auth.example/oauth", "GIGACHAT_API_B2B")
    assert (changed.ca_bundle, changed.max_concurrency) == (str(bundle), 10)


def test_a_row_begins_with_what_the_environment_says_of_gigachat(folder: Folder) -> None:
    bundle = folder.write("ca.pem", "")
    row = provider(folder, "company", ROW + MODEL, GIGACHAT_CA_BUNDLE="ca.pem", SCOPE="GIGACHAT_API_CORP")
    assert (row.chat_url, row.auth_url, row.scope) == (CHAT_URL, AUTH_URL, "GIGACHAT_API_CORP")
    assert (row.ca_bundle, row.max_concurrency, row.api_key) == (str(bundle), 10, "a2V5")
    assert folder.start(ROW + MODEL, GIGACHAT_CA_BUNDLE="ca.pem").notes == ()


def test_a_row_may_say_everything_itself(folder: Folder) -> None:
    own = "scope = 'GIGACHAT_API_B2B'\nauth_url = 'https://a.example/oauth'\nbase_url = 'https://b.example/v1'\n"
    row = provider(folder, "company", ROW + own + MODEL)
    assert (row.scope, row.auth_url, row.max_concurrency) == ("GIGACHAT_API_B2B", "https://a.example/oauth", 10)
    assert (row.base_url, row.chat_url) == ("https://b.example/v1", "")


@pytest.mark.parametrize("scope", ["GIGACHAT_API_PERS", "GIGACHAT_API_CORP"])
def test_a_limit_of_the_row_is_kept(folder: Folder, scope: str) -> None:
    row = provider(folder, "company", f"{ROW}scope = '{scope}'\nmax_concurrency = 0\n{MODEL}")
    assert row.max_concurrency == 0


@pytest.mark.parametrize(
    ("toml", "environ", "problem"),
    [
        (None, {"SCOPE": "PERS"}, "SCOPE in the environment: the value is not GIGACHAT_API_PERS, GIGACHAT_API_B2B or"),
        (None, {"AUTH_CREDENTIALS": "my key"}, "AUTH_CREDENTIALS in the environment: it holds characters that no key"),
        (None, {"AUTH_URL": "oauth"}, "AUTH_URL in the environment: the value is not the URL that hands out"),
        (
            None,
            {"AUTH_CREDENTIALS": "a2V5", "GIGACHAT_CA_BUNDLE": "missing.pem"},
            "missing.pem; mend the path in ca_bundle or GIGACHAT_CA_BUNDLE",
        ),
        (
            "[[providers]]\nname = 'company'\nkind = 'gigachat'",
            {},
            "company: api_key is missing; give the authorization",
        ),
        (
            "[[providers]]\nname = 'p'\nbase_url = 'https://h/v1'\nscope = 'GIGACHAT_API_PERS'",
            {},
            'p: scope and auth_url belong to GigaChat; remove them, or write kind = "gigachat"',
        ),
        (
            "[[models]]\nname = 'm'\nprovider = 'gigachat'",
            {},
            "gigachat is not a provider; set AUTH_CREDENTIALS, or add a [[providers]] row of that name",
        ),
    ],
)
def test_a_mistake_says_what_to_mend(folder: Folder, toml: str | None, environ: dict[str, str], problem: str) -> None:
    refusal = folder.refusal(toml, **environ)
    assert problem in refusal
    assert "my key" not in refusal
