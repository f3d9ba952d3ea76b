"""What operators send and see, as JSON."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic_core import PydanticCustomError

from telefonist.doors.refusals import AWAY, Responses, refusals
from telefonist.errors import AccessDenied, AuthenticationRequired, CredentialsRefused, TelefonistError
from telefonist.types import DialogCard, DialogMessage, Handoff, HandoffEnd, HandoffReason, Language, Owner, Role

LONGEST_TEXT = 20_000
"""Characters of what an operator writes at once."""


def _words(value: str) -> str:
    if not value.strip():
        raise PydanticCustomError("string_too_short", "Say something: it is blank.")
    for character in value:
        if character < " " and character not in "\n\r\t":
            raise PydanticCustomError(
                "string_control_character",
                "Remove the control character {name}.",
                {"name": f"U+{ord(character):04X}"},
            )
    return value


Words = Annotated[str, Field(min_length=1, max_length=LONGEST_TEXT), AfterValidator(_words)]


class Text(BaseModel):
    """What an operator writes."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"text": "Good day! I am looking into it."}]}
    )

    text: Words


class Presence(BaseModel):
    """Whether an operator is there."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"online": True}]})

    online: bool = Field(description="Only who is there is offered conversations.")


class Colleague(BaseModel):
    """To whom a conversation is handed on."""

    model_config = ConfigDict(extra="forbid")

    operator_id: UUID


class Return(BaseModel):
    """Why a conversation goes back to the bot."""

    model_config = ConfigDict(extra="forbid")

    wrong: bool = Field(default=False, description="No person was wanted: the detector was mistaken.")


class OperatorDocument(BaseModel):
    """An operator."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    name: str = Field(examples=["olga@example.com"])
    online: bool
    capacity: int = Field(description="Conversations that are offered at once.")
    language: Language


class OperatorList(BaseModel):
    """Everybody who answers in the bot's place, the oldest first."""

    operators: list[OperatorDocument]


class HandoffDocument(BaseModel):
    """One time a person was called into a conversation."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    reason: HandoffReason
    score: float | None = Field(description="How sure the detector was, where one decided.")
    detail: str | None = Field(description="What a program gave as the reason, or the detector's own.")
    summary: str | None
    requested_at: datetime
    taken_at: datetime | None
    operator_id: UUID | None
    ended_at: datetime | None
    end: HandoffEnd | None
    wrong: bool
    rating: int | None = Field(description="What the user said of it: 1 good, 0 bad.")


class ConversationDocument(BaseModel):
    """A conversation, who answers in it, and the handoff under way."""

    id: UUID
    conversation_id: str = Field(description="As its client names it.", examples=["first"])
    door: str = Field(examples=["webhook"])
    owner: Owner
    operator_id: UUID | None
    offered_to: UUID | None = Field(description="The operator who is to take it; anybody may.")
    language: Language
    handoff: HandoffDocument | None
    last_text: str
    last_at: datetime
    changed_at: datetime = Field(description="When it last changed hands.")


class ConversationPage(BaseModel):
    """Conversations, the longest unchanged first; ``next_cursor`` leads to the page after, null at the end."""

    conversations: list[ConversationDocument]
    next_cursor: UUID | None


class MessageDocument(BaseModel):
    """Something that was said, or noted (``note``) among operators."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    role: Role
    text: str
    visible: bool = Field(description="False for notes, and for what was withdrawn from the history.")
    created_at: datetime


class MessagePage(BaseModel):
    """Messages, the newest first; ``next_cursor`` leads to the page before them, null at the beginning."""

    messages: list[MessageDocument]
    next_cursor: UUID | None


class Written(BaseModel):
    """The receipt of a reply or a note."""

    message_id: UUID


def operator_refusals(*errors: TelefonistError) -> Responses:
    """Describe the errors of a route beside those that each of operators' routes may answer."""
    return refusals(
        AuthenticationRequired("account_needed"),
        CredentialsRefused(),
        AccessDenied("operator_required"),
        *errors,
        AWAY,
    )


def conversation_document(card: DialogCard) -> ConversationDocument:
    """Write a conversation as operators see it."""
    dialog = card.dialog
    return ConversationDocument(
        id=dialog.conversation_id,
        conversation_id=card.external_id,
        door=card.door,
        owner=dialog.owner,
        operator_id=dialog.operator_id,
        offered_to=card.offered_to,
        language=dialog.language,
        handoff=handoff_document(card.handoff),
        last_text=card.last_text,
        last_at=card.last_at,
        changed_at=card.changed_at,
    )


def handoff_document(handoff: Handoff | None) -> Any:
    """Write a handoff, if there is one."""
    return None if handoff is None else HandoffDocument.model_validate(handoff)


def message_document(message: DialogMessage) -> MessageDocument:
    """Write a message."""
    return MessageDocument.model_validate(message)
