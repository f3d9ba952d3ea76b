"""What operators do with conversations over HTTP: look at them, take them, write, and give them back.

An account with the role ``operator`` or ``admin`` becomes an operator with its first request here; from then on there
is somebody who can be called.
"""

from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request

from telefonist.core.handoff import Handoffs
from telefonist.doors.admin_documents import Cursor, Limit
from telefonist.doors.auth import NEEDS_ACCOUNT, Authentication
from telefonist.doors.operator_documents import (
    Colleague,
    ConversationDocument,
    ConversationPage,
    MessagePage,
    OperatorDocument,
    OperatorList,
    Presence,
    Return,
    Text,
    Written,
    conversation_document,
    message_document,
    operator_refusals,
)
from telefonist.doors.refusals import OF_ANY_BODY, UNREADABLE, WRONG_LIMIT
from telefonist.errors import AccessDenied, Conflict, FieldProblem, InvalidInput, NotFound
from telefonist.storage.operator_inbox import OperatorInbox
from telefonist.types import AccountRole, HandoffEnd, Operator, Owner

SOME = UUID("01934567-89ab-7cde-8f01-23456789abcd")
NO_CONVERSATION = NotFound("conversation_not_found", conversation=SOME)
NO_OPERATOR = NotFound("operator_not_found", operator=SOME)
TAKEN = Conflict("dialog_taken", conversation=SOME)
NOT_YOURS = Conflict("dialog_not_yours", conversation=SOME)
WRONG_ID = InvalidInput(
    [FieldProblem("uuid_parsing", ("path", "conversation_id"), "Input should be a valid UUID", "first")]
)
WRONG_TEXT = InvalidInput([FieldProblem("string_too_short", ("body", "text"), "Say something: it is blank.", " ")])
WRONG_BODY = InvalidInput([FieldProblem("missing", ("body", "online"), "Field required", {})])


