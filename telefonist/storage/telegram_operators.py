"""Operators who work in Telegram: whom they write to, and what of a user's words they were shown.

Everything is done inside a transaction of the caller's.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from telefonist.storage.database import Database
from telefonist.storage.dialogs import Place
from telefonist.storage.handoffs import handoff_of
from telefonist.storage.operators import operator_of
from telefonist.storage.schema import handoffs, operators
from telefonist.storage.telegram import find_conversation
from telefonist.types import TELEGRAM_ACCOUNT, Handoff, Operator, TelegramPlace

DIALOGS = """
SELECT d.conversation_id, coalesce(u.name, c.external_id) AS title FROM dialogs d
JOIN conversations c ON c.id = d.conversation_id
LEFT JOIN telegram_chats t ON t.conversation_id = d.conversation_id
LEFT JOIN telegram_users u ON u.id = t.user_id
"""

OWN = text(f"{DIALOGS} WHERE d.operator_id = :operator AND d.owner = 'operator' ORDER BY d.changed_at")

WAITING = text(f"{DIALOGS} WHERE d.owner = 'waiting' ORDER BY d.changed_at LIMIT :most")

TITLE = text("""
SELECT coalesce(u.name, c.external_id) FROM conversations c
LEFT JOIN telegram_chats t ON t.conversation_id = c.id
LEFT JOIN telegram_users u ON u.id = t.user_id
WHERE c.id = :conversation
""")

CARD = text("""
INSERT INTO handoff_cards (handoff_id, operator_id) VALUES (:handoff, :operator) ON CONFLICT DO NOTHING
""")

SHOWN = text("""
UPDATE dialogs d SET shown_turn = m.tail FROM mailboxes m
WHERE d.conversation_id = :conversation AND m.conversation_id = d.conversation_id AND m.side = 'in'
""")

SHOW = text("""
WITH fresh AS (
    SELECT m.turn, m.part, m.id, m.content FROM messages m
    JOIN dialogs d ON d.conversation_id = m.conversation_id
    JOIN mailboxes i ON i.conversation_id = m.conversation_id AND i.side = 'in'
    WHERE m.conversation_id = :conversation AND m.role = 'user' AND m.turn > d.shown_turn
      AND m.turn <= CASE WHEN :queued THEN i.tail ELSE i.head END
), counted AS (
    UPDATE dialogs SET shown_turn = (SELECT max(turn) FROM fresh)
    WHERE conversation_id = :conversation AND EXISTS (SELECT 1 FROM fresh)
)
SELECT fresh.id, fresh.content, t.chat_id, t.telegram_id FROM fresh
LEFT JOIN telegram_messages t ON t.message_id = fresh.id AND t.kind = 'got' AND t.media IS NOT NULL
ORDER BY fresh.turn, fresh.part
""")

BEHIND = text("""
SELECT d.conversation_id FROM dialogs d
JOIN operators o ON o.id = d.operator_id AND o.telegram_id IS NOT NULL
JOIN mailboxes i ON i.conversation_id = d.conversation_id AND i.side = 'in'
WHERE d.owner = 'operator' AND EXISTS (
    SELECT 1 FROM messages m
    WHERE m.conversation_id = d.conversation_id AND m.role = 'user' AND m.turn > d.shown_turn AND m.turn <= i.head
)
""")

SENT_AS = text("""
SELECT chat_id, telegram_id FROM telegram_messages
WHERE message_id = :message AND conversation_id = :conversation AND kind = 'sent'
""")

COPY = text("""
SELECT m.content, t.telegram_id FROM deliveries d
JOIN messages m ON m.id = :message AND m.conversation_id = :conversation
LEFT JOIN telegram_messages t ON t.message_id = d.id AND t.kind = 'sent'
WHERE d.id = :copy
""")

COPIED = text("""
INSERT INTO operator_copies (id, conversation_id) VALUES (:copy, :conversation) ON CONFLICT DO NOTHING
""")

COPIED_FROM = text("""
SELECT c.conversation_id FROM telegram_messages t JOIN operator_copies c ON c.id = t.message_id
WHERE t.chat_id = :chat AND t.telegram_id = :telegram AND t.kind = 'sent'
""")

CARDS = text("SELECT operator_id FROM handoff_cards WHERE handoff_id = :handoff ORDER BY operator_id")

SENT_IN = text("SELECT telegram_id FROM telegram_messages WHERE message_id = :message AND kind = 'sent'")

IN_TURN = text("SELECT pg_advisory_xact_lock(hashtext('operators decline one after the other'))")


@dataclass(frozen=True, slots=True)
class OwnDialog:
    """A conversation with a person, and how operators see its user called."""

    conversation_id: UUID
    title: str


@dataclass(frozen=True, slots=True)
class Shown:
    """What a user wrote; with a file, where it is to be copied from."""

    message_id: UUID
    content: str
    chat_id: int | None
    telegram_id: int | None


@dataclass(frozen=True, slots=True)
class Copy:
    """A message as an operator was shown it, and its words now."""

    content: str
    telegram_id: int | None
    """None while it is on its way."""


async def dialogs_behind(database: Database) -> Sequence[UUID]:
    """List conversations of which an operator has not been shown everything; raises Unavailable."""
    async with database.begin() as connection:
        return list((await connection.execute(BEHIND)).scalars())


async def by_telegram(connection: AsyncConnection, telegram_id: int) -> tuple[Operator, UUID | None] | None:
    """Give the operator that a Telegram user is, and the conversation that they write to; None for anybody else."""
    known = select(operators).where(operators.c.telegram_id == telegram_id, operators.c.disabled_at.is_(None))
    row = (await connection.execute(known)).one_or_none()
    return None if row is None else (operator_of(row), row.talking_in)


async def by_id(connection: AsyncConnection, operator_id: UUID) -> Operator | None:
    """Give an operator, also one that was shut out."""
    row = (await connection.execute(select(operators).where(operators.c.id == operator_id))).one_or_none()
    return None if row is None else operator_of(row)


async def chat_of(connection: AsyncConnection, telegram_id: int) -> Place:
    """Give an operator's private chat as a place to send to; nothing of it is locked."""
    place = TelegramPlace(telegram_id)
    conversation_id = await find_conversation(connection, place)
    return Place(conversation_id, 0, 0, "telegram", place.external_id, place.url, TELEGRAM_ACCOUNT)


