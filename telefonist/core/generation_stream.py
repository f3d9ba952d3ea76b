"""A streamed answer on its way to the caller, and the end it comes to."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from types import TracebackType
from typing import Self

from telefonist.core.background import Background
from telefonist.core.generation import AnswerStream
from telefonist.core.under_way import UnderWay
from telefonist.errors import ProviderError, ProviderProtocolError, ProviderTimeout, TelefonistError
from telefonist.types import Delta, GenerationState, Model, Usage, utc_now

BROKEN_OFF = (ProviderProtocolError, ProviderTimeout)
"""How an answer ends whose upstream says nothing of a failure, and may well have charged for it."""


class GenerationStream:
    """An answer as it is written, settled however it ends.

        async with stream:
            while (batch := await stream.next()) is not None:
                ...

    Leaving the block early, because the caller is gone, closes the upstream and settles for what was produced; where
    the provider bills in full anyway, the rest is read and charged. Both go on behind, so that no second cancellation
    can stop them. An upstream that reports a failure half-way costs nothing, and neither does a mistake of ours; what
    came of one that broke off is paid for.
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
        """What the provider counted so far or, after the end, we did."""
        self.charge = 0
        """Microcredits; known after the end."""
        self._answer = answer
        self._under_way = under_way
        self._count = count
        self._behind = behind
        self._drains = answer.provider.on_disconnect == "drain"
        self._reading: asyncio.Task[Sequence[Delta] | None] | None = None
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
            batch = await (self._read_on() if self._drains else self._answer.next())
        except ProviderError as error:
            await self._fail(error)
            raise
        if batch is None:
            await self._end(GenerationState.SUCCEEDED)
            return None
        for delta in batch:
            if delta.written:
                self._written.append(delta.written)
                self.usage = None  # what was counted before says nothing of this
            if delta.usage is not None:
                self.usage = delta.usage
        return batch

    def abandon(self) -> None:
        """Let go of the answer, as nobody wants the rest: it is cut and settled, or read to its end, behind."""
        if self._drains:
            self._behind.start(self._drain())
        else:
            self._cut()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._ended:
            return
        if isinstance(error, Exception):
            self._cut(error)
        else:
            self.abandon()

    async def _read_on(self) -> Sequence[Delta] | None:
        """Read in a task of its own: cancelling whoever waits for it would close the upstream."""
        if self._reading is None:
            self._reading = asyncio.create_task(self._answer.next())
        try:
            batch = await asyncio.shield(self._reading)
        except ProviderError:
            self._reading = None
            raise
        self._reading = None
        return batch

    async def _drain(self) -> None:
        try:
            while await self.next() is not None:
                pass
        except BaseException as error:
            if not self._ended:
                self._cut(error)
            raise

    async def _fail(self, error: ProviderError) -> None:
        if self._written and isinstance(error, BROKEN_OFF):
            await self._end(GenerationState.CANCELLED, error.code)
            return
        self.usage = Usage()
        await self._end(GenerationState.FAILED, error.code)

    async def _end(self, state: GenerationState, error: str | None = None) -> None:
        self._ended = True
        if self.usage is None:  # counting takes a while, and must not be lost with whoever waits for it
            await asyncio.shield(self._behind.start(self._settle(state, error)))
        else:
            await self._settle(state, error)

    def _cut(self, error: BaseException | None = None) -> None:
        self._ended = True
        if isinstance(error, Exception):
            self.usage = Usage()
            self._behind.start(self._close_and_settle(GenerationState.FAILED, TelefonistError.code))
        else:
            self._behind.start(self._close_and_settle(GenerationState.CANCELLED, None))

    async def _close_and_settle(self, state: GenerationState, error: str | None) -> None:
        try:
            if self._reading is not None:
                self._reading.cancel()
                await asyncio.gather(self._reading, return_exceptions=True)
            await self._answer.aclose()
        finally:
            await self._settle(state, error)

    async def _settle(self, state: GenerationState, error: str | None) -> None:
        if self.usage is None:
            self.usage = await self._count("".join(self._written))
        self.charge = await self._under_way.end(
            state, self.model.name, self.usage, error=error, first_token_ms=self._first_token_ms
        )
