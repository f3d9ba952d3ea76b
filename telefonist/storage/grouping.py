"""Grouped statements: what arrives while a batch is under way goes into the next one.

A commit costs a disk flush whether it holds one row or a hundred, so concurrent writers share statement and commit
(measured at a tenth of the cost of a transaction each). At low load a batch holds one item and nothing waits.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Generic, TypeVar

import asyncpg

from telefonist.errors import Unavailable
from telefonist.storage.lines import RETRY_AFTER, Line

Item = TypeVar("Item")
Result = TypeVar("Result")

LONGEST_QUEUE = 20_000
"""Items that may wait while the database is busy; more are refused rather than kept in memory."""


class Grouped(Generic[Item, Result]):
    """Collects items and hands them, many at a time, to one statement on a connection of its own.

    ``execute`` gets a connection and the items and gives a result for each, in order. When it fails on a group, the
    items are tried one by one, so that a bad one does not fail its neighbours.
    """

    def __init__(
        self,
        line: Line,
        execute: Callable[[asyncpg.Connection, Sequence[Item]], Awaitable[Sequence[Result]]],
        limit: int = 500,
    ) -> None:
        self._line = line
        self._execute = execute
        self._limit = limit
        self._waiting: deque[tuple[Item, asyncio.Future[Result]]] = deque()
        self._runner: asyncio.Task[None] | None = None

    async def submit(self, item: Item) -> Result:
        """Run ``item`` in the next group and give its result after the commit.

        Raises Unavailable when the database is away (the item may or may not have been written) or so far behind that
        too many wait for it.
        """
        if len(self._waiting) >= LONGEST_QUEUE:
            raise Unavailable(seconds=RETRY_AFTER)
        future: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, future))
        if self._runner is None or self._runner.done():
            self._runner = asyncio.create_task(self._run())
        return await future

    async def _run(self) -> None:
        try:
            while self._waiting:
                group = [self._waiting.popleft() for _ in range(min(len(self._waiting), self._limit))]
                group = [(item, future) for item, future in group if not future.done()]
                if group:
                    await self._run_group(group)
        except asyncio.CancelledError:
            _fail(self._waiting, Unavailable("shutting_down", seconds=1))
            raise

    async def _run_group(self, group: list[tuple[Item, asyncio.Future[Result]]]) -> None:
        try:
            results = await self._line.run(self._bound([item for item, _ in group]))
            for (_, future), result in list(zip(group, results, strict=True)):
                if not future.done():
                    future.set_result(result)
        except asyncio.CancelledError:
            _fail(group, Unavailable("shutting_down", seconds=1))
            raise
        except Unavailable as error:
            _fail(group, error)
        except Exception as error:  # noqa: BLE001  whatever it is, each caller hears of it and the next group goes on
            if len(group) == 1:
                _fail(group, error)
                return
            for single in group:
                await self._run_group([single])

    def _bound(self, items: list[Item]) -> Callable[[asyncpg.Connection], Awaitable[Sequence[Result]]]:
        return lambda connection: self._execute(connection, items)


def _fail(group: Iterable[tuple[Item, "asyncio.Future[Result]"]], error: Exception) -> None:
    for _, future in group:
        if not future.done():
            future.set_exception(error)
