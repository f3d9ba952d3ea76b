"""Which providers and models there are, from the keys and from telefonist.toml."""

import pytest

from telefonist.settings import Settings
from telefonist.types import Model, ProviderConfig
from tests.settings.conftest import Folder

DEMO = ["demo", "demo-slow", "demo-failing", "demo-embedding"]
OPENROUTER = ["mistralai/mistral-7b-instruct:free", "openai/gpt-3.5-turbo-1106"]
EMBEDDINGS = ["text-embedding-3-small", "text-embedding-3-large"]
OPENAI = ["gpt-4o-mini", "gpt-4o", "gpt-4.1-mini", "gpt-4.1", "gpt-3.5-turbo", *EMBEDDINGS]
GIGACHAT = ["GigaChat:latest", "GigaChat", "GigaChat-2", "GigaChat-2-Pro", "GigaChat-2-Max"]
BOTHUB_URL = "https://bothub.chat/api/v2/openai/v1"


def names(settings: Settings) -> list[str]:
    return [model.name for model in settings.models]


def model(settings: Settings, name: str) -> Model:
    return next(model for model in settings.models if model.name == name)


def provider(settings: Settings, name: str) -> ProviderConfig:
    return next(provider for provider in settings.providers if provider.name == name)


def test_without_a_key_the_demo_answers_for_nothing(folder: Folder) -> None:
    settings = folder.start()
    assert names(settings) == DEMO
    assert settings.default_model == "demo"
    assert [provider.kind for provider in settings.providers] == ["demo"]
    assert {(model.input_price, model.output_price, model.context_window) for model in settings.models} == {
        (0, 0, 8192)
    }


@pytest.mark.parametrize("key", ["OPENROUTER_API_KEY", "API_KEY"])
def test_a_key_of_openrouter_makes_its_two_models(folder: Folder, key: str) -> None:
    settings = folder.start(**{key: "sk-or-1"})
    assert names(settings) == OPENROUTER + DEMO
    assert settings.default_model == OPENROUTER[0]
    assert model(settings, OPENROUTER[0]).aliases == ("mistral/mistral-7b-instruct-free",)
    openrouter = provider(settings, "openrouter")
    assert (openrouter.kind, openrouter.base_url, openrouter.api_key) == (
        "openai",
        "https://openrouter.ai/api/v1",
        "sk-or-1",
    )
    assert settings.notes == ()


def test_of_two_different_keys_of_openrouter_the_one_that_names_it_wins(folder: Folder) -> None:
    settings = folder.start(OPENROUTER_API_KEY="sk-1", API_KEY="sk-2")
    assert provider(settings, "openrouter").api_key == "sk-1"
    assert settings.notes == ("OPENROUTER_API_KEY and API_KEY differ: OPENROUTER_API_KEY is used for OpenRouter.",)
    assert folder.start(OPENROUTER_API_KEY="sk-1", API_KEY="sk-1").notes == ()


def test_a_key_of_openai_makes_its_models(folder: Folder) -> None:
    settings = folder.start(OPENAI_API_KEY="sk-1")
    assert names(settings) == OPENAI + DEMO
    assert provider(settings, "openai").base_url == "https://api.openai.com/v1"
    assert model(settings, "gpt-4o").context_window == 128_000
    assert [model.name for model in settings.models if model.kind == "embedding"] == [*EMBEDDINGS, "demo-embedding"]


def test_bothub_makes_its_two_models_at_the_prices_of_its_assignment(folder: Folder) -> None:
    settings = folder.start(OPENAI_API_KEY="sk-1", OPENAI_BASE_URL=BOTHUB_URL + "/")
    assert names(settings) == ["gpt-4", "gemini-flash", *DEMO]
    assert provider(settings, "openai").base_url == BOTHUB_URL
    prices = {model.name: (model.input_price, model.output_price) for model in settings.models[:2]}
    assert prices == {"gpt-4": (200_000_000, 200_000_000), "gemini-flash": (100_000_000, 100_000_000)}


@pytest.mark.parametrize("host", ["openai.bothub.chat", "bothub.chat:443", "BOTHUB.chat"])
def test_bothub_is_known_by_its_domain(folder: Folder, host: str) -> None:
    assert "gpt-4" in names(folder.start(OPENAI_API_KEY="sk-1", OPENAI_BASE_URL=f"https://{host}/v1"))


