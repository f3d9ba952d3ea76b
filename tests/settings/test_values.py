"""What each form of a value becomes."""

from ipaddress import ip_network

import pytest

from telefonist.settings import Settings
from tests.settings.conftest import Folder

SECRET = "s" * 32
FIRST = "whsec_" + "A" * 32
SECOND = "whsec_" + "B" * 44


@pytest.mark.parametrize("separator", [",", " ", ", ", "\n"])
def test_networks_are_separated_by_commas_or_spaces(folder: Folder, separator: str) -> None:
    networks = (ip_network("10.0.0.0/8"), ip_network("fd00::/8"), ip_network("192.0.2.7/32"))
    text = separator.join(["10.0.0.0/8", "fd00::/8", "192.0.2.7"])
    settings = folder.start(TELEFONIST_TRUSTED_PROXIES=text, TELEFONIST_CALLBACK_ALLOWED_NETWORKS=text)
    assert settings.trusted_proxies == networks
    assert settings.delivery.allowed_networks == networks
    assert folder.start("trusted_proxies = ['10.0.0.0/8', 'fd00::/8', '192.0.2.7']").trusted_proxies == networks


@pytest.mark.parametrize(
    ("given", "taken"),
    [
        ("postgresql://u:p@h:5432/d", "postgresql://u:p@h:5432/d"),
        ("postgres://u:p%23@h/d?sslmode=require", "postgresql://u:p%23@h/d?sslmode=require"),
        ("postgresql+asyncpg://h/d", "postgresql://h/d"),
        ("postgresql+psycopg://h/d", "postgresql://h/d"),
        ("postgresql:///d?host=/run/postgresql", "postgresql:///d?host=/run/postgresql"),
        ("postgresql://u@[fd00::1]:5432,b.example:5433/d", "postgresql://u@[fd00::1]:5432,b.example:5433/d"),
    ],
)
def test_every_usual_form_of_a_postgresql_url_is_understood(folder: Folder, given: str, taken: str) -> None:
    assert folder.start(DATABASE_URL=given, TELEFONIST_SECRET=SECRET).database_url == taken


@pytest.mark.parametrize(
    ("environ", "url"),
    [
        ({}, None),
        ({"REDIS_PORT": "6380"}, None),
        ({"REDIS_HOST": "redis"}, "redis://redis:6379/0"),
        ({"REDIS_HOST": "redis", "REDIS_PORT": "6380"}, "redis://redis:6380/0"),
        ({"REDIS_HOST": "::1"}, "redis://[::1]:6379/0"),
        ({"REDIS_URL": "rediss://:p@h:1/2"}, "rediss://:p@h:1/2"),
        ({"REDIS_URL": "unix:///run/redis.sock"}, "unix:///run/redis.sock"),
        ({"REDIS_URL": "redis://h", "REDIS_HOST": "other"}, "redis://h"),
    ],
)
def test_redis_is_given_as_a_url_or_as_host_and_port(folder: Folder, environ: dict[str, str], url: str | None) -> None:
    settings = folder.start(**environ)
    assert settings.redis_url == url
    assert ("REDIS_URL and REDIS_HOST are both set: REDIS_URL is used." in settings.notes) == (
        len(environ) == 2 and "REDIS_URL" in environ
    )


@pytest.mark.parametrize(
    ("given", "secrets"),
    [(FIRST, (FIRST,)), (f"{FIRST},{SECOND}", (FIRST, SECOND)), (f"{SECOND} {FIRST}", (SECOND, FIRST))],
)
def test_one_or_two_signing_secrets_are_taken(folder: Folder, given: str, secrets: tuple[str, ...]) -> None:
    assert folder.start(TELEFONIST_WEBHOOK_SECRET=given).delivery.signing_secrets == secrets
    assert "TELEFONIST_WEBHOOK_SECRET" in folder.refusal(TELEFONIST_WEBHOOK_SECRET=f"{FIRST},{SECOND},{FIRST}")


@pytest.mark.parametrize(
    "text",
    [
        "Authorization: Bearer a:b | X-Tenant: 7",
        "Authorization: Bearer a:b\nX-Tenant:7\n",
        "|Authorization:Bearer a:b|X-Tenant: 7|",
    ],
)
def test_callback_headers_are_separated_by_bars_or_line_breaks(folder: Folder, text: str) -> None:
    headers = folder.start(TELEFONIST_CALLBACK_HEADERS=text).delivery.headers
    assert headers == {"Authorization": "Bearer a:b", "X-Tenant": "7"}


