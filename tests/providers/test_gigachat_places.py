"""GigaChat takes few requests of a credential at once: all who share it keep to that together, and wait."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, aclosing

import pytest

from telefonist.errors import ProviderError, ProviderTimeout
from telefonist.memory.base import Memory
from telefonist.memory.local_quotas import LocalSlots
from telefonist.memory.redis import open_redis_memory
from telefonist.memory.redis_link import WhenAway
from telefonist.memory.redis_quotas import LIFETIME
from telefonist.providers.gigachat import GigaChat
from tests.fakes.gigachat import FakeGigaChat, answer, refuse
from tests.fakes.scripted_http import Exchange, silence
from tests.memory.redis_server import RedisServer, running_redis
from tests.providers.asking import ask, stream, text_of
from tests.providers.conftest import MakeGigaChat
from tests.waiting import until

OpenMemory = Callable[..., Awaitable[Memory]]


@pytest.fixture
def redis() -> Iterator[RedisServer]:
    with running_redis() as server:
        yield server


@pytest.fixture
async def memory(redis: RedisServer) -> AsyncIterator[OpenMemory]:
    """Open the memory of one process after another, all with one Redis."""
    async with AsyncExitStack() as stack:

        async def open_one(when_away: WhenAway = "allow") -> Memory:
            return await stack.enter_async_context(open_redis_memory(redis.url, when_away, time_limit=0.5))

        yield open_one


@pytest.fixture
async def pair(memory: OpenMemory, make_gigachat: MakeGigaChat) -> tuple[GigaChat, GigaChat]:
    """Give GigaChat as two processes have it that share a Redis; a place that was lost is not free in time."""
    one, two = await memory(), await memory()
    return (
        make_gigachat(one.tokens, one.slots, total_timeout=LIFETIME / 3),
        make_gigachat(two.tokens, two.slots, total_timeout=LIFETIME / 3),
    )


async def left(gigachat: FakeGigaChat) -> None:
    async def look() -> bool:
        return gigachat.api.requests[0].gone.is_set()

    await until(look)


async def test_two_processes_stream_as_many_answers_at_once_as_the_credential_has_places(
    gigachat: FakeGigaChat, pair: tuple[GigaChat, GigaChat]
) -> None:
    gigachat.api.default = answer("раз два три", pause=0.01)
    texts = await asyncio.gather(*(stream(each, ask()) for each in pair for _ in range(3)))
    assert [text_of(deltas) for deltas in texts] == ["раз два три"] * 6
    assert gigachat.api.most_under_way == 1


async def test_all_places_of_a_company_are_used_from_whichever_process(
    gigachat: FakeGigaChat, memory: OpenMemory, make_gigachat: MakeGigaChat
) -> None:
    gigachat.api.streams = 3
    gate = asyncio.Event()
    say = answer()

    async def later(exchange: Exchange) -> None:
        await gate.wait()
        await say(exchange)

    gigachat.api.default = later
    one, two = await memory(), await memory()
    processes = make_gigachat(one.tokens, one.slots), make_gigachat(two.tokens, two.slots)
    asking = asyncio.gather(*(each.complete(ask()) for each in processes for _ in range(4)))
    await gigachat.api.received(3)
    gate.set()
    assert {each.text for each in await asking} == {"Привет! Чем помочь?"}
    assert gigachat.api.most_under_way == 3


async def test_a_stream_that_is_left_makes_room_in_the_other_process(
    gigachat: FakeGigaChat, pair: tuple[GigaChat, GigaChat]
) -> None:
    one, two = pair
    gigachat.api.script(answer("раз два три", pause=0.01))
    async with aclosing(one.stream(ask())) as batches:
        await anext(batches)
    await left(gigachat)
    assert (await two.complete(ask())).text


async def test_a_request_that_is_cancelled_makes_room_in_the_other_process(
    gigachat: FakeGigaChat, pair: tuple[GigaChat, GigaChat]
) -> None:
    one, two = pair
    gigachat.api.script(silence())
    asking = asyncio.create_task(one.complete(ask()))
    await gigachat.api.received(1)
    asking.cancel()
    await asyncio.wait([asking])
    assert asking.cancelled()
    await left(gigachat)
    assert (await two.complete(ask())).text


async def test_a_request_that_is_cancelled_while_it_waits_takes_no_place(
    gigachat: FakeGigaChat, pair: tuple[GigaChat, GigaChat]
) -> None:
    one, two = pair
    gigachat.api.script(silence())
    asking = asyncio.create_task(one.complete(ask()))
    await gigachat.api.received(1)
    for steps in range(1, 40, 3):
        waiting = asyncio.create_task(two.complete(ask()))
        for _ in range(steps):
            await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.wait([waiting])
        assert waiting.cancelled()
    asking.cancel()
    await asyncio.wait([asking])
    await left(gigachat)
    assert (await one.complete(ask())).text
    assert len(gigachat.api.requests) == 2


async def test_a_refusal_makes_room(gigachat: FakeGigaChat, pair: tuple[GigaChat, GigaChat]) -> None:
    for each in pair:
        gigachat.api.script(refuse(500))
        with pytest.raises(ProviderError):
            await each.complete(ask())
        assert (await each.complete(ask())).text


async def test_who_waits_for_another_process_waits_no_longer_than_a_request_may_take(
    gigachat: FakeGigaChat, memory: OpenMemory, make_gigachat: MakeGigaChat
) -> None:
    one, two = await memory(), await memory()
    gigachat.api.script(silence())
    asking = asyncio.create_task(make_gigachat(one.tokens, one.slots).complete(ask()))
    await gigachat.api.received(1)
    with pytest.raises(ProviderTimeout) as late:
        await make_gigachat(two.tokens, two.slots, total_timeout=0.3).complete(ask())
    assert late.value.values["phase"] == "total"
    asking.cancel()
    await asyncio.wait([asking])
    assert len(gigachat.api.requests) == 1


async def test_two_rows_with_one_key_share_its_places(gigachat: FakeGigaChat, make_gigachat: MakeGigaChat) -> None:
    gigachat.api.default = answer("раз два три", pause=0.01)
    slots = LocalSlots()
    rows = make_gigachat(slots=slots), make_gigachat(slots=slots)
    await asyncio.gather(*(stream(each, ask()) for each in rows for _ in range(2)))
    assert gigachat.api.most_under_way == 1
    assert len(slots) == 0


async def test_two_keys_have_places_of_their_own(gigachat: FakeGigaChat, make_gigachat: MakeGigaChat) -> None:
    slots = LocalSlots()
    gigachat.api.script(silence())
    asking = asyncio.create_task(make_gigachat(slots=slots).complete(ask()))
    await gigachat.api.received(1)
    gigachat.tokens.credentials = "YW5vdGhlcjpvbmU="
    gigachat.api.streams = 2
    assert (await make_gigachat(slots=slots, max_concurrency=1).complete(ask())).text
    asking.cancel()
    await asyncio.wait([asking])


@pytest.mark.parametrize("when_away", ["allow", "refuse"])
async def test_while_redis_is_away_a_process_keeps_to_the_limit_by_itself(
    gigachat: FakeGigaChat,
    memory: OpenMemory,
    make_gigachat: MakeGigaChat,
    redis: RedisServer,
    when_away: WhenAway,
) -> None:
    one = await memory(when_away)
    giga = make_gigachat(one.tokens, one.slots)
    redis.kill()
    gigachat.api.default = answer("раз два три", pause=0.01)
    texts = await asyncio.gather(*(stream(giga, ask()) for _ in range(3)))
    assert [text_of(deltas) for deltas in texts] == ["раз два три"] * 3
    assert gigachat.api.most_under_way == 1
