"""Who calls: accounts, their keys, and callers nobody knows."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from telefonist.types.values import Json, Language

ANONYMOUS_ACCOUNT = UUID("00000000-0000-7000-8000-000000000001")
"""Stands for callers without an account; nothing is refused for its balance."""

TELEGRAM_ACCOUNT = UUID("00000000-0000-7000-8000-000000000002")
"""Stands for whoever writes to the Telegram bot; nothing is refused for its balance."""


class AccountRole(StrEnum):
    """What an account may do; each may do what the ones before it may."""

    CLIENT = "client"
    OPERATOR = "operator"
    ADMIN = "admin"


@dataclass(frozen=True, slots=True)
class Account:
    """A user; ``email`` is None for the accounts that the service keeps for itself."""

    id: UUID
    email: str | None
    role: AccountRole
    disabled: bool
    metered: bool
    """Whether generations need a balance, and take from it."""
    created_at: datetime


@dataclass(frozen=True, slots=True)
class KeyTerms:
    """What a key may be used for; None: as much as its account."""

    models: tuple[str, ...] | None = None
    """Names of models, never aliases."""
    budget: int | None = None
    """Microcredits that may be spent with it in all."""
    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    max_streams: int | None = None
    """Streams open at once."""


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key as its owner sees it: the key itself is shown once, when it is made."""

    id: UUID
    name: str
    hint: str
    """Its beginning and end, enough to tell it from others."""
    terms: KeyTerms
    spent: int
    """Microcredits; counted only for a key with a budget."""
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None


@dataclass(frozen=True, slots=True)
class Credential:
    """A key or a login session that holds, and whose it is; of the two ids one is set."""

    account_id: UUID
    role: AccountRole
    metered: bool
    expires_at: datetime | None
    key_id: UUID | None = None
    terms: KeyTerms = KeyTerms()
    session_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class Invite:
    """Lets one account be made; the invite itself is shown once, when it is made."""

    id: UUID
    role: AccountRole
    email: str | None
    """The only address that may use it; None: any."""
    created_by: UUID | None
    """None for the command line."""
    created_at: datetime
    expires_at: datetime
    used_by: UUID | None
    used_at: datetime | None


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """Something that was changed, and by whom: an account, or the command line (``actor_id`` is None)."""

    id: UUID
    actor_id: UUID | None
    action: str
    """Dotted: ``account.disabled``."""
    subject: str
    details: Json
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Caller:
    """Who knocks: an account, or nobody known (``account_id`` is None) from an address.

    Of a caller who shows a key, ``key_id`` and ``terms`` are set; of one who logged in, ``session_id``.
    """

    account_id: UUID | None
    address: str
    language: Language = "en"
    role: AccountRole = AccountRole.CLIENT
    metered: bool = False
    key_id: UUID | None = None
    terms: KeyTerms = KeyTerms()
    session_id: UUID | None = None

    @property
    def payer(self) -> UUID:
        """The account on which usage is written down."""
        return self.account_id or ANONYMOUS_ACCOUNT
