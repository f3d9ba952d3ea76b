"""Programs call a person into a conversation of theirs, or go on with the bot."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Path, Request
from pydantic import BaseModel, ConfigDict, Field

from telefonist.core.handoff import Handoffs
from telefonist.doors.admin_documents import OneLine
from telefonist.doors.auth import MAY_BE_ANONYMOUS, NEEDS_ACCOUNT, Authentication
from telefonist.doors.operator_documents import HandoffDocument, handoff_document
from telefonist.doors.refusals import AWAY, OF_ANY_BODY, UNREADABLE, refusals
from telefonist.errors import (
    AuthenticationRequired,
    Conflict,
    CredentialsRefused,
    FieldProblem,
    InvalidInput,
    NotFound,
    RateLimited,
)
from telefonist.memory.base import RateLimiter, enforce
from telefonist.types import HandoffEnd, HandoffReason, Owner

LONGEST_REASON = 500


class Call(BaseModel):
    """Why a person is called."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"reason": "wants a refund"}]})

    reason: OneLine | None = Field(default=None, max_length=LONGEST_REASON, description="Operators read it.")
    callback_url: OneLine | None = Field(
        default=None,
        max_length=2048,
        description="Of callers without an account: the one of the conversation, where its id is another.",
    )


class CalledDocument(BaseModel):
    """Who answers in a conversation, and the handoff under way."""

    conversation_id: str
    owner: Owner
    handoff: HandoffDocument | None


A_CONVERSATION = NotFound("conversation_not_found", conversation="first")
REFUSALS = refusals(
    AuthenticationRequired(why="why_anonymous_off"),
    CredentialsRefused(),
    A_CONVERSATION,
    InvalidInput([FieldProblem("string_too_long", ("body", "reason"), "String should have at most 500 characters")]),
    RateLimited(limit="5/minute", seconds=12),
    AWAY,
)

ConversationId = Annotated[str, Path(description="As the client named it.", examples=["first"])]


def router(authentication: Authentication, handoffs: Handoffs, limiter: RateLimiter, rate_limit: str) -> APIRouter:
    """Make the routes; callers without an account are limited together with their webhook requests."""
    routes = APIRouter(tags=["Webhook"], dependencies=NEEDS_ACCOUNT)

    async def find(request: Request, conversation_id: str, callback_url: str | None) -> UUID:
        caller = await authentication.caller(request)
        if caller.account_id is None:
            await enforce(limiter, rate_limit, "webhook", caller.address)
        found = await handoffs.store.find(caller.account_id, callback_url or conversation_id, conversation_id)
        if found is None:
            raise NotFound("conversation_not_found", conversation=conversation_id)
        return found

    async def shown(conversation_id: str, found: UUID) -> CalledDocument:
        dialog = await handoffs.store.get(found)
        handoff = None
        if dialog.owner is not Owner.BOT and dialog.handoff_id is not None:
            handoff = await handoffs.handoffs.get(dialog.handoff_id)
        return CalledDocument(conversation_id=conversation_id, owner=dialog.owner, handoff=handoff_document(handoff))

    @routes.post(
        "/conversations/{conversation_id:path}/handoff",
        status_code=202,
        responses=UNREADABLE | REFUSALS | refusals(*OF_ANY_BODY),
        openapi_extra=MAY_BE_ANONYMOUS,
        summary="Call a person",
    )
    async def call(conversation_id: ConversationId, request: Request, why: Call | None = None) -> CalledDocument:
        """The user is told at once, by a callback with the status ``waiting_for_operator``.

        Nothing happens where a person was called already, or is there.
        """
        wanted = why or Call()
        found = await find(request, conversation_id, wanted.callback_url)
        async with handoffs.desk() as desk:
            await desk.request(found, HandoffReason.PROGRAM, detail=wanted.reason)
        return await shown(conversation_id, found)

    @routes.delete(
        "/conversations/{conversation_id:path}/handoff",
        responses=REFUSALS | refusals(Conflict("dialog_with_bot", conversation="first")),
        openapi_extra=MAY_BE_ANONYMOUS,
        summary="Go on with the bot",
    )
    async def withdraw(
        conversation_id: ConversationId, request: Request, callback_url: OneLine | None = None
    ) -> CalledDocument:
        """Ends the waiting for a person, and a conversation with one."""
        found = await find(request, conversation_id, callback_url)
        async with handoffs.desk() as desk:
            if await desk.give_back(found, HandoffEnd.WITHDRAWN) is None:
                raise Conflict("dialog_with_bot", conversation=conversation_id)
        return await shown(conversation_id, found)

    return routes
