"""What may expire, and what asks for it: rates, open streams, live events, dialog status, provider tokens.

Losing this memory loses no data, since storage is the truth. One process keeps it in ``local.py``; several share it
through ``redis.py``. Both behave alike, which one test-suite checks.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import timedelta
from math import ceil
from typing import Protocol
from uuid import UUID

from telefonist.errors import RateLimited
from telefonist.types import Owner, Token

LONGEST_QUEUE = 256
"""Events that wait for one listener; with the next one it has missed something."""

EARLY = timedelta(minutes=1)
"""How long before its end a provider's token is no longer handed out, so that it lives through the request."""


@dataclass(frozen=True, slots=True)
class LimitOutcome:
    """What became of one hit; ``reset_after`` is how many seconds pass until the next one like it fits."""

    allowed: bool
    limit: int
    remaining: int
    reset_after: float

    @property
    def seconds(self) -> int:
        """Whole seconds to wait, as Retry-After says it."""
        return max(1, ceil(self.reset_after))


class RateLimiter(Protocol):
    """Counts what a caller does against a limit, in a window that moves with the time."""

    async def hit(self, limit: str, *key: str) -> LimitOutcome:
        """Count one hit for ``key`` if it still fits ``limit`` (``5/minute``, ``100 per 2 hours``).

        A refused hit is not counted: who keeps knocking is let in as soon as the window allows. Hits under another
        limit or another key are counted apart. Raises ValueError for a limit that cannot be read, and Unavailable where
        the memory is away and whoever runs the service wants nobody let in uncounted.
        """
        ...

    async def take_back(self, limit: str, *key: str) -> None:
        """Uncount the newest hit of ``key``: what was counted beforehand turned out to be nothing to limit.

        Counting first and taking back afterwards keeps a crowd that comes at once from passing together. Never fails.
        """
        ...


async def enforce(limiter: RateLimiter, limit: str, *key: str) -> LimitOutcome:
    """Count one hit, raising RateLimited with whole seconds to wait when it does not fit."""
    outcome = await limiter.hit(limit, *key)
    if not outcome.allowed:
        raise RateLimited(limit=limit, seconds=outcome.seconds)
    return outcome


class TokenRates(Protocol):
    """Counts a model's tokens against what a key may use in a minute: a bucket, full at first, that refills evenly."""

    async def take(self, key: str, per_minute: int, tokens: int) -> LimitOutcome:
        """Take as many tokens from the bucket of ``per_minute`` if they are in it.

        More than it ever holds are let in when it is full: it then owes the rest, and is empty for more than a minute.
        A refused take changes nothing. Of the outcome, ``limit`` and ``remaining`` count tokens, and ``reset_after``
        tells when as many tokens fit again. Raises Unavailable where the memory is away and whoever runs the service
        wants nobody let in uncounted.
        """
        ...

    async def correct(self, key: str, per_minute: int, difference: int) -> None:
        """Take ``difference`` more, or give so many back where it is negative, now that the real count is known.

        Never refused: the bucket may owe tokens afterwards, but never holds more than ``per_minute``. Never fails: a
        correction is lost where the memory is away and nobody is let in uncounted.
        """
        ...


class Slots(Protocol):
    """Counts what a key has open at once, such as streams."""

    async def enter(self, key: str, limit: int) -> str | None:
        """Give a ticket, or None when as many as ``limit`` are inside.

        The slot stays taken until the ticket is given back; those of a process that died are free within 30 s. Raises
        Unavailable where the memory is away and whoever runs the service wants nobody let in uncounted.
        """
        ...

    async def leave(self, key: str, ticket: str) -> None:
        """Give the ticket back, once or several times; never fails, and is done even when the caller is cancelled."""
        ...


@dataclass(frozen=True, slots=True)
class Event:
    """Something happened; ``data`` says what in a few words, such as an id: the rest is read from storage."""

    topic: str
    data: str


@dataclass(frozen=True, slots=True)
class Missed:
    """Events did not reach this listener: what it knows must be read anew from storage."""


class Events(Protocol):
    """Tells whoever listens, in whichever process, that something happened."""

    async def publish(self, topic: str, data: str = "") -> None:
        """Tell everybody who listens to ``topic`` now, after what the event is about was stored.

        Never fails and never waits for a listener. Around an outage an event may come twice, or be lost to other
        processes: their listeners then get Missed.
        """
        ...

    def listen(self, *topics: str) -> AbstractAsyncContextManager[AsyncIterator[Event | Missed]]:
        """Hear everything published on ``topics`` from the beginning of the block, in order.

        Whoever is slower than LONGEST_QUEUE events gets Missed in the place of all that waited, and so does everybody
        after the connection to other processes was lost. Read storage inside the block, or what happens between the
        reading and the listening is lost. The iteration ends when the service stops.
        """
        ...

    def close(self) -> None:
        """End every iteration, also those that have yet to begin: the service stops."""
        ...


class DialogStatuses(Protocol):
    """Remembers who answers in a conversation, so that not every message asks storage.

    Only a hint: it may be out of date for as long as its time to live, so whoever acts on it has the conversation's
    epoch checked where the outcome is stored.
    """

    async def get(self, conversation_id: UUID) -> Owner | None:
        """Say who answers, as far as that is remembered; None: ask storage."""
        ...

    async def set(self, conversation_id: UUID, owner: Owner, ttl: float) -> None:
        """Remember who answers for ``ttl`` seconds, after it was stored."""
        ...

    async def forget(self, conversation_id: UUID) -> None:
        """Let the next one ask storage."""
        ...


class Tokens(Protocol):
    """Keeps the tokens that providers hand out, fetched by one at a time however many need them."""

    async def token(self, name: str, fetch: Callable[[], Awaitable[Token]]) -> Token:
        """Give the token of that name, fetching it where there is none, or none that lives for EARLY more.

        Whoever comes while it is being fetched waits for the outcome, and gets what ``fetch`` raises where it fails.
        ``fetch`` sets its own time limit, and goes on when its caller is gone.
        """
        ...

    async def invalidate(self, name: str, value: str) -> None:
        """Forget the token if it still has that value, which the provider refused: one that is newer stays."""
        ...


@dataclass(frozen=True, slots=True)
class Memory:
    """Everything that may expire."""

    limiter: RateLimiter
    rates: TokenRates
    slots: Slots
    events: Events
    statuses: DialogStatuses
    tokens: Tokens
