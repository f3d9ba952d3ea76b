"""What a key has open at once: as many as may be inside, and no slot lost for long; alone and shared through Redis."""

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import Any

import pytest

from telefonist.memory.base import Memory, Slots
from telefonist.memory.local_quotas import LocalSlots
from telefonist.memory.redis_link import RedisLink
from telefonist.memory.redis_quotas import AT_ONCE, LIFETIME, STAY_EVERY, RedisSlots
from telefonist.memory.redis_scripts import Script
from tests.memory.conftest import Clock
from tests.waiting import until


@pytest.fixture(params=["local", "redis"])
def slots(request: pytest.FixtureRequest, clock: Clock) -> Slots:
    if request.param == "local":
        return LocalSlots()
    return RedisSlots(request.getfixturevalue("link"), clock=clock.seconds)


async def entered(slots: Slots, key: str, limit: int) -> str:
    ticket = await slots.enter(key, limit)
    assert ticket is not None
    return ticket


async def test_as_many_enter_as_may_be_inside(slots: Slots) -> None:
    tickets = [await entered(slots, "a", 3) for _ in range(3)]
    assert len(set(tickets)) == 3
    assert await slots.enter("a", 3) is None
    assert await slots.enter("b", 1) is not None
    await slots.leave("a", tickets[1])
    await entered(slots, "a", 3)
    assert await slots.enter("a", 3) is None


async def test_a_changed_limit_applies_to_whoever_comes_next(slots: Slots) -> None:
    tickets = [await entered(slots, "a", 5) for _ in range(2)]
    assert await slots.enter("a", 1) is None
    await slots.leave("a", tickets[0])
    assert await slots.enter("a", 1) is None
    assert await slots.enter("a", 0) is None
    await slots.leave("a", tickets[1])
    await entered(slots, "a", 1)


async def test_a_ticket_given_back_twice_frees_one_slot(slots: Slots) -> None:
    ticket = await entered(slots, "a", 2)
    await entered(slots, "a", 2)
    await slots.leave("a", ticket)
    await slots.leave("a", ticket)
    await slots.leave("a", "never given out")
    await slots.leave("nobody", ticket)
    await entered(slots, "a", 2)
    assert await slots.enter("a", 2) is None


async def test_of_many_who_come_at_once_exactly_as_many_enter_as_fit(pair: tuple[Memory, Memory]) -> None:
    attempts = [(memory, memory.slots.enter("a", 10)) for memory in pair for _ in range(40)]
    tickets = await asyncio.gather(*(attempt for _, attempt in attempts))
    inside = [(memory, ticket) for (memory, _), ticket in zip(attempts, tickets, strict=True) if ticket is not None]
    assert len({ticket for _, ticket in inside}) == 10
    await asyncio.gather(*(memory.slots.leave("a", ticket) for memory, ticket in inside))
    for memory in pair:
        for _ in range(5):
            await entered(memory.slots, "a", 10)
    assert await pair[0].slots.enter("a", 10) is None


async def test_whoever_leaves_while_being_cancelled_has_left(pair: tuple[Memory, Memory]) -> None:
    one, two = pair
    for steps in range(1, 40, 3):
        tickets = [await entered(one.slots, "a", 20) for _ in range(20)]
        leaving = [asyncio.create_task(one.slots.leave("a", ticket)) for ticket in tickets]
        await cancelled_after(steps, leaving)
        await until(partial(is_empty, two.slots))


async def test_whoever_is_cancelled_while_entering_holds_no_slot(pair: tuple[Memory, Memory]) -> None:
    one, two = pair
    for steps in range(1, 40, 3):
        entering = [asyncio.create_task(one.slots.enter("a", 20)) for _ in range(20)]
        await cancelled_after(steps, entering)
        for task in entering:
            if not task.cancelled():
                await one.slots.leave("a", task.result() or "")
        await until(partial(is_empty, two.slots))


async def cancelled_after(steps: int, tasks: Sequence[asyncio.Task[Any]]) -> None:
    """Cancel the tasks after as many turns of the event loop, and wait until they have ended."""
    for _ in range(steps):
        await asyncio.sleep(0)
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)


async def is_empty(slots: Slots) -> bool:
    ticket = await slots.enter("a", 1)
    if ticket is not None:
        await slots.leave("a", ticket)
    return ticket is not None


async def test_alone_nothing_is_kept_of_who_left() -> None:
    slots = LocalSlots()
    for number in range(100):
        key = str(number)
        await slots.leave(key, await entered(slots, key, 1))
        assert await slots.enter(key, 0) is None
    assert len(slots) == 0


async def test_the_slots_of_a_process_that_died_are_free_after_thirty_seconds(link: RedisLink, clock: Clock) -> None:
    dead, alive = RedisSlots(link, clock=clock.seconds), RedisSlots(link, clock=clock.seconds)
    await entered(dead, "a", 1)
    clock.now += LIFETIME - 0.001
    assert await alive.enter("a", 1) is None
    clock.now += 0.001
    await entered(alive, "a", 1)
    assert LIFETIME == 30


async def test_the_slots_of_a_process_that_lives_stay_taken(link: RedisLink, clock: Clock) -> None:
    busy, other = RedisSlots(link, clock=clock.seconds), RedisSlots(link, clock=clock.seconds)
    keys = [str(number) for number in range(AT_ONCE + 50)]
    tickets = [await entered(busy, key, 1) for key in keys]
    for _ in range(10):
        clock.now += 2.9 * STAY_EVERY
        await busy.stay()
        assert await other.enter(keys[0], 1) is None
        assert await other.enter(keys[-1], 1) is None
    for key, ticket in zip(keys, tickets, strict=True):
        await busy.leave(key, ticket)
    await busy.stay()
    assert await link.ask("KEYS", "*") == []


async def test_a_process_gives_signs_of_life_by_itself(link: RedisLink, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("telefonist.memory.redis_quotas.STAY_EVERY", 0.01)
    slots = RedisSlots(link)
    ticket = await entered(slots, "a", 1)
    first = await link.ask("ZSCORE", "telefonist:slots:a", ticket)

    async def renewed() -> bool:
        return bool(float(await link.ask("ZSCORE", "telefonist:slots:a", ticket)) > float(first))

    async with slots.kept():
        await until(renewed)


async def test_who_leaves_during_a_sign_of_life_does_not_come_back(
    link: RedisLink, monkeypatch: pytest.MonkeyPatch
) -> None:
    slots, run = RedisSlots(link), link.run
    ticket = await entered(slots, "a", 1)

    async def overtaken(script: Script, keys: list[str], *arguments: str | bytes | float) -> Any:
        await slots.leave("a", ticket)
        await run(script, keys, *arguments)
        assert await link.ask("ZCARD", "telefonist:slots:a") == 1

    monkeypatch.setattr(link, "run", overtaken)
    await slots.stay()
    assert await link.ask("ZCARD", "telefonist:slots:a") == 0


async def test_tickets_made_before_the_server_clock_was_set_back_hold_nothing(link: RedisLink, clock: Clock) -> None:
    slots = RedisSlots(link, clock=clock.seconds)
    await entered(slots, "a", 1)
    clock.now -= 3600
    await entered(RedisSlots(link, clock=clock.seconds), "a", 1)


async def test_redis_keeps_tickets_no_longer_than_they_live(link: RedisLink) -> None:
    slots = RedisSlots(link)
    ticket = await entered(slots, "a", 1)
    assert 29_000 < await link.ask("PTTL", "telefonist:slots:a") <= 30_000
    await slots.leave("a", ticket)
    assert await link.ask("KEYS", "*") == []
