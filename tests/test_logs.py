"""Lines of the log: their form, the ids they carry, and the secrets they do not."""

import asyncio
import json
import logging
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest

from telefonist.logs import configure_logging, get_logger, log_context, message_text, redact
from tests.conftest import log_plainly

BOT_TOKEN = "123456789:AAF-aBcDeFgHiJkLmNoPqRsTuVwXyZ0123456"
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl"


@pytest.fixture(autouse=True)
def logging_is_put_back() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    yield
    log_plainly()
    root.handlers = handlers
    root.setLevel(level)
    logging.getLogger("uvicorn.access").propagate = True
    logging.getLogger("sqlalchemy").setLevel(logging.NOTSET)


def json_lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().err.splitlines()]


def redacted(**values: Any) -> dict[str, Any]:
    return dict(redact(None, "info", values))


def test_a_line_is_json_with_time_level_logger_and_values(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("info", "json")
    get_logger("telefonist.doors").warning("slow", ms=12, path="/webhook", words="Привет")
    captured = capsys.readouterr()
    assert captured.out == ""
    line = json.loads(captured.err)
    age = datetime.now(UTC) - datetime.fromisoformat(line.pop("timestamp"))
    assert timedelta(0) <= age < timedelta(seconds=10)
    expected = {"event": "slow", "level": "warning", "logger": "telefonist.doors"}
    assert line == {**expected, "ms": 12, "path": "/webhook", "words": "Привет"}


def test_without_a_terminal_auto_means_json(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("info", "auto")
    get_logger("any").info("hello")
    assert json_lines(capsys)[0]["event"] == "hello"


def test_on_a_terminal_auto_means_text(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    configure_logging("info", "auto")
    get_logger("any").info("hello", who="Ann")
    text = capsys.readouterr().err
    assert "hello" in text
    assert not text.startswith("{")


def test_a_line_break_in_a_value_cannot_forge_a_line_of_text(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("info", "text")
    get_logger("any").info("request", path="/x\n2026-01-01 [info] all is well\x1b[31m")
    text = capsys.readouterr().err
    assert text.count("\n") == 1
    assert "\x1b" not in text


def test_lines_below_the_level_are_not_written(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("warning", "json")
    log = get_logger("any")
    log.info("unseen")
    logging.getLogger("uvicorn.error").info("unseen")
    log.error("seen")
    assert [line["event"] for line in json_lines(capsys)] == ["seen"]


def test_a_level_that_does_not_exist_is_refused() -> None:
    with pytest.raises(KeyError):
        configure_logging("loud")


def test_a_logger_made_before_the_configuration_follows_it(capsys: pytest.CaptureFixture[str]) -> None:
    log = get_logger("early")
    configure_logging("info", "json")
    log.info("first")
    configure_logging("error", "json")
    log.info("second")
    assert [line["event"] for line in json_lines(capsys)] == ["first"]


async def test_ids_bound_once_stand_on_every_line_of_the_task(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("info", "json")
    log = get_logger("any")

    async def work(task_id: str) -> None:
        with log_context(task_id=task_id, conversation_id="first"):
            await asyncio.sleep(0)
            log.info("inside")
            logging.getLogger("aiohttp.client").warning("library")

    await asyncio.gather(work("a"), work("b"))
    log.info("outside")
    *inside, outside = json_lines(capsys)
    assert sorted((line["task_id"], line["event"]) for line in inside) == [
        ("a", "inside"),
        ("a", "library"),
        ("b", "inside"),
        ("b", "library"),
    ]
    assert "task_id" not in outside


def test_libraries_write_through_the_same_form(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("info", "json")
    logging.getLogger("uvicorn.error").warning("Started server process [%d]", 7, extra={"color_message": "x"})
    logging.getLogger("uvicorn.access").info("GET / 200")
    logging.getLogger("sqlalchemy.engine.Engine").info("INSERT ... [parameters: ('Привет',)]")
    (line,) = json_lines(capsys)
    assert (line["event"], line["logger"], line["level"]) == ("Started server process [7]", "uvicorn.error", "warning")


@pytest.mark.parametrize("log_format", ["json", "text"])
def test_a_traceback_is_one_entry_without_secrets_or_local_variables(
    capsys: pytest.CaptureFixture[str], log_format: Any
) -> None:
    configure_logging("info", log_format)
    password = "hunter2"  # a local variable: no traceback may show it
    assert password
    try:
        raise ValueError(f"cannot reach postgresql://app:pa55@db/x with Bearer {JWT}")
    except ValueError:
        get_logger("any").exception("failed")
        logging.getLogger("asyncio").exception("failed too")
    text = capsys.readouterr().err
    assert text.count("Traceback (most recent call last)") == 2
    assert text.count("cannot reach postgresql://***@db/x with Bearer ***") == 2
    assert "hunter2" not in text


@pytest.mark.parametrize(
    "name",
    [
        "secret",
        "TELEFONIST_SECRET",
        "api_key",
        "apiKey",
        "key",
        "access_token",
        "Authorization",
        "db_password",
        "Cookie",
    ],
)
def test_a_value_under_a_telling_name_is_masked(name: str) -> None:
    assert redacted(**{name: "anything at all"}) == {name: "***"}
    assert redacted(headers={name: "anything at all"}) == {"headers": {name: "***"}}
    assert redacted(**{name: ["a", "b"]}) == {name: "***"}


def test_counts_of_tokens_are_not_secrets() -> None:
    usage = {"prompt_tokens": 12, "total_tokens": 30, "max_token": None, "token_ok": True}
    assert redacted(usage=usage) == {"usage": usage}


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Incorrect API key provided: sk-proj-abcdef123456", "Incorrect API key provided: ***"),
        ("signed with whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "signed with ***"),
        ("caller tf-live-0123456789", "caller ***"),
        ("Authorization: Bearer abc.def-ghi", "Authorization: ***"),
        ("authorization=abcdef", "authorization=***"),
        ("Cookie: a=bcdef; c", "Cookie: ***; c"),
        ("passwd: hunter22", "passwd: ***"),
        ("the password=hunter22", "the password=***"),
        ("Secret: hunter22", "Secret: ***"),
        ("token = abcdef", "token = ***"),
        ("with sk-abcdef123456", "with ***"),
        (f"signed: {JWT}", "signed: ***"),
        ("sent bearer abcdefghijk to it", "sent bearer *** to it"),
        ("Basic dXNlcjpwYXNzd29yZA==", "Basic ***"),
        (f"POST /bot{BOT_TOKEN}/sendMessage", "POST /bot***/sendMessage"),
        (f"cookie is {JWT}", "cookie is ***"),
        ("https://h/cb?api_key=abcd1234&x=1", "https://h/cb?api_key=***&x=1"),
        ('{"client_secret": "abcd1234", "x": 1}', '{"client_secret": "***", "x": 1}'),
        ("postgresql://app:pa55@db:5432/x", "postgresql://***@db:5432/x"),
        ("a task-12345678 of 200000:1 and http://host/a@b", "a task-12345678 of 200000:1 and http://host/a@b"),
    ],
)
def test_a_text_that_looks_like_a_key_is_masked_wherever_it_stands(text: str, shown: str) -> None:
    assert redacted(reason=text) == {"reason": shown}
    assert redacted(reason=text.upper(), other=text.lower()) == {"reason": shown.upper(), "other": shown.lower()}
    assert redacted(reason=f"Ключ: {text}") == {"reason": f"Ключ: {shown}"}
    assert redacted(nested=[{"reason": (text,)}]) == {"nested": [{"reason": [shown]}]}
    assert redacted(error=ValueError(text)) == {"error": shown}


def test_a_hostile_text_is_searched_in_linear_time() -> None:
    started = time.perf_counter()
    for piece in ("eyJ-", "key-", "a-", "1", "sk", "://", "bearer ", "token"):
        redacted(reason=piece * (200_000 // len(piece)))
    assert time.perf_counter() - started < 2


def test_what_json_cannot_hold_is_still_written(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("info", "json")
    deep: list[Any] = []
    for _ in range(300):
        deep = [deep]
    get_logger("any").info("odd", lone="\ud800", huge=1 << 70, raw=b"\xff", deep=deep, unknown=object)
    (line,) = json_lines(capsys)
    assert (line["lone"], line["huge"], line["raw"]) == ("\ud800", 1 << 70, r"b'\xff'")


def test_message_text_stays_out_of_the_log_unless_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("info", "json")
    assert message_text("Привет") == "<6 characters>"
    configure_logging("info", "json", message_text=True)
    assert message_text("Привет") == "Привет"
    configure_logging("info", "json")
    assert message_text("") == "<0 characters>"


@pytest.mark.parametrize("log_format", ["json", "text"])
@pytest.mark.parametrize("asked_for", [False, True])
def test_what_the_database_quotes_of_a_message_is_logged_only_when_asked_for(
    capsys: pytest.CaptureFixture[str], log_format: Any, asked_for: bool
) -> None:
    configure_logging("info", log_format, message_text=asked_for)
    refused = asyncpg.UniqueViolationError("duplicate key")
    refused.detail = "Key (content)=(my private\nHINT: words) already exists."
    try:
        try:
            raise refused
        except asyncpg.PostgresError as error:
            raise RuntimeError("not stored") from error
    except RuntimeError:
        get_logger("test").exception("failed")
    written = capsys.readouterr().err
    assert ("my private" in written) is asked_for
    assert ("words) already" in written) is asked_for
    assert "duplicate key" in written
    assert "not stored" in written
