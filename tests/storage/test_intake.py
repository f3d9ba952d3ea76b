"""Taking messages in: numbered without gaps, whoever writes at the same moment."""

import asyncio
from uuid import UUID

import pytest

from telefonist.errors import Conflict
from telefonist.storage.database import Database
from telefonist.storage.intake import Intake
from telefonist.types import AcceptedTask, NewTask, new_id

URL = "https://example.com/callback"


async def accept(intake: Intake, message: str, conversation: str = "c", account: UUID | None = None) -> AcceptedTask:
    return (await intake.accept(NewTask(message, URL, conversation, "demo"), account, 1, None)).accepted


async def keyed(
    intake: Intake, message: str, *, url: str = URL, account: UUID | None = None, metadata: str | None = None
) -> AcceptedTask:
    return (await intake.accept(NewTask(message, url, "c", "demo", metadata, "order-7"), account, 1, None)).accepted


async def turns(database: Database) -> list[tuple[str, list[int]]]:
    async with database.begin() as connection:
        rows = await connection.exec_driver_sql(
            "SELECT c.external_id, array_agg(t.turn ORDER BY t.turn) FROM tasks t "
            "JOIN conversations c ON c.id = t.conversation_id GROUP BY c.id, c.external_id ORDER BY 1"
        )
        return [(name, list(numbers)) for name, numbers in (tuple(row) for row in rows)]


async def test_messages_of_one_caller_keep_their_order(database: Database) -> None:
    intake = Intake(database)
    await asyncio.gather(*(accept(intake, f"{number}") for number in range(50)))
    async with database.begin() as connection:
        rows = await connection.exec_driver_sql("SELECT content FROM messages ORDER BY turn")
        assert [row[0] for row in rows] == [f"{number}" for number in range(50)]


async def test_two_processes_that_make_the_same_conversation_at_once_number_it_together(dsn: str) -> None:
    databases = [Database(dsn) for _ in range(4)]
    intakes = [Intake(database) for database in databases]
    for attempt in range(20):
        await asyncio.gather(*(accept(intake, "hello", f"new-{attempt}") for intake in intakes for _ in range(3)))
    assert await turns(databases[0]) == sorted((f"new-{attempt}", list(range(1, 13))) for attempt in range(20))
    for database in databases:
        await database.close()


async def test_accounts_do_not_share_conversations_of_the_same_name(database: Database) -> None:
    intake = Intake(database)
    for account in (None, new_id(), new_id()):
        await accept(intake, "hello", "same", account)
    assert await turns(database) == [("same", [1]), ("same", [1]), ("same", [1])]


async def test_an_idempotency_key_holds_across_processes(dsn: str) -> None:
    databases = [Database(dsn) for _ in range(3)]
    receipts = await asyncio.gather(*(keyed(Intake(database), "pay") for database in databases for _ in range(3)))
    assert len({receipt.task_id for receipt in receipts}) == 1
    assert await turns(databases[0]) == [("c", [1])]
    for database in databases:
        await database.close()


async def test_the_same_metadata_in_another_order_is_the_same_request(database: Database) -> None:
    intake = Intake(database)
    first = await keyed(intake, "a", metadata='{"b": 1, "a": 2}')
    again = await keyed(intake, "a", metadata='{"a": 2, "b": 1}')
    assert again.task_id == first.task_id
    with pytest.raises(Conflict):
        await keyed(intake, "a", metadata='{"a": 3, "b": 1}')


async def test_an_idempotency_key_is_forgotten_after_a_day(database: Database) -> None:
    intake = Intake(database)
    first = await keyed(intake, "a")
    async with database.begin() as connection:
        await connection.exec_driver_sql("UPDATE idempotency_keys SET created_at = now() - interval '25 hours'")
    second = await keyed(intake, "b")
    assert second.task_id != first.task_id
    assert not second.repeated


async def test_idempotency_keys_past_their_time_are_cleared_away_and_others_stay(database: Database) -> None:
    intake = Intake(database)
    await keyed(intake, "old", url=URL + "/old")
    async with database.begin() as connection:
        await connection.exec_driver_sql("UPDATE idempotency_keys SET created_at = now() - interval '25 hours'")
    fresh = await keyed(intake, "fresh")
    await intake.purge()
    async with database.begin() as connection:
        kept = (await connection.exec_driver_sql("SELECT task_id FROM idempotency_keys")).scalars()
        assert list(kept) == [fresh.task_id]
    assert (await keyed(intake, "fresh")).repeated


async def test_keys_of_one_caller_mean_nothing_to_another(database: Database) -> None:
    intake = Intake(database)
    tasks = [
        await keyed(intake, "a", url=url, account=account)
        for url, account in ((URL, None), (URL + "2", None), (URL, new_id()))
    ]
    assert len({task.task_id for task in tasks}) == 3