def test_a_look_alike_of_a_known_domain_is_another_upstream(folder: Folder) -> None:
    assert names(folder.start(OPENAI_API_KEY="sk-1", OPENAI_BASE_URL="https://notbothub.chat/v1")) == DEMO


def test_an_unknown_base_url_asks_for_its_models_and_takes_them_from_the_file(folder: Folder) -> None:
    ollama = {"OPENAI_API_KEY": "ollama", "OPENAI_BASE_URL": "http://localhost:11434/v1"}
    alone = folder.start(**ollama)
    assert alone.default_model == "demo"
    (note,) = alone.notes
    assert note.startswith(
        "No model is known for provider openai (http://localhost:11434/v1): name at least one in tele"
    )
    named = folder.start("[[models]]\nname = 'llama3.2'\nprovider = 'openai'", **ollama)
    assert (named.default_model, named.notes) == ("llama3.2", ())
    assert model(named, "llama3.2").upstream == "llama3.2"


def test_api_key_with_url_gpt_is_that_upstreams(folder: Folder) -> None:
    url = "https://llm.example/deep/chat/completions?version=2"
    settings = folder.start(API_KEY="sk-1", URL_GPT=url)
    assert names(settings) == ["gpt-3.5-turbo", *DEMO]
    chatgpt = provider(settings, "chatgpt")
    assert (chatgpt.kind, chatgpt.chat_url, chatgpt.base_url, chatgpt.api_key) == ("openai", url, "", "sk-1")


def test_url_gpt_of_openai_offers_its_other_models_too(folder: Folder) -> None:
    settings = folder.start(API_KEY="sk-1", URL_GPT="https://api.openai.com/v1/chat/completions")
    assert names(settings)[0] == settings.default_model == "gpt-3.5-turbo"
    assert sorted(names(settings)) == sorted(OPENAI + DEMO)


def test_a_name_that_two_upstreams_offer_belongs_to_the_first(folder: Folder) -> None:
    settings = folder.start(OPENAI_API_KEY="sk-1", API_KEY="sk-2", URL_GPT="https://llm.example/chat/completions")
    assert names(settings) == OPENAI + DEMO
    assert model(settings, "gpt-3.5-turbo").provider == "openai"
    assert settings.notes == ("openai and chatgpt both offer gpt-3.5-turbo: openai serves what is asked by that name.",)


@pytest.mark.parametrize(
    ("environ", "note"),
    [
        ({"OPENAI_BASE_URL": "http://h/v1"}, "OPENAI_BASE_URL has no effect without OPENAI_API_KEY"),
        ({"URL_GPT": "http://h/v1/chat/completions"}, "URL_GPT has no effect without API_KEY"),
        ({"SCOPE": "GIGACHAT_API_PERS", "AUTH_URL": "https://h/oauth"}, "SCOPE, AUTH_URL: no effect without AUTH_CRED"),
        ({"REDIS_PORT": "6379"}, "REDIS_PORT has no effect without REDIS_HOST"),
    ],
)
def test_what_has_no_effect_is_noted_and_does_not_stop_the_start(
    folder: Folder, environ: dict[str, str], note: str
) -> None:
    settings = folder.start(**environ)
    assert len(settings.notes) == 1
    assert settings.notes[0].startswith(note)
    assert names(settings) == DEMO


def test_the_dotenv_of_a_webhook_service_with_redis_starts(folder: Folder) -> None:
    settings = folder.start(dotenv="OPENROUTER_API_KEY=sk-or-1\n\nREDIS_HOST=redis\n\nREDIS_PORT=6379\n")
    assert settings.default_model == OPENROUTER[0]
    assert (settings.redis_url, settings.redis.away) == ("redis://redis:6379/0", "allow")
    assert settings.notes == ()


