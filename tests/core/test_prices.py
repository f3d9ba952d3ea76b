"""Prices in force: the settings' until an administrator sets another, read again within seconds, never in a crowd."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import pytest

from telefonist.core import prices as prices_module
from telefonist.core.prices import CACHED, Prices
from telefonist.errors import Unavailable
from telefonist.storage.database import Database
from telefonist.storage.prices import PriceOverrides
from telefonist.types import Model, Price, new_id

ADMIN = new_id()
MODEL = Model("demo", "demo", "demo", input_price=10, output_price=20, cached_input_price=5)
OTHER = Model("other", "demo", "other", input_price=1)


class CountedOverrides(PriceOverrides):
    """Counts how often the prices are read, and can be made to wait in the middle of it."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self.reads = 0
        self.begun = asyncio.Event()
        self.passing = asyncio.Event()
        self.passing.set()

    async def read(self) -> Mapping[str, Price]:
        self.reads += 1
        self.begun.set()
        found = await super().read()
        await self.passing.wait()
        return found


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(prices_module, "time", clock)
    return clock


@pytest.fixture
def overrides(database: Database) -> CountedOverrides:
    return CountedOverrides(database)


@pytest.fixture
def prices(overrides: CountedOverrides, clock: Clock) -> Prices:
    return Prices(overrides)


async def test_without_an_override_the_settings_tell_the_price(prices: Prices) -> None:
    assert await prices.of(MODEL) == Price(10, 20, 5)
    assert not await prices.is_overridden(MODEL)


async def test_an_override_stands_above_the_settings_until_it_is_reset(prices: Prices) -> None:
    await prices.of(MODEL)
    await prices.set(MODEL, Price(7, 8), ADMIN)
    assert await prices.of(MODEL) == Price(7, 8)
    assert await prices.is_overridden(MODEL)
    assert await prices.of(OTHER) == Price(1)
    assert await prices.reset("demo", ADMIN)
    assert await prices.of(MODEL) == Price(10, 20, 5)
    assert not await prices.reset("demo", ADMIN)


async def test_a_price_may_be_set_to_nothing(prices: Prices) -> None:
    await prices.set(MODEL, Price(), ADMIN)
    assert (await prices.of(MODEL)).is_free


async def test_fresh_prices_are_not_read_again(prices: Prices, overrides: CountedOverrides, clock: Clock) -> None:
    for moment in (0, 1.0, CACHED - 1.001):
        clock.now += moment
        await prices.of(MODEL)
    assert overrides.reads == 1


async def test_a_change_in_another_process_is_seen_within_seconds(
    prices: Prices, database: Database, clock: Clock
) -> None:
    await prices.of(MODEL)
    await Prices(PriceOverrides(database)).set(MODEL, Price(7, 8), ADMIN)
    clock.now += CACHED
    assert await prices.of(MODEL) == Price(7, 8)


async def test_a_crowd_reads_once(prices: Prices, overrides: CountedOverrides) -> None:
    assert set(await asyncio.gather(*(prices.of(MODEL) for _ in range(100)))) == {Price(10, 20, 5)}
    assert overrides.reads == 1


async def test_a_change_is_in_force_though_a_reading_was_under_way(prices: Prices, overrides: CountedOverrides) -> None:
    overrides.passing.clear()
    reading = asyncio.create_task(prices.of(MODEL))
    await overrides.begun.wait()
    change = asyncio.create_task(prices.set(MODEL, Price(7, 8), ADMIN))
    overrides.passing.set()
    await asyncio.gather(reading, change)
    assert await prices.of(MODEL) == Price(7, 8)


async def test_nobody_is_told_a_price_that_may_have_changed_while_the_database_is_away() -> None:
    async with nowhere() as database:
        prices = Prices(PriceOverrides(database))
        with pytest.raises(Unavailable):
            await prices.of(MODEL)


@asynccontextmanager
async def nowhere() -> AsyncIterator[Database]:
    database = Database("postgresql://nobody@127.0.0.1:1/nothing")
    try:
        yield database
    finally:
        await database.close()
