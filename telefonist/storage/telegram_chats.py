"""Chats of Telegram: who writes there, what was written, what became of it; all in a transaction of the caller's."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from telefonist.storage.dialogs import Place
from telefonist.storage.mailboxes import CHANNEL
from telefonist.storage.ownership import conversation_key, owner
from telefonist.types import TELEGRAM_ACCOUNT, Language, Side, TelegramMedia, TelegramPerson, TelegramPlace

SEE = text("""
INSERT INTO telegram_users AS u (id, username, name, language) VALUES (:id, :username, :name, :language)
ON CONFLICT (id) DO UPDATE SET username = EXCLUDED.username, name = EXCLUDED.name,
    language = CASE WHEN :known THEN EXCLUDED.language ELSE u.language END
RETURNING language, banned_at IS NOT NULL AS banned
""")

CHAT = text("SELECT * FROM telegram_chats WHERE conversation_id = :conversation FOR UPDATE")

VISIT = text("""
UPDATE telegram_chats SET user_id = coalesce(:user, user_id), album = :album, blocked_at = NULL
WHERE conversation_id = :conversation
""")

ASK = text("""
WITH box AS (
    UPDATE mailboxes SET tail = tail + 1, due_at = coalesce(due_at, now() + make_interval(secs => :wait))
    WHERE conversation_id = :conversation AND side = 'in' RETURNING tail
), said AS (
    INSERT INTO messages (conversation_id, turn, part, id, role, content, tokens)
    SELECT :conversation, tail, 0, :id, 'user', :content, :tokens FROM box
), asked AS (
    INSERT INTO tasks (id, conversation_id, turn, account_id, callback_url, model, state)
    SELECT :id, :conversation, tail, cast(:account AS uuid), :url, :model, 'queued' FROM box
)
SELECT pg_notify(:channel, :side)
""")

REMEMBER = text("""
INSERT INTO telegram_messages (chat_id, telegram_id, conversation_id, message_id, kind, media)
VALUES (:chat, :telegram, :conversation, :message, :kind, cast(:media AS json))
ON CONFLICT DO NOTHING
""")

FIND = text("""
SELECT conversation_id, message_id, kind, media FROM telegram_messages WHERE chat_id = :chat AND telegram_id = :telegram
""")

CHANGE = text("""
UPDATE messages SET content = :content, tokens = :tokens
WHERE conversation_id = :conversation AND id = :message AND content <> :content
""")

FORGET = text(
    "UPDATE messages SET visible = false WHERE conversation_id = :conversation AND role <> 'note' AND visible"
)

RATE = text("""
UPDATE handoffs SET rating = :rating
WHERE id = :handoff AND conversation_id = :conversation AND ended_at IS NOT NULL AND rating IS NULL
""")

MOVED = text("SELECT conversation_id, thread_id FROM telegram_chats WHERE chat_id = :old FOR UPDATE")

MOVE_CHAT = text("UPDATE telegram_chats SET chat_id = :new WHERE conversation_id = :conversation")

MOVE_CONVERSATION = text("""
UPDATE conversations SET key = :key, external_id = :external_id, callback_url = :url
WHERE id = :conversation AND NOT EXISTS (SELECT 1 FROM conversations WHERE key = :key)
""")

BAN = text("""
UPDATE telegram_users SET banned_at = CASE WHEN :banned THEN now() END WHERE id = :id RETURNING id
""")


@dataclass(frozen=True, slots=True)
class TelegramChat:
    """What is remembered of a chat; ``model`` is the one that was chosen there."""

    conversation_id: UUID
    place: TelegramPlace
    user_id: int | None
    model: str | None
    album: str | None
    """The last album of which something was seen."""


@dataclass(frozen=True, slots=True)
class KnownMessage:
    """A message of a chat that stands for one of a conversation."""

    conversation_id: UUID
    message_id: UUID
    kind: str
    """``got`` or ``sent``."""
    media: TelegramMedia | None


async def see(connection: AsyncConnection, person: TelegramPerson, language: Language) -> tuple[Language, bool]:
    """Remember who wrote; gives their language and whether they are banned.

    ``language`` is taken where their Telegram names none and nothing is known of them.
    """
    row = (
        await connection.execute(
            SEE,
            {
                "id": person.id,
                "username": person.username,
                "name": person.name,
                "language": person.language or language,
                "known": person.language is not None,
            },
        )
    ).one()
    return row.language, row.banned


async def enter_chat(connection: AsyncConnection, conversation_id: UUID) -> TelegramChat:
    """Lock a chat and read it."""
    return _chat((await connection.execute(CHAT, {"conversation": conversation_id})).one())


async def visited(connection: AsyncConnection, chat: TelegramChat, user_id: int | None, album: str | None) -> None:
    """Note that somebody wrote, who therefore does not block the bot any more."""
    await connection.execute(VISIT, {"conversation": chat.conversation_id, "user": user_id, "album": album})


async def ask(
    connection: AsyncConnection,
    place: Place,
    task_id: UUID,
    content: str,
    tokens: int,
    model: str,
    *,
    wait: float = 0.0,
) -> None:
    """Put a message into the incoming mailbox, which was entered; it is answered after ``wait`` seconds or more."""
    await connection.execute(
        ASK,
        {
            "conversation": place.conversation_id,
            "id": task_id,
            "content": content,
            "tokens": tokens,
            "account": TELEGRAM_ACCOUNT,
            "url": place.callback_url,
            "model": model,
            "wait": wait,
            "channel": CHANNEL,
            "side": Side.IN.value,
        },
    )


async def remember(
    connection: AsyncConnection,
    place: TelegramPlace,
    telegram_id: int,
    conversation_id: UUID,
    message_id: UUID,
    media: TelegramMedia | None = None,
    kind: str = "got",
) -> None:
    """Remember for which message of a conversation one of Telegram's stands."""
    await connection.execute(
        REMEMBER,
        {
            "chat": place.chat_id,
            "telegram": telegram_id,
            "conversation": conversation_id,
            "message": message_id,
            "kind": kind,
            "media": None if media is None else orjson.dumps(media).decode(),
        },
    )


