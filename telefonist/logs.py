"""Logging: one line for each event, as JSON for machines or as text for a terminal, without secrets.

Lines go to standard error, so that what a command prints stays alone on standard output. The libraries' own logging
takes the same way. Ids bound with ``log_context`` (request_id, task_id, conversation_id) stand on every line below it.
"""

import contextlib
import json
import logging
import re
import sys
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Literal, TextIO

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
_NEVER_SECRET = frozenset(
    {"request_id", "task_id", "conversation_id", "message_id", "method", "state", "side", "model", "code"}
)  # our own words and ids on every line of the hot path: not searched
_DETAIL = re.compile(
    r"^([ |]*)DETAIL:.*?(?=\n[ |]*\n[ |]*(?:The above exception was|During handling of)|\Z)", re.MULTILINE | re.DOTALL
)
_SHORTEST = 5  # characters: no pattern above matches less
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
        structlog.processors.format_exc_info,
        _cut_details,
    ]
    stamps: list[Processor] = [structlog.stdlib.add_log_level, structlog.processors.TimeStamper(fmt="iso", utc=True)]
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
    logger: FilteringBoundLogger = structlog.get_logger(name)
    return logger


def message_text(text: str) -> str:
    """Give a person's words for the log if whoever runs the service asked for them, else only how many there are."""
    return text if _message_text_is_logged else f"<{len(text)} characters>"


def _cut_details(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Take out what PostgreSQL says of a refused row: it quotes the row, and so people's messages."""
    exception = event.get("exception")
    if isinstance(exception, str) and not _message_text_is_logged:
        event["exception"] = _DETAIL.sub(rf"\1DETAIL:  {MASK}", exception)
    return event


def redact(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Put ``***`` in the place of secrets: values under a telling name, and texts that look like a key.

    Numbers and truth values stay, so that ``prompt_tokens`` can be counted. Anything that is not plain data is turned
    into text here, where it can be searched, rather than by the renderer.
    """
    return {name: value if name in _NEVER_SECRET else _redacted(name, value) for name, value in event.items()}


def _redacted(name: str, value: Any, depth: int = 0) -> Any:
    if value is None or isinstance(value, bool | int | float):
        return value
    if _is_secret_name(name):
        return MASK
    if isinstance(value, str):
        return value if len(value) < _SHORTEST else _SECRET_VALUE.sub(_mask, value)
    if depth >= _DEEPEST:
        return "…"
    if isinstance(value, Mapping):
        return {str(key): _redacted(str(key), item, depth + 1) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_redacted("", item, depth + 1) for item in value]
    return _SECRET_VALUE.sub(_mask, str(value))


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
        with contextlib.suppress(OSError):  # nobody reads the log any more: that must not end the work
            sys.stderr.write(f"{line}\n")

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
