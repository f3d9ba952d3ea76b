"""Who answers in a conversation: each change of owner is one conditional statement.

Whoever changes a dialog, or says something in it outside a turn, first locks the row of its incoming mailbox
(``enter``), as does the statement that stores an answer. The number of the last change stands in that row too
(``dialog_epoch``), so that an answer is refused there without a look at another row.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import Row, TextClause, text
from sqlalchemy.ext.asyncio import AsyncConnection

from telefonist.errors import NotFound
from telefonist.storage.database import Database
from telefonist.storage.ownership import conversation_key, owner
from telefonist.types import Dialog, Language, Owner

Transaction = AsyncConnection
"""What is done with one is stored together, or not at all."""

LOCK = text("""
SELECT m.head, m.tail, c.id, c.door, c.external_id, c.callback_url, c.account_id
FROM mailboxes m JOIN conversations c ON c.id = m.conversation_id
WHERE m.conversation_id = :conversation AND m.side = 'in' FOR UPDATE OF m
""")

MAKE_INBOX = text("""
INSERT INTO mailboxes (conversation_id, side, head, tail, epoch)
SELECT id, 'in', 0, 0, 0 FROM conversations WHERE id = :conversation
ON CONFLICT (conversation_id, side) DO NOTHING
""")

AFRESH = """
operator_id = EXCLUDED.operator_id, offer_pending = false, offered_to = NULL, offered_at = NULL, passed_by = '{}',
changed_at = now(), user_wrote_at = now(), operator_wrote_at = now()
"""


def _changing(change: str) -> TextClause:
    """Put the new epoch beside the mailbox in the statement that changes the dialog."""
    return text(f"""
    WITH changed AS ({change} RETURNING *), fenced AS (
        UPDATE mailboxes m SET dialog_epoch = changed.epoch FROM changed
        WHERE m.conversation_id = changed.conversation_id AND m.side = 'in'
    )
    SELECT * FROM changed
    """)  # noqa: S608  the changes are constants


CALL = _changing(f"""
INSERT INTO dialogs AS d (conversation_id, owner, epoch, handoff_id, language, user_wrote_at, operator_wrote_at)
VALUES (:conversation, 'waiting', 1, :handoff, :language, now(), now())
ON CONFLICT (conversation_id) DO UPDATE
    SET owner = 'waiting', epoch = d.epoch + 1, handoff_id = EXCLUDED.handoff_id, language = EXCLUDED.language, {AFRESH}
    WHERE d.owner = 'bot'
""")  # noqa: S608  constants

TAKE = _changing(f"""
INSERT INTO dialogs AS d (conversation_id, owner, epoch, operator_id, handoff_id, language, user_wrote_at,
                          operator_wrote_at)
VALUES (:conversation, 'operator', 1, :operator, :handoff, :language, now(), now())
ON CONFLICT (conversation_id) DO UPDATE
    SET owner = 'operator', epoch = d.epoch + 1,
        handoff_id = CASE WHEN d.owner = 'bot' THEN EXCLUDED.handoff_id ELSE d.handoff_id END, {AFRESH}
    WHERE d.owner <> 'operator'
""")  # noqa: S608  constants

PASS = _changing("""
UPDATE dialogs d SET operator_id = :to, epoch = d.epoch + 1, changed_at = now(), operator_wrote_at = now()
WHERE d.conversation_id = :conversation AND d.owner = 'operator' AND d.operator_id = :operator
""")

GIVE_BACK = _changing("""
UPDATE dialogs d SET owner = 'bot', epoch = d.epoch + 1, operator_id = NULL, offer_pending = false,
    offered_to = NULL, offered_at = NULL, passed_by = '{}', changed_at = now()
WHERE d.conversation_id = :conversation AND d.owner <> 'bot'
  AND (cast(:operator AS uuid) IS NULL OR d.owner = 'waiting' OR d.operator_id = :operator)
  AND (cast(:epoch AS bigint) IS NULL OR d.epoch = :epoch)