def test_the_dotenv_of_a_chatgpt_and_gigachat_service_starts(folder: Folder) -> None:
    dotenv = """
URL_GPT='https://api.openai.com/v1/chat/completions'
API_KEY='sk-1'

SCOPE='GIGACHAT_API_PERS'
AUTH_CREDENTIALS='b2s6b2s='
URL_GIGACHAT='https://gigachat.devices.sberbank.ru/api/v1/chat/completions'
AUTH_URL='https://ngw.devices.sberbank.ru:9443/api/v2/oauth'
"""
    settings = folder.start(dotenv=dotenv)
    assert settings.default_model == "gpt-3.5-turbo"
    assert provider(settings, "chatgpt").api_key == "sk-1"
    assert provider(settings, "gigachat").api_key == "b2s6b2s="
    assert names(settings) == ["gpt-3.5-turbo", *(name for name in OPENAI if name != "gpt-3.5-turbo"), *GIGACHAT, *DEMO]
    assert settings.notes == ()


FILE = """
    default_model = "flash"

    [[providers]]
    name = "mine"
    kind = "openai"
    base_url = "https://mine.example/v1/"
    api_key = "env:MY_KEY"
    headers = { "X-Title" = "env:TITLE" }
    max_concurrency = 3
    on_disconnect = "drain"
    header_timeout = 7.5

    [[models]]
    name = "gpt-4"
    provider = "mine"
    upstream = "openai/gpt-4"
    context_window = 128000
    hold_output_default = 512
    credits_per_1k_input = 200
    credits_per_1k_output = 0.000001
    credits_per_1k_cached_input = 0.1
    aliases = ["gpt-4-latest"]
    fallbacks = ["flash", "demo"]

    [[models]]
    name = "gemini-flash"
    provider = "mine"
    aliases = ["flash"]

    [[models]]
    name = "vectors"
    kind = "embedding"
    provider = "mine"
"""


def test_rows_of_the_file_become_providers_and_models(folder: Folder) -> None:
    settings = folder.start(FILE, MY_KEY="sk-1", TITLE="T")
    mine = provider(settings, "mine")
    assert mine == ProviderConfig(
        "mine",
        "openai",
        base_url="https://mine.example/v1",
        api_key="sk-1",
        headers={"X-Title": "T"},
        max_concurrency=3,
        on_disconnect="drain",
        header_timeout=7.5,
    )
    assert settings.models[0] == Model(
        "gpt-4",
        "mine",
        "openai/gpt-4",
        context_window=128_000,
        hold_output_default=512,
        input_price=200_000_000,
        output_price=1,
        cached_input_price=100_000,
        aliases=("gpt-4-latest",),
        fallbacks=("gemini-flash", "demo"),
    )
    assert settings.models[1] == Model("gemini-flash", "mine", "gemini-flash", aliases=("flash",))
    assert settings.models[2] == Model("vectors", "mine", "vectors", kind="embedding")


def test_the_default_model_is_a_chat_although_one_for_embeddings_stands_first(folder: Folder) -> None:
    settings = folder.start("[[models]]\nname = 'vectors'\nkind = 'embedding'\nprovider = 'demo'\n")
    assert settings.models[0].name == "vectors"
    assert settings.default_model == "demo"


def test_the_default_model_may_be_named_by_an_alias_or_in_the_environment(folder: Folder) -> None:
    keys = {"MY_KEY": "sk-1", "TITLE": "T"}
    assert folder.start(FILE, **keys).default_model == "gemini-flash"
    assert folder.start(FILE, TELEFONIST_DEFAULT_MODEL="demo-slow", **keys).default_model == "demo-slow"


def test_the_files_models_come_before_those_of_the_keys(folder: Folder) -> None:
    toml = "[[models]]\nname = 'a'\nprovider = 'openrouter'"
    settings = folder.start(toml, OPENROUTER_API_KEY="sk-1")
    assert names(settings) == ["a", *OPENROUTER, *DEMO]
    assert settings.default_model == "a"


def test_a_row_changes_only_what_it_says_of_a_namesake_that_a_key_made(folder: Folder) -> None:
    toml = """
        [[providers]]
        name = "openai"
        total_timeout = 30
        [[models]]
        name = "gpt-4o"
        credits_per_1k_input = 5
    """
    settings = folder.start(toml, OPENAI_API_KEY="sk-1")
    openai = provider(settings, "openai")
    assert (openai.api_key, openai.base_url, openai.total_timeout) == ("sk-1", "https://api.openai.com/v1", 30)
    changed = model(settings, "gpt-4o")
    assert (changed.provider, changed.context_window, changed.input_price) == ("openai", 128_000, 5_000_000)
    assert sorted(names(settings)) == sorted(OPENAI + DEMO)
    assert [provider.name for provider in settings.providers] == ["openai", "demo"]


