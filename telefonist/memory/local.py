"""What may expire, kept in this process: for one web process, for workers, and for tests."""

import asyncio
import time
from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from functools import lru_cache
from typing import Self
from uuid import UUID

from limits import RateLimitItem, parse

from telefonist.memory.base import EARLY, LONGEST_QUEUE, Event, LimitOutcome, Memory, Missed
from telefonist.memory.local_quotas import LocalSlots, LocalTokenRates
from telefonist.types import Owner, Token, utc_now

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

    async def take_back(self, limit: str, *key: str) -> None:
        window = self._hits.get(read_limit(limit).key_for(*key))
        if window is not None:
            window.take_back()

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

    def take_back(self) -> None:
        if self._ends:
            self._ends.pop()

    def is_over(self, now: float) -> bool:
        return not self._ends or self._ends[-1] <= now


class LocalEvents:
    """Events between the tasks of this process."""

    def __init__(self) -> None:
        self._listeners: dict[str, set[_Listener]] = {}
        self._closed = False

    async def publish(self, topic: str, data: str = "") -> None:
        self.tell(Event(topic, data))

    def tell(self, event: Event) -> None:
        """Hand an event to those who listen to its topic."""
        for listener in self._listeners.get(event.topic, ()):
            listener.hear(event)

    def tell_missed(self) -> None:
        """Let every listener know that events were lost."""
        for listener in self._all():
            listener.miss()

    @asynccontextmanager
    async def listen(self, *topics: str) -> AsyncIterator[AsyncIterator[Event | Missed]]:
        listener = _Listener()
        if self._closed:
            listener.end()
        for topic in topics:
            self._listeners.setdefault(topic, set()).add(listener)
        try:
            yield listener
        finally:
            listener.end()
            for topic in set(topics):
                self._listeners[topic].discard(listener)
                if not self._listeners[topic]:
                    del self._listeners[topic]

    def close(self) -> None:
        self._closed = True
        for listener in self._all():
            listener.end()

    def __len__(self) -> int:
        return len(self._all())

    def _all(self) -> set["_Listener"]:
        return set().union(*self._listeners.values())


class _Listener:
    """What waits for one listener; while Missed waits nothing else does, since reading anew covers it all."""

    def __init__(self) -> None:
        self._waiting: deque[Event | Missed] = deque()
        self._filled = asyncio.Event()
        self._ended = False

    def hear(self, event: Event) -> None:
        if len(self._waiting) == LONGEST_QUEUE:
            self.miss()
        elif not (self._waiting and isinstance(self._waiting[0], Missed)):
            self._waiting.append(event)
            self._filled.set()

    def miss(self) -> None:
        self._waiting.clear()
        self._waiting.append(Missed())
        self._filled.set()

    def end(self) -> None:
        self._ended = True
        self._filled.set()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event | Missed:
        while not self._ended and not self._waiting:
            self._filled.clear()
            await self._filled.wait()
        if self._ended:
            raise StopAsyncIteration
        return self._waiting.popleft()


class LocalStatuses:
    """Statuses in the order in which they were set; past ``max_entries`` the oldest is forgotten."""

    def __init__(self, *, max_entries: int = 100_000, clock: Callable[[], float] = time.monotonic) -> None:
        self._statuses: OrderedDict[UUID, tuple[Owner, float]] = OrderedDict()
        self._max_entries = max_entries
        self._clock = clock

    async def get(self, conversation_id: UUID) -> Owner | None:
        owner, ends = self._statuses.get(conversation_id, (None, 0.0))
        return owner if ends > self._clock() else None

    async def set(self, conversation_id: UUID, owner: Owner, ttl: float) -> None:
        self._statuses[conversation_id] = (owner, self._clock() + ttl)
        self._statuses.move_to_end(conversation_id)
        if len(self._statuses) > self._max_entries:
            self._statuses.popitem(last=False)

    async def forget(self, conversation_id: UUID) -> None:
        self._statuses.pop(conversation_id, None)

    def __len__(self) -> int:
        return len(self._statuses)


class LocalTokens:
    """Tokens by name; each is fetched in a task of its own, so that a caller who leaves takes it from nobody."""

    def __init__(self, *, clock: Callable[[], datetime] = utc_now) -> None:
        self._tokens: dict[str, Token] = {}
        self._fetching: dict[str, asyncio.Task[Token]] = {}
        self._clock = clock

    async def token(self, name: str, fetch: Callable[[], Awaitable[Token]]) -> Token:
        known = self._tokens.get(name)
        if known is not None and known.expires_at - self._clock() > EARLY:
            return known
        fetching = self._fetching.get(name)
        if fetching is None:
            fetching = self._fetching[name] = asyncio.create_task(self._fetch(name, fetch))
            fetching.add_done_callback(_take_note)
        return await asyncio.shield(fetching)

    async def invalidate(self, name: str, value: str) -> None:
        known = self._tokens.get(name)
        if known is not None and known.value == value:
            del self._tokens[name]

    async def close(self) -> None:
        """Break off what is being fetched."""
        fetching = list(self._fetching.values())
        for task in fetching:
            task.cancel()
        await asyncio.gather(*fetching, return_exceptions=True)

    async def _fetch(self, name: str, fetch: Callable[[], Awaitable[Token]]) -> Token:
        try:
            token = self._tokens[name] = await fetch()
            return token
        finally:
            del self._fetching[name]


def _take_note(fetching: "asyncio.Task[Token]") -> None:
    """Look at the outcome even when every caller has left: asyncio complains about an error that nobody saw."""
    if not fetching.cancelled():
        fetching.exception()


@asynccontextmanager
async def open_local_memory() -> AsyncIterator[Memory]:
    """Remember within this process alone."""
    events, tokens = LocalEvents(), LocalTokens()
    try:
        yield Memory(LocalRateLimiter(), LocalTokenRates(), LocalSlots(), events, LocalStatuses(), tokens)
    finally:
        events.close()
        await tokens.close()