def router(authentication: Authentication, handoffs: Handoffs, inbox: OperatorInbox) -> APIRouter:
    """Make the routes."""

    async def operator(request: Request) -> Operator:
        caller = await authentication.account(request)
        if caller.account_id is None or caller.role is AccountRole.CLIENT:
            raise AccessDenied("operator_required")
        found = await handoffs.staff.of_account(caller.account_id, handoffs.rules.capacity, caller.language)
        if found is None:
            raise AccessDenied("operator_required")
        return found

    routes = APIRouter(prefix="/operator", tags=["Operators"], dependencies=[*NEEDS_ACCOUNT, Depends(operator)])
    Me = Annotated[Operator, Depends(operator)]  # noqa: N806  a type

    @routes.get("/me", responses=operator_refusals(), summary="Who you are among the operators")
    async def show_me(me: Me) -> OperatorDocument:
        return OperatorDocument.model_validate(me)

    @routes.post(
        "/presence", responses=UNREADABLE | operator_refusals(WRONG_BODY, *OF_ANY_BODY), summary="Come, or leave"
    )
    async def set_presence(presence: Presence, me: Me) -> OperatorDocument:
        """Only who is there is offered conversations; those they have stay theirs when they leave."""
        return OperatorDocument.model_validate(await handoffs.staff.set_online(me.id, online=presence.online))

    @routes.get("/operators", responses=operator_refusals(), summary="Everybody to whom a conversation can be passed")
    async def list_operators() -> OperatorList:
        staff = await handoffs.staff.all()
        return OperatorList(operators=[OperatorDocument.model_validate(each) for each in staff])

    @routes.get(
        "/conversations",
        responses=operator_refusals(WRONG_LIMIT),
        summary="Conversations with people, the longest unchanged first",
    )
    async def list_conversations(
        me: Me,
        state: Annotated[
            Literal["waiting", "mine", "all"],
            Query(description="Those that wait for a person, yours, or all that are not the bot's"),
        ] = "waiting",
        cursor: Cursor = None,
        limit: Limit = 50,
    ) -> ConversationPage:
        owner = Owner.WAITING if state == "waiting" else None
        page = await inbox.page(owner, me.id if state == "mine" else None, cursor, limit)
        return ConversationPage(
            conversations=[conversation_document(card) for card in page],
            next_cursor=page[-1].dialog.conversation_id if len(page) == limit else None,
        )

    @routes.get(
        "/conversations/{conversation_id}",
        responses=operator_refusals(NO_CONVERSATION, WRONG_ID),
        summary="One conversation, whoever answers in it",
    )
    async def show_conversation(conversation_id: UUID) -> ConversationDocument:
        return conversation_document(await inbox.get(conversation_id))

    @routes.get(
        "/conversations/{conversation_id}/messages",
        responses=operator_refusals(NO_CONVERSATION, WRONG_LIMIT),
        summary="What was said and noted in it, the newest first",
    )
    async def list_messages(conversation_id: UUID, cursor: Cursor = None, limit: Limit = 50) -> MessagePage:
        await inbox.get(conversation_id)
        page = await inbox.messages(conversation_id, cursor, limit)
        return MessagePage(
            messages=[message_document(message) for message in page],
            next_cursor=page[-1].id if len(page) == limit else None,
        )

    @routes.post(
        "/conversations/{conversation_id}/take",
        responses=operator_refusals(NO_CONVERSATION, TAKEN, WRONG_ID),
        summary="Take a conversation, waiting or from the bot",
    )
    async def take(conversation_id: UUID, me: Me) -> ConversationDocument:
        """The first claim wins. From here on nothing of the bot goes out, not even an answer it is at."""
        async with handoffs.desk() as desk:
            if await desk.take(conversation_id, me) is None:
                raise Conflict("dialog_taken", conversation=conversation_id)
        return await show_conversation(conversation_id)

    @routes.post(
        "/conversations/{conversation_id}/decline",
        responses=operator_refusals(NO_CONVERSATION, WRONG_ID),
        summary="Let another operator have what is offered to you",
    )
    async def decline(conversation_id: UUID, me: Me) -> ConversationDocument:
        async with handoffs.desk() as desk:
            await desk.decline(conversation_id, me)
        return await show_conversation(conversation_id)

    @routes.post(
        "/conversations/{conversation_id}/reply",
        status_code=201,
        responses=UNREADABLE | operator_refusals(NO_CONVERSATION, NOT_YOURS, WRONG_TEXT, *OF_ANY_BODY),
        summary="Write to the user",
    )
    async def reply(conversation_id: UUID, words: Text, me: Me) -> Written:
        async with handoffs.desk() as desk:
            message_id = await desk.reply(conversation_id, me, words.text)
        if message_id is None:
            raise Conflict("dialog_not_yours", conversation=conversation_id)
        return Written(message_id=message_id)

    @routes.post(
        "/conversations/{conversation_id}/note",
        status_code=201,
        responses=UNREADABLE | operator_refusals(NO_CONVERSATION, WRONG_TEXT, *OF_ANY_BODY),
        summary="Note something that only operators read",
    )
    async def note(conversation_id: UUID, words: Text, me: Me) -> Written:
        async with handoffs.desk() as desk:
            return Written(message_id=await desk.note(conversation_id, me, words.text))

    @routes.post(
        "/conversations/{conversation_id}/pass",
        responses=UNREADABLE | operator_refusals(NO_CONVERSATION, NO_OPERATOR, NOT_YOURS, WRONG_ID, *OF_ANY_BODY),
        summary="Hand your conversation on to another operator",
    )
    async def pass_on(conversation_id: UUID, to: Colleague, me: Me) -> ConversationDocument:
        colleague = await handoffs.staff.get(to.operator_id)
        async with handoffs.desk() as desk:
            if await desk.pass_on(conversation_id, me, colleague) is None:
                raise Conflict("dialog_not_yours", conversation=conversation_id)
        return await show_conversation(conversation_id)

    @routes.post(
        "/conversations/{conversation_id}/return",
        responses=UNREADABLE | operator_refusals(NO_CONVERSATION, NOT_YOURS, WRONG_ID, *OF_ANY_BODY),
        summary="Let the bot answer again",
    )
    async def give_back(conversation_id: UUID, me: Me, why: Return | None = None) -> ConversationDocument:
        return await end(conversation_id, me, HandoffEnd.RETURNED, wrong=why is not None and why.wrong)

    @routes.post(
        "/conversations/{conversation_id}/close",
        responses=operator_refusals(NO_CONVERSATION, NOT_YOURS, WRONG_ID),
        summary="End the conversation; the bot answers whatever comes next",
    )
    async def close(conversation_id: UUID, me: Me) -> ConversationDocument:
        return await end(conversation_id, me, HandoffEnd.CLOSED)

    async def end(conversation_id: UUID, me: Operator, how: HandoffEnd, *, wrong: bool = False) -> ConversationDocument:
        async with handoffs.desk() as desk:
            if await desk.give_back(conversation_id, how, me, wrong=wrong) is None:
                raise Conflict("dialog_not_yours", conversation=conversation_id)
        return await show_conversation(conversation_id)

    return routes