""")

WROTE = text("""
UPDATE dialogs SET operator_wrote_at = now()
WHERE conversation_id = :conversation AND owner = 'operator' AND operator_id = :operator RETURNING *
""")


@dataclass(frozen=True, slots=True)
class Place:
    """A conversation whose incoming mailbox is locked until the transaction ends."""

    conversation_id: UUID
    head: int
    tail: int
    door: str
    external_id: str
    callback_url: str
    account_id: UUID | None


class Dialogs:
    """Transactions on dialogs, and looking at one."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[AsyncConnection]:
        """Open a transaction that commits when the block ends; raises Unavailable."""
        async with self._database.begin() as connection:
            yield connection

    async def get(self, conversation_id: UUID) -> Dialog:
        """Say who answers; raises Unavailable."""
        async with self._database.begin() as connection:
            return await get(connection, conversation_id)

    async def find(self, account_id: UUID | None, callback_url: str, external_id: str) -> UUID | None:
        """Find a conversation by the name its client gave it; without an account the callback URL tells whose."""
        key = conversation_key(owner(account_id, callback_url), external_id)
        async with self._database.begin() as connection:
            found = await connection.scalar(text("SELECT id FROM conversations WHERE key = :key"), {"key": key})
        return None if found is None else UUID(str(found))


async def enter(connection: AsyncConnection, conversation_id: UUID) -> Place:
    """Lock a conversation against every other change of it; raises NotFound for one that does not exist."""
    wanted = {"conversation": conversation_id}
    row = (await connection.execute(LOCK, wanted)).one_or_none()
    if row is None:
        await connection.execute(MAKE_INBOX, wanted)
        row = (await connection.execute(LOCK, wanted)).one_or_none()
    if row is None:
        raise NotFound("conversation_not_found", conversation=conversation_id)
    return Place(row.id, row.head, row.tail, row.door, row.external_id, row.callback_url or "", row.account_id)


async def get(connection: AsyncConnection, conversation_id: UUID) -> Dialog:
    """Say who answers."""
    query = text("SELECT * FROM dialogs WHERE conversation_id = :conversation")
    row = (await connection.execute(query, {"conversation": conversation_id})).one_or_none()
    return Dialog(conversation_id, Owner.BOT, 0) if row is None else _dialog(row)


async def call(connection: AsyncConnection, place: Place, handoff_id: UUID, language: Language) -> Dialog | None:
    """Let the conversation wait for a person; None where the bot does not answer in it as it is."""
    return await _change(connection, CALL, place, handoff=handoff_id, language=language)


async def take(
    connection: AsyncConnection, place: Place, operator_id: UUID, handoff_id: UUID, language: Language
) -> Dialog | None:
    """Give the conversation to an operator; None where it has one.

    ``handoff_id`` and ``language`` are for the stretch that begins where nobody was called: a dialog that waits keeps
    its own.
    """
    return await _change(connection, TAKE, place, operator=operator_id, handoff=handoff_id, language=language)


async def pass_on(connection: AsyncConnection, place: Place, operator_id: UUID, to: UUID) -> Dialog | None:
    """Give an operator's conversation to another one; None where it is not theirs."""
    return await _change(connection, PASS, place, operator=operator_id, to=to)


async def give_back(
    connection: AsyncConnection, place: Place, operator_id: UUID | None, epoch: int | None
) -> Dialog | None:
    """Let the bot answer again; None where it does, where the dialog is another operator's, or past ``epoch``.

    Without an operator it is the user, or time, that ends the stretch, whoever has it.
    """
    return await _change(connection, GIVE_BACK, place, operator=operator_id, epoch=epoch)


async def operator_wrote(connection: AsyncConnection, place: Place, operator_id: UUID) -> Dialog | None:
    """Note that an operator wrote just now; None where the dialog is not theirs, and then they may not."""
    return await _change(connection, WROTE, place, operator=operator_id)


async def _change(connection: AsyncConnection, statement: TextClause, place: Place, **values: Any) -> Dialog | None:
    row = (await connection.execute(statement, {"conversation": place.conversation_id, **values})).one_or_none()
    return None if row is None else _dialog(row)


def _dialog(row: Row[Any]) -> Dialog:
    return Dialog(
        conversation_id=row.conversation_id,
        owner=Owner(row.owner),
        epoch=row.epoch,
        operator_id=row.operator_id,
        handoff_id=row.handoff_id,
        language=row.language,
        offer_pending=row.offer_pending,
    )
