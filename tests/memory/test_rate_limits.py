"""Rate limits: how many hits fit, when the next one does, and what is forgotten."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telefonist.errors import RateLimited
from telefonist.memory.base import LimitOutcome, enforce
from telefonist.memory.local import LocalRateLimiter


class Clock:
    """Seconds that pass only when told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def limiter(clock: Clock) -> LocalRateLimiter:
    return LocalRateLimiter(clock=clock)


async def test_hits_fit_until_the_limit_and_say_what_remains(limiter: LocalRateLimiter) -> None:
    outcomes = [await limiter.hit("3/minute", "webhook", "192.0.2.1") for _ in range(4)]
    assert [(outcome.allowed, outcome.remaining) for outcome in outcomes] == [
        (True, 2),
        (True, 1),
        (True, 0),
        (False, 0),
    ]
    assert {outcome.limit for outcome in outcomes} == {3}


async def test_a_refused_caller_learns_when_the_next_hit_fits(limiter: LocalRateLimiter, clock: Clock) -> None:
    await limiter.hit("2/minute", "a")
    clock.now += 20
    await limiter.hit("2/minute", "a")
    assert await limiter.hit("2/minute", "a") == LimitOutcome(False, 2, 0, 40.0)
    clock.now += 40
    assert await limiter.hit("2/minute", "a") == LimitOutcome(True, 2, 0, 20.0)


async def test_the_window_moves_so_that_no_burst_passes_at_its_edge(limiter: LocalRateLimiter, clock: Clock) -> None:
    clock.now += 59
    for _ in range(5):
        assert (await limiter.hit("5/minute", "a")).allowed
    clock.now += 2
    assert not (await limiter.hit("5/minute", "a")).allowed


async def test_knocking_while_refused_does_not_prolong_the_wait(limiter: LocalRateLimiter, clock: Clock) -> None:
    await limiter.hit("1/minute", "a")
    for _ in range(59):
        clock.now += 1
        assert not (await limiter.hit("1/minute", "a")).allowed
    clock.now += 1
    assert (await limiter.hit("1/minute", "a")).allowed


async def test_keys_and_limits_are_counted_apart(limiter: LocalRateLimiter) -> None:
    assert (await limiter.hit("1/minute", "webhook", "a")).allowed
    assert (await limiter.hit("1/minute", "webhook", "b")).allowed
    assert (await limiter.hit("1/minute", "callback", "a")).allowed
    assert (await limiter.hit("2/minute", "webhook", "a")).allowed
    assert not (await limiter.hit("1 per minute", "webhook", "a")).allowed


async def test_a_limit_of_nothing_lets_nobody_in(limiter: LocalRateLimiter) -> None:
    assert await limiter.hit("0/minute", "a") == LimitOutcome(False, 0, 0, 60.0)
    assert len(limiter) == 0


async def test_a_limit_that_cannot_be_read_is_refused(limiter: LocalRateLimiter) -> None:
    with pytest.raises(ValueError, match="often"):
        await limiter.hit("often", "a")


async def test_what_has_expired_is_forgotten(limiter: LocalRateLimiter, clock: Clock) -> None:
    for caller in range(100):
        await limiter.hit("5/minute", str(caller))
    assert len(limiter) == 100
    clock.now += 60
    await limiter.hit("5/minute", "next")
    assert len(limiter) == 1


async def test_memory_is_bounded_and_the_quietest_caller_is_forgotten_first(clock: Clock) -> None:
    limiter = LocalRateLimiter(max_keys=10, clock=clock)
    await limiter.hit("2/hour", "quiet")
    for caller in range(100):
        clock.now += 1
        await limiter.hit("200/hour", "busy")
        await limiter.hit("2/hour", str(caller))
    assert len(limiter) <= 10
    assert (await limiter.hit("200/hour", "busy")).remaining == 99
    assert (await limiter.hit("2/hour", "quiet")).remaining == 1


async def test_enforcing_a_limit_raises_with_whole_seconds(limiter: LocalRateLimiter, clock: Clock) -> None:
    assert (await enforce(limiter, "1/minute", "a")).remaining == 0
    clock.now += 0.5
    with pytest.raises(RateLimited) as caught:
        await enforce(limiter, "1/minute", "a")
    assert caught.value.values == {"limit": "1/minute", "seconds": 60}
    clock.now += 59.4
    with pytest.raises(RateLimited) as caught:
        await enforce(limiter, "1/minute", "a")
    assert caught.value.values["seconds"] == 1


@given(st.lists(st.floats(min_value=0, max_value=40), max_size=40))
async def test_no_window_ever_holds_more_than_the_limit(pauses: list[float]) -> None:
    clock = Clock()
    limiter = LocalRateLimiter(clock=clock)
    taken: list[float] = []
    for pause in pauses:
        clock.now += pause
        fits = sum(moment + 60 > clock.now for moment in taken) < 3
        assert (await limiter.hit("3/minute", "a")).allowed is fits
        if fits:
            taken.append(clock.now)
