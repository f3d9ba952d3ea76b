"""The way to a Redis server: nobody waits long for it, and it is found again by itself."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any, Literal

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.client import PubSub
from redis.asyncio.connection import parse_url
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import AuthenticationError, NoScriptError, RedisError, ResponseError

from telefonist.errors import ConfigurationError, Unavailable
from telefonist.logs import get_logger
from telefonist.memory.redis_scripts import Script

log = get_logger(__name__)

WhenAway = Literal["allow", "refuse"]
"""While the server is away: each process counts for itself from nothing, or nobody is let in."""

TIME_LIMIT = 1.0
"""Seconds for one operation, connecting included."""

RETRY_EVERY = 1.0
"""Seconds between two tries of a server that is away; who asks in between hears so at once."""

RETRY_AFTER = 2
"""Seconds that a caller is told to wait while the server is away."""

CONNECTIONS = 16
"""Connections at once; more operations than these wait for one, within their time limit."""

AWAY = (RedisError, OSError, TimeoutError)
"""What redis-py raises when the server is gone, hangs, loads its data, is full or takes no writes."""


class RedisLink:
    """Asks one server: Redis 5 or newer, or Valkey.

    redis-py's own time limits and retries stay off: one limit here spans the whole operation, and a second try would
    only make everybody wait for a server that is away.
    """

    def __init__(self, url: str, *, time_limit: float = TIME_LIMIT, retry_every: float = RETRY_EVERY) -> None:
        self.time_limit = time_limit
        self.retry_every = retry_every
        self._pool = _make_pool(url, time_limit)
        redis = Redis.from_pool(self._pool)
        self._close: Callable[[], Awaitable[None]] = redis.aclose
        self._execute: Callable[..., Awaitable[Any]] = redis.execute_command
        self._pubsub: Callable[[], PubSub] = redis.pubsub
        self._away_since: float | None = None
        self._next_try = 0.0

    @property
    def database(self) -> int:
        """The number of the database within the server."""
        return int(self._pool.connection_kwargs.get("db") or 0)

    async def ask(self, *command: str | bytes | float) -> Any:
        """Send a command and give its answer; raises Unavailable, and then the outcome is unknown."""
        return await self._within_limits(lambda: self._execute(*command))

    async def run(self, script: Script, keys: list[str], *arguments: str | bytes | float) -> Any:
        """Run a script and give its answer; raises Unavailable, and then the outcome is unknown."""

        async def evaluate() -> Any:
            try:
                return await self._execute("EVALSHA", script.digest, len(keys), *keys, *arguments)
            except NoScriptError:
                return await self._execute("EVAL", script.source, len(keys), *keys, *arguments)

        return await self._within_limits(evaluate)

    @asynccontextmanager
    async def subscription(self, channel: str) -> AsyncIterator[PubSub]:
        """Hear a channel on a connection of its own, once the server has confirmed it; raises what AWAY names."""
        pubsub = self._pubsub()
        try:
            async with asyncio.timeout(self.time_limit):
                await pubsub.subscribe(channel)
                await pubsub.get_message(timeout=None)
            yield pubsub
        finally:
            with suppress(*AWAY):
                await pubsub.aclose()  # type: ignore[no-untyped-call]

    async def introduce(self) -> None:
        """Show ourselves to the server; one that is away is found later.

        Raises ConfigurationError where it does not want us, which no waiting would change.
        """
        try:
            await self.ask("PING")
        except Unavailable as unavailable:
            error = unavailable.__cause__
            causes = (error, error.__cause__ if error else None)  # redis-py wraps what happens on a Unix socket
            if any(isinstance(cause, AuthenticationError | ResponseError) for cause in causes):
                raise ConfigurationError(
                    f"Redis does not let us in ({error}): "
                    "check the user, the password and the number of the database in REDIS_URL."
                ) from None

    async def close(self) -> None:
        """Close every connection."""
        with suppress(*AWAY):
            await self._close()

    async def _within_limits(self, question: Callable[[], Awaitable[Any]]) -> Any:
        if self._away_since is not None:
            if time.monotonic() < self._next_try:
                raise Unavailable("memory_unavailable", seconds=RETRY_AFTER)
            self._next_try = time.monotonic() + self.time_limit + self.retry_every
        try:
            async with asyncio.timeout(self.time_limit):
                answer = await question()
        except AWAY as error:
            self._lose(error)
            raise Unavailable("memory_unavailable", seconds=RETRY_AFTER) from error
        if self._away_since is not None:
            log.info("redis_back", after=round(time.monotonic() - self._away_since, 1))
            self._away_since = None
        return answer

    def _lose(self, error: BaseException) -> None:
        now = time.monotonic()
        self._next_try = now + self.retry_every
        if self._away_since is None:
            self._away_since = now
            log.warning("redis_away", reason=str(error) or f"no answer within {self.time_limit:g} s")


def _make_pool(url: str, time_limit: float) -> BlockingConnectionPool:
    """Read the URL with redis-py's options in it; ours are stronger."""
    ours: dict[str, Any] = {
        "max_connections": CONNECTIONS,
        "timeout": None,
        "socket_timeout": None,
        "socket_connect_timeout": time_limit,
        "retry": Retry(NoBackoff(), 0),
        "protocol": 2,
        "decode_responses": False,
    }
    try:
        pool = BlockingConnectionPool(**{**parse_url(url), **ours})
        pool.make_connection()  # type: ignore[no-untyped-call]
    except (TypeError, ValueError, RedisError) as error:
        raise ConfigurationError(f"REDIS_URL cannot be used: {error}. Check the options after its '?'.") from None
    return pool
