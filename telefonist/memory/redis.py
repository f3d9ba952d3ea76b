"""What may expire, kept in Redis: for several web processes on one database."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from math import ceil
from uuid import UUID

import orjson
from redis.asyncio.client import PubSub

from telefonist.errors import Unavailable
from telefonist.logs import get_logger
from telefonist.memory.base import EARLY, Event, LimitOutcome, Memory, Missed
from telefonist.memory.local import LocalEvents, LocalRateLimiter, LocalTokens, read_limit
from telefonist.memory.redis_link import AWAY, RETRY_EVERY, TIME_LIMIT, RedisLink, WhenAway
from telefonist.memory.redis_quotas import RedisSlots, RedisTokenRates
from telefonist.memory.redis_scripts import HIT, INVALIDATE, KEEP, RELEASE, TAKE
from telefonist.types import Owner, Token, new_id, utc_now

log = get_logger(__name__)

QUIET = 5.0
"""Seconds of silence after which the server is asked whether it still tells us events."""

FETCH_SECONDS = 12.0
"""How long others wait for a process that fetches a token; longer, and it may have died.

It covers the slowest fetch there is, GigaChat's: a second's pause, ten for the answer, and one to put it here.
"""

LOOK_EVERY = 0.1
"""Seconds between two looks for a token that another process fetches."""

MISSED = b"[]"
"""What a process says when it could not say what happened."""


class RedisRateLimiter:
    """Moving windows that all processes share, exact and each counted in one step on the server.

    The ``limits`` library's own Redis storage takes each process's clock and two round trips for what this says in one.
    While Redis is away each process counts for itself from nothing, or nobody is let in.
    """

    def __init__(
        self, link: RedisLink, when_away: WhenAway = "allow", *, clock: Callable[[], float] | None = None
    ) -> None:
        self._link = link
        self._meanwhile = LocalRateLimiter() if when_away == "allow" else None
        self._clock = clock

    async def hit(self, limit: str, *key: str) -> LimitOutcome:
        item = read_limit(limit)
        now = "" if self._clock is None else round(self._clock() * 1_000_000)
        window = item.get_expiry() * 1_000_000
        try:
            allowed, remaining, reset = await self._link.run(
                HIT, [f"telefonist:limit:{item.key_for(*key)}"], item.amount, window, now
            )
        except Unavailable:
            if self._meanwhile is None:
                raise
            return await self._meanwhile.hit(limit, *key)
        return LimitOutcome(bool(allowed), item.amount, remaining, reset / 1_000_000)

    async def take_back(self, limit: str, *key: str) -> None:
        try:
            await self._link.ask("LPOP", f"telefonist:limit:{read_limit(limit).key_for(*key)}")
        except Unavailable:
            if self._meanwhile is not None:
                await self._meanwhile.take_back(limit, *key)


class RedisEvents:
    """Events between processes, on one channel that each of them hears whole.

    Each picks what its own listeners want. Events are few and small, so this costs less than a subscription for each
    topic would, and listening begins at once. While Redis is away a process still tells its own listeners.
    """

    def __init__(self, link: RedisLink, *, quiet: float = QUIET) -> None:
        self._link = link
        self._channel = f"telefonist:{link.database}:events"
        self._quiet = quiet
        self._here = LocalEvents()
        self._tried = asyncio.Event()
        self._untold = asyncio.Event()

    async def publish(self, topic: str, data: str = "") -> None:
        try:
            await self._send(orjson.dumps([topic, data]))
        except Unavailable:
            self._here.tell(Event(topic, data))
            self._untold.set()

    def listen(self, *topics: str) -> AbstractAsyncContextManager[AsyncIterator[Event | Missed]]:
        return self._here.listen(*topics)

    def close(self) -> None:
        self._here.close()

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[None]:
        """Hear the other processes while the block lasts, from its beginning if Redis is there."""
        tasks = [asyncio.create_task(self._hear()), asyncio.create_task(self._own_up())]
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._link.time_limit):
                    await self._tried.wait()
            yield
        finally:
            self.close()
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
            for task in tasks:
                if not task.cancelled():
                    task.result()

    async def _send(self, message: bytes) -> None:
        await self._link.ask("PUBLISH", self._channel, message)

    async def _hear(self) -> None:
        """Hand on what comes, and say Missed after each time when nothing could come."""
        interrupted = False
        while True:
            try:
                async with self._link.subscription(self._channel) as subscription:
                    self._here.tell_missed()
                    self._tried.set()
                    if interrupted:
                        log.info("events_resumed")
                    interrupted = False
                    await self._hand_on(subscription)
            except AWAY as error:
                if not interrupted:
                    log.warning("events_interrupted", reason=str(error) or "no answer")
                interrupted = True
                self._tried.set()
            await asyncio.sleep(self._link.retry_every)

    async def _hand_on(self, subscription: PubSub) -> None:
        """Hand on what comes until the server does not answer although it is asked; raises what AWAY names."""
        asked = False
        while True:
            patience = self._link.time_limit if asked else self._quiet
            async with asyncio.timeout(patience + self._link.time_limit):
                message = await subscription.get_message(timeout=patience)
                if message is None:
                    if asked:
                        raise TimeoutError
                    await subscription.ping()
            asked = message is None
            if message is not None and message["type"] == "message":
                self._take(message["data"])

    def _take(self, message: bytes) -> None:
        """Hand on an event; what is none, MISSED or what another version says, has listeners read anew."""
        try:
            topic, data = orjson.loads(message)
        except (TypeError, ValueError):
            self._here.tell_missed()
        else:
            self._here.tell(Event(topic, data))

    async def _own_up(self) -> None:
        """Let every listener know, as soon as that is possible, when something could not be published."""
        while True:
            await self._untold.wait()
            self._untold.clear()
            try:
                await self._send(MISSED)
            except Unavailable:
                self._untold.set()
                await asyncio.sleep(self._link.retry_every)


class RedisStatuses:
    """Statuses that all processes share; while Redis is away nobody remembers, and each asks storage.

    What was remembered before an outage may come back with Redis, for the rest of its time to live.
    """

    def __init__(self, link: RedisLink) -> None:
        self._link = link

    async def get(self, conversation_id: UUID) -> Owner | None:
        with suppress(Unavailable):
            owner = await self._link.ask("GET", _status_key(conversation_id))
            return Owner(owner.decode()) if owner else None
        return None

    async def set(self, conversation_id: UUID, owner: Owner, ttl: float) -> None:
        with suppress(Unavailable):
            await self._link.ask("SET", _status_key(conversation_id), owner.value, "PX", max(1, ceil(ttl * 1000)))

    async def forget(self, conversation_id: UUID) -> None:
        with suppress(Unavailable):
            await self._link.ask("DEL", _status_key(conversation_id))


def _status_key(conversation_id: UUID) -> str:
    return f"telefonist:status:{conversation_id}"


class RedisTokens:
    """Tokens that all processes share, fetched by one of them under a lock.

    Each process keeps what it was given, so that Redis is asked only when that ends or is refused. The lock saves
    fetches and guards nothing: when its holder dies or takes longer than ``fetch_seconds`` another one fetches too, and
    while Redis is away each process fetches for itself. Redis holds the tokens as they are.
    """

    def __init__(
        self, link: RedisLink, *, fetch_seconds: float = FETCH_SECONDS, clock: Callable[[], datetime] = utc_now
    ) -> None:
        self._link = link
        self._here = LocalTokens(clock=clock)
        self._lock_milliseconds = ceil(fetch_seconds * 1000)
        self._clock = clock

    async def token(self, name: str, fetch: Callable[[], Awaitable[Token]]) -> Token:
        return await self._here.token(name, lambda: self._share(name, fetch))

    async def invalidate(self, name: str, value: str) -> None:
        await self._here.invalidate(name, value)
        with suppress(Unavailable):
            await self._link.run(INVALIDATE, [_token_key(name)], value)

    async def close(self) -> None:
        """Break off what is being fetched."""
        await self._here.close()

    async def _share(self, name: str, fetch: Callable[[], Awaitable[Token]]) -> Token:
        keys, holder = [_token_key(name), f"{_token_key(name)}:lock"], new_id().hex
        while True:
            try:
                found = await self._link.run(
                    TAKE, keys, _milliseconds(self._clock() + EARLY), holder, self._lock_milliseconds
                )
            except Unavailable:
                return await fetch()
            if isinstance(found, list):
                return Token(found[0].decode(), datetime.fromtimestamp(int(found[1]) / 1000, UTC))
            if found == b"fetch":
                break
            await asyncio.sleep(LOOK_EVERY)
        try:
            token = await fetch()
            with suppress(Unavailable):
                await self._link.run(KEEP, keys, token.value, _milliseconds(token.expires_at))
            return token
        finally:
            with suppress(Unavailable):
                await self._link.run(RELEASE, keys[1:], holder)


def _token_key(name: str) -> str:
    return f"telefonist:token:{name}"


def _milliseconds(moment: datetime) -> int:
    return (moment - datetime.fromtimestamp(0, UTC)) // timedelta(milliseconds=1)


@asynccontextmanager
async def open_redis_memory(
    url: str, when_away: WhenAway, *, time_limit: float = TIME_LIMIT, retry_every: float = RETRY_EVERY
) -> AsyncIterator[Memory]:
    """Remember together with every process that is given the same Redis.

    A Redis that is away does not stop the start. Raises ConfigurationError where the URL cannot be used or Redis does
    not let us in.
    """
    async with AsyncExitStack() as stack:
        link = RedisLink(url, time_limit=time_limit, retry_every=retry_every)
        stack.push_async_callback(link.close)
        await link.introduce()
        tokens, events = RedisTokens(link), RedisEvents(link)
        stack.push_async_callback(tokens.close)
        await stack.enter_async_context(events.connected())
        slots = RedisSlots(link, when_away)
        await stack.enter_async_context(slots.kept())
        limiter, rates = RedisRateLimiter(link, when_away), RedisTokenRates(link, when_away)
        yield Memory(limiter, rates, slots, events, RedisStatuses(link), tokens)
