"""POST /callback and GET /callback: a receiver of our own, to see callbacks arrive without writing one.

It exists only while the service is for this machine alone, remembers a little, and checks nothing: the signature is the
receiver's to verify, and this one shows the headers for it.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson
from fastapi import APIRouter, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, ValidationError
from starlette.responses import Response

from telefonist.doors.local_access import AccessPolicy
from telefonist.errors import NotFound
from telefonist.memory.base import RateLimiter, enforce
from telefonist.types import utc_now

REMEMBERED = 50
"""Callbacks kept, the newest."""

LARGEST_ENTRY = 64 * 1024
"""Bytes kept of one callback; of a larger one only the beginning of the answer's text."""

LONGEST_TEXT = 4096
"""Characters kept of the text of a callback that is too large, and of each header."""

SIGNING_HEADERS = ("webhook-id", "webhook-timestamp", "webhook-signature")
"""The headers of Standard Webhooks."""


class ReceivedCallback(BaseModel):
    """A callback as Telefonist sends it; of all its fields only the answer's text is required."""

    model_config = ConfigDict(
        extra="allow",
        json_schema_extra={
            "examples": [
                {"generated_response": "text"},
                {
                    "task_id": "01980c2e-6d3c-7f1e-9a55-0d8f4a1b2c3d",
                    "message_id": "01980c2e-6f00-7a44-8e0b-5c6d7e8f9a0b",
                    "conversation_id": "first",
                    "status": "succeeded",
                    "final": True,
                    "generated_response": "Запомнил: маяк.",
                    "author": "bot",
                    "model": "demo",
                    "usage": {"prompt_tokens": 12, "completion_tokens": 4, "total_tokens": 16},
                    "error": None,
                    "metadata": None,
                    "created_at": "2026-01-31T12:00:00Z",
                },
            ]
        },
    )

    generated_response: str | None
    """Null where the model failed."""


@dataclass(frozen=True, slots=True)
class Received:
    """One remembered callback; ``body`` is JSON as it came, or only its text when it was too large."""

    received_at: datetime
    headers: dict[str, str]
    body: bytes
    truncated: bool


EXAMPLE = {
    "items": [
        {
            "received_at": "2026-01-31T12:00:01Z",
            "headers": {"webhook-id": "01980c2e-6f00-7a44-8e0b-5c6d7e8f9a0b", "webhook-timestamp": "1769860801"},
            "body": {"generated_response": "Запомнил: маяк.", "status": "succeeded", "conversation_id": "first"},
            "truncated": False,
        }
    ]
}
COMMON_RESPONSES: dict[int | str, dict[str, Any]] = {
    401: {"description": "The request did not come straight from a program on this machine"},
    404: {"description": "The service is not for this machine alone, so this address does not exist"},
    429: {"description": "Past the rate limit; see Retry-After"},
}
REQUEST_BODY = {
    "requestBody": {
        "required": True,
        "content": {"application/json": {"schema": ReceivedCallback.model_json_schema()}},
    }
}
POST_RESPONSES = COMMON_RESPONSES | {
    200: {"description": "Received", "content": {"application/json": {"example": {"status": "received"}}}},
    408: {"description": "The body did not arrive in time"},
    413: {"description": "The body is over the limit"},
    422: {"description": "Not a callback: FastAPI's detail list and the received body"},
}
GET_RESPONSES = COMMON_RESPONSES | {
    200: {"description": "What was received", "content": {"application/json": {"example": EXAMPLE}}}
}


def router(policy: AccessPolicy, limiter: RateLimiter, rate_limit: str) -> APIRouter:
    """Make the routes; each method counts apart against ``rate_limit``, for each client address."""
    routes = APIRouter(tags=["Trying things out"], include_in_schema=policy.is_local)
    received: deque[Received] = deque(maxlen=REMEMBERED)

    async def admit(request: Request) -> None:
        if not policy.is_local:
            raise NotFound("only_on_loopback")
        policy.require_local(request)
        await enforce(limiter, rate_limit, "callback", request.method, policy.address(request))

    @routes.post("/callback", responses=POST_RESPONSES, openapi_extra=REQUEST_BODY, summary="Receive a callback")
    async def receive(request: Request) -> Response:
        """Takes what Telefonist sends to a `callback_url`, and anything else with a `generated_response`.

        `curl localhost:8080/callback -H 'content-type: application/json' -d '{"generated_response": "text"}'`
        """
        await admit(request)
        received.appendleft(_remembered(request, await request.body()))
        return Response(orjson.dumps({"status": "received"}), media_type="application/json")

    @routes.get("/callback", responses=GET_RESPONSES, summary="See the callbacks received last")
    async def show(request: Request) -> Response:
        """Shows the last 50 callbacks, newest first, with the headers that sign them.

        `curl localhost:8080/callback`
        """
        await admit(request)
        return Response(orjson.dumps({"items": _shown(received)}), media_type="application/json")

    return routes


def _remembered(request: Request, body: bytes) -> Received:
    text = _read(body).generated_response
    headers = {name: request.headers[name][:LONGEST_TEXT] for name in SIGNING_HEADERS if name in request.headers}
    truncated = len(body) > LARGEST_ENTRY
    if truncated:
        body = orjson.dumps({"generated_response": text and text[:LONGEST_TEXT]})
    return Received(utc_now(), headers, body, truncated)


def _read(body: bytes) -> ReceivedCallback:
    try:
        return ReceivedCallback.model_validate(orjson.loads(body))
    except orjson.JSONDecodeError as error:
        problem = {"type": "json_invalid", "loc": ("body", error.pos), "msg": "JSON decode error", "input": {}}
        raise RequestValidationError([{**problem, "ctx": {"error": error.msg}}]) from None
    except ValidationError as error:
        problems = error.errors(include_url=False)
        raise RequestValidationError([{**problem, "loc": ("body", *problem["loc"])} for problem in problems]) from None


def _shown(received: Sequence[Received]) -> list[dict[str, Any]]:
    return [
        {
            "received_at": entry.received_at,
            "headers": entry.headers,
            "body": orjson.Fragment(entry.body),
            "truncated": entry.truncated,
        }
        for entry in received
    ]
