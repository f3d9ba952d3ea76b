"""A streamed answer on its way to the caller, and the end it comes to."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Self

from telefonist.core.background import Background
from telefonist.core.generation import AnswerStream
from telefonist.core.under_way import UnderWay
from telefonist.errors import ProviderError, ProviderProtocolError, ProviderTimeout
from telefonist.types import Delta, GenerationState, Model, Usage, utc_now

BROKEN_OFF = (ProviderProtocolError, ProviderTimeout)
"""How an answer ends whose upstream says nothing of a failure, and may well have charged for it."""


class GenerationStream:
    """An answer as it is written, settled however it ends.

        async with stream:
            while (batch := await stream.next()) is not None:
                ...

    Leaving the block early, by an error or because the caller is gone, closes the upstream and settles for what was
    produced; where the provider bills in full anyway, the rest is read and charged. An upstream that reports a failure
    half-way costs nothing; what came of one that broke off is paid for.
    """

    def __init__(
        self,
        answer: AnswerStream,
        under_way: UnderWay,
        count: Callable[[str], Awaitable[Usage]],
        behind: Background,
    ) -> None:
        """``count`` gives the usage for what was written, where the provider gave none."""
        self.admission = under_way.admission
        self.usage: Usage | None = None
        """What the provider counted or, after the end, we did."""
        self.charge = 0
        """Microcredits; known after the end."""
        self._answer = answer
        self._under_way = under_way
        self._count = count
        self._behind = behind
        self._written: list[str] = []
        elapsed = utc_now() - under_way.meter.generation.started_at
        self._first_token_ms = int(elapsed.total_seconds() * 1000)
        self._ended = False

    @property
    def model(self) -> Model:
        """The model that answers, which may be a fallback."""
        return self._answer.model

    async def next(self) -> Sequence[Delta] | None:
        """Give what was written next, or None once all is given and paid for.

        Raises ProviderError where the upstream fails, and Unavailable where the end could not be settled.
        """
        try:
            batch = await self._answer.next()
        except ProviderError as error:
            await self._fail(error)
            raise
        if batch is None:
            await self._end(GenerationState.SUCCEEDED)
            return None
        for delta in batch:
            if delta.written:
                self._written.append(delta.written)
            if delta.usage is not None:
                self.usage = delta.usage
        return batch

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._ended:
            return
        if self._answer.provider.on_disconnect == "drain":
            self._behind.start(self._drain())
            return
        await self._answer.aclose()
        await self._end(GenerationState.CANCELLED)

    async def _fail(self, error: ProviderError) -> None:
        await self._answer.aclose()
        if self._written and isinstance(error, BROKEN_OFF):
            await self._end(GenerationState.CANCELLED, error.code)
            return
        self.usage = Usage()
        await self._end(GenerationState.FAILED, error.code)

    async def _drain(self) -> None:
        try:
            while await self.next() is not None:
                pass
        except asyncio.CancelledError:
            await self._answer.aclose()
            if not self._ended:
                await self._end(GenerationState.CANCELLED)
            raise

    async def _end(self, state: GenerationState, error: str | None = None) -> None:
        self._ended = True
        if self.usage is None:  # counting takes a while, and must not be lost with whoever waits for it
            await asyncio.shield(self._behind.start(self._settle(state, error)))
        else:
            await self._settle(state, error)

    async def _settle(self, state: GenerationState, error: str | None) -> None:
        if self.usage is None:
            self.usage = await self._count("".join(self._written))
        self.charge = await self._under_way.end(
            state, self.model.name, self.usage, error=error, first_token_ms=self._first_token_ms
        )
