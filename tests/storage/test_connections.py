"""What each connection asks of the server, and what it makes of a server that may only be read."""

from collections.abc import Awaitable, Callable

import asyncpg
import pytest

from telefonist.errors import Unavailable
from telefonist.storage import lines
from telefonist.storage.database import Database

IDLE_LIMIT = "idle_in_transaction_session_timeout"


async def show(connection: asyncpg.Connection) -> str:
    return str(await connection.fetchval(f"SHOW {IDLE_LIMIT}"))


async def set_read_only(database: Database, value: str) -> None:
    """Make every new connection read-only, or not, as a primary is that was demoted and one that was promoted."""
    connection = await asyncpg.connect(database.dsn)
    try:
        await connection.execute("SET default_transaction_read_only = off")
        name = await connection.fetchval("SELECT current_database()")
        await connection.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = {value}")
    finally:
        await connection.close()


async def write_on_a_line(database: Database) -> None:
    await database.line("test").run(lambda connection: connection.execute("DELETE FROM idempotency_keys"))


async def write_in_the_pool(database: Database) -> None:
    async with database.begin() as connection:
        await connection.exec_driver_sql("DELETE FROM idempotency_keys")


async def test_a_process_frozen_in_a_transaction_may_keep_its_locks_for_seconds_only(database: Database) -> None:
    assert await database.line("test").run(show) == "4s"
    async with database.begin() as connection:
        assert (await connection.exec_driver_sql(f"SHOW {IDLE_LIMIT}")).scalar() == "4s"


async def test_a_transaction_that_stands_still_is_ended_and_others_get_its_locks(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(lines.SESSION, IDLE_LIMIT, "100ms")
    async with database.begin() as connection:
        await connection.exec_driver_sql("CREATE TABLE counters (n int)")
        await connection.exec_driver_sql("INSERT INTO counters VALUES (0)")

    async def freeze_until_another_got_through() -> None:
        async with database.begin() as frozen:
            await frozen.exec_driver_sql("UPDATE counters SET n = 10")
            await database.line("test").run(lambda other: other.execute("UPDATE counters SET n = n + 1"))

    with pytest.raises(Unavailable):
        await freeze_until_another_got_through()
    async with database.begin() as connection:
        assert (await connection.exec_driver_sql("SELECT n FROM counters")).scalar() == 1


@pytest.mark.parametrize("write", [write_on_a_line, write_in_the_pool])
async def test_a_database_that_may_only_be_read_is_away_and_met_again_once_it_may_be_written(
    database: Database, write: Callable[[Database], Awaitable[None]]
) -> None:
    await set_read_only(database, "on")
    for _ in range(2):
        with pytest.raises(Unavailable):
            await write(database)
    await set_read_only(database, "off")
    await write(database)
