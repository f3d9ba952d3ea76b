"""The memory of one process and the one that several share, for tests that hold for both."""

from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from datetime import datetime, timedelta

import pytest

from telefonist.memory.base import Memory
from telefonist.memory.local import open_local_memory
from telefonist.memory.redis import open_redis_memory
from telefonist.memory.redis_link import RedisLink, WhenAway
from telefonist.types import utc_now
from tests.memory.redis_server import RedisServer, running_redis

TIME_LIMIT = 0.2
RETRY_EVERY = 0.05


@pytest.fixture(scope="session")
def session_redis() -> Iterator[RedisServer]:
    """Run one server for the whole session."""
    with running_redis() as server:
        yield server


@pytest.fixture
def redis_url(session_redis: RedisServer) -> str:
    """Give the URL of a server that remembers nothing."""
    session_redis.flush()
    return session_redis.url


@pytest.fixture
async def link(redis_url: str) -> AsyncIterator[RedisLink]:
    """Give a link to a server that remembers nothing."""
    link = RedisLink(redis_url)
    yield link
    await link.close()


@pytest.fixture
def own_redis() -> Iterator[RedisServer]:
    """Run a server that a test may break."""
    with running_redis() as server:
        yield server


@pytest.fixture
async def memories(own_redis: RedisServer) -> AsyncIterator["Opener"]:
    """Open the memory of one process after another, all with one Redis that the test may break."""
    async with AsyncExitStack() as stack:
        yield Opener(own_redis, stack)


class Opener:
    def __init__(self, redis: RedisServer, stack: AsyncExitStack) -> None:
        self._redis = redis
        self._stack = stack

    async def __call__(self, when_away: WhenAway = "allow") -> Memory:
        return await self._stack.enter_async_context(
            open_redis_memory(self._redis.url, when_away, time_limit=TIME_LIMIT, retry_every=RETRY_EVERY)
        )


@pytest.fixture(params=["local", "redis"])
async def pair(request: pytest.FixtureRequest) -> AsyncIterator[tuple[Memory, Memory]]:
    """Give the memory as two who share it see it: two tasks of one process, or two processes with one Redis."""
    async with AsyncExitStack() as stack:
        if request.param == "local":
            memory = await stack.enter_async_context(open_local_memory())
            yield memory, memory
        else:
            url = request.getfixturevalue("redis_url")
            one = await stack.enter_async_context(open_redis_memory(url, "allow"))
            yield one, await stack.enter_async_context(open_redis_memory(url, "allow"))


class Clock:
    """Time that passes only when told to."""

    def __init__(self) -> None:
        self.now = 1000.0
        self._started = utc_now()

    def seconds(self) -> float:
        return self.now

    def moment(self) -> datetime:
        return self._started + timedelta(seconds=self.now - 1000.0)


@pytest.fixture
def clock() -> Clock:
    """Give a clock that stands still."""
    return Clock()
