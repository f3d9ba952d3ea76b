"""What may expire, kept in this process: for one web process, and for tests."""

import time
from collections import OrderedDict, deque
from collections.abc import Callable
from functools import lru_cache

from limits import RateLimitItem, parse

from telefonist.memory.base import LimitOutcome

read_limit = lru_cache(maxsize=64)(parse)


class LocalRateLimiter:
    """Moving windows in memory: exact, and bounded however many callers come.

    The notation and the keys are those of the ``limits`` library, so that a shared store counts alike. Its own memory
    storage is not used: it keeps every key that ever came until a sweep, which visits all of them in a thread after
    each hit. Here the keys stand in the order of their last hit; what has expired goes from the front, and past
    ``max_keys`` the key that was quiet for longest is forgotten.
    """

    def __init__(self, *, max_keys: int = 50_000, clock: Callable[[], float] = time.monotonic) -> None:
        self._hits: OrderedDict[str, _Window] = OrderedDict()
        self._max_keys = max_keys
        self._clock = clock

    async def hit(self, limit: str, *key: str) -> LimitOutcome:
        item = read_limit(limit)
        now = self._clock()
        self._forget(now)
        name = item.key_for(*key)
        window = self._hits.get(name) or _Window(item)
        outcome = window.hit(now)
        if outcome.allowed:
            self._hits[name] = window
            self._hits.move_to_end(name)
        return outcome

    def __len__(self) -> int:
        return len(self._hits)

    def _forget(self, now: float) -> None:
        while self._hits:
            window = next(iter(self._hits.values()))
            if len(self._hits) < self._max_keys and not window.is_over(now):
                return
            self._hits.popitem(last=False)


class _Window:
    """The hits of one key, as the times at which they leave the window."""

    __slots__ = ("_amount", "_ends", "_seconds")

    def __init__(self, item: RateLimitItem) -> None:
        self._amount = item.amount
        self._seconds = item.get_expiry()
        self._ends: deque[float] = deque()

    def hit(self, now: float) -> LimitOutcome:
        while self._ends and self._ends[0] <= now:
            self._ends.popleft()
        allowed = len(self._ends) < self._amount
        if allowed:
            self._ends.append(now + self._seconds)
        remaining = self._amount - len(self._ends)
        reset_after = 0.0 if remaining else (self._ends[0] if self._ends else now + self._seconds) - now
        return LimitOutcome(allowed, self._amount, remaining, reset_after)

    def is_over(self, now: float) -> bool:
        return not self._ends or self._ends[-1] <= now
