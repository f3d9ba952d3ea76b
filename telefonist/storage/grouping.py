"""Grouped statements: what arrives while a batch is under way goes into the next one.

A commit costs a disk flush whether it holds one row or a hundred, so concurrent writers share statement and commit
(measured at a tenth of the cost of a transaction each). At low load a batch holds one item and nothing waits.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Generic, TypeVar

import asyncpg

from telefonist.errors import TelefonistError, Unavailable
from telefonist.storage.lines import Line

Item = TypeVar("Item")
Result = TypeVar("Result")


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

        Raises Unavailable when the database is away: the item may or may not have been written.
        """
        future: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, future))
        if self._runner is None or self._runner.done():
            self._runner = asyncio.create_task(self._run())
        return await future

    async def drain(self) -> None:
        """Wait until nothing is under way."""
        while self._runner is not None and not self._runner.done():
            with suppress(asyncio.CancelledError):
                await asyncio.shield(self._runner)

    async def _run(self) -> None:
        while self._waiting:
            group = [self._waiting.popleft() for _ in range(min(len(self._waiting), self._limit))]
            group = [(item, future) for item, future in group if not future.done()]
            if group:
                await self._run_group(group)

    async def _run_group(self, group: list[tuple[Item, "asyncio.Future[Result]"]]) -> None:
        try:
            results = await self._line.run(self._bound([item for item, _ in group]))
        except Unavailable as error:
            _fail(group, error)
        except (TelefonistError, asyncpg.PostgresError, asyncpg.InterfaceError, ValueError) as error:
            if len(group) == 1:
                _fail(group, error)
                return
            for single in group:
                await self._run_group([single])
        except BaseException as error:
            _fail(group, error if isinstance(error, Exception) else Unavailable("shutting_down", seconds=1))
            raise
        else:
            for (_, future), result in zip(group, results, strict=True):
                if not future.done():
                    future.set_result(result)

    def _bound(self, items: list[Item]) -> Callable[[asyncpg.Connection], Awaitable[Sequence[Result]]]:
        return lambda connection: self._execute(connection, items)


def _fail(group: list[tuple[Item, "asyncio.Future[Result]"]], error: Exception) -> None:
    for _, future in group:
        if not future.done():
            future.set_exception(error)
