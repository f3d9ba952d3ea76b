"""The webhook door: a message comes in, a receipt goes out at once, the answer follows to the callback URL."""

import json
from typing import Annotated, Any
from uuid import UUID

import orjson
from fastapi import APIRouter, Query, Request, Response
from pydantic import (
    AliasChoices,
    BaseModel,
    ConfigDict,
    Field,
    HttpUrl,
    ValidatorFunctionWrapHandler,
    WrapValidator,
)

from telefonist.channels.address_guard import AddressGuard
from telefonist.channels.callback_url import check_callback_url
from telefonist.core.tasks import WebhookTasks
from telefonist.doors.auth import MAY_BE_ANONYMOUS, NEEDS_ACCOUNT, Authentication
from telefonist.doors.public_bodies import read_body
from telefonist.doors.refusals import AWAY, OF_ANY_BODY, Responses, refusals
from telefonist.doors.task_views import AcceptedView, TaskDocument, TaskList, task_document
from telefonist.doors.thin import Endpoint
from telefonist.errors import (
    AuthenticationRequired,
    Conflict,
    CredentialsRefused,
    FieldProblem,
    InsufficientCredits,
    InvalidInput,
    NotFound,
    RateLimited,
)
from telefonist.memory.base import RateLimiter, enforce
from telefonist.types import NewTask

LONGEST_NAME = 512
"""Characters of a conversation id; also of an Idempotency-Key."""


def _keep_as_sent(value: Any, check: ValidatorFunctionWrapHandler) -> Any:
    check(value)
    return value


class WebhookRequest(BaseModel):
    """A message for a language model, and where its answer is to be sent."""

    model_config = ConfigDict(coerce_numbers_to_str=True)

    message: str = Field(min_length=1, description="What to answer.", examples=["Привет! Запомни слово: маяк"])
    callback_url: Annotated[HttpUrl, WrapValidator(_keep_as_sent)] = Field(
        description="Where the answer is POSTed, signed as Standard Webhooks demands.",
        examples=["http://127.0.0.1:8080/callback"],
    )
    conversation_id: str | None = Field(
        default=None,
        validation_alias=AliasChoices("conversationId", "conversation_id"),
        min_length=1,
        max_length=LONGEST_NAME,
        description="Which conversation this belongs to; without it the callback URL tells.",
        examples=["first"],
    )
    model: str | None = Field(
        default=None, description="A model's name; without it the default one answers.", examples=["demo"]
    )
    metadata: Any = Field(
        default=None, description="Anything of yours; it comes back in the callback.", examples=[{"order": 7}]
    )


def acceptor(
    tasks: WebhookTasks, authentication: Authentication, limiter: RateLimiter, guard: AddressGuard, rate_limit: str
) -> Endpoint:
    """Make the endpoint that takes webhook requests; it is on the hot path (``ThinRoutes``)."""

    async def accept(request: Request) -> Response:
        caller = await authentication.caller(request)
        if caller.account_id is None:
            await enforce(limiter, rate_limit, "webhook", caller.address)
        new_task = _read(await request.body(), request.headers.get("idempotency-key"), tasks, guard)
        accepted = await tasks.accept(new_task, caller)
        return Response(
            orjson.dumps(
                {
                    "task_id": str(accepted.task_id),
                    "status": "Processing",
                    "conversation_id": accepted.conversation_id,
                }
            ),
            status_code=202,
            headers={"Location": f"/tasks/{accepted.task_id}"},
            media_type="application/json",
        )

    return accept


def router(
    accept: Endpoint, tasks: WebhookTasks, authentication: Authentication, limiter: RateLimiter, rate_limit: str
) -> APIRouter:
    """Make the routes for taking webhook requests and for looking after their tasks."""
    routes = APIRouter(tags=["Webhook"], dependencies=NEEDS_ACCOUNT)

    @routes.post(
        "/webhook",
        status_code=202,
        response_model=AcceptedView,
        responses=ACCEPT_RESPONSES,
        openapi_extra=REQUEST_BODY | MAY_BE_ANONYMOUS,
        summary="Ask; the answer comes to callback_url",
    )
    async def ask(request: Request) -> Response:
        return await accept(request)

    @routes.get(
        "/tasks/{task_id}", responses=TASK_RESPONSES, openapi_extra=MAY_BE_ANONYMOUS, summary="Where a task stands"
    )
    async def show(task_id: UUID, request: Request) -> TaskDocument:
        return task_document(await tasks.get(task_id, await authentication.caller(request)))

    @routes.get("/tasks", responses=LIST_RESPONSES, summary="The tasks of a conversation, newest first")
    async def of_conversation(
        request: Request,
        conversation_id: Annotated[str, Query(min_length=1, max_length=LONGEST_NAME)],
        cursor: Annotated[UUID | None, Query(description="next_cursor of the page before")] = None,
        limit: Annotated[int, Query(ge=1, le=200)] = 50,
    ) -> TaskList:
        page = await tasks.of_conversation(await authentication.caller(request), conversation_id, cursor, limit)
        return TaskList(
            tasks=[task_document(task) for task in page],
            next_cursor=page[-1].task_id if len(page) == limit else None,
        )

    @routes.post(
        "/tasks/{task_id}/redeliver",
        status_code=202,
        responses=TASK_RESPONSES
        | refusals(
            Conflict("nothing_to_redeliver", task_id=A_TASK, state="running"),
            RateLimited(limit="5/minute", seconds=12),
        ),
        openapi_extra=MAY_BE_ANONYMOUS,
        summary="Send the answer again, at once",
    )
    async def redeliver(task_id: UUID, request: Request) -> TaskDocument:
        caller = await authentication.caller(request)
        if caller.account_id is None:
            await enforce(limiter, rate_limit, "redeliver", caller.address)
        return task_document(await tasks.redeliver(task_id, caller))

    @routes.delete(
        "/tasks/{task_id}",
        responses=TASK_RESPONSES | refusals(Conflict("task_already_finished", task_id=A_TASK, state="succeeded")),
        openapi_extra=MAY_BE_ANONYMOUS,
        summary="Cancel a task, or withdraw its undelivered answer",
    )
    async def cancel(task_id: UUID, request: Request) -> TaskDocument:
        return task_document(await tasks.cancel(task_id, await authentication.caller(request)))

    return routes


