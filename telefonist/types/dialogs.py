"""Conversations between people, the bot and operators: who answers now, who takes over, and why."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Literal
from uuid import UUID

from telefonist.types.values import Language, Usage
from telefonist.types.work import Failure, Owner, Role


class HandoffReason(StrEnum):
    """Why a person was called."""

    WISH = "wish"
    """The detector understood that the user wants one."""
    TOOL = "tool"
    """The model called ``transfer_to_operator``."""
    COMMAND = "command"
    """/operator, or the button."""
    ACCEPTED_OFFER = "accepted_offer"
    """The bot offered, and the user said yes."""
    BOT_FAILED = "bot_failed"
    """Every model failed."""
    PROGRAM = "program"
    """``POST /conversations/{id}/handoff``."""
    EMERGENCY = "emergency"
    """The detector understood that somebody is in danger."""
    STEPPED_IN = "stepped_in"
    """Nobody called: an operator took the conversation over from the bot."""


class HandoffEnd(StrEnum):
    """How a stretch with an operator ended."""

    RETURNED = "returned"
    """The operator gave back to the bot."""
    CLOSED = "closed"
    """The operator closed the dialog; the bot answers whatever comes next."""
    SILENT = "silent"
    """Nobody wrote for a set time."""
    WITHDRAWN = "withdrawn"
    """The user, or their program, went on with the bot."""


@dataclass(frozen=True, slots=True)
class Dialog:
    """Who answers in a conversation.

    ``epoch`` goes up with every change of owner: what was written under an older one does not go out any more.
    """

    conversation_id: UUID
    owner: Owner
    epoch: int
    operator_id: UUID | None = None
    handoff_id: UUID | None = None
    language: Language = "en"
    offer_pending: bool = False
    """The bot's last message offered a person."""


@dataclass(frozen=True, slots=True)
class Operator:
    """Somebody who answers in the bot's place: an account, a Telegram user, or both."""

    id: UUID
    name: str
    account_id: UUID | None
    telegram_id: int | None
    online: bool
    capacity: int
    may_invite: bool
    language: Language = "ru"


@dataclass(frozen=True, slots=True)
class Handoff:
    """One time a person was called into a conversation."""

    id: UUID
    conversation_id: UUID
    reason: HandoffReason
    score: float | None
    detail: str | None
    """What a program gave as the reason, or the words that decided."""
    summary: str | None
    requested_at: datetime
    taken_at: datetime | None
    operator_id: UUID | None
    ended_at: datetime | None
    end: HandoffEnd | None
    wrong: bool
    """An operator said that no person was wanted."""
    rating: int | None
    """What the user said afterwards: 1 good, 0 bad."""


@dataclass(frozen=True, slots=True)
class Said:
    """Something to tell the user of a conversation, whichever way it reaches them."""

    message_id: UUID
    conversation_id: UUID
    external_id: str
    """The conversation as its client names it."""
    callback_url: str
    """Where it goes: the scheme tells the channel."""
    text: str | None
    author: Literal["bot", "operator"] = "bot"
    language: Language = "en"
    status: Literal["succeeded", "failed", "waiting_for_operator"] = "succeeded"
    final: bool = True
    task_id: UUID | None = None
    model: str | None = None
    usage: Usage | None = None
    failure: Failure | None = None
    metadata: str | None = None
    """The client's own data as JSON text."""
    buttons: Literal["offer", "back_to_bot", "rating"] | None = None
    """What the user can answer by a button: to call a person, to go on with the bot, or how the person was."""
    handoff_id: UUID | None = None
    """Which one is rated."""


@dataclass(frozen=True, slots=True)
class DialogCard:
    """A conversation as operators see it in their list."""

    dialog: Dialog
    door: str
    external_id: str
    handoff: Handoff | None
    """The one under way; None while the bot answers."""
    offered_to: UUID | None
    last_text: str
    last_at: datetime
    changed_at: datetime


@dataclass(frozen=True, slots=True)
class DialogMessage:
    """A message as operators read it; hidden ones are notes, and what was withdrawn from the history."""

    id: UUID
    turn: int
    part: int
    role: Role
    text: str
    visible: bool
    created_at: datetime


class NoticeKind(StrEnum):
    """What operators are told of a conversation."""

    WAITING = "waiting"
    """A person was called."""
    OFFERED = "offered"
    """It is offered to one operator."""
    TAKEN = "taken"
    PASSED = "passed"
    """Another operator has it now."""
    RETURNED = "returned"
    """The bot answers again."""
    SUMMARISED = "summarised"
    """A model has put in short what led to the handoff."""
    MESSAGE = "message"
    """The user, an operator or a note: something was written."""


@dataclass(frozen=True, slots=True)
class Notice:
    """Something that operators should know of."""

    kind: NoticeKind
    conversation_id: UUID
    operator_id: UUID | None = None
    """Whom it concerns: to whom it is offered, who took it, who had it."""
    handoff_id: UUID | None = None
    changed: UUID | None = None
    """The message whose words are others now."""
