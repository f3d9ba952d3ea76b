"""Prices that administrators set; they stand above those of the settings until they are reset."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from sqlalchemy import Text, cast, delete, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from telefonist.storage import audit
from telefonist.storage.database import Database
from telefonist.storage.schema import model_prices
from telefonist.types import Price, format_credits


class PriceOverrides:
    """The prices that differ from the settings, by the name of the model."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def read(self) -> Mapping[str, Price]:
        """Read them all: they are few. Raises Unavailable."""
        async with self._database.begin() as connection:
            return await _all(connection)

    async def peek(self) -> Mapping[str, Price]:
        """Read them also from a database that was not migrated, where there are none; raises Unavailable."""
        async with self._database.begin() as connection:
            made = await connection.scalar(select(cast(func.to_regclass(model_prices.name), Text)))
            return {} if made is None else await _all(connection)

    async def set(self, model: str, price: Price, actor_id: UUID | None) -> None:
        """Store a model's price, audited; raises Unavailable."""
        changes = {
            "input_price": price.input,
            "output_price": price.output,
            "cached_input_price": price.cached_input,
            "changed_by": actor_id,
        }
        async with self._database.begin() as connection:
            await connection.execute(
                insert(model_prices)
                .values(model=model, **changes)
                .on_conflict_do_update(index_elements=["model"], set_={**changes, "changed_at": func.now()})
            )
            await audit.append(connection, actor_id, "price.set", model, _in_credits(price))

    async def reset(self, model: str, actor_id: UUID | None) -> bool:
        """Remove a model's price, audited; False when none was set. Raises Unavailable."""
        async with self._database.begin() as connection:
            removed = await connection.execute(delete(model_prices).where(model_prices.c.model == model))
            if removed.rowcount == 0:
                return False
            await audit.append(connection, actor_id, "price.reset", model)
            return True


async def _all(connection: AsyncConnection) -> Mapping[str, Price]:
    rows = await connection.execute(select(model_prices))
    return {row.model: Price(row.input_price, row.output_price, row.cached_input_price) for row in rows}


def _in_credits(price: Price) -> dict[str, Any]:
    cached = price.cached_input
    return {
        "credits_per_1k_input": format_credits(price.input),
        "credits_per_1k_output": format_credits(price.output),
        "credits_per_1k_cached_input": None if cached is None else format_credits(cached),
    }
