"""Showing that this process lives, and taking over what dead ones had in hand."""

import asyncio
import math
import time
from collections.abc import Awaitable, Callable

from telefonist.errors import Unavailable
from telefonist.logs import get_logger
from telefonist.storage.processes import Processes

log = get_logger(__name__)

REAP_ORPHANS_ONLY = 24 * 3600.0
"""Silence (seconds) that nobody survives: used while our own clock of the others cannot be trusted."""

CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
"""A clock that goes on, where the system has one, while the machine is suspended."""


async def _nothing() -> None:
    return


class Heartbeat:
    """Beats ``every`` so many seconds, and strikes off others that have been ``silent`` for so long.

    What those had in hand is free again: conversations, and the holds of generations, which are lost. A process that
    stood still itself, or could not reach the database, may have missed the others' beats: it judges nobody before it
    has been beating steadily for as long as the silence it judges.
    """

    def __init__(
        self,
        processes: Processes,
        *,
        every: float = 1.0,
        silent: float = 5.0,
        when_struck_off: Callable[[], Awaitable[None]] = _nothing,
        when_freed: Callable[[], None] = lambda: None,
    ) -> None:
        """``when_struck_off`` lets go of all that is held under the old id; ``when_freed`` hears of work to take."""
        self._processes = processes
        self._every = every
        self._silent = silent
        self._when_struck_off = when_struck_off
        self._when_freed = when_freed
        self._alive_at = -math.inf
        self._beaten = asyncio.Event()
        self._steady_since: float | None = None

    async def sure(self) -> None:
        """Return as soon as nobody else can have what we hold: nobody takes it while our heartbeat is that young.

        A process that slept does not know it. It finds out here, before it does what no epoch can refuse.
        """
        while time.clock_gettime(CLOCK) - self._alive_at > self._silent:
            await self._beaten.wait()

    async def run(self) -> None:
        """Beat until cancelled."""
        while True:
            try:
                await self._beat()
            except Unavailable:
                self._steady_since = None
            await asyncio.sleep(self._every)

    async def _beat(self) -> None:
        started = time.clock_gettime(CLOCK)
        if not await self._processes.beat():
            log.warning("struck_off", process=str(self._processes.id))
            await self._when_struck_off()
            await self._processes.register(same_machine=False)
            self._steady_since = None
        if time.clock_gettime(CLOCK) - self._alive_at > self._silent / 2:
            self._steady_since = None  # we were silent ourselves: the others may have been for the same reason
        self._show_alive(started)
        if self._steady_since is None:
            self._steady_since = started
        trusted = started - self._steady_since > self._silent
        freed = await self._processes.reap(self._silent if trusted else REAP_ORPHANS_ONLY)
        if freed:
            log.warning("work_taken_over", conversations=freed)
            self._when_freed()

    def _show_alive(self, at: float) -> None:
        self._alive_at = at
        self._beaten.set()
        self._beaten = asyncio.Event()