def _read(body: bytes, idempotency_key: str | None, tasks: WebhookTasks, guard: AddressGuard) -> NewTask:
    wanted = read_body(body, WebhookRequest)
    callback_url = str(wanted.callback_url)
    check_callback_url(callback_url, guard)
    _refuse_blank(wanted.message)
    _refuse_unprintable("message", wanted.message, allowed="\n\r\t")
    _refuse_unprintable("conversationId", wanted.conversation_id or "")
    return NewTask(
        message=wanted.message,
        callback_url=callback_url,
        external_id=wanted.conversation_id or callback_url,
        model=tasks.model_name(wanted.model),
        metadata=_json_text(wanted.metadata),
        idempotency_key=_key(idempotency_key),
    )


def _refuse_blank(message: str) -> None:
    if not message.strip():
        raise InvalidInput([FieldProblem("string_too_short", ("body", "message"), "The message is blank.", message)])


def _refuse_unprintable(field: str, value: str, allowed: str = "") -> None:
    for character in value:
        if character < " " and character not in allowed:
            text = f"{field} holds the control character U+{ord(character):04X}. Remove it."
            raise InvalidInput([FieldProblem("string_control_character", ("body", field), text, value)])


def _json_text(value: Any) -> str | None:
    if value is None:
        return None
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False)
    except ValueError:
        text = "NaN and Infinity are not JSON. Send null or a string instead."
        raise InvalidInput([FieldProblem("finite_number", ("body", "metadata"), text)]) from None


def _key(value: str | None) -> str | None:
    if value is None:
        return None
    if not value or len(value) > LONGEST_NAME or not value.isascii() or not value.isprintable():
        text = f"Idempotency-Key must be 1 to {LONGEST_NAME} printable ASCII characters."
        raise InvalidInput([FieldProblem("string_pattern_mismatch", ("header", "Idempotency-Key"), text, value)])
    return value


REQUEST_BODY = {
    "requestBody": {
        "required": True,
        "content": {"application/json": {"schema": WebhookRequest.model_json_schema(mode="validation")}},
    },
    "parameters": [
        {
            "name": "Idempotency-Key",
            "in": "header",
            "required": False,
            "description": "The same key gives the same task for 24 hours.",
            "schema": {"type": "string", "maxLength": LONGEST_NAME},
        }
    ],
}

A_TASK = "01980c2e-6d3c-7f1e-9a55-0d8f4a1b2c3d"
NO_STRANGERS = AuthenticationRequired(why="why_anonymous_off")

ACCEPTED: Responses = {
    202: {
        "description": "On disk; the answer will be delivered",
        "headers": {"Location": {"description": "The task", "schema": {"type": "string"}}},
    },
}

ACCEPT_RESPONSES = ACCEPTED | refusals(
    NO_STRANGERS,
    CredentialsRefused(),
    InsufficientCredits(balance="0", available="0", need="52.4"),
    InsufficientCredits("key_budget_spent", left="0", need="52.4"),
    Conflict("idempotency_conflict"),
    *OF_ANY_BODY,
    InvalidInput(
        [
            FieldProblem(
                "url_parsing",
                ("body", "callback_url"),
                "Input should be a valid URL, relative URL without a base",
                "not a url",
                {"error": "relative URL without a base"},
            )
        ]
    ),
    RateLimited(limit="5/minute", seconds=12),
    AWAY,
)

TASK_RESPONSES = refusals(NO_STRANGERS, CredentialsRefused(), NotFound("task_not_found", task_id=A_TASK), AWAY)

LIST_RESPONSES = refusals(AuthenticationRequired("account_required"), CredentialsRefused(), AWAY)
