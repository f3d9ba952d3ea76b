"""Grouped statements: many writers, few commits, and nobody suffers for a neighbour."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress

import asyncpg
import pytest

from telefonist.errors import Unavailable
from telefonist.storage import grouping, lines
from telefonist.storage.database import Database
from telefonist.storage.grouping import Grouped
from telefonist.storage.lines import Line, Outage
from tests.waiting import until


class Doubler:
    def __init__(self) -> None:
        self.groups: list[list[int]] = []

    async def __call__(self, connection: asyncpg.Connection, items: Sequence[int]) -> list[int]:
        self.groups.append(list(items))
        rows = await connection.fetch("SELECT 2 * i AS doubled, 1 / i FROM unnest($1::int[]) AS i", list(items))
        return [row["doubled"] for row in rows]


class Doorkeeper:
    """Lets a group through when the test opens the gate; what it does then is the test's to say."""

    def __init__(self, act: Callable[[Sequence[str]], Sequence[str]]) -> None:
        self._act = act
        self.entered, self.gate = asyncio.Event(), asyncio.Event()

    async def __call__(self, _: asyncpg.Connection, items: Sequence[str]) -> Sequence[str]:
        self.entered.set()
        await self.gate.wait()
        return self._act(items)


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


async def test_a_mistake_of_ours_fails_its_own_callers_and_those_who_wait_behind_go_on(database: Database) -> None:
    def act(items: Sequence[str]) -> Sequence[str]:
        if "bad" in items:
            raise KeyError("a mistake of ours")
        return items

    doorkeeper = Doorkeeper(act)
    grouped = Grouped(database.line("test"), doorkeeper)
    bad = asyncio.create_task(grouped.submit("bad"))
    await doorkeeper.entered.wait()
    neighbours = [asyncio.create_task(grouped.submit(item)) for item in ("good", "bad", "better")]
    await asyncio.sleep(0)
    doorkeeper.gate.set()
    async with asyncio.timeout(5):
        results = await asyncio.gather(bad, *neighbours, return_exceptions=True)
        assert [results[1], results[3], await grouped.submit("later")] == ["good", "better", "later"]
    assert [type(results[0]), type(results[2])] == [KeyError, KeyError]


@pytest.mark.parametrize("count", [0, 2])
async def test_a_wrong_number_of_results_is_told_to_the_callers_and_hangs_nobody(
    database: Database, count: int
) -> None:
    async def answer(_: asyncpg.Connection, items: Sequence[str]) -> Sequence[str]:
        return items if "good" in items else list(items) * count

    grouped = Grouped(database.line("test"), answer)
    async with asyncio.timeout(5):
        with pytest.raises(ValueError, match="argument"):
            await grouped.submit("odd")
        assert await grouped.submit("good") == "good"


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


async def test_a_connection_that_nobody_uses_is_closed_and_opened_again_when_needed(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lines, "IDLE_SECONDS", 0.05)
    grouped = Grouped(database.line("test"), Doubler())
    assert await grouped.submit(1) == 2

    async def gone() -> bool:
        async with database.begin() as connection:
            found = await connection.exec_driver_sql(
                "SELECT 1 FROM pg_stat_activity WHERE application_name = 'telefonist test'"
            )
            return found.first() is None

    await until(gone)
    assert await grouped.submit(2) == 4


async def test_two_that_lock_the_wrong_way_round_both_get_through(database: Database) -> None:
    async with database.begin() as connection:
        await connection.exec_driver_sql("CREATE TABLE pairs (id int PRIMARY KEY, n int)")
        await connection.exec_driver_sql("INSERT INTO pairs VALUES (1, 0), (2, 0)")
    met = asyncio.Barrier(2)

    def crossing(*order: int) -> Callable[[asyncpg.Connection], Awaitable[None]]:
        tries = 0

        async def update_both(connection: asyncpg.Connection) -> None:
            nonlocal tries
            tries += 1
            async with connection.transaction():
                await connection.execute("SET LOCAL deadlock_timeout = '50ms'")
                await connection.execute("UPDATE pairs SET n = n + 1 WHERE id = $1", order[0])
                if tries == 1:
                    await met.wait()
                await connection.execute("UPDATE pairs SET n = n + 1 WHERE id = $1", order[1])

        return update_both

    await asyncio.gather(database.line("one").run(crossing(1, 2)), database.line("two").run(crossing(2, 1)))
    async with database.begin() as connection:
        assert (await connection.exec_driver_sql("SELECT array_agg(n) FROM pairs")).scalar() == [2, 2]


async def test_what_would_wait_too_long_is_refused_at_once(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grouping, "LONGEST_QUEUE", 3)
    doorkeeper = Doorkeeper(lambda items: items)
    grouped = Grouped(database.line("test"), doorkeeper)
    under_way = asyncio.create_task(grouped.submit("under way"))
    await doorkeeper.entered.wait()
    waiting = [asyncio.create_task(grouped.submit(f"{number}")) for number in range(3)]
    await asyncio.sleep(0)
    with pytest.raises(Unavailable):
        await grouped.submit("one too many")
    doorkeeper.gate.set()
    assert await asyncio.gather(under_way, *waiting) == ["under way", "0", "1", "2"]
    assert await grouped.submit("room again") == "room again"
