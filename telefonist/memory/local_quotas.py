"""What a key may use in a minute and have open at once, counted in this process."""

import time
from collections import OrderedDict
from collections.abc import Callable
from itertools import count

from telefonist.memory.base import LimitOutcome

MINUTE = 60_000_000
"""Microseconds, and so the parts of a token in which buckets count: see ``_Bucket``."""


class LocalTokenRates:
    """Buckets in the order of their last use; full ones go from the front, and past ``max_keys`` the quietest one."""

    def __init__(self, *, max_keys: int = 50_000, clock: Callable[[], float] = time.monotonic) -> None:
        self._buckets: OrderedDict[str, _Bucket] = OrderedDict()
        self._max_keys = max_keys
        self._clock = clock

    async def take(self, key: str, per_minute: int, tokens: int) -> LimitOutcome:
        if per_minute <= 0:
            return nothing_fits()
        bucket = self._bucket(key, per_minute)
        most = (per_minute - min(tokens, per_minute)) * MINUTE
        allowed = bucket.debt <= most
        if allowed:
            self._pour(key, bucket, tokens)
        remaining = max(0, per_minute - -(-bucket.debt // MINUTE))
        return LimitOutcome(allowed, per_minute, remaining, max(0, bucket.debt - most) / per_minute / 1_000_000)

    async def correct(self, key: str, per_minute: int, difference: int) -> None:
        if per_minute > 0:
            self._pour(key, self._bucket(key, per_minute), difference)

    def __len__(self) -> int:
        return len(self._buckets)

    def _bucket(self, key: str, per_minute: int) -> "_Bucket":
        now = round(self._clock() * 1_000_000)
        self._forget(now)
        bucket = self._buckets.get(key) or _Bucket(now)
        bucket.refill(now, per_minute)
        return bucket

    def _pour(self, key: str, bucket: "_Bucket", tokens: int) -> None:
        bucket.debt = max(0, bucket.debt + tokens * MINUTE)
        self._buckets[key] = bucket
        self._buckets.move_to_end(key)

    def _forget(self, now: int) -> None:
        while self._buckets:
            bucket = next(iter(self._buckets.values()))
            if len(self._buckets) < self._max_keys and not bucket.is_full(now):
                return
            self._buckets.popitem(last=False)


class _Bucket:
    """What is missing in a bucket, in sixty-millionths of a token.

    So a bucket of N tokens a minute refills by N of them each microsecond, and whole numbers stay whole.
    """

    __slots__ = ("_at", "_per_minute", "debt")

    def __init__(self, now: int) -> None:
        self._at = now
        self._per_minute = 0
        self.debt = 0

    def refill(self, now: int, per_minute: int) -> None:
        self.debt = max(0, self.debt - (now - self._at) * per_minute)
        self._at = now
        self._per_minute = per_minute

    def is_full(self, now: int) -> bool:
        return self.debt <= (now - self._at) * self._per_minute


def nothing_fits() -> LimitOutcome:
    """Answer for a limit of nothing, which no waiting changes."""
    return LimitOutcome(False, 0, 0, 60.0)


class LocalSlots:
    """The tickets of each key that has something open."""

    def __init__(self) -> None:
        self._inside: dict[str, set[str]] = {}
        self._numbers = count()

    async def enter(self, key: str, limit: int) -> str | None:
        inside = self._inside.get(key, set())
        if len(inside) >= limit:
            return None
        ticket = str(next(self._numbers))
        self._inside.setdefault(key, inside).add(ticket)
        return ticket

    async def leave(self, key: str, ticket: str) -> None:
        inside = self._inside.get(key, set())
        inside.discard(ticket)
        if not inside:
            self._inside.pop(key, None)

    def __len__(self) -> int:
        return len(self._inside)