def test_callback_headers_of_the_file_take_their_secrets_from_the_environment(folder: Folder) -> None:
    toml = "[delivery.headers]\nAuthorization = 'env:TOKEN'\nX-Tenant = '7'"
    assert folder.start(toml, TOKEN="Bearer x").delivery.headers == {"Authorization": "Bearer x", "X-Tenant": "7"}
    assert folder.start(toml, "TOKEN=Bearer y").delivery.headers["Authorization"] == "Bearer y"
    folder.write("token", "Bearer z\n")
    folder.write(".env", "")
    assert folder.start(toml, TOKEN_FILE="token").delivery.headers["Authorization"] == "Bearer z"
    assert "refers to the environment variable TOKEN, which is not set: set TOKEN (or TOKEN_FILE)" in folder.refusal(
        toml
    )


@pytest.mark.parametrize(("text", "bytes_"), [("2048", 2048), ("2 KiB", 2048), ("1MiB", 1 << 20), ("1.5MB", 1_500_000)])
def test_a_size_may_have_a_unit(folder: Folder, text: str, bytes_: int) -> None:
    assert folder.start(TELEFONIST_BODY_LIMIT=text).limits.body == bytes_


@pytest.mark.parametrize("limit", ["5/minute", "100 per hour", "10 per 30 second"])
def test_a_rate_limit_is_what_the_limits_library_reads(folder: Folder, limit: str) -> None:
    assert folder.start(TELEFONIST_WEBHOOK_RATE_LIMIT=limit).doors.webhook.rate_limit == limit


def test_words_of_a_choice_are_taken_in_any_case(folder: Folder) -> None:
    settings = folder.start(TELEFONIST_LOG_LEVEL="DEBUG", TELEFONIST_LOG_FORMAT="Json", TELEFONIST_ANONYMOUS="ON")
    assert (settings.log.level, settings.log.format, settings.anonymous) == ("debug", "json", "on")


@pytest.mark.parametrize(("word", "on"), [("true", True), ("1", True), ("yes", True), ("off", False), ("False", False)])
def test_a_switch_takes_the_usual_words(folder: Folder, word: str, on: bool) -> None:
    assert folder.start(TELEFONIST_LOG_MESSAGES=word).log.messages is on


def test_a_public_url_loses_its_last_slash(folder: Folder) -> None:
    assert folder.start(TELEFONIST_PUBLIC_URL="https://a.example/t/").public_url == "https://a.example/t"


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("127.0.0.1", True),
        ("127.8.8.8", True),
        ("::1", True),
        ("[::1]", True),
        ("::ffff:127.0.0.1", True),
        ("localhost", True),
        ("LOCALHOST.", True),
        ("0.0.0.0", False),
        ("::", False),
        ("192.168.0.1", False),
        ("::ffff:192.168.0.1", False),
        ("localhost.example.com", False),
    ],
)
def test_loopback_is_open_while_only_this_machine_is_meant_to_call(folder: Folder, host: str, loopback: bool) -> None:
    alone = folder.start(TELEFONIST_HOST=host)
    assert (alone.listens_on_loopback, alone.loopback_is_open) == (loopback, loopback)
    published = folder.start(TELEFONIST_HOST=host, TELEFONIST_PUBLIC_URL="https://a.example")
    assert (published.listens_on_loopback, published.loopback_is_open) == (loopback, False)


def _webhook_prompt(settings: Settings) -> str:
    return settings.system_prompt_for(settings.doors.webhook)


def test_a_door_has_its_own_system_prompt_the_common_one_or_none(folder: Folder) -> None:
    assert _webhook_prompt(folder.start()) == ""
    assert _webhook_prompt(folder.start(TELEFONIST_SYSTEM_PROMPT="common")) == "common"
    own = folder.start(TELEFONIST_SYSTEM_PROMPT="common", TELEFONIST_WEBHOOK_SYSTEM_PROMPT="own")
    assert _webhook_prompt(own) == "own"
    assert _webhook_prompt(folder.start("[doors.webhook]\nsystem_prompt = ''", TELEFONIST_SYSTEM_PROMPT="common")) == ""


def test_settings_cannot_be_changed_after_the_start(folder: Folder) -> None:
    settings = folder.start()
    with pytest.raises(ValueError, match="frozen"):
        setattr(settings, "port", 1)  # noqa: B010
    with pytest.raises(ValueError, match="frozen"):
        setattr(settings.delivery, "jitter", 0.1)  # noqa: B010
