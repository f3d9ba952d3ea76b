"""What somebody reads whose settings are wrong."""

import pytest

from telefonist.errors import ConfigurationError
from telefonist.settings import load_settings
from tests.settings.conftest import Folder


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("TELEFONIST_PROT", "TELEFONIST_PORT"),
        ("telefonist_port", "TELEFONIST_PORT"),
        ("TELEFONIST_WEBHOOK_RATELIMIT", "TELEFONIST_WEBHOOK_RATE_LIMIT"),
        ("TELEFONIST_SECRETS_FILE", "TELEFONIST_SECRET_FILE"),
        ("TELEFONIST_CONFIG_FILE", "TELEFONIST_CONFIG"),
        ("TELEFONIST_DATABASE_URL", "DATABASE_URL"),
    ],
)
def test_a_misspelt_name_stops_the_start_and_suggests_the_right_one(folder: Folder, name: str, meant: str) -> None:
    assert f"{name} in the environment: there is no such setting; did you mean {meant}?" in folder.refusal(
        **{name: "1"}
    )
    assert f"{name} in .env: there is no such setting; did you mean {meant}?" in folder.refusal(dotenv=f"{name}=1")


def test_a_name_like_no_other_points_to_the_list_of_names(folder: Folder) -> None:
    text = folder.refusal(TELEFONIST_QQQ="1")
    assert "TELEFONIST_QQQ in the environment: there is no such setting; remove it; .env.example lists" in text


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("TELEFONIST_SERVICE_HOST", "10.0.0.1"),
        ("TELEFONIST_SERVICE_PORT_HTTP", "8080"),
        ("TELEFONIST_PORT_8080_TCP_ADDR", "10.0.0.1"),
        ("TELEFONIST_WEB_PORT", "tcp://10.0.0.1:8080"),
        ("TELEFONIST_PORT", "tcp://10.0.0.1:8080"),
        ("REDIS_PORT", "tcp://10.0.0.1:6379"),
    ],
)
def test_what_kubernetes_sets_for_a_service_is_recognised(folder: Folder, name: str, value: str) -> None:
    text = folder.refusal(**{name: value})
    assert f"{name} in the environment: " in text
    assert "enableServiceLinks: false" in text


def test_foreign_names_do_not_stop_the_start(folder: Folder) -> None:
    assert folder.start(dotenv="POSTGRES_PASSWORD=x", PATH="/bin", POSTGRES_USER="y").notes == ()


def test_a_near_miss_in_dotenv_of_a_name_without_our_prefix_is_noted(folder: Folder) -> None:
    settings = folder.start(dotenv="OPENROUTR_API_KEY=sk-hidden")
    (note,) = settings.notes
    assert note == "OPENROUTR_API_KEY in .env is not a name that Telefonist reads: did you mean OPENROUTER_API_KEY?"


def test_a_line_of_dotenv_that_is_none_is_named_by_its_number(folder: Folder) -> None:
    text = folder.refusal(dotenv="A=1\n\n# a comment\nTELEFONIST_SECRET hidden\n")
    assert ".env, line 4: it cannot be read; write NAME=value" in text
    assert "hidden" not in text


