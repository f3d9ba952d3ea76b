"""Tokens a minute: how many are left, when they come back, and what is owed; alone and shared through Redis."""

import asyncio

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from telefonist.memory.base import LimitOutcome, Memory, TokenRates
from telefonist.memory.local_quotas import LocalTokenRates
from telefonist.memory.redis_link import RedisLink
from telefonist.memory.redis_quotas import RedisTokenRates
from telefonist.types import new_id
from tests.memory.conftest import Clock


@pytest.fixture(params=["local", "redis"])
def rates(request: pytest.FixtureRequest, clock: Clock) -> TokenRates:
    if request.param == "local":
        return LocalTokenRates(clock=clock.seconds)
    return RedisTokenRates(request.getfixturevalue("link"), clock=clock.seconds)


async def test_tokens_fit_until_the_bucket_is_empty(rates: TokenRates) -> None:
    outcomes = [await rates.take("a", 100, 40) for _ in range(3)]
    assert outcomes == [
        LimitOutcome(True, 100, 60, 0.0),
        LimitOutcome(True, 100, 20, 12.0),
        LimitOutcome(False, 100, 20, 12.0),
    ]


async def test_tokens_come_back_evenly_and_exactly(rates: TokenRates, clock: Clock) -> None:
    assert (await rates.take("a", 60, 60)).remaining == 0
    for _ in range(90):
        clock.now += 1
        assert await rates.take("a", 60, 1) == LimitOutcome(True, 60, 0, 1.0)
        assert await rates.take("a", 60, 1) == LimitOutcome(False, 60, 0, 1.0)
    clock.now += 1000
    assert (await rates.take("a", 60, 0)).remaining == 60


async def test_a_refused_take_changes_nothing(rates: TokenRates, clock: Clock) -> None:
    await rates.take("a", 600, 600)
    for _ in range(9):
        clock.now += 1
        assert not (await rates.take("a", 600, 100)).allowed
    clock.now += 1
    assert await rates.take("a", 600, 100) == LimitOutcome(True, 600, 0, 10.0)


async def test_more_than_a_minute_holds_fits_into_a_full_bucket_alone(rates: TokenRates, clock: Clock) -> None:
    await rates.take("a", 60, 1)
    assert await rates.take("a", 60, 150) == LimitOutcome(False, 60, 59, 1.0)
    clock.now += 1
    assert await rates.take("a", 60, 150) == LimitOutcome(True, 60, 0, 150.0)
    assert await rates.take("a", 60, 1) == LimitOutcome(False, 60, 0, 91.0)
    clock.now += 91
    assert (await rates.take("a", 60, 1)).allowed


async def test_what_was_taken_too_much_is_given_back_up_to_a_full_bucket(rates: TokenRates) -> None:
    await rates.take("a", 100, 80)
    await rates.correct("a", 100, -50)
    assert (await rates.take("a", 100, 10)).remaining == 60
    await rates.correct("a", 100, -1000)
    assert (await rates.take("a", 100, 100)).remaining == 0
    await rates.correct("never taken from", 100, -50)
    assert (await rates.take("never taken from", 100, 10)).remaining == 90


async def test_what_was_taken_too_little_is_owed(rates: TokenRates, clock: Clock) -> None:
    await rates.take("a", 60, 10)
    await rates.correct("a", 60, 110)
    assert await rates.take("a", 60, 1) == LimitOutcome(False, 60, 0, 61.0)
    clock.now += 61
    assert (await rates.take("a", 60, 1)).allowed
    await rates.correct("b", 60, 20)
    assert (await rates.take("b", 60, 0)).remaining == 40


async def test_keys_are_counted_apart_and_a_changed_limit_applies_at_once(rates: TokenRates) -> None:
    await rates.take("a", 100, 90)
    assert (await rates.take("b", 100, 90)).allowed
    assert (await rates.take("a", 200, 90)).remaining == 20
    assert not (await rates.take("a", 150, 10)).allowed


async def test_a_limit_of_nothing_gives_nobody_tokens(rates: TokenRates) -> None:
    assert await rates.take("a", 0, 1) == LimitOutcome(False, 0, 0, 60.0)
    await rates.correct("a", 0, 5)
    assert (await rates.take("a", 10, 10)).allowed


