"""How many requests one credential has under way, in all processes together."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from telefonist.errors import Unavailable
from telefonist.providers.base import Slots
from telefonist.providers.upstream import timed_out
from telefonist.types import ProviderConfig

SHORTEST_PAUSE = 0.05
LONGEST_PAUSE = 0.25
"""Seconds between two tries to enter; chance keeps the processes from knocking in step."""


class SharedPlaces:
    """``max_concurrency`` of a row, counted by its ``credential``: rows that have the same one share the places.

    Stands behind the places of the process (``Upstream.place``), so that one process knocks with as many requests at
    a time as might all be let in. Where nobody can count together, those are the limit: a credential that is overdrawn
    gets 429, which is repeated, while a memory that is away would fail work that can be done.
    """

    def __init__(self, config: ProviderConfig, slots: Slots, credential: str) -> None:
        self._config = config
        self._slots = slots
        self._credential = credential

    @asynccontextmanager
    async def place(self, deadline: float) -> AsyncIterator[None]:
        """Wait for a place until ``deadline`` (the loop's time), and keep it while the block lasts.

        Raises ProviderTimeout past it.
        """
        if self._config.max_concurrency <= 0:
            yield
            return
        ticket = await self._ticket(deadline)
        try:
            yield
        finally:
            if ticket is not None:
                await self._slots.leave(self._credential, ticket)

    async def _ticket(self, deadline: float) -> str | None:
        """Give a ticket, or None where nobody can count."""
        limit = self._config.max_concurrency
        try:
            async with asyncio.timeout_at(deadline):
                while True:
                    ticket = await self._slots.enter(self._credential, limit)
                    if ticket is not None:
                        return ticket
                    await asyncio.sleep(random.uniform(SHORTEST_PAUSE, LONGEST_PAUSE))  # noqa: S311  jitter
        except TimeoutError:
            raise timed_out(self._config, "total", deadline, deadline) from None
        except Unavailable:
            return None
