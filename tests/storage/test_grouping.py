"""Grouped statements: many writers, few commits, and nobody suffers for a neighbour."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress

import asyncpg
import pytest

from telefonist.errors import Unavailable
from telefonist.storage.database import Database
from telefonist.storage.grouping import Grouped
from telefonist.storage.lines import Line, Outage


class Doubler:
    def __init__(self) -> None:
        self.groups: list[list[int]] = []

    async def __call__(self, connection: asyncpg.Connection, items: Sequence[int]) -> list[int]:
        self.groups.append(list(items))
        rows = await connection.fetch("SELECT 2 * i AS doubled, 1 / i FROM unnest($1::int[]) AS i", list(items))
        return [row["doubled"] for row in rows]


async def test_what_arrives_while_a_group_is_under_way_goes_together(database: Database) -> None:
    doubler = Doubler()
    grouped = Grouped(database.line("test"), doubler)
    assert await asyncio.gather(*(grouped.submit(number) for number in range(1, 101))) == list(range(2, 202, 2))
    assert len(doubler.groups) <= 2


async def test_a_group_has_a_largest_size(database: Database) -> None:
    doubler = Doubler()
    grouped = Grouped(database.line("test"), doubler, limit=10)
    await asyncio.gather(*(grouped.submit(number) for number in range(1, 36)))
    assert max(map(len, doubler.groups)) == 10


async def test_a_bad_item_fails_alone(database: Database) -> None:
    grouped = Grouped(database.line("test"), Doubler())
    results = await asyncio.gather(*(grouped.submit(number) for number in (1, 0, 3)), return_exceptions=True)
    assert (results[0], results[2]) == (2, 6)
    assert isinstance(results[1], asyncpg.DivisionByZeroError)


async def test_a_caller_that_leaves_takes_nobody_with_it(database: Database) -> None:
    grouped = Grouped(database.line("test"), Doubler())
    leaving, staying = asyncio.create_task(grouped.submit(1)), asyncio.create_task(grouped.submit(2))
    await asyncio.sleep(0)
    leaving.cancel()
    assert await staying == 4


async def test_a_database_that_is_away_is_said_and_met_again(database: Database) -> None:
    line = database.line("test")
    grouped = Grouped(line, Doubler())
    assert await grouped.submit(1) == 2
    async with database.begin() as connection:
        await connection.exec_driver_sql(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'telefonist test'"
        )
    with suppress(Unavailable):  # unless the loss was noticed before: then it is met again at once
        assert await grouped.submit(2) == 4
    assert await grouped.submit(3) == 6


async def test_a_database_that_never_answers_is_unavailable() -> None:
    line = Line("postgresql://nobody@127.0.0.1:1/nothing", "test", Outage())
    with pytest.raises(Unavailable):
        await line.run(lambda connection: connection.execute("SELECT 1"))
    database = Database("postgresql://nobody@127.0.0.1:1/nothing")
    with pytest.raises(Unavailable):
        await database.check()
    await database.close()
