"""Updates are stored once, in order, chat by chat, and count as done only for who holds the chat."""

import asyncio
from typing import Any

import pytest
from sqlalchemy import text

from telefonist.errors import LeaseLost
from telefonist.storage import telegram_chats
from telefonist.storage.database import Database
from telefonist.storage.mailboxes import Mailboxes
from telefonist.storage.telegram import TelegramUpdates, find_conversation, move_on
from telefonist.types import Lease, Side, TelegramPlace, new_id

HERE, THERE = TelegramPlace(5_000_000_001), TelegramPlace(-1_001_234_567_890, 7)


def update(number: int) -> dict[str, Any]:
    return {"update_id": number, "message": {"text": f"№ {number}"}}


async def claim(database: Database, process: Any) -> list[Lease]:
    return await Mailboxes(database).claim(process, Side.UPDATES, 10)


async def test_updates_are_stored_once_and_read_in_order(database: Database) -> None:
    updates, process = TelegramUpdates(database), new_id()
    assert await updates.accept([(HERE, update(1)), (THERE, update(2)), (HERE, update(3))]) == 3
    assert await updates.accept([(HERE, update(3)), (HERE, update(1))]) == 0
    leases = sorted(await claim(database, process), key=lambda lease: -lease.tail)
    assert [lease.tail for lease in leases] == [2, 1]
    current: Lease | None = leases[0]
    seen = []
    while current is not None:
        found = await updates.load(current)
        assert found is not None
        seen.append(found["update_id"])
        async with database.begin() as connection:
            current = await move_on(connection, process, current)
    assert seen == [1, 3]
    assert await claim(database, process) == []


async def test_the_same_update_sent_twice_at_once_is_stored_once(database: Database) -> None:
    updates = TelegramUpdates(database)
    stored = await asyncio.gather(*(updates.accept([(HERE, update(number // 3))]) for number in range(24)))
    assert sum(stored) == 8
    (lease,) = await claim(database, new_id())
    assert (lease.head, lease.tail) == (0, 8)


async def test_who_lost_the_chat_counts_nothing_as_done_and_leaves_nothing_behind(database: Database) -> None:
    updates, first, second = TelegramUpdates(database), new_id(), new_id()
    await updates.accept([(HERE, update(1))])
    (lease,) = await claim(database, first)
    await Mailboxes(database).let_go(first, [lease])
    (newer,) = await claim(database, second)

    async def choose_too_late() -> None:
        async with database.begin() as connection:
            await telegram_chats.choose_model(connection, lease.conversation_id, "gpt-9")
            await move_on(connection, first, lease)

    with pytest.raises(LeaseLost):
        await choose_too_late()
    async with database.begin() as connection:
        chat = await telegram_chats.enter_chat(connection, lease.conversation_id)
        assert chat.model is None
        assert await move_on(connection, second, newer) is None


async def test_old_updates_are_forgotten_once_they_are_done(database: Database) -> None:
    updates, process = TelegramUpdates(database), new_id()
    await updates.accept([(HERE, update(1)), (HERE, update(2))])
    (lease,) = await claim(database, process)
    async with database.begin() as connection:
        await move_on(connection, process, lease)
        await connection.execute(text("UPDATE telegram_updates SET received_at = now() - interval '4 days'"))
    await updates.purge()
    async with database.begin() as connection:
        assert await connection.scalar(text("SELECT array_agg(update_id) FROM telegram_updates")) == [2]


async def test_a_group_that_moved_keeps_its_conversations_in_every_topic(database: Database) -> None:
    old, new = -400, -1_001_000_000_400
    async with database.begin() as connection:
        kept = [await find_conversation(connection, TelegramPlace(old, thread)) for thread in (0, 9)]
        await telegram_chats.move_chat(connection, old, new)
        moved = [await find_conversation(connection, TelegramPlace(new, thread)) for thread in (0, 9)]
        assert moved == kept
        assert (await telegram_chats.enter_chat(connection, kept[1])).place == TelegramPlace(new, 9)
        urls = (await connection.execute(text("SELECT callback_url FROM conversations ORDER BY external_id"))).scalars()
        assert list(urls) == [f"telegram:{new}", f"telegram:{new}:9"]