@pytest.mark.parametrize(
    ("toml", "complaint"),
    [
        ("prot = 1", "prot in telefonist.toml: there is no such setting; did you mean port?"),
        ("[delivery]\njiter = 1", "delivery.jiter in telefonist.toml: there is no such setting; did you mean jitter?"),
        ("[doors.web_hook]", "doors.web_hook in telefonist.toml: there is no such setting; did you mean webhook?"),
        (
            "per_host = 5",
            "per_host in telefonist.toml: there is no such setting; did you mean per_host in [delivery]?",
        ),
        (
            "[[models]]\nname = 'a'\ndefault_model = 'a'",
            "[[models]] a: default_model in telefonist.toml: there is no such setting; "
            "did you mean default_model, at the top of the file before the first [table]?",
        ),
        (
            "TELEFONIST_BODY_LIMIT = 5",
            "TELEFONIST_BODY_LIMIT in telefonist.toml: there is no such setting; did you mean body in [limits]?",
        ),
        (
            "[[models]]\nname = 'a'\ncontextwindow = 1",
            "[[models]] a: contextwindow in telefonist.toml: there is no such setting; did you mean context_window?",
        ),
        ("[[providers]]\nbase_ulr = 'x'", "[[providers]] number 1: base_ulr in telefonist.toml: there is no such"),
        ("zzz = 1", "zzz in telefonist.toml: there is no such setting; remove it; telefonist.example.toml shows"),
        ("notes = []", "notes in telefonist.toml: there is no such setting"),
        ("delivery = 3", "delivery in telefonist.toml: it must be a table; write [delivery]"),
        ("[models]\nname = 'a'", "models in telefonist.toml: it must be a list of tables; write [[models]]"),
        ("models = [1]", "[[models]] number 1 in telefonist.toml: it must be a list of tables; write [[models]]"),
        (
            "[[models]]\nprovider = 'demo'",
            '[[models]] number 1: name in telefonist.toml: it is missing; write name = "',
        ),
        (
            "secret = 'hidden'",
            "secret in telefonist.toml: only the environment or .env can set it; set TELEFONIST_SECRET",
        ),
        (
            "[redis]\nurl = 'hidden'",
            "redis.url in telefonist.toml: only the environment or .env can set it; set REDIS_URL",
        ),
        ("[keys]\napi_key = 'hidden'", "keys.api_key in telefonist.toml: only the environment or .env can set it"),
        ("port = 1\nport = 2", "telefonist.toml is not valid TOML: Cannot overwrite a value (at"),
        ("a = \n", "telefonist.toml is not valid TOML: Invalid value (at line 1, column 5); mend that line"),
    ],
)
def test_a_mistake_in_the_file_is_named_with_its_place_and_the_fix(folder: Folder, toml: str, complaint: str) -> None:
    text = folder.refusal(toml)
    assert complaint in text
    assert "hidden" not in text


@pytest.mark.parametrize(
    ("name", "value", "complaint"),
    [
        (
            "TELEFONIST_PORT",
            "80a",
            "'80a' is not a port from 0 (any free one) to 65535; write for example TELEFONIST_PORT=8080",
        ),
        ("TELEFONIST_PORT", "70000", "'70000' is not a port"),
        ("TELEFONIST_HOST", "http://localhost", "'http://localhost' is not a host name or address"),
        ("TELEFONIST_HOST", "127.0.0.1:80", "'127.0.0.1:80' is not a host name or address"),
        ("TELEFONIST_PUBLIC_URL", "example.com", "'example.com' is not an http:// or https:// URL"),
        ("TELEFONIST_PUBLIC_URL", "https://a/b?c=d", "remove what follows '?'"),
        ("TELEFONIST_PUBLIC_URL", "https://a b/", "it holds a space"),
        ("TELEFONIST_ANONYMOUS", "true", '\'true\' is not "auto", "on" or "off"'),
        ("TELEFONIST_TRUSTED_PROXIES", "10.0.0.0/8, x", "'x' is not a network such as 10.0.0.0/8"),
        ("TELEFONIST_CALLBACK_ALLOWED_NETWORKS", "10.0.0.1/8", "has bits set past its prefix: write 10.0.0.0/8"),
        ("TELEFONIST_WEBHOOK_RATE_LIMIT", "5/fortnight", "'5/fortnight' is not one limit such as 5/minute"),
        ("TELEFONIST_WEBHOOK_RATE_LIMIT", "0/minute", "'0/minute' is not one limit"),
        ("TELEFONIST_WEBHOOK_RATE_LIMIT", "5/minute;9/hour", "'5/minute;9/hour' is not one limit"),
        ("TELEFONIST_BODY_LIMIT", "10 GiB", "'10 GiB' is not a size from 1 KiB to 100 MiB"),
        ("TELEFONIST_MAX_IN_FLIGHT", "0", "'0' is not a whole number from 1"),
        ("TELEFONIST_PROVIDER_RETRIES", "2.5", "'2.5' is not a whole number from 0 to 10"),
        ("TELEFONIST_GRACE", "-1", "'-1' is not a time in seconds"),
        ("TELEFONIST_GRACE", "nan", "'nan' is not a time in seconds"),
        ("TELEFONIST_DELIVERY_RETRY_SCHEDULE", "5, soon", "'soon' is not a list of at most 50 waiting times"),
        ("TELEFONIST_DELIVERY_JITTER", "1", "'1' is not a share from 0 to below 1"),
        ("TELEFONIST_DELIVERY_TOTAL_TIMEOUT", "0", "'0' is not a time in seconds above 0"),
        ("TELEFONIST_LOG_LEVEL", "loud", "'loud' is not debug, info, warning, error or critical"),
        ("TELEFONIST_LOG_MESSAGES", "maybe", "'maybe' is not true or false"),
    ],
)
def test_an_invalid_value_stops_the_start_and_says_what_is_expected(
    folder: Folder, name: str, value: str, complaint: str
) -> None:
    text = folder.refusal(**{name: value})
    assert f"{name} in the environment: " in text
    assert complaint in text


