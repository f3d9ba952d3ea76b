"""How the model API looks in the OpenAPI document: requests, answers and refusals, each with an example."""

from collections.abc import Mapping
from itertools import groupby
from typing import Any

from telefonist.doors.auth import MAY_BE_ANONYMOUS
from telefonist.doors.openai_errors import error_body, status_of
from telefonist.doors.refusals import AWAY, RETRY_AFTER
from telefonist.errors import (
    AccessDenied,
    AuthenticationRequired,
    BodyTimeout,
    CredentialsRefused,
    FieldProblem,
    InsufficientCredits,
    InvalidInput,
    NotFound,
    PayloadTooLarge,
    ProviderFailed,
    ProviderTimeout,
    RateLimited,
    TelefonistError,
)

Route = Mapping[str, Any]

_ERROR = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["message", "type", "param", "code"],
            "properties": {
                "message": {"type": "string"},
                "type": {"type": "string"},
                "param": {"type": ["string", "null"]},
                "code": {"type": ["string", "null"]},
            },
        }
    },
}

_USAGE = {
    "type": "object",
    "properties": {
        "prompt_tokens": {"type": "integer"},
        "completion_tokens": {"type": "integer"},
        "total_tokens": {"type": "integer"},
        "estimated": {"type": "boolean", "description": "Counted by us: the provider said nothing."},
    },
}

_HEADERS = {
    "x-request-id": {"description": "Names this request in the log", "schema": {"type": "string"}},
    "x-ratelimit-limit-requests": {"description": "Where a limit applies", "schema": {"type": "string"}},
    "x-ratelimit-remaining-requests": {"description": "Where a limit applies", "schema": {"type": "string"}},
    "x-ratelimit-reset-requests": {"description": "Such as 12s", "schema": {"type": "string"}},
    "x-ratelimit-limit-tokens": {"description": "Where a limit applies", "schema": {"type": "string"}},
    "x-ratelimit-remaining-tokens": {"description": "Where a limit applies", "schema": {"type": "string"}},
    "x-ratelimit-reset-tokens": {"description": "Such as 12s", "schema": {"type": "string"}},
    "x-telefonist-served-by": {"description": "The fallback that answered", "schema": {"type": "string"}},
}

_MODEL = {
    "type": "object",
    "required": ["id", "object", "created", "owned_by"],
    "properties": {
        "id": {"type": "string"},
        "object": {"type": "string"},
        "created": {"type": "integer"},
        "owned_by": {"type": "string"},
        "kind": {"type": "string", "enum": ["chat", "embedding"]},
        "context_window": {"type": "integer", "description": "Tokens"},
        "credits_per_1k_input": {"type": "number"},
        "credits_per_1k_output": {"type": "number"},
        "credits_per_1k_cached_input": {"type": "number"},
    },
}

_EXAMPLE_MODEL = {
    "id": "demo",
    "object": "model",
    "created": 1700000000,
    "owned_by": "demo",
    "kind": "chat",
    "context_window": 8192,
    "credits_per_1k_input": 0,
    "credits_per_1k_output": 0,
    "credits_per_1k_cached_input": 0,
}

_CHAT_REQUEST = {
    "type": "object",
    "required": ["model", "messages"],
    "additionalProperties": True,
    "description": "Fields that are not listed go to the model's provider as they are.",
    "properties": {
        "model": {"type": "string", "minLength": 1, "maxLength": 256, "examples": ["demo"]},
        "messages": {
            "type": "array",
            "minItems": 1,
            "items": {
                "type": "object",
                "required": ["role"],
                "additionalProperties": True,
                "properties": {
                    "role": {
                        "type": "string",
                        "enum": ["system", "developer", "user", "assistant", "tool", "function"],
                    },
                    "content": {
                        "description": "A text, or a list of parts such as images",
                        "anyOf": [
                            {"type": "string"},
                            {"type": "array", "items": {"type": "object"}},
                            {"type": "null"},
                        ],
                    },
                },
            },
        },
        "stream": {"type": ["boolean", "null"], "default": False},
        "stream_options": {"type": ["object", "null"], "properties": {"include_usage": {"type": "boolean"}}},
        "n": {"type": ["integer", "null"], "minimum": 1, "maximum": 128},
        "max_completion_tokens": {"type": ["integer", "null"], "minimum": 1, "maximum": 10_000_000},
        "max_tokens": {"type": ["integer", "null"], "minimum": 1, "maximum": 10_000_000},
        "temperature": {"type": ["number", "null"]},
        "tools": {"type": ["array", "null"], "items": {"type": "object"}},
        "response_format": {"type": ["object", "null"]},
    },
    "example": {"model": "demo", "messages": [{"role": "user", "content": "Hello!"}], "stream": False},
}

_EMBEDDING_REQUEST = {
    "type": "object",
    "required": ["model", "input"],
    "additionalProperties": True,
    "properties": {
        "model": {"type": "string", "minLength": 1, "maxLength": 256, "examples": ["demo-embedding"]},
        "input": {
            "description": "A text, a list of texts, or tokens",
            "anyOf": [
                {"type": "string", "minLength": 1},
                {"type": "array", "minItems": 1, "maxItems": 2048, "items": {"type": "string", "minLength": 1}},
                {"type": "array", "minItems": 1, "maxItems": 2048, "items": {"type": "integer"}},
                {
                    "type": "array",
                    "minItems": 1,
                    "maxItems": 2048,
                    "items": {"type": "array", "minItems": 1, "items": {"type": "integer"}},
                },
            ],
        },
        "encoding_format": {"type": "string", "enum": ["float", "base64"]},
        "dimensions": {"type": "integer", "minimum": 1},
    },
    "example": {"model": "demo-embedding", "input": "A lighthouse"},
}

