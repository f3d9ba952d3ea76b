"""Work that goes on when whoever waited for it has left."""

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, TypeVar

from telefonist.errors import TelefonistError
from telefonist.logs import get_logger

log = get_logger(__name__)

Result = TypeVar("Result")


class Background:
    """Keeps tasks that nobody may be waiting for, says in the log how they failed, and sees them off at the end."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._tasks: set[asyncio.Task[Any]] = set()

    def __len__(self) -> int:
        return len(self._tasks)

    def start(self, work: Coroutine[Any, Any, Result]) -> "asyncio.Task[Result]":
        """Begin work that is finished whatever happens to its beginner; await it under ``asyncio.shield``."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    async def close(self, grace: float) -> None:
        """Wait for what is under way, and what comes of it, for ``grace`` seconds; then cancel it, and see it end."""
        with suppress(TimeoutError):
            async with asyncio.timeout(grace):
                await self._all_ended()
        if self._tasks:
            log.error("background_work_cut", what=self._name, count=len(self._tasks))
            for task in self._tasks:
                task.cancel()
            await self._all_ended()

    async def _all_ended(self) -> None:
        while self._tasks:
            await asyncio.wait(self._tasks)

    def _ended(self, task: "asyncio.Task[Any]") -> None:
        self._tasks.discard(task)
        if task.cancelled():
            return
        error = task.exception()
        if isinstance(error, TelefonistError):
            log.warning("background_work_failed", what=self._name, code=error.code, reason=str(error))
        elif error is not None:
            log.error("background_work_failed", what=self._name, exc_info=error)