def test_a_row_at_another_provider_inherits_nothing_from_its_namesake(folder: Folder) -> None:
    toml = """
        [[providers]]
        name = "mine"
        base_url = "http://h/v1"
        [[models]]
        name = "gpt-4"
        provider = "mine"
    """
    settings = folder.start(toml, OPENAI_API_KEY="sk-1", OPENAI_BASE_URL=BOTHUB_URL)
    assert model(settings, "gpt-4") == Model("gpt-4", "mine", "gpt-4")


def test_a_small_window_keeps_a_quarter_for_the_answer(folder: Folder) -> None:
    settings = folder.start("[[models]]\nname = 'a'\nprovider = 'demo'\ncontext_window = 1000")
    assert model(settings, "a").max_output == 250


def test_an_alias_of_the_file_takes_the_name_from_a_model_of_the_keys(folder: Folder) -> None:
    toml = "[[models]]\nname = 'a'\nprovider = 'openrouter'\naliases = ['mistral/mistral-7b-instruct-free']"
    settings = folder.start(toml, OPENROUTER_API_KEY="sk-1")
    assert model(settings, OPENROUTER[0]).aliases == ()


@pytest.mark.parametrize(
    ("written", "microcredits"),
    [
        ("0", 0),
        ("200", 200_000_000),
        ("0.1", 100_000),
        ("0.29", 290_000),
        ("1.005", 1_005_000),
        ("1e-6", 1),
        ("0.1000000", 100_000),
    ],
)
def test_prices_are_exact(folder: Folder, written: str, microcredits: int) -> None:
    settings = folder.start(f"[[models]]\nname = 'a'\nprovider = 'demo'\ncredits_per_1k_input = {written}")
    assert model(settings, "a").input_price == microcredits


@pytest.mark.parametrize("written", ["-1", "-0.1", "0.0000001", "1e-999999", "nan", "inf", "true", "'200'", "1e7"])
def test_a_price_that_is_none_stops_the_start(folder: Folder, written: str) -> None:
    text = folder.refusal(f"[[models]]\nname = 'a'\nprovider = 'demo'\ncredits_per_1k_output = {written}")
    assert "[[models]] a: credits_per_1k_output in telefonist.toml: " in text
    assert "at most six decimals" in text or "more than six decimals" in text


