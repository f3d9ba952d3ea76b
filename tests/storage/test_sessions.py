"""Login sessions: who may open one, what is kept of them, and for how long."""

import asyncio
from uuid import UUID

import pytest

from telefonist.storage.accounts import AccountStore
from telefonist.storage.database import Database
from telefonist.storage.sessions import SessionStore
from telefonist.storage.users import Users
from tests.waiting import until


@pytest.fixture
async def ann(database: Database) -> UUID:
    return (await AccountStore(database).create("ann@example.com", "hash")).id


async def command(database: Database, statement: str) -> None:
    async with database.begin() as connection:
        await connection.exec_driver_sql(statement)


async def count(database: Database, table: str) -> int:
    async with database.begin() as connection:
        return int((await connection.exec_driver_sql(f"SELECT count(*) FROM {table}")).scalar_one())


async def test_a_session_opens_only_while_the_password_is_the_one_that_was_checked(
    database: Database, ann: UUID
) -> None:
    sessions = SessionStore(database)
    assert await sessions.open(ann, "the hash of before", b"1") is None
    assert await sessions.open(ann, "hash", b"2") is not None
    await Users(database).change(ann, None, True, None)
    assert await sessions.open(ann, "hash", b"3") is None
    assert await count(database, "sessions") == await count(database, "refresh_tokens") == 1


async def test_a_session_is_not_opened_past_a_change_of_password_that_is_about_to_commit(
    database: Database, ann: UUID
) -> None:
    sessions = SessionStore(database)
    async with database.begin() as connection:
        await connection.exec_driver_sql("UPDATE accounts SET password = 'another' WHERE email IS NOT NULL")
        opening = asyncio.create_task(sessions.open(ann, "hash", b"1"))
        await until(lambda: _waits_for_a_lock(database))
    assert await opening is None


async def _waits_for_a_lock(database: Database) -> bool:
    async with database.begin() as connection:
        waiting = await connection.exec_driver_sql(
            "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
        )
        return bool(waiting.scalar_one())


async def test_a_refresh_token_lives_for_thirty_days_from_its_making(database: Database, ann: UUID) -> None:
    sessions = SessionStore(database)
    await sessions.open(ann, "hash", b"1")
    await command(database, "UPDATE sessions SET expires_at = now() + interval '1 minute'")
    assert await sessions.renew(b"1", b"2") is not None
    async with database.begin() as connection:
        left = await connection.exec_driver_sql("SELECT extract(day FROM expires_at - now()) FROM sessions")
        assert left.scalar_one() == 29
    await command(database, "UPDATE sessions SET expires_at = now()")
    assert await sessions.renew(b"2", b"3") is None


async def test_tokens_are_kept_as_digests_and_used_ones_as_long_as_they_could_be_shown(
    database: Database, ann: UUID
) -> None:
    sessions = SessionStore(database)
    await sessions.open(ann, "hash", b"0")
    for number in range(5):
        assert await sessions.renew(b"%d" % number, b"%d" % (number + 1)) is not None
    assert await count(database, "refresh_tokens") == 6
    await command(database, "UPDATE refresh_tokens SET used_at = now() - interval '31 days' WHERE used_at IS NOT NULL")
    assert await sessions.renew(b"5", b"6") is not None
    assert await count(database, "refresh_tokens") == 2


async def test_sessions_past_their_time_are_cleared_away_with_their_tokens(database: Database, ann: UUID) -> None:
    sessions = SessionStore(database)
    await sessions.open(ann, "hash", b"1")
    await command(database, "UPDATE sessions SET expires_at = now() - interval '1 second'")
    kept = await sessions.open(ann, "hash", b"2")
    assert kept is not None
    await sessions.purge()
    assert await count(database, "sessions") == await count(database, "refresh_tokens") == 1
    assert await sessions.find(kept) is not None