async def find_message(connection: AsyncConnection, chat_id: int, telegram_id: int) -> KnownMessage | None:
    """Tell for what a message of Telegram's stands; None where it was never seen."""
    row = (await connection.execute(FIND, {"chat": chat_id, "telegram": telegram_id})).one_or_none()
    if row is None:
        return None
    media = None if row.media is None else TelegramMedia(**row.media)
    return KnownMessage(row.conversation_id, row.message_id, row.kind, media)


async def change_message(connection: AsyncConnection, known: KnownMessage, content: str, tokens: int) -> bool:
    """Put another text in the place of a message's; tells whether it is another one."""
    values = {
        "conversation": known.conversation_id,
        "message": known.message_id,
        "content": content,
        "tokens": tokens,
    }
    return (await connection.execute(CHANGE, values)).rowcount > 0


async def forget_history(connection: AsyncConnection, place: Place) -> None:
    """Let no model read what was said so far, save for what waits to be answered; operators still can."""
    await connection.execute(FORGET, {"conversation": place.conversation_id, "head": place.head})


async def choose_model(connection: AsyncConnection, conversation_id: UUID, model: str) -> None:
    """Let a model answer in a chat from here."""
    await connection.execute(
        text("UPDATE telegram_chats SET model = :model WHERE conversation_id = :conversation"),
        {"conversation": conversation_id, "model": model},
    )


async def mark_blocked(connection: AsyncConnection, conversation_id: UUID) -> None:
    """Note that the bot may not write there any more."""
    await connection.execute(
        text("UPDATE telegram_chats SET blocked_at = now() WHERE conversation_id = :conversation"),
        {"conversation": conversation_id},
    )


async def rate_handoff(connection: AsyncConnection, conversation_id: UUID, handoff_id: UUID, rating: int) -> bool:
    """Write down how a user found their operator; False where that was said before, or is about somebody else's."""
    values = {"conversation": conversation_id, "handoff": handoff_id, "rating": rating}
    return (await connection.execute(RATE, values)).rowcount > 0


async def move_chat(connection: AsyncConnection, old: int, new: int) -> None:
    """Follow a group to its new id, with its conversations; a conversation that began there already stays apart."""
    for row in (await connection.execute(MOVED, {"old": old})).all():
        place = TelegramPlace(new, row.thread_id)
        moved = {
            "conversation": row.conversation_id,
            "key": conversation_key(owner(TELEGRAM_ACCOUNT, ""), place.external_id),
            "external_id": place.external_id,
            "url": place.url,
        }
        if (await connection.execute(MOVE_CONVERSATION, moved)).rowcount:
            await connection.execute(MOVE_CHAT, {"conversation": row.conversation_id, "new": new})


async def set_banned(connection: AsyncConnection, user_id: int, *, banned: bool) -> bool:
    """Shut a user out, or let them in again; False where nobody knows them."""
    return await connection.scalar(BAN, {"id": user_id, "banned": banned}) is not None


def _chat(row: Row[Any]) -> TelegramChat:
    return TelegramChat(
        conversation_id=row.conversation_id,
        place=TelegramPlace(row.chat_id, row.thread_id),
        user_id=row.user_id,
        model=row.model,
        album=row.album,
    )
