"""Tokens a minute and open streams while Redis is gone or hangs."""

import asyncio
import time
from contextlib import suppress

import pytest

from telefonist.errors import Unavailable
from telefonist.memory.redis_link import RedisLink
from telefonist.memory.redis_quotas import RedisSlots
from telefonist.types import new_id
from tests.memory.conftest import RETRY_EVERY, TIME_LIMIT, Opener
from tests.memory.redis_server import RedisServer
from tests.waiting import until


async def test_tokens_and_slots_are_counted_by_each_process_while_redis_is_gone(
    memories: Opener, own_redis: RedisServer
) -> None:
    one, two = await memories(), await memories()
    before = await one.slots.enter("a", 1)
    assert before is not None
    own_redis.kill()
    for memory in (one, two):
        assert (await memory.rates.take("a", 100, 60)).remaining == 40
        await memory.rates.correct("a", 100, 30)
        assert not (await memory.rates.take("a", 100, 60)).allowed
        ticket = await memory.slots.enter("a", 1)
        assert ticket is not None
        assert await memory.slots.enter("a", 1) is None
        await memory.slots.leave("a", ticket)
        assert await memory.slots.enter("a", 1) is not None
    await one.slots.leave("a", before)
    own_redis.start()

    async def counted_together() -> bool:
        key = new_id().hex
        taken = [(await memory.rates.take(key, 100, 60)).allowed for memory in (one, two)]
        entered = [await memory.slots.enter(key, 1) is not None for memory in (one, two)]
        return taken == [True, False] and entered == [True, False]

    await until(counted_together)


async def test_whoever_wants_it_gives_no_tokens_and_no_slots_uncounted(
    memories: Opener, own_redis: RedisServer
) -> None:
    memory = await memories("refuse")
    ticket = await memory.slots.enter("a", 1)
    assert ticket is not None
    own_redis.kill()
    with pytest.raises(Unavailable):
        await memory.rates.take("a", 100, 1)
    with pytest.raises(Unavailable):
        await memory.slots.enter("a", 2)
    await memory.rates.correct("a", 100, 1)
    await memory.slots.leave("a", ticket)


async def test_tokens_and_slots_do_not_wait_for_a_redis_that_hangs(memories: Opener, own_redis: RedisServer) -> None:
    memory = await memories()
    tickets = [await memory.slots.enter("a", 100) for _ in range(50)]
    own_redis.freeze()
    started = time.monotonic()
    await asyncio.gather(*(memory.slots.leave("a", ticket) for ticket in tickets if ticket))
    await asyncio.gather(*(memory.rates.take("a", 100, 1) for _ in range(50)))
    assert time.monotonic() - started < TIME_LIMIT + 1
    own_redis.thaw()


async def test_a_redis_that_forgot_who_is_inside_is_told_again(own_redis: RedisServer) -> None:
    link = RedisLink(own_redis.url, time_limit=TIME_LIMIT, retry_every=RETRY_EVERY)
    slots = RedisSlots(link)
    ticket = await slots.enter("a", 1)
    assert ticket is not None
    own_redis.kill()
    own_redis.start()

    async def told() -> bool:
        with suppress(Unavailable):
            await slots.stay()
            return bool(await link.ask("EXISTS", "telefonist:slots:a"))
        return False

    try:
        await until(told)
        assert await slots.enter("a", 1) is None
        await slots.leave("a", ticket)
        assert await slots.enter("a", 1) is not None
    finally:
        await link.close()
