"""What may expire, and what asks for it: rate limits.

Losing this memory loses no data. One process keeps it in ``local.py``; several share it.
"""

from dataclasses import dataclass
from math import ceil
from typing import Protocol

from telefonist.errors import RateLimited


@dataclass(frozen=True, slots=True)
class LimitOutcome:
    """What became of one hit; ``reset_after`` is how many seconds pass until the next hit fits."""

    allowed: bool
    limit: int
    remaining: int
    reset_after: float

    @property
    def seconds(self) -> int:
        """Whole seconds to wait, as Retry-After says it."""
        return max(1, ceil(self.reset_after))


class RateLimiter(Protocol):
    """Counts what a caller does against a limit, in a window that moves with the time."""

    async def hit(self, limit: str, *key: str) -> LimitOutcome:
        """Count one hit for ``key`` if it still fits ``limit`` (``5/minute``, ``100 per 2 hours``).

        A refused hit is not counted: who keeps knocking is let in as soon as the window allows. Hits under another
        limit or another key are counted apart. Raises ValueError for a limit that cannot be read.
        """
        ...


async def enforce(limiter: RateLimiter, limit: str, *key: str) -> LimitOutcome:
    """Count one hit, raising RateLimited with whole seconds to wait when it does not fit."""
    outcome = await limiter.hit(limit, *key)
    if not outcome.allowed:
        raise RateLimited(limit=limit, seconds=outcome.seconds)
    return outcome
