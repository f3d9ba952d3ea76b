"""Prices that administrators set: stored, audited, gone when they are reset."""

import pytest
from sqlalchemy import select

from telefonist.storage.database import Database
from telefonist.storage.prices import PriceOverrides
from telefonist.storage.schema import audit, model_prices
from telefonist.types import Price, new_id

ADMIN = new_id()


@pytest.fixture
def overrides(database: Database) -> PriceOverrides:
    return PriceOverrides(database)


async def test_a_price_is_kept_as_it_was_set_last(overrides: PriceOverrides, database: Database) -> None:
    await overrides.set("demo", Price(1, 2, 3), None)
    await overrides.set("vendor/model:free", Price(0, 0, 0), ADMIN)
    await overrides.set("demo", Price(4, 5, None), ADMIN)
    assert await overrides.read() == {"demo": Price(4, 5, None), "vendor/model:free": Price(0, 0, 0)}
    async with database.begin() as connection:
        assert set(await connection.scalars(select(model_prices.c.changed_by))) == {ADMIN}


async def test_a_reset_price_is_gone(overrides: PriceOverrides) -> None:
    await overrides.set("demo", Price(1, 2), ADMIN)
    assert await overrides.reset("demo", ADMIN)
    assert await overrides.read() == {}


async def test_every_change_of_a_price_is_audited_in_credits(overrides: PriceOverrides, database: Database) -> None:
    await overrides.set("demo", Price(1_500_000, 1, None), ADMIN)
    assert await overrides.reset("demo", None)
    assert not await overrides.reset("demo", ADMIN)
    async with database.begin() as connection:
        rows = (await connection.execute(select(audit).order_by(audit.c.created_at))).all()
    assert [(row.actor_id, row.action, row.subject) for row in rows] == [
        (ADMIN, "price.set", "demo"),
        (None, "price.reset", "demo"),
    ]
    assert rows[0].details == {
        "credits_per_1k_input": "1.5",
        "credits_per_1k_output": "0.000001",
        "credits_per_1k_cached_input": None,
    }
