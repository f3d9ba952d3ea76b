"""Logging: one line for each event, as JSON for machines or as text for a terminal, without secrets.

Lines go to standard error, so that what a command prints stays alone on standard output. The libraries' own logging
takes the same way. Ids bound with ``log_context`` (request_id, task_id, conversation_id) stand on every line below it.
"""

import json
import logging
import re
import sys
import time
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Literal, TextIO, cast

import orjson
import structlog
from structlog.stdlib import ProcessorFormatter
from structlog.types import EventDict, FilteringBoundLogger, Processor, WrappedLogger

LogFormat = Literal["auto", "json", "text"]

MASK = "***"

log_context = structlog.contextvars.bound_contextvars
"""Bind ids to every line written inside the ``with`` block, in this task and in the tasks it starts."""

_SECRET_NAME = re.compile(r"secret|passw|authorization|cookie|credential|token(?!s$)|key$", re.IGNORECASE)
_SECRET_VALUE = re.compile(
    r"""
    (?P<keep>(?:secret|passw(?:or)?d|token|key|authorization|cookie)["']?\s*[=:]\s*["']?)
        (?:(?:bearer|basic)\s+)?[^\s"'&,;}]{4,}          # a named value: api_key=..., "token": "...", Cookie: ...
    | (?P<scheme>\b(?:bearer|basic)\s+)[\w.~+/=-]{8,}    # RFC 6750 and RFC 7617 credentials
    | \b(?:sk|tf)-[\w-]{8,}                              # OpenAI-style keys, and our own
    | \bwhsec_[\w+/=-]{8,}                               # Standard Webhooks secrets
    | (?<!\d)\d{6,}:[\w-]{20,}                           # Telegram bot tokens
    | (?<![\w-])eyJ[\w-]{8,}\.[\w-]{4,}\.[\w-]*          # JSON web tokens
    | (?<=://)[^\s/@]+(?=@)                              # user and password of a URL
    """,
    re.IGNORECASE | re.VERBOSE,
)
_MARK_OF_SECRET = re.compile(
    r"secret|passw|token|key|authorization|cookie|bearer|basic|sk-|tf-|whsec_|eyj|@|:[\w-]{20}"
)
"""Something of this stands in every text, in lower case, that a pattern above matches: it is found ten times faster."""
_NEVER_SECRET = frozenset(
    {"request_id", "task_id", "conversation_id", "message_id", "method", "state", "side", "model", "code"}
)  # our own words and ids on every line of the hot path: not searched
_DETAIL = re.compile(
    r"^([ |]*)DETAIL:.*?(?=\n[ |]*\n[ |]*(?:The above exception was|During handling of)|\Z)", re.MULTILINE | re.DOTALL
)
_DEEPEST = 8
_message_text_is_logged = False


