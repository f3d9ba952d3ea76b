"""Generations and what they cost: prices, holds, settlements and the ledger. Money is microcredits."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from telefonist.types.values import Usage


class Door(StrEnum):
    """Where a generation was asked for."""

    API = "api"
    WEBHOOK = "webhook"
    CHAT = "chat"
    TELEGRAM = "telegram"
    CONSOLE = "console"


class GenerationState(StrEnum):
    """How a generation ended; ``lost``: the process that ran it died, and nothing is charged."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    LOST = "lost"


class LedgerKind(StrEnum):
    """Why a balance changed; an adjustment takes away what was not used."""

    TOP_UP = "top_up"
    CHARGE = "charge"
    ADJUSTMENT = "adjustment"


@dataclass(frozen=True, slots=True)
class Price:
    """Microcredits for 1000 tokens."""

    input: int = 0
    output: int = 0
    cached_input: int | None = None
    """Of input that the provider had in its cache; None: as any other."""

    @property
    def is_free(self) -> bool:
        return not (self.input or self.output or self.cached_input)


@dataclass(frozen=True, slots=True, weakref_slot=True)
class NewGeneration:
    """A generation about to begin, at the price of this moment.

    ``hold`` is what is set aside for it, 0 where nothing is: then it is written down only when it has ended.
    """

    id: UUID
    process_id: UUID
    account_id: UUID
    key_id: UUID | None
    door: Door
    model: str
    price: Price
    hold: int
    streamed: bool
    started_at: datetime


@dataclass(frozen=True, slots=True)
class HoldOutcome:
    """Whether a generation may begin, and what its account and key have, with all that is held by now."""

    admitted: bool
    balance: int
    held: int
    budget_left: int | None = None
    """What the key had left, where it has a budget."""


@dataclass(frozen=True, slots=True)
class Settlement:
    """How a generation ended, and what it costs."""

    generation: NewGeneration
    state: GenerationState
    served_by: str
    """The model that answered, or was asked last: a fallback has another name than the model asked for."""
    usage: Usage
    charge: int
    error: str | None = None
    """The code of what went wrong."""
    first_token_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Balance:
    """What an account has; ``held`` of it is set aside for generations under way."""

    balance: int
    held: int

    @property
    def available(self) -> int:
        return self.balance - self.held


@dataclass(frozen=True, slots=True)
class LedgerEntry:
    """A change of a balance; ``number`` counts an account's entries from 1 and ``balance`` is what it left."""

    id: UUID
    number: int
    kind: LedgerKind
    amount: int
    balance: int
    generation_id: UUID | None
    model: str | None
    reason: str | None
    created_at: datetime


@dataclass(frozen=True, slots=True)
class UsageRow:
    """What one account, or all, used of one model on one day (UTC)."""

    day: str
    """As ISO 8601 writes it: 2026-11-20."""
    model: str
    generations: int
    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int
    charge: int
