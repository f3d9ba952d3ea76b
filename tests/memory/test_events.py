"""Live events: who hears what, and what a slow listener is told."""

import asyncio
from collections.abc import AsyncIterator

from telefonist.memory.base import LONGEST_QUEUE, Event, Memory, Missed
from telefonist.memory.local import LocalEvents, open_local_memory
from telefonist.memory.redis import open_redis_memory
from telefonist.memory.redis_link import RedisLink

Heard = AsyncIterator[Event | Missed]


async def following(heard: Heard, count: int = 1) -> list[Event | Missed]:
    async with asyncio.timeout(5):
        return [await anext(heard) for _ in range(count)]


async def test_every_listener_of_a_topic_hears_its_events_in_order(pair: tuple[Memory, Memory]) -> None:
    one, two = pair
    async with one.events.listen("inbox") as near, two.events.listen("inbox") as far:
        for number in range(20):
            await one.events.publish("inbox", str(number))
        expected = [Event("inbox", str(number)) for number in range(20)]
        assert await following(near, 20) == expected
        assert await following(far, 20) == expected


async def test_only_the_topics_asked_for_are_heard(pair: tuple[Memory, Memory]) -> None:
    one, two = pair
    async with two.events.listen("inbox", "dialog:7", "inbox") as heard:
        await one.events.publish("dialog:8", "not for us")
        await one.events.publish("inbox", "привет")
        await two.events.publish("dialog:7")
        assert await following(heard, 2) == [Event("inbox", "привет"), Event("dialog:7", "")]


async def test_what_nobody_listens_to_is_told_to_nobody_later(pair: tuple[Memory, Memory]) -> None:
    one, two = pair
    await one.events.publish("inbox", "early")
    async with two.events.listen("other") as other:
        await one.events.publish("other")
        await following(other)
    async with two.events.listen("inbox") as heard:
        await one.events.publish("inbox", "late")
        assert await following(heard) == [Event("inbox", "late")]


async def test_a_slow_listener_learns_that_it_missed_something_and_then_hears_what_is_new(
    pair: tuple[Memory, Memory],
) -> None:
    one, two = pair
    async with two.events.listen("inbox") as slow, two.events.listen("inbox", "end") as quick:
        for number in range(LONGEST_QUEUE + 1):
            await one.events.publish("inbox", str(number))
            assert await following(quick) == [Event("inbox", str(number))]
        assert await following(slow) == [Missed()]
        await one.events.publish("inbox", "new")
        assert await following(slow) == [Event("inbox", "new")]


async def test_a_listener_that_just_keeps_up_misses_nothing(pair: tuple[Memory, Memory]) -> None:
    one, two = pair
    async with two.events.listen("inbox") as heard, two.events.listen("end") as end:
        for number in range(LONGEST_QUEUE):
            await one.events.publish("inbox", str(number))
        await one.events.publish("end")
        await following(end)
        assert await following(heard, LONGEST_QUEUE) == [Event("inbox", str(number)) for number in range(LONGEST_QUEUE)]


async def test_a_listener_that_is_cancelled_takes_nothing_from_the_others(pair: tuple[Memory, Memory]) -> None:
    one, two = pair

    async def listen() -> None:
        async with two.events.listen("inbox") as heard:
            await anext(heard)

    async with two.events.listen("inbox") as heard:
        leaving = asyncio.create_task(listen())
        await asyncio.sleep(0)
        leaving.cancel()
        await asyncio.wait([leaving])
        await one.events.publish("inbox", "still here")
        assert await following(heard) == [Event("inbox", "still here")]


async def test_every_iteration_ends_when_the_service_stops(pair: tuple[Memory, Memory]) -> None:
    one, _ = pair
    async with asyncio.timeout(5), one.events.listen("inbox") as waiting:
        collecting = asyncio.create_task(_collect(waiting))
        await asyncio.sleep(0)
        one.events.close()
        assert await collecting == []
        async with one.events.listen("inbox") as late:
            assert await _collect(late) == []


async def _collect(heard: Heard) -> list[Event | Missed]:
    return [event async for event in heard]


async def test_an_iteration_ends_with_its_block(pair: tuple[Memory, Memory]) -> None:
    async with pair[0].events.listen("inbox") as heard:
        await pair[1].events.publish("inbox", "unread")
    async with asyncio.timeout(5):
        assert await _collect(heard) == []


async def test_leaving_the_memory_ends_what_iterates_over_it() -> None:
    listening = asyncio.Event()

    async def listen(memory: Memory) -> list[Event | Missed]:
        async with memory.events.listen("inbox") as heard:
            listening.set()
            return await _collect(heard)

    async with asyncio.timeout(5):
        async with open_local_memory() as memory:
            collecting = asyncio.create_task(listen(memory))
            await listening.wait()
        assert await collecting == []


async def test_nothing_is_kept_for_listeners_that_have_left() -> None:
    events = LocalEvents()
    async with events.listen("inbox", "dialog:7"):
        assert len(events) == 1
    assert len(events) == 0


async def test_databases_of_one_redis_hear_nothing_of_each_other(redis_url: str) -> None:
    async with (
        open_redis_memory(f"{redis_url}?db=1", "allow") as one,
        open_redis_memory(f"{redis_url}?db=2", "allow") as other,
        other.events.listen("inbox") as heard,
    ):
        await one.events.publish("inbox", "of one")
        await other.events.publish("inbox", "of the other")
        assert await following(heard) == [Event("inbox", "of the other")]


async def test_what_is_no_event_has_the_listeners_read_anew(redis_url: str, link: RedisLink) -> None:
    async with open_redis_memory(redis_url, "allow") as memory, memory.events.listen("inbox") as heard:
        for rubbish in ("", "7", "{", '["inbox"]', "\x00"):
            await link.ask("PUBLISH", "telefonist:0:events", rubbish)
            assert await following(heard) == [Missed()]
        await memory.events.publish("inbox", "understood")
        assert await following(heard) == [Event("inbox", "understood")]
