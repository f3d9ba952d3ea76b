"""Asking models: one try after another, then the fallbacks, whole or as a stream."""

import asyncio
import random
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from telefonist.core.catalog import Catalog, prompt_budget
from telefonist.core.conversations import fit
from telefonist.core.provider_health import ProviderHealth
from telefonist.errors import ProviderError, ProviderRejectedRequest
from telefonist.logs import get_logger
from telefonist.providers.base import Provider
from telefonist.types import ChatRequest, Completion, Delta, EmbeddingRequest, Embeddings, Json, Model

log = get_logger(__name__)

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often a repeatable failure is repeated on the same model, and how long we wait in between (seconds)."""

    retries: int = 2
    first_wait: float = 0.5
    longest_wait: float = 30.0

    def wait(self, attempt: int, error: ProviderError) -> float | None:
        """Give the seconds to wait before repeating, or None when it is of no use."""
        if not error.repeatable or attempt >= self.retries:
            return None
        wait = self.first_wait * 2**attempt * random.uniform(0.8, 1.2)  # noqa: S311  jitter
        if error.retry_after is not None:
            wait = max(wait, error.retry_after)
        return wait if wait <= self.longest_wait else None


@dataclass(frozen=True, slots=True)
class Answer:
    """A completion and the model that gave it, which may be a fallback."""

    completion: Completion
    model: Model


class AnswerStream:
    """An answer that has begun, and the model that gives it; whoever takes it closes it.

    Once there is one, nothing is repeated and no fallback is asked: the client would read its beginning twice.
    """

    def __init__(
        self,
        model: Model,
        provider: Provider,
        first: Sequence[Delta],
        rest: AsyncGenerator[Sequence[Delta], None],
        health: ProviderHealth,
    ) -> None:
        self.model = model
        self.provider = provider
        self._health = health
        self._first: Sequence[Delta] | None = first
        self._rest = rest

    async def next(self) -> Sequence[Delta] | None:
        """Give what the model wrote next, or None at the end; raises a ProviderError."""
        if self._first is not None:
            first, self._first = self._first, None
            return first
        try:
            batch = await anext(self._rest, None)
        except ProviderError as error:
            self._health.failed(self.model.name, error)
            raise
        if batch is None:
            self._health.answered(self.model.name)
        return batch

    async def aclose(self) -> None:
        """Close the connection to the upstream, which stops the generation there."""
        await self._rest.aclose()


@dataclass(slots=True)
class Generator:
    """Asks models for answers."""

    catalog: Catalog
    providers: Mapping[str, Provider]
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    health: ProviderHealth = field(default_factory=ProviderHealth)
    without_tools: set[str] = field(default_factory=set)
    """Models that answered only when they were offered none."""

    async def complete(
        self,
        model_name: str,
        messages: Sequence[Json],
        options: Json | None = None,
        *,
        shorten: bool = True,
        tools: Sequence[Json] = (),
    ) -> Answer:
        """Get a whole answer; raises the asked model's ProviderError when every one failed.

        Models that have been failing (see ``ProviderHealth``) are asked last, and once. Only what is safe to repeat is
        repeated: no connection, 429, 5xx. A Retry-After longer than we are ready to wait sends us to the fallback at
        once. With ``shorten`` a fallback gets as much of the prompt as its window holds. ``tools`` are ours, not the
        caller's: a model that refuses them is asked without, and from then on always.
        """

        async def ask(provider: Provider, model: Model) -> Completion:
            fitting = fit(messages, prompt_budget(model)) if shorten and model.name != model_name else messages
            plain = ChatRequest(model.upstream, fitting, options or {}, model.max_output)
            if not tools or model.name in self.without_tools:
                return await provider.complete(plain)
            try:
                return await provider.complete(replace(plain, options={**plain.options, "tools": list(tools)}))
            except ProviderRejectedRequest:
                completion = await provider.complete(plain)
                log.info("model_without_tools", model=model.name)
                self.without_tools.add(model.name)
                return completion

        completion, model = await self._ask(model_name, ask)
        return Answer(completion, model)

    async def stream(self, model_name: str, messages: Sequence[Json], options: Json | None = None) -> AnswerStream:
        """Get an answer as it is written, once its first piece is there; until then as ``complete`` does."""

        async def ask(provider: Provider, model: Model) -> AnswerStream:
            rest = provider.stream(ChatRequest(model.upstream, messages, options or {}, model.max_output))
            try:
                return AnswerStream(model, provider, await anext(rest), rest, self.health)
            except BaseException:
                await rest.aclose()
                raise

        stream, _ = await self._ask(model_name, ask)
        return stream

    async def embed(self, model_name: str, texts: Any, options: Json) -> tuple[Embeddings, Model]:
        """Get vectors for texts; repeats and falls back as ``complete`` does."""

        async def ask(provider: Provider, model: Model) -> Embeddings:
            return await provider.embed(EmbeddingRequest(model.upstream, texts, options))

        return await self._ask(model_name, ask)

    async def _ask(self, model_name: str, ask: Callable[[Provider, Model], Awaitable[Result]]) -> tuple[Result, Model]:
        failures: dict[str, ProviderError] = {}
        for model in self._in_turn(model_name):
            try:
                return await self._insist(model, ask), model
            except ProviderError as error:
                log.warning("model_failed", model=model.name, code=error.code, reason=str(error))
                failures[model.name] = error
        raise failures[self.catalog.known(model_name).name]

    def _in_turn(self, model_name: str) -> Iterator[Model]:
        """Give a model and its fallbacks, those last that have been failing."""
        put_off = []
        for model in self.catalog.with_fallbacks(model_name):
            if self.health.admits(model.name):
                yield model
            else:
                put_off.append(model)
        yield from put_off

    async def _insist(self, model: Model, ask: Callable[[Provider, Model], Awaitable[Result]]) -> Result:
        provider = self.providers[model.provider]
        attempt = 0
        while True:
            started = time.monotonic()
            try:
                result = await ask(provider, model)
            except ProviderError as error:
                self.health.failed(model.name, error)
                wait = self.retry.wait(attempt, error)
                if wait is None or self.health.is_open(model.name):
                    raise
            except BaseException:
                self.health.left(model.name)
                raise
            else:
                note = self.health.begun if isinstance(result, AnswerStream) else self.health.answered
                note(model.name, time.monotonic() - started)
                return result
            await asyncio.sleep(wait)
            attempt += 1
