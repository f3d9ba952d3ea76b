"""How long an answer's reader waits for its next piece."""

import asyncio
import math

import aiohttp


class Patience:
    """Ends a wait that lasts too long, with one timer for a whole answer.

    ``asyncio.timeout`` around each read would set and cancel a timer for every token of every answer, which costs as
    much as understanding it. This one rings once in ``seconds``, and only then looks whether somebody waits too long.
    """

    def __init__(self, content: aiohttp.StreamReader, seconds: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._content = content
        self._seconds = seconds
        self._until = math.inf
        self._timer = self._loop.call_later(seconds, self._ring)

    async def read(self, until: float) -> bytes:
        """Give what has arrived, waiting for something if nothing has; empty at the end.

        Raises TimeoutError at ``until`` (the loop's time), which is at most ``seconds`` from now.
        """
        if until < self._timer.when():
            self._timer.cancel()
            self._timer = self._loop.call_at(until, self._ring)
        self._until = until
        try:
            return await self._content.readany()
        finally:
            self._until = math.inf

    def stop(self) -> None:
        self._timer.cancel()

    def _ring(self) -> None:
        now = self._loop.time()
        if self._until <= now:
            self._content.set_exception(TimeoutError())
        else:
            self._timer = self._loop.call_at(min(self._until, now + self._seconds), self._ring)