@pytest.mark.parametrize(
    ("toml", "complaint"),
    [
        ("port = true", "port in telefonist.toml: true is not a port"),
        (
            "anonymous = true",
            'anonymous in telefonist.toml: true is not "auto", "on" or "off"; write for example anonymous = "auto"',
        ),
        ("trusted_proxies = [1]", "trusted_proxies in telefonist.toml: 1 is not a network"),
        ("[limits]\nbody = 0.5", "limits.body in telefonist.toml: 0.5 is not a size"),
        ("[delivery]\nheaders = ['a']", 'headers = { "Authorization" = "env:CALLBACK_AUTHORIZATION" }'),
    ],
)
def test_a_value_of_the_wrong_kind_in_the_file_stops_the_start(folder: Folder, toml: str, complaint: str) -> None:
    assert complaint in folder.refusal(toml)


@pytest.mark.parametrize(
    ("name", "value", "complaint"),
    [
        ("TELEFONIST_SECRET", "hidden", "the value is not a random text of at least 32 characters, as 'openssl rand"),
        ("TELEFONIST_WEBHOOK_SECRET", "hidden", "the value is not one secret, or two"),
        ("TELEFONIST_WEBHOOK_SECRET", "whsec_hidden", "the value is not one secret, or two"),
        ("TELEFONIST_WEBHOOK_SECRET", "whsec_aGlkZGVu", "the value is not one secret, or two"),
        ("TELEFONIST_CALLBACK_HEADERS", "hidden", "header 1 is not written as 'Name: value'"),
        ("TELEFONIST_CALLBACK_HEADERS", "A: 1 | : hidden", "header 2 is not written as 'Name: value'"),
        ("TELEFONIST_CALLBACK_HEADERS", "A: hidden | a: hidden", "header a is given twice"),
        ("TELEFONIST_CALLBACK_HEADERS", "A: hidden\x07", "the value of header A must be printable ASCII"),
        ("TELEFONIST_CALLBACK_HEADERS", "Webhook-Id: hidden", "header Webhook-Id is set by Telefonist itself"),
        ("DATABASE_URL", "hidden", "the value is not a postgresql:// URL"),
        ("DATABASE_URL", "mysql://u:hidden@h/d", "Telefonist keeps its data in PostgreSQL only"),
        ("DATABASE_URL", "sqlite:///hidden.db", "unset DATABASE_URL to use the PostgreSQL that comes with Telefonist"),
        ("DATABASE_URL", "postgresql+pg8000://u:hidden@h/d", "a driver that Telefonist does not use"),
        ("DATABASE_URL", "postgresql://u:hid#den@h/d", "percent-encode the special characters"),
        ("DATABASE_URL", "postgresql://u:1/hidden@h/d", "percent-encode the special characters"),
        ("DATABASE_URL", "postgresql://u:hidden@h:port/d", "its host or port is malformed"),
        ("REDIS_URL", "http://:hidden@h", "the value is not a redis://, rediss:// or unix:// URL"),
        ("REDIS_URL", "redis://:hidden@h:port", "its host or port is malformed"),
        ("REDIS_HOST", "redis://:hidden@h", "the value is not a host name or address"),
        ("OPENAI_API_KEY", "<hidden key>", "it holds characters that no key has"),
        ("OPENROUTER_API_KEY", "ключ_hidden", "it holds characters that no key has"),
        ("OPENAI_BASE_URL", "sk-hidden", "the value is not an http:// or https:// URL"),
        ("OPENAI_BASE_URL", "https://u:hidden@h/v1", "it holds a user name or password"),
        ("OPENAI_BASE_URL", "https://h/v1/chat/completions", "it must end before '/chat/completions'"),
        ("URL_GPT", "https://h", "the value is not the URL of a chat-completions endpoint"),
    ],
)
def test_a_wrong_secret_is_explained_without_being_shown(folder: Folder, name: str, value: str, complaint: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        load_settings({name: value}, folder.path)
    text = str(refused.value)
    assert f"{name} in the environment: " in text
    assert complaint in text
    for shown in (text, repr(refused.value), repr(refused.value.__context__), repr(refused.value.__cause__)):
        assert "hid" not in shown


def test_a_database_of_ones_own_needs_a_secret_of_ones_own(folder: Folder) -> None:
    text = folder.refusal(DATABASE_URL="postgresql://u:hidden@h/d")
    assert "TELEFONIST_SECRET is missing, which DATABASE_URL makes compulsory" in text
    assert "openssl rand -hex 32" in text
    assert folder.start(DATABASE_URL="postgresql://u@h/d", TELEFONIST_SECRET="s" * 32).secret == "s" * 32


def test_connecting_may_not_take_longer_than_everything(folder: Folder) -> None:
    assert "connect_timeout (TELEFONIST_DELIVERY_CONNECT_TIMEOUT) is longer than total_timeout" in folder.refusal(
        TELEFONIST_DELIVERY_CONNECT_TIMEOUT="31"
    )


def test_several_mistakes_are_reported_together(folder: Folder) -> None:
    text = folder.refusal(
        "prot = 1\n[[models]]\nname = 'a'\ncontext_window = 'b'",
        "TELEFONIST_GRASE=1",
        TELEFONIST_PORT="a",
        TELEFONIST_HOST="b c",
        DATABASE_URL="x",
    )
    for name in (
        "prot in",
        "[[models]] a: context_window in",
        "TELEFONIST_GRASE in .env",
        "TELEFONIST_PORT in",
        "TELEFONIST_HOST in",
        "DATABASE_URL in",
        "TELEFONIST_SECRET is missing",
    ):
        assert text.count(f"\n  - {name}") == 1, name


def test_no_secret_shows_in_the_repr_of_the_settings(folder: Folder) -> None:
    toml = """
        [[providers]]
        name = "mine"
        base_url = "http://localhost/v1"
        api_key = "env:MINE"
        headers = { "X-Key" = "hidden" }
        [[models]]
        name = "m"
        provider = "mine"
    """
    settings = folder.start(
        toml,
        MINE="hidden",
        OPENAI_API_KEY="hidden",
        OPENROUTER_API_KEY="hidden",
        API_KEY="hidden",
        URL_GPT="http://localhost/chat",
        DATABASE_URL="postgresql://u:hidden@h/d",
        TELEFONIST_SECRET="hidden" * 6,
        REDIS_URL="redis://:hidden@h",
        TELEFONIST_WEBHOOK_SECRET="whsec_" + "hidden12" * 4,
        TELEFONIST_CALLBACK_HEADERS="Authorization: hidden",
    )
    assert settings.delivery.headers["Authorization"] == "hidden"
    for shown in (repr(settings), str(settings), repr(settings.delivery), repr(settings.redis), str(settings.notes)):
        assert "hidden" not in shown
