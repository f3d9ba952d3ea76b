"""Rate limits: how many hits fit, when the next one does, and what is forgotten; alone and shared through Redis."""

import asyncio

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from telefonist.errors import RateLimited
from telefonist.memory.base import LimitOutcome, Memory, RateLimiter, enforce
from telefonist.memory.local import LocalRateLimiter
from telefonist.memory.redis import RedisRateLimiter
from telefonist.memory.redis_link import RedisLink
from telefonist.types import new_id
from tests.memory.conftest import Clock


@pytest.fixture(params=["local", "redis"])
def limiter(request: pytest.FixtureRequest, clock: Clock) -> RateLimiter:
    if request.param == "local":
        return LocalRateLimiter(clock=clock.seconds)
    return RedisRateLimiter(request.getfixturevalue("link"), clock=clock.seconds)


async def test_hits_fit_until_the_limit_and_say_what_remains(limiter: RateLimiter) -> None:
    outcomes = [await limiter.hit("3/minute", "webhook", "192.0.2.1") for _ in range(4)]
    assert [(outcome.allowed, outcome.remaining) for outcome in outcomes] == [
        (True, 2),
        (True, 1),
        (True, 0),
        (False, 0),
    ]
    assert {outcome.limit for outcome in outcomes} == {3}


async def test_a_refused_caller_learns_when_the_next_hit_fits(limiter: RateLimiter, clock: Clock) -> None:
    await limiter.hit("2/minute", "a")
    clock.now += 20
    await limiter.hit("2/minute", "a")
    assert await limiter.hit("2/minute", "a") == LimitOutcome(False, 2, 0, 40.0)
    clock.now += 40
    assert await limiter.hit("2/minute", "a") == LimitOutcome(True, 2, 0, 20.0)


async def test_the_window_moves_so_that_no_burst_passes_at_its_edge(limiter: RateLimiter, clock: Clock) -> None:
    clock.now += 59
    for _ in range(5):
        assert (await limiter.hit("5/minute", "a")).allowed
    clock.now += 2
    assert not (await limiter.hit("5/minute", "a")).allowed


async def test_knocking_while_refused_does_not_prolong_the_wait(limiter: RateLimiter, clock: Clock) -> None:
    await limiter.hit("1/minute", "a")
    for _ in range(59):
        clock.now += 1
        assert not (await limiter.hit("1/minute", "a")).allowed
    clock.now += 1
    assert (await limiter.hit("1/minute", "a")).allowed


async def test_keys_and_limits_are_counted_apart(limiter: RateLimiter) -> None:
    assert (await limiter.hit("1/minute", "webhook", "a")).allowed
    assert (await limiter.hit("1/minute", "webhook", "b")).allowed
    assert (await limiter.hit("1/minute", "callback", "a")).allowed
    assert (await limiter.hit("2/minute", "webhook", "a")).allowed
    assert not (await limiter.hit("1 per minute", "webhook", "a")).allowed


async def test_a_hit_that_is_taken_back_leaves_room_for_another(limiter: RateLimiter) -> None:
    for _ in range(5):
        assert (await limiter.hit("2/minute", "a")).allowed
        await limiter.take_back("2/minute", "a")
    await limiter.take_back("2/minute", "a")
    await limiter.take_back("2/minute", "nobody")
    assert [(await limiter.hit("2/minute", "a")).allowed for _ in range(3)] == [True, True, False]


async def test_a_limit_of_nothing_lets_nobody_in(limiter: RateLimiter) -> None:
    assert await limiter.hit("0/minute", "a") == LimitOutcome(False, 0, 0, 60.0)


async def test_a_limit_that_cannot_be_read_is_refused(limiter: RateLimiter) -> None:
    with pytest.raises(ValueError, match="often"):
        await limiter.hit("often", "a")


async def test_long_windows_and_large_limits_are_as_exact(limiter: RateLimiter, clock: Clock) -> None:
    microsecond = 0.000001
    for _ in range(300):
        assert (await limiter.hit("300/day", "a")).allowed
        clock.now += microsecond
    refused = await limiter.hit("300/day", "a")
    assert (refused.allowed, refused.remaining) == (False, 0)
    assert refused.reset_after == pytest.approx(86_400 - 300 * microsecond, abs=microsecond / 2)
    clock.now += refused.reset_after + 99.2 * microsecond
    assert (await limiter.hit("300/day", "a")).remaining == 99


