"""The work on conversations: tasks, mailboxes and their leases, turns, deliveries."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from telefonist.types.billing import Settlement
from telefonist.types.values import Usage


class Role(StrEnum):
    """Who wrote a message of a conversation."""

    USER = "user"
    BOT = "bot"
    OPERATOR = "operator"
    SYSTEM = "system"
    NOTE = "note"
    """A remark among operators: neither the user nor a model reads it."""


class TaskState(StrEnum):
    """Where a webhook request stands; the last four are final.

    ``waiting_for_operator``: a person was called, and what they write comes without a task.
    """

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    WAITING_FOR_OPERATOR = "waiting_for_operator"


class DeliveryState(StrEnum):
    """Where a message to a receiver stands.

    ``parked`` waits for a person to send it again; ``gone`` was refused for good (410); ``cancelled`` was withdrawn.
    """

    PENDING = "pending"
    DELIVERED = "delivered"
    PARKED = "parked"
    GONE = "gone"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class NewTask:
    """A webhook request that passed every check and may be accepted."""

    message: str
    callback_url: str
    external_id: str
    """The conversation as the client names it; the callback URL where the client gave none."""
    model: str
    """The resolved model name, never an alias."""
    metadata: str | None = None
    """The client's own data as JSON text, handed back untouched."""
    idempotency_key: str | None = None


@dataclass(frozen=True, slots=True)
class AcceptedTask:
    """The receipt of a webhook request, given after a durable commit."""

    task_id: UUID
    conversation_id: str
    repeated: bool = False
    """The Idempotency-Key was known: this is the task made then."""


@dataclass(frozen=True, slots=True)
class DeliveryAttempt:
    """One try to hand a message to its receiver, as it is recorded.

    ``status`` is the HTTP status, None when no answer came; then ``error`` says why. ``response`` holds the first 1 KB
    of the reply as text; ``retry_after`` is what the receiver asked for, in seconds.
    """

    started_at: datetime
    milliseconds: int
    status: int | None
    error: str | None = None
    response: str = ""
    retry_after: float | None = None

    @property
    def succeeded(self) -> bool:
        return self.status is not None and 200 <= self.status < 300


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A message ready for its receiver; ``message_id`` stays the same over every attempt."""

    message_id: UUID
    callback_url: str
    body: bytes


class Owner(StrEnum):
    """Who answers in a conversation; ``waiting``: a person was called and nobody has come yet."""

    BOT = "bot"
    WAITING = "waiting"
    OPERATOR = "operator"


class Side(StrEnum):
    """The mailboxes of a conversation: what came in to be answered, and what goes out to be delivered.

    ``updates`` holds what Telegram brought, before it is known what it means.
    """

    IN = "in"
    OUT = "out"
    UPDATES = "updates"


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to work on one side of a conversation, good only while its ``epoch`` is the mailbox's.

    Items are numbered from 1; ``head`` counts those that are done and ``tail`` those that were put.
    """

    conversation_id: UUID
    side: Side
    epoch: int
    head: int
    tail: int


@dataclass(frozen=True, slots=True)
class HistoryMessage:
    """A message as the model will read it again."""

    role: Role
    content: str


@dataclass(frozen=True, slots=True)
class Turn:
    """One incoming webhook message with everything that is needed to answer it."""

    lease: Lease
    number: int
    task_id: UUID
    account_id: UUID | None
    key_id: UUID | None
    state: TaskState
    external_id: str
    callback_url: str
    model: str
    metadata: str | None
    """The client's own data as JSON text."""
    history: tuple[HistoryMessage, ...]
    """Oldest first, the message to answer last; what fits the token budget."""
    owner: Owner = Owner.BOT
    dialog_epoch: int = 0
    """The epoch of the dialog under which it was read: what comes of it is stored only while it is the same."""
    offered: bool = False
    """The bot's last message offered a person."""


@dataclass(frozen=True, slots=True)
class Failure:
    """Why there is no answer: a stable code for programs and a text for people."""

    code: str
    message: str


@dataclass(frozen=True, slots=True)
class TurnOutcome:
    """What became of a turn: an answer or a failure, and the message that tells the client.

    ``outgoing`` is None when nobody is to be told (a cancelled task).
    """

    turn: Turn
    answer: str | None
    answer_tokens: int
    model: str | None
    usage: Usage | None
    failure: Failure | None
    outgoing: Outgoing | None
    host: str = ""
    settlement: Settlement | None = None
    """Of the generation that was begun for it, if any."""
    more: tuple[Outgoing, ...] = ()
    """What follows ``outgoing``, where a text goes out in parts."""
    left_to_person: bool = False
    """The bot says nothing: the conversation is with an operator, or waits for one."""
    offers: bool | None = None
    """Whether the answer offers a person; None: the bot has said nothing that changes it."""


@dataclass(frozen=True, slots=True)
class TurnReceipt:
    """What storing an outcome left us with.

    ``next_lease`` is set when more messages wait and the lease goes on; ``delivery_lease`` when the outgoing mailbox is
    ours as well.
    """

    stored: bool
    next_lease: Lease | None
    delivery_lease: Lease | None
    overtaken: bool = False
    """Nothing was stored because somebody else answers in the conversation by now: the turn must be read anew."""


@dataclass(frozen=True, slots=True)
class PendingDelivery:
    """The next message of a conversation's outgoing mailbox; ``tries`` counts since it was last (re)opened."""

    outgoing: Outgoing
    account_id: UUID | None
    attempts: int
    tries: int
    held_until: datetime | None


@dataclass(frozen=True, slots=True)
class DeliveryOutcome:
    """What one attempt came to: its record, the state it leaves and, while pending, when to try again."""

    lease: Lease
    message_id: UUID
    attempt: DeliveryAttempt
    state: DeliveryState
    retry_in: float = 0.0
    """Seconds until the next attempt."""
    hold_back: float = 0.0
    """Seconds, counted from the first failure, for which later messages of the conversation wait."""


@dataclass(frozen=True, slots=True)
class TaskView:
    """A webhook task as its owner sees it."""

    task_id: UUID
    conversation_id: str
    state: TaskState
    model: str
    callback_url: str
    message: str
    answer: str | None
    answered_by: str | None
    usage: Usage | None
    failure: Failure | None
    metadata: str | None
    created_at: datetime
    finished_at: datetime | None
    delivery: "DeliveryView | None" = None


@dataclass(frozen=True, slots=True)
class DeliveryView:
    """Where the callback of a task stands, with every attempt that was made."""

    message_id: UUID
    state: DeliveryState
    attempts: tuple[DeliveryAttempt, ...]
    next_attempt_at: datetime | None