async def title_of(connection: AsyncConnection, conversation_id: UUID) -> str:
    """Say how operators see the user of a conversation called."""
    return str(await connection.scalar(TITLE, {"conversation": conversation_id}) or conversation_id)


async def own_dialogs(connection: AsyncConnection, operator_id: UUID) -> Sequence[OwnDialog]:
    """List an operator's conversations, the longest unchanged first."""
    rows = await connection.execute(OWN, {"operator": operator_id})
    return [OwnDialog(row.conversation_id, row.title) for row in rows]


async def waiting_dialogs(connection: AsyncConnection, most: int) -> Sequence[OwnDialog]:
    """List conversations that wait for a person, the longest waiting first."""
    rows = await connection.execute(WAITING, {"most": most})
    return [OwnDialog(row.conversation_id, row.title) for row in rows]


async def handoff(connection: AsyncConnection, handoff_id: UUID) -> Handoff | None:
    """Read one handoff."""
    row = (await connection.execute(select(handoffs).where(handoffs.c.id == handoff_id))).one_or_none()
    return None if row is None else handoff_of(row)


async def first_card(connection: AsyncConnection, handoff_id: UUID, operator_id: UUID) -> bool:
    """Tell whether an operator sees this handoff for the first time; the second time they are not."""
    values = {"handoff": handoff_id, "operator": operator_id}
    return (await connection.execute(CARD, values)).rowcount > 0


async def shown_cards(connection: AsyncConnection, handoff_id: UUID) -> Sequence[UUID]:
    """List the operators who were shown a handoff's card."""
    rows = await connection.execute(CARDS, {"handoff": handoff_id})
    return list(rows.scalars())


async def sent_in(connection: AsyncConnection, message_id: UUID) -> int | None:
    """Say as which message of its chat something went out; None where it did not, or not yet."""
    found: int | None = await connection.scalar(SENT_IN, {"message": message_id})
    return found


async def shown_so_far(connection: AsyncConnection, conversation_id: UUID) -> None:
    """Count everything that the user wrote as shown: a summary tells of it. The conversation was entered."""
    await connection.execute(SHOWN, {"conversation": conversation_id})


async def show(connection: AsyncConnection, conversation_id: UUID, *, queued: bool = False) -> Sequence[Shown]:
    """Give what the user wrote and nobody was shown, in order, and count it as shown. The conversation was entered.

    What the bot may still answer is left out, unless ``queued``: that is for an operator who has only just come.
    """
    rows = await connection.execute(SHOW, {"conversation": conversation_id, "queued": queued})
    return [Shown(row.id, row.content, row.chat_id, row.telegram_id) for row in rows]


async def sent_as(connection: AsyncConnection, conversation_id: UUID, message_id: UUID) -> tuple[int, int] | None:
    """Say as which message of which chat something went out; None where it did not, or not yet."""
    values = {"conversation": conversation_id, "message": message_id}
    row = (await connection.execute(SENT_AS, values)).one_or_none()
    return None if row is None else (row.chat_id, row.telegram_id)


async def copied(connection: AsyncConnection, copy_id: UUID, conversation_id: UUID) -> None:
    """Remember from which conversation an operator was shown a message."""
    await connection.execute(COPIED, {"copy": copy_id, "conversation": conversation_id})


async def copied_from(connection: AsyncConnection, chat_id: int, telegram_id: int) -> UUID | None:
    """Tell from which conversation a message in an operator's chat was copied; None for any other."""
    found: UUID | None = await connection.scalar(COPIED_FROM, {"chat": chat_id, "telegram": telegram_id})
    return found


async def copy_of(connection: AsyncConnection, conversation_id: UUID, message_id: UUID, copy_id: UUID) -> Copy | None:
    """Look up an operator's copy of a message; None where they have none."""
    values = {"conversation": conversation_id, "message": message_id, "copy": copy_id}
    row = (await connection.execute(COPY, values)).one_or_none()
    return None if row is None else Copy(row.content, row.telegram_id)


async def talk_in(connection: AsyncConnection, operator_id: UUID, conversation_id: UUID) -> None:
    """Let what an operator writes go to this conversation from here."""
    change = update(operators).where(operators.c.id == operator_id).values(talking_in=conversation_id)
    await connection.execute(change)


async def stop_talking_in(connection: AsyncConnection, operator_id: UUID, conversation_id: UUID) -> None:
    """Let what an operator writes go to this conversation no longer."""
    change = update(operators).where(operators.c.id == operator_id, operators.c.talking_in == conversation_id)
    await connection.execute(change.values(talking_in=None))


async def set_online(connection: AsyncConnection, operator_id: UUID, *, online: bool) -> None:
    """Note that an operator came or left."""
    await connection.execute(update(operators).where(operators.c.id == operator_id).values(online=online))


async def decline_in_turn(connection: AsyncConnection) -> None:
    """Wait for others who decline: two of them, each told of the other's, would wait for one another."""
    await connection.execute(IN_TURN)
