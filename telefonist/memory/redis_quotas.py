"""What a key may use in a minute and have open at once, counted in Redis for all processes together.

While Redis is away each process counts for itself from nothing, or nobody is let in.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from itertools import count
from typing import Any

from telefonist.errors import Unavailable
from telefonist.memory.base import LimitOutcome
from telefonist.memory.local_quotas import LocalSlots, LocalTokenRates, nothing_fits
from telefonist.memory.redis_link import RedisLink, WhenAway
from telefonist.memory.redis_scripts import ENTER, POUR, STAY
from telefonist.types import new_id

LIFETIME = 30.0
"""Seconds for which a ticket counts after its process was last heard of."""

STAY_EVERY = 10.0
"""Seconds between two signs of life: two may be lost."""

AT_ONCE = 200
"""Tickets in one sign of life, so that the server is not held up."""


class RedisTokenRates:
    """Buckets that all processes share, each use one step on the server and by its clock."""

    def __init__(
        self, link: RedisLink, when_away: WhenAway = "allow", *, clock: Callable[[], float] | None = None
    ) -> None:
        self._link = link
        self._meanwhile = LocalTokenRates() if when_away == "allow" else None
        self._clock = clock

    async def take(self, key: str, per_minute: int, tokens: int) -> LimitOutcome:
        if per_minute <= 0:
            return nothing_fits()
        try:
            allowed, remaining, reset = await self._pour(key, per_minute, tokens, min(tokens, per_minute))
        except Unavailable:
            if self._meanwhile is None:
                raise
            return await self._meanwhile.take(key, per_minute, tokens)
        return LimitOutcome(bool(allowed), per_minute, remaining, reset / 1_000_000)

    async def correct(self, key: str, per_minute: int, difference: int) -> None:
        if per_minute <= 0 or difference == 0:
            return
        try:
            await self._pour(key, per_minute, difference, "")
        except Unavailable:
            if self._meanwhile is not None:
                await self._meanwhile.correct(key, per_minute, difference)

    async def _pour(self, key: str, per_minute: int, tokens: int, needed: int | str) -> tuple[int, int, int]:
        bucket = [f"telefonist:rate:{key}"]
        allowed, remaining, reset = await self._link.run(POUR, bucket, _now(self._clock), per_minute, tokens, needed)
        return allowed, remaining, reset


class RedisSlots:
    """Tickets that expire unless their process is heard of, so that one that died holds nothing for long.

    A server that forgot the tickets is told them again with the next sign of life.
    """

    def __init__(
        self, link: RedisLink, when_away: WhenAway = "allow", *, clock: Callable[[], float] | None = None
    ) -> None:
        self._link = link
        self._meanwhile = LocalSlots() if when_away == "allow" else None
        self._clock = clock
        self._inside: dict[str, str] = {}
        self._process = new_id().hex
        self._numbers = count()
        self._leaving: set[asyncio.Task[None]] = set()

    async def enter(self, key: str, limit: int) -> str | None:
        name, ticket = f"telefonist:slots:{key}", f"{self._process}:{next(self._numbers)}"
        try:
            entered = await self._link.run(ENTER, [name], _now(self._clock), limit, ticket, _micros(LIFETIME))
        except Unavailable:
            if self._meanwhile is None:
                raise
            return await self._meanwhile.enter(key, limit)
        except asyncio.CancelledError:
            self._start(self._remove(name, ticket))
            raise
        if not entered:
            return None
        self._inside[ticket] = name
        return ticket

    async def leave(self, key: str, ticket: str) -> None:
        name = self._inside.pop(ticket, None)
        if name is not None:
            await asyncio.shield(self._start(self._remove(name, ticket)))
        elif self._meanwhile is not None:
            await self._meanwhile.leave(key, ticket)

    @asynccontextmanager
    async def kept(self) -> AsyncIterator[None]:
        """Keep the tickets of this process alive while the block lasts."""
        staying = asyncio.create_task(self._keep_staying())
        try:
            yield
        finally:
            staying.cancel()
            await asyncio.wait([staying, *self._leaving])
            if not staying.cancelled():
                staying.result()

    async def stay(self) -> None:
        """Give a sign of life for every ticket of this process, and again give back what was left meanwhile."""
        tickets = list(self._inside.items())
        for start in range(0, len(tickets), AT_ONCE):
            some = [(ticket, name) for ticket, name in tickets[start : start + AT_ONCE] if ticket in self._inside]
            with suppress(Unavailable):
                names = [name for _, name in some]
                await self._link.run(STAY, names, _now(self._clock), _micros(LIFETIME), *(ticket for ticket, _ in some))
            for ticket, name in some:
                if ticket not in self._inside:
                    await self._remove(name, ticket)

    async def _keep_staying(self) -> None:
        while True:
            await asyncio.sleep(STAY_EVERY)
            await self.stay()

    def _start(self, removing: Coroutine[Any, Any, None]) -> "asyncio.Task[None]":
        task = asyncio.create_task(removing)
        self._leaving.add(task)
        task.add_done_callback(self._leaving.discard)
        return task

    async def _remove(self, name: str, ticket: str) -> None:
        """Give a ticket back; one that cannot be given back expires."""
        with suppress(Unavailable):
            await self._link.ask("ZREM", name, ticket)


def _now(clock: Callable[[], float] | None) -> int | str:
    return "" if clock is None else _micros(clock())


def _micros(seconds: float) -> int:
    return round(seconds * 1_000_000)