@pytest.mark.parametrize(
    ("toml", "complaint"),
    [
        ("[[models]]\nname = 'a'", "[[models]] a: provider is missing; there are demo"),
        ("[[models]]\nname = 'a'\nprovider = 'dmo'", "[[models]] a: dmo is not a provider; did you mean demo?"),
        (
            "[[models]]\nname = 'a'\nprovider = 'openrouter'",
            "[[models]] a: openrouter is not a provider; set OPENROUTER_API_KEY, or add a [[providers]]",
        ),
        (
            "[[models]]\nname = 'a'\nprovider = 'demo'\nfallbacks = ['demo-slo']",
            "[[models]] a: its fallback demo-slo is not a model; did you mean demo-slow?",
        ),
        (
            "[[models]]\nname = 'a'\nprovider = 'demo'\naliases = ['b']\nfallbacks = ['b']",
            "[[models]] a: it is its own fallback",
        ),
        ("[[models]]\nname = 'a'\nprovider = 'demo'\n" * 2, "model or alias a is named 2 times in the file"),
        (
            "[[models]]\nname = 'a'\nprovider = 'demo'\n[[models]]\nname = 'b'\nprovider = 'demo'\naliases = ['a']",
            "model or alias a is named 2 times in the file",
        ),
        ("[[providers]]\nname = 'p'\nbase_url = 'http://h'\n" * 2, "provider p is named 2 times in the file"),
        ("[[providers]]\nname = 'p'", "[[providers]] p: base_url is missing"),
        (
            "[[providers]]\nname = 'p'\nkind = 'cohere'",
            "[[providers]] p: kind in telefonist.toml: 'cohere' is not openai, g",
        ),
        (
            "[[providers]]\nname = 'p'\nbase_url = 'http://h'\nca_bundle = 'no.pem'",
            "no.pem; mend the path in ca_bundle",
        ),
        (
            "[[models]]\nname = 'a'\nprovider = 'demo'\nmax_output = 9000",
            "max_output (9000) leaves nothing of the context_w",
        ),
        ("[[models]]\nname = 'a b'\nprovider = 'demo'", "'a b' is not a name without spaces"),
        ("default_model = 'demo-fast'", "demo-fast is not a model; did you mean demo"),
        (
            "default_model = 'demo-embedding'",
            "default_model (TELEFONIST_DEFAULT_MODEL): demo-embedding makes embeddings",
        ),
        (
            "[[models]]\nname = 'a'\nprovider = 'demo'\nfallbacks = ['demo-embedding']",
            "[[models]] a: its fallback demo-embedding is of kind embedding, not chat",
        ),
        (
            "[[models]]\nname = 'a'\nprovider = 'demo'\nkind = 'embedding'\nfallbacks = ['demo']",
            "[[models]] a: its fallback demo is of kind chat, not embedding",
        ),
        ("[[models]]\nname = 'a'\nprovider = 'demo'\nkind = 'image'", "'image' is not chat or embedding"),
        ("[[models]]\nname = 'a'\nprovider = 'demo'\nhold_output_default = 0", "is not a number of tokens above 0"),
        ("[[providers]]\nname = 'p'\nbase_url = 'http://h'\non_disconnect = 'keep'", "'keep' is not cancel or drain"),
        (
            "[[providers]]\nname = 'p'\nbase_url = 'http://h'\napi_key = 'env:MY_KEY'",
            "[[providers]] p: api_key in telefonist.toml: it refers to the environment variable MY_KEY, which is not "
            "set: set MY_KEY (or MY_KEY_FILE)",
        ),
        (
            "[[providers]]\nname = 'p'\nbase_url = 'http://h'\napi_key = 'env:sk-hidden'",
            "what follows env: must be the name of a variable",
        ),
    ],
)
def test_rows_that_do_not_fit_together_stop_the_start(folder: Folder, toml: str, complaint: str) -> None:
    text = folder.refusal(toml)
    assert complaint in text
    assert "hidden" not in text


def test_a_provider_without_a_key_is_asked_without_one(folder: Folder) -> None:
    settings = folder.start("[[providers]]\nname = 'p'\nbase_url = 'http://h/v1'\napi_key = ''")
    assert provider(settings, "p").api_key == ""


def test_a_certificate_authority_is_looked_for_from_the_folder(folder: Folder) -> None:
    file = folder.write("ca.pem", "")
    settings = folder.start("[[providers]]\nname = 'p'\nbase_url = 'https://h/v1'\nca_bundle = 'ca.pem'")
    assert provider(settings, "p").ca_bundle == str(file)


@pytest.mark.parametrize("kind", ["gigachat", "anthropic"])
def test_a_kind_with_an_address_of_its_own_needs_no_base_url(folder: Folder, kind: str) -> None:
    row = f"[[providers]]\nname = 'p'\nkind = '{kind}'\napi_key = 'key'\n[[models]]\nname = 'm'\nprovider = 'p'"
    settings = folder.start(row)
    assert provider(settings, "p").kind == kind
    assert settings.notes == ()


def test_a_key_of_anthropic_makes_its_models(folder: Folder) -> None:
    settings = folder.start(ANTHROPIC_API_KEY="sk-ant-1")
    assert names(settings) == ["claude-sonnet-5-5", "claude-opus-5-5", "claude-haiku-5-5", *DEMO]
    anthropic = provider(settings, "anthropic")
    assert (anthropic.kind, anthropic.base_url, anthropic.api_key) == (
        "anthropic",
        "https://api.anthropic.com",
        "sk-ant-1",
    )
    assert {(model.input_price, model.output_price) for model in settings.models} == {(0, 0)}


def test_the_address_of_anthropic_has_effect_only_with_a_key(folder: Folder) -> None:
    address = "https://proxy.example/anthropic"
    settings = folder.start(ANTHROPIC_API_KEY="sk-ant-1", ANTHROPIC_BASE_URL=address)
    assert provider(settings, "anthropic").base_url == address
    alone = folder.start(ANTHROPIC_BASE_URL=address)
    assert names(alone) == DEMO
    assert alone.notes == ("ANTHROPIC_BASE_URL has no effect without ANTHROPIC_API_KEY: set that too.",)
