"""Redis that is gone, hangs or does not want us: nobody waits for it, nothing breaks, and it is found again."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from datetime import timedelta
from functools import partial

import pytest
import structlog

from telefonist.errors import ConfigurationError, Unavailable
from telefonist.memory.base import Event, Memory, Missed
from telefonist.memory.redis import RedisEvents, WhenAway, open_redis_memory
from telefonist.memory.redis_link import RedisLink
from telefonist.types import Owner, Token, new_id, utc_now
from tests.memory.redis_server import RedisServer, running_redis
from tests.memory.test_events import following
from tests.waiting import until

TIME_LIMIT = 0.2


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
            open_redis_memory(self._redis.url, when_away, time_limit=TIME_LIMIT, retry_every=0.05)
        )


async def allowed(memory: Memory, limit: str, key: str) -> bool:
    return (await memory.limiter.hit(limit, key)).allowed


async def test_while_redis_is_gone_each_process_counts_for_itself_and_then_all_together_again(
    memories: Opener, own_redis: RedisServer
) -> None:
    one, two = await memories(), await memories()
    own_redis.kill()
    assert [await allowed(memory, "1/hour", "a") for memory in (one, one, two, two)] == [True, False, True, False]
    own_redis.start()

    async def counted_together() -> bool:
        key = new_id().hex
        return [await allowed(memory, "1/hour", key) for memory in (one, two)] == [True, False]

    await until(counted_together)


async def test_whoever_wants_it_lets_nobody_in_uncounted(memories: Opener, own_redis: RedisServer) -> None:
    memory = await memories("refuse")
    assert await allowed(memory, "5/hour", "a")
    own_redis.kill()
    with pytest.raises(Unavailable) as refused:
        await memory.limiter.hit("5/hour", "a")
    assert (refused.value.status, refused.value.values["seconds"]) == (503, 2)
    assert "cannot be checked right now" in str(refused.value)


async def test_a_redis_that_hangs_is_waited_for_once_and_not_for_long(memories: Opener, own_redis: RedisServer) -> None:
    memory = await memories()
    assert await allowed(memory, "1/hour", "a")
    own_redis.freeze()
    started = time.monotonic()
    assert await allowed(memory, "1/hour", "a")
    assert TIME_LIMIT <= time.monotonic() - started < TIME_LIMIT + 1
    outcomes = await asyncio.gather(*(allowed(memory, "1/hour", "a") for _ in range(100)))
    assert not any(outcomes)
    own_redis.thaw()

    async def counted_by_redis() -> bool:
        return await allowed(memory, "1/hour", new_id().hex) and not await allowed(memory, "1/hour", "a")

    await until(counted_by_redis)


async def test_of_many_who_ask_a_hanging_redis_at_most_one_waits(memories: Opener, own_redis: RedisServer) -> None:
    memory = await memories()
    own_redis.freeze()
    await allowed(memory, "1/hour", "a")

    async def how_long() -> float:
        started = time.monotonic()
        await allowed(memory, "1/hour", "a")
        return time.monotonic() - started

    async def one_waited() -> bool:
        durations = await asyncio.gather(*(how_long() for _ in range(20)))
        waited = [duration for duration in durations if duration > TIME_LIMIT / 2]
        assert len(waited) <= 1
        return len(waited) == 1

    for _ in range(3):
        await until(one_waited)


async def test_a_redis_that_comes_later_is_found(own_redis: RedisServer) -> None:
    own_redis.kill()
    async with open_redis_memory(own_redis.url, "refuse", time_limit=TIME_LIMIT, retry_every=0.05) as memory:
        with pytest.raises(Unavailable):
            await memory.limiter.hit("5/hour", "a")
        async with memory.events.listen("inbox") as heard:
            own_redis.start()
            assert await following(heard) == [Missed()]

            async def found() -> bool:
                try:
                    return await allowed(memory, "5/hour", "a")
                except Unavailable:
                    return False

            await until(found)
            await memory.events.publish("inbox", "here")
            assert await following(heard) == [Event("inbox", "here")]


async def test_listeners_learn_that_they_missed_something_once_redis_is_back(
    memories: Opener, own_redis: RedisServer
) -> None:
    one, two = await memories(), await memories()
    async with one.events.listen("inbox") as near, two.events.listen("inbox") as far:
        own_redis.kill()
        await one.events.publish("inbox", "meanwhile")
        assert await following(near) == [Event("inbox", "meanwhile")]
        own_redis.start()
        assert await following(near) == [Missed()]
        assert await following(far) == [Missed()]

        async def understood() -> bool:
            wanted = Event("inbox", new_id().hex)
            await one.events.publish(wanted.topic, wanted.data)
            try:
                async with asyncio.timeout(1):
                    while await anext(far) != wanted:
                        pass
            except TimeoutError:  # what was said while the way to Redis was not yet found again is only a Missed
                return False
            return True

        await until(understood)
