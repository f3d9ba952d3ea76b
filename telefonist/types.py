"""The few types that every room speaks: frozen, without I/O.

Times are aware UTC, ids are UUIDv7 (RFC 9562), money is integers in millionths of a credit.
"""

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Literal
from uuid import UUID

Json = Mapping[str, Any]
Language = Literal["ru", "en"]

MICROCREDITS = 1_000_000
"""Millionths in one credit: every amount of money in the code counts these."""


def new_id() -> UUID:
    """Make a UUIDv7 with 74 random bits, so that an id cannot be guessed although it sorts by time.

    Source: RFC 9562, section 5.7 (``unix_ts_ms``, then ``rand_a`` and ``rand_b`` without a counter).
    """
    milliseconds = time.time_ns() // 1_000_000
    value = (milliseconds & 0xFFFF_FFFF_FFFF) << 80 | int.from_bytes(os.urandom(10), "big")
    value = value & ~(0xF << 76) | 0x7 << 76
    value = value & ~(0x3 << 62) | 0x2 << 62
    return UUID(int=value)


def utc_now() -> datetime:
    """Tell the time as an aware UTC value, the only kind the house stores."""
    return datetime.now(UTC)


def estimate_tokens(text: str) -> int:
    """Estimate the tokens of a text where nobody counted them: a quarter of its UTF-8 bytes, rounded up.

    Close for English (about four letters to a token) and, two bytes to a Cyrillic letter, fair for Russian.
    """
    return -(-len(text.encode(errors="surrogatepass")) // 4)


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one generation, as the provider counted them or, marked ``estimated``, as we did."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    estimated: bool = False

    @property
    def total_tokens(self) -> int:
        return self.prompt_tokens + self.completion_tokens


@dataclass(frozen=True, slots=True)
class ProviderConfig:
    """One upstream as a row: its wire protocol (``kind``), address and credentials.

    Time limits are seconds: until the response headers, between two chunks, and for the whole answer.
    """

    name: str
    kind: Literal["openai", "gigachat", "anthropic", "demo"]
    base_url: str = ""
    chat_url: str = ""
    """The full chat-completions address, for an upstream given as one (``URL_GPT``); empty: below ``base_url``."""
    api_key: str = field(default="", repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    ca_bundle: str = ""
    max_concurrency: int = 0
    """Requests under way at once for this credential; 0 means no limit."""
    connect_timeout: float = 10.0
    header_timeout: float = 120.0
    chunk_timeout: float = 60.0
    total_timeout: float = 600.0


@dataclass(frozen=True, slots=True)
class Token:
    """What a provider gave us to show with every request until a moment (aware UTC)."""

    value: str = field(repr=False)
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Model:
    """What clients ask for by name: where it is served, how much it reads and what it costs.

    Prices are microcredits for 1000 tokens.
    """

    name: str
    provider: str
    upstream: str
    context_window: int = 8192
    """Tokens that the prompt and the answer share."""
    max_output: int = 1024
    """Tokens of the window kept free for the answer."""
    input_price: int = 0
    output_price: int = 0
    cached_input_price: int | None = None
    aliases: tuple[str, ...] = ()
    fallbacks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """A request to a provider in OpenAI's terms, which are the house's common language.

    ``messages`` are OpenAI message objects and ``options`` every other field of the request, known or not, so that
    nothing a client sent is dropped on the way to a compatible upstream.
    """

    model: str
    messages: Sequence[Json]
    options: Json = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Completion:
    """A whole answer: the text, and the provider's OpenAI-shaped body for doors that pass it on."""

    text: str
    model: str
    finish_reason: str
    usage: Usage
    body: Json


@dataclass(frozen=True, slots=True)
class Delta:
    """One piece of a streamed answer: the text it adds and the OpenAI-shaped chunk it came in.

    ``usage`` and ``finish_reason`` are set on the chunk that carries them.
    """

    text: str
    chunk: Json
    finish_reason: str | None = None
    usage: Usage | None = None


class Role(StrEnum):
    """Who wrote a message of a conversation."""

    USER = "user"
    BOT = "bot"
    OPERATOR = "operator"
    SYSTEM = "system"


class TaskState(StrEnum):
    """Where a webhook request stands; the last three are final."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


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
class Caller:
    """Who knocks: an account, or nobody known (``account_id`` is None) from an address."""

    account_id: UUID | None
    address: str
    language: Language = "en"


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
    """The two mailboxes of a conversation: what came in to be answered, and what goes out to be delivered."""

    IN = "in"
    OUT = "out"


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
    state: TaskState
    external_id: str
    callback_url: str
    model: str
    metadata: str | None
    """The client's own data as JSON text."""
    history: tuple[HistoryMessage, ...]
    """Oldest first, the message to answer last; what fits the token budget."""


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


@dataclass(frozen=True, slots=True)
class TurnReceipt:
    """What storing an outcome left us with.

    ``next_lease`` is set when more messages wait and the lease goes on; ``delivery_lease`` when the outgoing mailbox is
    ours as well.
    """

    stored: bool
    next_lease: Lease | None
    delivery_lease: Lease | None


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
    attempt_number: int
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
