"""Redis that is gone, hangs or does not want us: nobody waits for it, nothing breaks, and it is found again."""

import asyncio
import socket
import time
from collections.abc import Iterator
from datetime import timedelta
from functools import partial

import pytest
import structlog

from telefonist.errors import ConfigurationError, Unavailable
from telefonist.memory.base import Event, Memory, Missed
from telefonist.memory.redis import RedisEvents, open_redis_memory
from telefonist.memory.redis_link import RedisLink
from telefonist.types import Owner, Token, new_id, utc_now
from tests.memory.conftest import RETRY_EVERY, TIME_LIMIT, Opener
from tests.memory.redis_server import RedisServer, running_redis
from tests.memory.test_events import following
from tests.waiting import until


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
    async with open_redis_memory(own_redis.url, "refuse", time_limit=TIME_LIMIT, retry_every=RETRY_EVERY) as memory:
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


async def test_others_learn_of_an_event_that_could_not_be_published_although_their_own_line_held(
    memories: Opener, own_redis: RedisServer
) -> None:
    one, two = await memories(), await memories()
    async with two.events.listen("inbox") as far:
        own_redis.freeze()
        await one.events.publish("inbox", "lost")
        own_redis.thaw()
        heard = await following(far)
        if heard != [Missed()]:
            assert heard == [Event("inbox", "lost")]
            assert await following(far) == [Missed()]


async def test_silence_is_no_fault_but_a_line_that_has_gone_dead_is_noticed(own_redis: RedisServer) -> None:
    link = RedisLink(own_redis.url, time_limit=TIME_LIMIT, retry_every=RETRY_EVERY)
    events = RedisEvents(link, quiet=0.05)

    async def asked_thrice() -> bool:
        asked = (await link.ask("INFO", "commandstats")).get("cmdstat_ping", {"calls": 0})
        return bool(asked["calls"] >= 3)

    async def logged(event: str) -> bool:
        return event in [line["event"] for line in lines]

    await link.ask("CONFIG", "RESETSTAT")
    with structlog.testing.capture_logs() as lines:
        async with events.connected(), events.listen("inbox") as heard:
            await until(asked_thrice)
            await events.publish("inbox", "silence alone is no fault")
            assert await following(heard) == [Event("inbox", "silence alone is no fault")]
            assert lines == []
            own_redis.freeze()
            await until(partial(logged, "events_interrupted"))
            own_redis.thaw()
            assert await following(heard) == [Missed()]
            assert await logged("events_resumed")
    await link.close()


async def test_without_redis_storage_is_asked_who_answers(memories: Opener, own_redis: RedisServer) -> None:
    memory, conversation = await memories(), new_id()
    await memory.statuses.set(conversation, Owner.OPERATOR, 60)
    own_redis.kill()
    assert await memory.statuses.get(conversation) is None
    await memory.statuses.set(conversation, Owner.BOT, 60)
    await memory.statuses.forget(conversation)


async def test_without_redis_each_process_fetches_its_own_token_and_keeps_it(
    memories: Opener, own_redis: RedisServer
) -> None:
    issued = 0

    async def fetch() -> Token:
        nonlocal issued
        issued += 1
        return Token(f"token {issued}", utc_now() + timedelta(minutes=30))

    one, two = await memories(), await memories()
    assert (await one.tokens.token("gigachat", fetch)).value == "token 1"
    own_redis.kill()
    assert (await one.tokens.token("gigachat", fetch)).value == "token 1"
    assert (await two.tokens.token("gigachat", fetch)).value == "token 2"
    await two.tokens.invalidate("gigachat", "token 2")
    assert [(await two.tokens.token("gigachat", fetch)).value for _ in range(2)] == ["token 3"] * 2


async def test_a_redis_that_dies_during_a_fetch_takes_the_token_from_nobody(
    memories: Opener, own_redis: RedisServer
) -> None:
    async def fetch() -> Token:
        own_redis.kill()
        return Token("token", utc_now() + timedelta(minutes=30))

    assert (await (await memories()).tokens.token("gigachat", fetch)).value == "token"


async def test_an_answer_whose_caller_has_left_is_never_given_to_another(link: RedisLink) -> None:
    for number in range(50):
        await link.ask("SET", str(number), str(number))

    async def leave(number: int, patience: float) -> None:
        asking = asyncio.create_task(link.ask("GET", str(number)))
        await asyncio.sleep(patience)
        asking.cancel()
        await asyncio.wait([asking])

    for moment in range(40):
        leaving = [leave(number, moment * 0.00005) for number in range(20)]
        asking = [link.ask("GET", str(number)) for number in range(50)]
        answers = await asyncio.gather(*asking, *leaving)
        assert answers[:50] == [str(number).encode() for number in range(50)]


@pytest.fixture(scope="module")
def guarded_redis() -> Iterator[tuple[str, str]]:
    """Run a server with a password; gives its URLs, through a socket file and over TCP."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    with running_redis("--requirepass", "right-one", "--port", str(port)) as server:
        yield server.url, f"redis://127.0.0.1:{port}"


@pytest.mark.parametrize("over_tcp", [False, True])
@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("?password=wrong-one", "check the user, the password"),
        ("", "check the user, the password"),
        ("?db=5000&password=right-one", "the number of the database"),
        ("?db=five&password=right-one", "Check the options after its '?'"),
        ("?no_such_option=1&password=right-one", "no_such_option"),
    ],
)
async def test_a_redis_that_does_not_want_us_stops_the_start_with_words(
    guarded_redis: tuple[str, str], over_tcp: bool, query: str, told: str
) -> None:
    with pytest.raises(ConfigurationError, match="REDIS_URL") as refused:
        async with open_redis_memory(guarded_redis[over_tcp] + query, "allow"):
            raise AssertionError("it opened")
    assert told in str(refused.value)
    assert "-one" not in str(refused.value)


@pytest.mark.parametrize("over_tcp", [False, True])
async def test_a_url_with_a_password_a_database_and_options_opens(
    guarded_redis: tuple[str, str], over_tcp: bool
) -> None:
    url = f"{guarded_redis[over_tcp]}?password=right-one&db=3&decode_responses=true&socket_timeout=0.000001"
    async with open_redis_memory(url, "refuse") as memory, memory.events.listen("inbox") as heard:
        await memory.statuses.set(conversation := new_id(), Owner.BOT, 60)
        assert await memory.statuses.get(conversation) is Owner.BOT
        await memory.events.publish("inbox", "heard")
        assert await following(heard) == [Event("inbox", "heard")]