async def test_large_limits_are_as_exact(rates: TokenRates, clock: Clock) -> None:
    capacity = 30_000_000
    assert (await rates.take("a", capacity, capacity - 1)).remaining == 1
    assert (await rates.take("a", capacity, 1)).remaining == 0
    clock.now += 0.001
    assert (await rates.take("a", capacity, 500)).remaining == 0
    assert not (await rates.take("a", capacity, 1)).allowed


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50, deadline=None)
@given(
    steps=st.lists(
        st.tuples(
            st.integers(min_value=0, max_value=90_000),
            st.sampled_from(["take", "correct"]),
            st.integers(min_value=0, max_value=40),
            st.integers(min_value=-40, max_value=40),
        ),
        max_size=30,
    )
)
async def test_a_bucket_never_gives_more_than_it_holds(
    rates: TokenRates, clock: Clock, steps: list[tuple[int, str, int, int]]
) -> None:
    key, now, started, per_minute = new_id().hex, 0, clock.now, 30
    missing = 0  # thousandths of a token: half of one comes back each millisecond, so that the sum is kept doubled
    for milliseconds, step, tokens, difference in steps:
        now += milliseconds
        clock.now = started + now / 1000
        missing = max(0, missing - milliseconds)
        if step == "correct":
            await rates.correct(key, per_minute, difference)
            missing = max(0, missing + difference * 2000)
            continue
        most = (per_minute - min(tokens, per_minute)) * 2000
        outcome = await rates.take(key, per_minute, tokens)
        assert outcome.allowed is (missing <= most)
        if outcome.allowed:
            missing += tokens * 2000
        assert outcome.remaining == max(0, (per_minute * 2000 - missing) // 2000)
        assert outcome.reset_after == pytest.approx(max(0, missing - most) / 1000, abs=0.00001)


async def test_of_many_who_take_at_once_exactly_as_many_pass_as_fit(pair: tuple[Memory, Memory]) -> None:
    outcomes = await asyncio.gather(*(memory.rates.take("a", 600, 60) for memory in pair for _ in range(40)))
    allowed = sum(outcome.allowed for outcome in outcomes)
    assert 10 <= allowed <= 11  # the bucket refills while it is asked: one more fits after six seconds
    one, two = pair
    await one.rates.correct("a", 600, -600)
    assert (await two.rates.take("a", 600, 600)).allowed


async def test_alone_full_buckets_are_forgotten(clock: Clock) -> None:
    rates = LocalTokenRates(clock=clock.seconds)
    for key in range(100):
        await rates.take(str(key), 60, 60)
    assert len(rates) == 100
    clock.now += 60
    await rates.take("next", 60, 1)
    assert len(rates) == 1


async def test_alone_memory_is_bounded_and_the_quietest_key_is_forgotten_first(clock: Clock) -> None:
    rates = LocalTokenRates(max_keys=10, clock=clock.seconds)
    await rates.take("quiet", 60, 600)
    for key in range(30):
        await rates.take("busy", 600, 1)
        await rates.take(str(key), 60, 30)
    assert len(rates) <= 10
    assert (await rates.take("busy", 600, 1)).remaining == 569
    assert (await rates.take("quiet", 60, 1)).allowed


async def test_redis_keeps_a_bucket_no_longer_than_until_it_is_full(link: RedisLink, clock: Clock) -> None:
    rates = RedisTokenRates(link, clock=clock.seconds)
    await rates.take("a", 60, 30)
    (key,) = await link.ask("KEYS", "*")
    assert 29_000 < await link.ask("PTTL", key) <= 30_000
    await rates.correct("a", 60, -30)
    assert await link.ask("KEYS", "*") == []


async def test_redis_refills_by_its_own_clock(link: RedisLink) -> None:
    rates = RedisTokenRates(link)
    assert (await rates.take("a", 60, 60)).allowed
    refused = await rates.take("a", 60, 10)
    assert not refused.allowed
    assert 9 < refused.reset_after <= 10


async def test_a_server_clock_that_was_set_back_refills_from_then_on(link: RedisLink, clock: Clock) -> None:
    rates = RedisTokenRates(link, clock=clock.seconds)
    await rates.take("a", 60, 60)
    clock.now -= 3600
    assert await rates.take("a", 60, 10) == LimitOutcome(False, 60, 0, 10.0)
    clock.now += 10
    assert (await rates.take("a", 60, 10)).allowed