def configure_logging(level: str = "info", log_format: LogFormat = "auto", *, message_text: bool = False) -> None:
    """Set up logging for the process; called again, it replaces what was set before.

    ``auto`` is text on a terminal and JSON elsewhere. ``message_text`` lets people's messages into the log; without it
    ``message_text()`` gives only their length. Raises KeyError for a level that does not exist.
    """
    global _message_text_is_logged
    _message_text_is_logged = message_text
    text = log_format == "text" or (log_format == "auto" and sys.stderr.isatty())
    renderer: Processor = _text_renderer() if text else _render_json
    content: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        _show_exception,
    ]
    stamps: list[Processor] = [structlog.stdlib.add_log_level, _add_time]
    structlog.configure(
        processors=[*content, redact, structlog.stdlib.add_logger_name, *stamps, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=_StandardError,
        cache_logger_on_first_use=False,
    )
    without_record = [structlog.stdlib.add_logger_name, ProcessorFormatter.remove_processors_meta]
    foreign = ProcessorFormatter(processors=[*content, *without_record, redact, *stamps, renderer])
    _route_standard_logging(level, foreign)


def get_logger(name: str) -> FilteringBoundLogger:
    """Give the logger of a module; it may be made before ``configure_logging`` is called."""
    return cast("FilteringBoundLogger", _Logger(name))


class _Logger:
    """Assembles structlog's logger once for each configuration; structlog does so for every line, or once for ever."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._configured: object = None
        self._assembled: object = None

    def __getattr__(self, method: str) -> Any:
        configured = structlog.get_config()["processors"]
        if configured is not self._configured:
            self._assembled = structlog.get_logger(self._name).bind()
            self._configured = configured
        return getattr(self._assembled, method)


def message_text(text: str) -> str:
    """Give a person's words for the log if whoever runs the service asked for them, else only how many there are."""
    return text if _message_text_is_logged else f"<{len(text)} characters>"


def _show_exception(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    """Write the traceback, but not what PostgreSQL says of a refused row: it quotes it, and so people's messages."""
    if "exc_info" in event:
        event = structlog.processors.format_exc_info(logger, method, event)
    exception = event.get("exception")
    if isinstance(exception, str) and not _message_text_is_logged:
        event["exception"] = _DETAIL.sub(rf"\1DETAIL:  {MASK}", exception)
    return event


def _add_time(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    seconds, nanoseconds = divmod(time.time_ns(), 1_000_000_000)
    event["timestamp"] = f"{_second(seconds)}.{nanoseconds // 1000:06}Z"
    return event


@lru_cache(maxsize=1)
def _second(seconds: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))


def redact(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Put ``***`` in the place of secrets: values under a telling name, and texts that look like a key.

    Numbers and truth values stay, so that ``prompt_tokens`` can be counted. Anything that is not plain data is turned
    into text here, where it can be searched, rather than by the renderer.
    """
    return {name: value if name in _NEVER_SECRET else _redacted(name, value) for name, value in event.items()}


def _redacted(name: str, value: Any, depth: int = 0) -> Any:
    if value is None or isinstance(value, (int, float)):
        return value
    if _is_secret_name(name):
        return MASK
    if isinstance(value, str):
        return _masked(value)
    if depth >= _DEEPEST:
        return "…"
    if isinstance(value, Mapping):
        return {str(key): _redacted(str(key), item, depth + 1) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_redacted("", item, depth + 1) for item in value]
    return _masked(str(value))


def _masked(text: str) -> str:
    if text.isascii() and _MARK_OF_SECRET.search(text.lower()) is None:
        return text
    return _SECRET_VALUE.sub(_mask, text)


@lru_cache(maxsize=1024)
def _is_secret_name(name: str) -> bool:
    return _SECRET_NAME.search(name) is not None


def _mask(match: re.Match[str]) -> str:
    return f"{match['keep'] or match['scheme'] or ''}{MASK}"


def _render_json(_logger: WrappedLogger, _method: str, event: EventDict) -> str:
    try:
        return orjson.dumps(event).decode()
    except TypeError:  # lone surrogates and integers beyond 64 bits, which orjson refuses
        return json.dumps(event)


def _text_renderer() -> structlog.dev.ConsoleRenderer:
    # Values are shown as repr() shows them: a line break in one cannot forge a line of the log. Plain tracebacks: the
    # colourful ones show local variables, and with them secrets.
    return structlog.dev.ConsoleRenderer(
        colors=sys.stderr.isatty(),
        repr_native_str=True,
        exception_formatter=structlog.dev.plain_traceback,
        pad_event_to=0,
    )


class _StandardError:
    """Where finished lines go: standard error as it is at that moment, so that a replaced one is honoured."""

    def __init__(self, name: str = "telefonist") -> None:
        self.name = name

    def info(self, line: str) -> None:
        try:
            sys.stderr.write(f"{line}\n")
        except OSError:
            return  # nobody reads the log any more: that must not end the work

    debug = warning = error = critical = info


class _StandardErrorHandler(logging.StreamHandler[TextIO]):
    @property
    def stream(self) -> TextIO:
        return sys.stderr

    @stream.setter
    def stream(self, value: TextIO) -> None:
        """Ignore what StreamHandler sets: the stream is found at every line."""


def _route_standard_logging(level: str, formatter: logging.Formatter) -> None:
    handler = _StandardErrorHandler()
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level.upper())
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access", "alembic", "sqlalchemy", "aiohttp", "asyncio"):
        logger = logging.getLogger(name)
        logger.handlers = []
        logger.propagate = name != "uvicorn.access"  # the middleware writes a better line
    logging.getLogger("sqlalchemy").setLevel(logging.WARNING)  # below it shows parameters: message text, secrets
    for name in ("alembic", "uvicorn.error"):
        logging.getLogger(name).setLevel(logging.WARNING)  # their start-up chatter; our own lines say it better
