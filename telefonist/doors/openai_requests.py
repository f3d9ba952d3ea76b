"""Requests in OpenAI's terms, read from the wire: what we must understand is checked, the rest passes through."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

import orjson

from telefonist.errors import FieldProblem, InvalidInput
from telefonist.types import Json

LONGEST_MODEL_NAME = 256
MOST_CHOICES = 128
"""OpenAI's own limit of ``n``."""

MOST_TOKENS = 10_000_000
"""A limit of output past this is a mistake, and would overflow what it is multiplied with."""

MOST_INPUTS = 2048
"""OpenAI's own limit of texts in one request for embeddings."""

ROLES = frozenset({"system", "developer", "user", "assistant", "tool", "function"})


@dataclass(frozen=True, slots=True)
class ChatCall:
    """A request for an answer; ``options`` is every field that is not named here, known to us or not."""

    model: str
    messages: tuple[Json, ...]
    options: Json
    stream: bool
    include_usage: bool
    choices: int
    expected_output: int | None


@dataclass(frozen=True, slots=True)
class EmbeddingCall:
    """A request for vectors."""

    model: str
    texts: Any
    options: Json


def read_chat_call(body: bytes) -> ChatCall:
    """Read the body of ``POST /v1/chat/completions``; raises InvalidInput, which names the field and the fix."""
    fields = _fields(body)
    model = _model(fields)
    messages = fields.pop("messages", None)
    if not isinstance(messages, list) or not messages:
        _refuse("messages", "Give a list with at least one message.", messages)
    for position, message in enumerate(messages):
        _check_message(position, message)
    stream = fields.pop("stream", None)
    if stream is not None and not isinstance(stream, bool):
        _refuse("stream", "Give true or false.", stream)
    asked = fields.get("stream_options")
    if asked is not None and not isinstance(asked, Mapping):
        _refuse("stream_options", "Give an object.", asked)
    choices = _count(fields, "n", MOST_CHOICES)
    longest = _count(fields, "max_completion_tokens", MOST_TOKENS)
    if longest is None:
        longest = _count(fields, "max_tokens", MOST_TOKENS)
    return ChatCall(
        model=model,
        messages=tuple(messages),
        options=fields,
        stream=bool(stream),
        include_usage=bool(asked and asked.get("include_usage")),
        choices=choices or 1,
        expected_output=longest,
    )


def read_embedding_call(body: bytes) -> EmbeddingCall:
    """Read the body of ``POST /v1/embeddings``; raises InvalidInput."""
    fields = _fields(body)
    model = _model(fields)
    texts = fields.pop("input", None)
    whole = isinstance(texts, list) and texts and len(texts) <= MOST_INPUTS
    if not (isinstance(texts, str) and texts) and not (
        whole and (_all(texts, str) or _all(texts, int) or (_all(texts, list) and all(_all(t, int) for t in texts)))
    ):
        _refuse("input", f"Give a text, a list of at most {MOST_INPUTS} texts, or tokens.", None)
    return EmbeddingCall(model, texts, fields)


def _fields(body: bytes) -> dict[str, Any]:
    try:
        fields = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        problem = FieldProblem("json_invalid", ("body",), f"The body is not valid JSON: {error}.")
        raise InvalidInput([problem]) from None
    if not isinstance(fields, dict):
        raise InvalidInput([FieldProblem("dict_type", ("body",), "The body must be a JSON object.")])
    return fields


def _model(fields: dict[str, Any]) -> str:
    model = fields.pop("model", None)
    if not isinstance(model, str) or not model or len(model) > LONGEST_MODEL_NAME:
        _refuse("model", "Give the name of a model; GET /v1/models lists them.", None)
    return model


def _check_message(position: int, message: object) -> None:
    if not isinstance(message, dict):
        _refuse(f"messages.{position}", "Each message is an object with role and content.", message)
    role = message.get("role")
    if not isinstance(role, str) or role not in ROLES:
        _refuse(f"messages.{position}.role", f"Give one of: {', '.join(sorted(ROLES))}.", role)
    content = message.get("content")
    if content is not None and not isinstance(content, str | list):
        _refuse(f"messages.{position}.content", "Give a text, a list of parts, or null.", content)


def _count(fields: dict[str, Any], name: str, most: int) -> int | None:
    value = fields.get(name)
    if value is None:
        return None
    if type(value) is not int or not 1 <= value <= most:
        _refuse(name, f"Give a whole number from 1 to {most}.", value)
    return value


def _all(values: object, kind: type) -> bool:
    return isinstance(values, list) and bool(values) and all(type(value) is kind and value != "" for value in values)


def _refuse(field: str, fix: str, value: object) -> NoReturn:
    shown = value if isinstance(value, str | int | float | bool | None) else None
    raise InvalidInput([FieldProblem("value_error", ("body", *field.split(".")), f"{field}: {fix}", shown)])
