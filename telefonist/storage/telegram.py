"""Updates of Telegram: stored before they are acknowledged, and worked on in order, chat by chat."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from telefonist.errors import LeaseLost
from telefonist.storage.database import Database
from telefonist.storage.mailboxes import CHANNEL
from telefonist.storage.ownership import conversation_key, owner
from telefonist.storage.telegram_chats import move_chat
from telefonist.types import TELEGRAM_ACCOUNT, Json, Lease, Side, TelegramPlace, new_id

KEPT_HOURS = 72
"""How long an update is remembered, so as to know it again; Telegram itself keeps one for 24 hours."""

FIND = text("SELECT id FROM conversations WHERE key = :key")

MAKE = text("""
INSERT INTO conversations (id, key, account_id, door, external_id, callback_url)
VALUES (:id, :key, :account, 'telegram', :external_id, :url)
ON CONFLICT (key) DO NOTHING
""")

MAKE_CHAT = text("""
INSERT INTO telegram_chats (conversation_id, chat_id, thread_id) VALUES (:conversation, :chat, :thread)
ON CONFLICT DO NOTHING
""")

MAKE_BOX = text("""
INSERT INTO mailboxes (conversation_id, side, head, tail, epoch) VALUES (:conversation, 'updates', 0, 0, 0)
ON CONFLICT (conversation_id, side) DO NOTHING
""")

LOCK_BOX = text("""
SELECT tail FROM mailboxes WHERE conversation_id = :conversation AND side = 'updates' FOR UPDATE
""")

PUT = text("""
INSERT INTO telegram_updates (update_id, conversation_id, position, body)
VALUES (:update, :conversation, :position, cast(:body AS json))
ON CONFLICT (update_id) DO NOTHING RETURNING position
""")

COUNT = text("""
UPDATE mailboxes SET tail = tail + 1, due_at = coalesce(due_at, now())
WHERE conversation_id = :conversation AND side = 'updates'
""")

WAKE = text("SELECT pg_notify(:channel, :side)")

LOAD = text("""
SELECT body::text FROM telegram_updates WHERE conversation_id = :conversation AND position = :position
""")

MOVE_ON = text("""
UPDATE mailboxes SET head = head + 1,
    leased_by = CASE WHEN tail > head + 1 THEN leased_by END,
    due_at = CASE WHEN tail > head + 1 THEN due_at END
WHERE conversation_id = :conversation AND side = 'updates' AND leased_by = :process AND epoch = :epoch AND head = :head
RETURNING head, tail
""")

PURGE = text(f"""
DELETE FROM telegram_updates u WHERE update_id IN (
    SELECT update_id FROM telegram_updates WHERE received_at < now() - interval '{KEPT_HOURS} hours'
    ORDER BY received_at LIMIT 5000 FOR UPDATE SKIP LOCKED
) AND position <= (SELECT head FROM mailboxes m WHERE m.conversation_id = u.conversation_id AND m.side = 'updates')
""")  # noqa: S608  the hours are a constant

SENT = text("""
INSERT INTO telegram_messages (chat_id, telegram_id, conversation_id, message_id, kind)
SELECT :chat, :telegram, conversation_id, id, 'sent' FROM deliveries WHERE id = :message
ON CONFLICT DO NOTHING
""")


class TelegramUpdates:
    """The third mailbox of a conversation: what Telegram brought for it."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def accept(self, updates: Sequence[tuple[TelegramPlace, Json]]) -> int:
        """Store updates, each with the place whose turn it waits for; gives how many were not known yet.

        What it returns from is on disk. An update that came before changes nothing. Raises Unavailable.
        """
        fresh = 0
        async with self._database.begin() as connection:
            for place, update in updates:
                fresh += await _put(connection, place, update)
            if fresh:
                await connection.execute(WAKE, {"channel": CHANNEL, "side": Side.UPDATES.value})
        return fresh

    async def load(self, lease: Lease) -> Json | None:
        """Read the first update that waits; None where it is gone. Raises Unavailable."""
        async with self._database.begin() as connection:
            values = {"conversation": lease.conversation_id, "position": lease.head + 1}
            found = await connection.scalar(LOAD, values)
        return None if found is None else orjson.loads(found)

    async def sent(self, message_id: UUID, chat_id: int, telegram_id: int) -> None:
        """Remember under which id a message of the outgoing mailbox went out; raises Unavailable."""
        async with self._database.begin() as connection:
            await connection.execute(SENT, {"chat": chat_id, "telegram": telegram_id, "message": message_id})

    async def moved(self, old: int, new: int) -> None:
        """Follow a group to its new id; raises Unavailable."""
        async with self._database.begin() as connection:
            await move_chat(connection, old, new)

    async def purge(self) -> None:
        """Forget updates that are past their time, some thousands at once; raises Unavailable."""
        async with self._database.begin() as connection:
            await connection.execute(PURGE)


async def find_conversation(connection: AsyncConnection, place: TelegramPlace) -> UUID:
    """Give the conversation of a place, which is made where there was none."""
    key = conversation_key(owner(TELEGRAM_ACCOUNT, ""), place.external_id)
    found: UUID | None = await connection.scalar(FIND, {"key": key})
    if found is not None:
        return found
    made: Mapping[str, Any] = {
        "id": new_id(),
        "key": key,
        "account": TELEGRAM_ACCOUNT,
        "external_id": place.external_id,
        "url": place.url,
    }
    await connection.execute(MAKE, made)
    found = await connection.scalar(FIND, {"key": key})
    assert found is not None, "it was made"  # noqa: S101
    values = {"conversation": found, "chat": place.chat_id, "thread": place.thread_id}
    await connection.execute(MAKE_CHAT, values)
    return found


async def move_on(connection: AsyncConnection, process_id: UUID, lease: Lease) -> Lease | None:
    """Count the first update as done, in the transaction of what it caused; gives the lease while more wait.

    Raises LeaseLost where somebody else works on the chat by now: then nothing of the transaction may stand.
    """
    values = {
        "conversation": lease.conversation_id,
        "process": process_id,
        "epoch": lease.epoch,
        "head": lease.head,
    }
    row = (await connection.execute(MOVE_ON, values)).one_or_none()
    if row is None:
        raise LeaseLost
    if row.tail == row.head:
        return None
    return Lease(lease.conversation_id, Side.UPDATES, lease.epoch, row.head, row.tail)


async def _put(connection: AsyncConnection, place: TelegramPlace, update: Json) -> bool:
    conversation = {"conversation": await find_conversation(connection, place)}
    tail = await connection.scalar(LOCK_BOX, conversation)
    if tail is None:
        await connection.execute(MAKE_BOX, conversation)
        tail = await connection.scalar(LOCK_BOX, conversation)
    row = {**conversation, "update": update["update_id"], "position": tail + 1, "body": orjson.dumps(update).decode()}
    if await connection.scalar(PUT, row) is None:
        return False
    await connection.execute(COUNT, conversation)
    return True
