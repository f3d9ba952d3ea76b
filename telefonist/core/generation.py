"""The one path from a prompt to an answer: the model, its retries, then its fallbacks."""

import asyncio
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from telefonist.core.catalog import Catalog, prompt_budget
from telefonist.core.conversations import fit
from telefonist.errors import ProviderError
from telefonist.logs import get_logger
from telefonist.providers.base import Provider
from telefonist.types import ChatRequest, Completion, Json, Model

log = get_logger(__name__)


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


@dataclass(slots=True)
class Generator:
    """Asks models for answers."""

    catalog: Catalog
    providers: Mapping[str, Provider]
    retry: RetryPolicy = field(default_factory=RetryPolicy)

    async def complete(self, model_name: str, messages: Sequence[Json], options: Json | None = None) -> Answer:
        """Get a whole answer; raises the first model's ProviderError when every one failed.

        Only what is safe to repeat is repeated: no connection, 429, 5xx. A Retry-After longer than we are ready to wait
        sends us to the fallback at once, which gets as much of the prompt as its own window holds.
        """
        failure: ProviderError | None = None
        for model in self.catalog.with_fallbacks(model_name):
            try:
                fitting = fit(messages, prompt_budget(model)) if failure else messages
                return Answer(await self._try(model, fitting, options or {}), model)
            except ProviderError as error:
                log.warning("model_failed", model=model.name, code=error.code, reason=str(error))
                failure = failure or error
        assert failure is not None, "with_fallbacks gives at least one model"  # noqa: S101
        raise failure

    async def _try(self, model: Model, messages: Sequence[Json], options: Json) -> Completion:
        provider = self.providers[model.provider]
        attempt = 0
        while True:
            try:
                return await provider.complete(ChatRequest(model.upstream, messages, options))
            except ProviderError as error:
                wait = self.retry.wait(attempt, error)
                if wait is None:
                    raise
            await asyncio.sleep(wait)
            attempt += 1
