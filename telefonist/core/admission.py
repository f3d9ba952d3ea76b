"""Who may begin a generation now: the limits of a key, and those of callers without an account."""

from collections.abc import Mapping
from dataclasses import dataclass

from telefonist.errors import AccessDenied, RateLimited
from telefonist.memory.base import LimitOutcome, Memory
from telefonist.types import Caller, Door, Model

TOO_MANY_STREAMS_SECONDS = 1
"""What a caller is told to wait when all of its streams are open; one may end at any moment."""


@dataclass(slots=True)
class Admission:
    """What a caller got when it was let in, to be given back: ``leave`` once it has ended."""

    memory: Memory
    caller: Caller
    taken: int = 0
    """Tokens counted against the key's limit in advance."""
    ticket: str | None = None
    requests: LimitOutcome | None = None
    tokens: LimitOutcome | None = None

    async def leave(self, used: int) -> None:
        """Free the stream's place, and count the tokens that were used in place of those that were expected.

        Only the first call counts. The place is freed even when the caller is cancelled; tokens count for a minute.
        """
        ticket, self.ticket = self.ticket, None
        difference, self.taken = used - self.taken, used
        limit = self.caller.terms.tokens_per_minute
        try:
            if ticket is not None:
                await self.memory.slots.leave(_key(self.caller), ticket)
        finally:
            if limit is not None and difference:
                await self.memory.rates.correct(_key(self.caller), limit, difference)


class Gate:
    """Lets callers in as far as their keys allow; ``anonymous_limits`` are for an address without an account."""

    def __init__(self, memory: Memory, anonymous_limits: Mapping[Door, str]) -> None:
        self._memory = memory
        self._anonymous_limits = anonymous_limits

    async def admit(
        self, caller: Caller, model: Model, door: Door, *, tokens: int, streamed: bool = False
    ) -> Admission:
        """Count a request that will use about ``tokens``.

        Raises AccessDenied for a model that the key may not use, and RateLimited, which says when to come back.
        """
        terms = caller.terms
        if terms.models is not None and model.name not in terms.models:
            raise AccessDenied("model_not_allowed", model=model.name, allowed=", ".join(terms.models) or "-")
        admission = Admission(self._memory, caller)
        if caller.account_id is None:
            admission.requests = await self._hit(self._anonymous_limits[door], "anonymous", door, caller.address)
        elif terms.requests_per_minute is not None:
            admission.requests = await self._hit(f"{terms.requests_per_minute}/minute", "key", _key(caller))
        if terms.tokens_per_minute is not None:
            taken = await self._memory.rates.take(_key(caller), terms.tokens_per_minute, tokens)
            if not taken.allowed:
                raise RateLimited(
                    "token_rate_limited",
                    limit=terms.tokens_per_minute,
                    need=tokens,
                    seconds=taken.seconds,
                    outcomes={"tokens": taken},
                )
            admission.tokens, admission.taken = taken, tokens
        if streamed and terms.max_streams is not None:
            try:
                admission.ticket = await self._memory.slots.enter(_key(caller), terms.max_streams)
                if admission.ticket is None:
                    raise RateLimited("too_many_streams", limit=terms.max_streams, seconds=TOO_MANY_STREAMS_SECONDS)
            except BaseException:
                await admission.leave(0)
                raise
        return admission

    async def _hit(self, limit: str, *key: str) -> LimitOutcome:
        outcome = await self._memory.limiter.hit(limit, *key)
        if not outcome.allowed:
            raise RateLimited(limit=limit, seconds=outcome.seconds, outcomes={"requests": outcome})
        return outcome


def _key(caller: Caller) -> str:
    return str(caller.key_id)