_COMPLETION_EXAMPLE = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1700000000,
    "model": "demo",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hello!"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 8, "completion_tokens": 2, "total_tokens": 10},
}

_STREAM_EXAMPLE = (
    'data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1700000000,"model":"demo",'
    '"choices":[{"index":0,"delta":{"content":"Hello!"},"finish_reason":null}]}\n\n'
    "data: [DONE]\n\n"
)

_COMPLETION = {
    "type": "object",
    "properties": {
        "id": {"type": "string"},
        "object": {"type": "string"},
        "created": {"type": "integer"},
        "model": {"type": "string"},
        "choices": {"type": "array", "items": {"type": "object"}},
        "usage": _USAGE,
    },
}

_COMMON: tuple[TelefonistError, ...] = (
    AuthenticationRequired(why="why_anonymous_off"),
    CredentialsRefused(),
    AWAY,
)

_GENERATING: tuple[TelefonistError, ...] = (
    *_COMMON,
    InvalidInput(
        [FieldProblem("value_error", ("body", "messages"), "messages: Give a list with at least one message.")]
    ),
    InsufficientCredits(balance="0.5", available="0.5", need="51.2"),
    InsufficientCredits("key_budget_spent", left="0.5", need="51.2"),
    RateLimited(limit="60/minute", seconds=12),
    RateLimited("token_rate_limited", limit=100_000, need=5000, seconds=12),
    RateLimited("too_many_streams", limit=10, seconds=1),
    AccessDenied("model_not_allowed", model="gpt-4", allowed="demo"),
    NotFound("model_not_found", model="gpt-9", known="demo"),
    BodyTimeout(seconds="30"),
    PayloadTooLarge(limit=20_971_520),
    ProviderFailed("openai", status=500, reason="overloaded"),
    ProviderTimeout("openai", phase="headers", seconds=120),
)


def _refusals(*errors: TelefonistError) -> dict[int | str, dict[str, Any]]:
    described: dict[int | str, dict[str, Any]] = {}
    for status, same in groupby(sorted(errors, key=status_of), key=status_of):
        examples = {error.code: {"value": error_body(error, "en")} for error in same}
        described[status] = {
            "description": " / ".join(example["value"]["error"]["message"] for example in examples.values()),
            "content": {"application/json": {"schema": _ERROR, "examples": examples}},
            **({"headers": RETRY_AFTER} if status in (429, 503) else {}),
        }
    return described


def _answer(description: str, schema: Any, example: Any, stream: str | None = None) -> dict[str, Any]:
    content: dict[str, Any] = {"application/json": {"schema": schema, "example": example}}
    if stream is not None:
        content["text/event-stream"] = {"schema": {"type": "string"}, "example": stream}
    return {"description": description, "headers": _HEADERS, "content": content}


def _body(schema: Any) -> dict[str, Any]:
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}


CHAT: Route = {
    "responses": {
        200: _answer(
            "The answer; with `stream` true its chunks as server-sent events, then `[DONE]`. An answer that fails "
            "half-way ends in an event with `error` and never in `[DONE]`.",
            _COMPLETION,
            _COMPLETION_EXAMPLE,
            _STREAM_EXAMPLE,
        ),
        **_refusals(*_GENERATING),
    },
    "openapi_extra": _body(_CHAT_REQUEST) | MAY_BE_ANONYMOUS,
}

EMBEDDINGS: Route = {
    "responses": {
        200: _answer(
            "The vectors",
            {
                "type": "object",
                "properties": {"data": {"type": "array", "items": {"type": "object"}}, "usage": _USAGE},
            },
            {
                "object": "list",
                "data": [{"object": "embedding", "index": 0, "embedding": [0.1, -0.2]}],
                "model": "demo-embedding",
                "usage": {"prompt_tokens": 3, "total_tokens": 3},
            },
        ),
        **_refusals(*_GENERATING),
    },
    "openapi_extra": _body(_EMBEDDING_REQUEST) | MAY_BE_ANONYMOUS,
}

MODELS: Route = {
    "responses": {
        200: _answer(
            "The models that this caller may use",
            {"type": "object", "properties": {"data": {"type": "array", "items": _MODEL}}},
            {"object": "list", "data": [_EXAMPLE_MODEL]},
        ),
        **_refusals(*_COMMON),
    },
    "openapi_extra": MAY_BE_ANONYMOUS,
}

MODEL: Route = {
    "responses": {
        200: _answer("The model", _MODEL, _EXAMPLE_MODEL),
        **_refusals(
            *_COMMON,
            AccessDenied("model_not_allowed", model="gpt-4", allowed="demo"),
            NotFound("model_not_found", model="gpt-9", known="demo"),
        ),
    },
    "openapi_extra": MAY_BE_ANONYMOUS,
}