async def test_enforcing_a_limit_raises_with_whole_seconds(limiter: RateLimiter, clock: Clock) -> None:
    assert (await enforce(limiter, "1/minute", "a")).remaining == 0
    clock.now += 0.5
    with pytest.raises(RateLimited) as caught:
        await enforce(limiter, "1/minute", "a")
    assert caught.value.values == {"limit": "1/minute", "seconds": 60}
    clock.now += 59.4
    with pytest.raises(RateLimited) as caught:
        await enforce(limiter, "1/minute", "a")
    assert caught.value.values["seconds"] == 1


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50, deadline=None)
@given(pauses=st.lists(st.integers(min_value=0, max_value=40_000), max_size=30))
async def test_no_window_ever_holds_more_than_the_limit(limiter: RateLimiter, clock: Clock, pauses: list[int]) -> None:
    key, now, started = new_id().hex, 0, clock.now
    taken: list[int] = []
    for milliseconds in pauses:
        now += milliseconds
        clock.now = started + now / 1000
        held = [moment for moment in taken if moment + 60_000 > now]
        outcome = await limiter.hit("3/minute", key)
        assert outcome.allowed is (len(held) < 3)
        if outcome.allowed:
            held.append(now)
            taken.append(now)
        assert outcome.remaining == 3 - len(held)
        assert outcome.reset_after == pytest.approx(0 if len(held) < 3 else (held[0] + 60_000 - now) / 1000, abs=0.001)


async def test_of_many_hits_at_once_exactly_as_many_pass_as_fit(pair: tuple[Memory, Memory]) -> None:
    outcomes = await asyncio.gather(*(memory.limiter.hit("10/hour", "a") for memory in pair for _ in range(40)))
    assert sum(outcome.allowed for outcome in outcomes) == 10
    assert sorted(outcome.remaining for outcome in outcomes if outcome.allowed) == list(range(10))


async def test_alone_what_has_expired_is_forgotten(clock: Clock) -> None:
    limiter = LocalRateLimiter(clock=clock.seconds)
    await limiter.hit("0/minute", "nobody")
    assert len(limiter) == 0
    for caller in range(100):
        await limiter.hit("5/minute", str(caller))
    assert len(limiter) == 100
    clock.now += 60
    await limiter.hit("5/minute", "next")
    assert len(limiter) == 1


async def test_alone_memory_is_bounded_and_the_quietest_caller_is_forgotten_first(clock: Clock) -> None:
    limiter = LocalRateLimiter(max_keys=10, clock=clock.seconds)
    await limiter.hit("2/hour", "quiet")
    for caller in range(100):
        clock.now += 1
        await limiter.hit("200/hour", "busy")
        await limiter.hit("2/hour", str(caller))
    assert len(limiter) <= 10
    assert (await limiter.hit("200/hour", "busy")).remaining == 99
    assert (await limiter.hit("2/hour", "quiet")).remaining == 1


async def test_redis_holds_no_more_than_the_limit_and_no_longer_than_the_window(link: RedisLink, clock: Clock) -> None:
    limiter = RedisRateLimiter(link, clock=clock.seconds)
    for _ in range(30):
        await limiter.hit("3/minute", "a")
        clock.now += 10
    await limiter.hit("0/minute", "nobody")
    (key,) = await link.ask("KEYS", "*")
    assert await link.ask("LLEN", key) <= 3
    assert 59_000 < await link.ask("PTTL", key) <= 60_000


async def test_redis_counts_by_its_own_clock(link: RedisLink) -> None:
    limiter = RedisRateLimiter(link)
    assert (await limiter.hit("1/second", "a")).allowed
    refused = await limiter.hit("1/second", "a")
    assert not refused.allowed
    assert 0 < refused.reset_after < 1


async def test_a_server_clock_that_was_set_back_starts_the_window_anew(link: RedisLink, clock: Clock) -> None:
    limiter = RedisRateLimiter(link, clock=clock.seconds)
    await limiter.hit("1/minute", "a")
    clock.now -= 3600
    assert (await limiter.hit("1/minute", "a")).allowed
    assert await limiter.hit("1/minute", "a") == LimitOutcome(False, 1, 0, 60.0)


async def test_a_redis_that_forgot_our_scripts_counts_on(link: RedisLink) -> None:
    limiter = RedisRateLimiter(link)
    await limiter.hit("2/hour", "a")
    await link.ask("SCRIPT", "FLUSH")
    assert (await limiter.hit("2/hour", "a")).remaining == 0
