"""The one path of a generation: let in, priced, held, called, settled."""

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from telefonist.core.admission import Admission, Gate
from telefonist.core.background import Background
from telefonist.core.generation import Answer, Generator
from telefonist.core.generation_stream import GenerationStream
from telefonist.core.metering import Metering
from telefonist.core.token_counting import counted_usage, estimate_input, estimate_prompt
from telefonist.core.under_way import UnderWay
from telefonist.errors import TelefonistError, Unavailable
from telefonist.types import Caller, Door, Embeddings, GenerationState, Json, Model, Usage


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a caller asks of a model, in OpenAI's terms."""

    caller: Caller
    door: Door
    model: Model
    messages: tuple[Json, ...]
    options: Json = field(default_factory=dict)
    choices: int = 1
    expected_output: int | None = None
    """The most tokens the client wants for one choice; None where it did not say."""

    @property
    def output_of_each(self) -> int:
        """Tokens to expect of one choice."""
        return self.model.hold_output_default if self.expected_output is None else self.expected_output


@dataclass(frozen=True, slots=True)
class Completed:
    """A whole answer that is paid for; ``charge`` is microcredits."""

    answer: Answer
    usage: Usage
    charge: int
    admission: Admission


@dataclass(frozen=True, slots=True)
class Embedded:
    """Vectors that are paid for."""

    embeddings: Embeddings
    model: Model
    charge: int
    admission: Admission


class Generations:
    """Answers callers, whole or as a stream, so that each generation is charged once and no hold outlives it."""

    def __init__(self, generator: Generator, metering: Metering, gate: Gate) -> None:
        self._generator = generator
        self._metering = metering
        self._gate = gate
        self._behind = Background("answers for clients that left")

    async def complete(self, wanted: Wanted) -> Completed:
        """Give a whole answer, charged for.

        A cancelled caller costs nothing, as nothing was seen of the answer; of a provider that bills in full anyway
        the answer is waited for and charged all the same. Raises ProviderError, InsufficientCredits, RateLimited,
        AccessDenied and Unavailable.
        """
        under_way = await self._begin(wanted, streamed=False)
        if self._drains(wanted.model):
            return await asyncio.shield(self._behind.start(self._complete(wanted, under_way)))
        return await self._complete(wanted, under_way)

    async def stream(self, wanted: Wanted) -> GenerationStream:
        """Give an answer as it is written, once its first piece is there; raises what ``complete`` does.

        Whoever takes it enters it as a context, which settles for what was produced however the block is left.
        """
        under_way = await self._begin(wanted, streamed=True)
        if not self._drains(wanted.model):
            return await self._open(wanted, under_way)
        opening = self._behind.start(self._open(wanted, under_way))
        try:
            return await asyncio.shield(opening)
        except asyncio.CancelledError:
            opening.add_done_callback(_abandon)
            raise

    async def embed(self, caller: Caller, door: Door, model: Model, texts: Any, options: Json) -> Embedded:
        """Give vectors, charged by what was read for them; raises what ``complete`` does."""
        tokens = estimate_input(texts)
        admission = await self._gate.admit(caller, model, door, tokens=tokens)
        try:
            meter = await self._metering.open(caller, model, door, prompt_tokens=tokens, expected_output=0)
        except BaseException:
            await admission.leave(0)
            raise
        under_way = UnderWay(admission, meter)
        try:
            embeddings, served_by = await self._generator.embed(model.name, texts, options)
        except BaseException as error:
            await self._fail(under_way, model, error)
            raise
        charge = await under_way.end(GenerationState.SUCCEEDED, served_by.name, embeddings.usage)
        return Embedded(embeddings, served_by, charge, admission)

    async def close(self, grace: float) -> None:
        """Wait for answers that are read to their end for clients that left, then cut them."""
        await self._behind.close(grace)

    def _drains(self, model: Model) -> bool:
        return self._generator.providers[model.provider].on_disconnect == "drain"

    async def _begin(self, wanted: Wanted, *, streamed: bool) -> UnderWay:
        tokens = estimate_prompt(wanted.messages, wanted.options)
        expected = tokens + wanted.choices * wanted.output_of_each
        admission = await self._gate.admit(wanted.caller, wanted.model, wanted.door, tokens=expected, streamed=streamed)
        try:
            meter = await self._metering.open(
                wanted.caller,
                wanted.model,
                wanted.door,
                prompt_tokens=tokens,
                choices=wanted.choices,
                expected_output=wanted.output_of_each,
                streamed=streamed,
            )
        except BaseException:
            await admission.leave(0)
            raise
        return UnderWay(admission, meter)

    async def _open(self, wanted: Wanted, under_way: UnderWay) -> GenerationStream:
        try:
            answer = await self._generator.stream(wanted.model.name, wanted.messages, wanted.options)
        except BaseException as error:
            await self._fail(under_way, wanted.model, error)
            raise

        async def count(written: str) -> Usage:
            return await counted_usage(answer.model.upstream, wanted.messages, wanted.options, written)

        return GenerationStream(answer, under_way, count, self._behind)

    async def _complete(self, wanted: Wanted, under_way: UnderWay) -> Completed:
        try:
            answer = await self._generator.complete(wanted.model.name, wanted.messages, wanted.options, shorten=False)
            usage = answer.completion.usage
            if usage.estimated:
                written = answer.completion.written
                usage = await counted_usage(answer.model.upstream, wanted.messages, wanted.options, written)
        except BaseException as error:
            await self._fail(under_way, wanted.model, error)
            raise
        charge = await under_way.end(GenerationState.SUCCEEDED, answer.model.name, usage)
        return Completed(answer, usage, charge, under_way.admission)

    async def _fail(self, under_way: UnderWay, model: Model, error: BaseException) -> None:
        """Settle a generation of which nothing was seen: it costs nothing."""
        if not isinstance(error, Exception):  # cancelled: nobody waits, and nobody may cancel this once more
            self._behind.start(under_way.end(GenerationState.CANCELLED, model.name))
            return
        code = error.code if isinstance(error, TelefonistError) else TelefonistError.code
        with suppress(Unavailable):  # what went wrong first is what the caller hears of; settling goes on by itself
            await under_way.end(GenerationState.FAILED, model.name, error=code)


def _abandon(opening: "asyncio.Task[GenerationStream]") -> None:
    if not opening.cancelled() and opening.exception() is None:
        opening.result().abandon()
