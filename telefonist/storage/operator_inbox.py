"""Conversations as operators look at them: the list, one of them, and what was said in it."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, Select, literal, select, true, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from telefonist.errors import NotFound
from telefonist.storage.database import Database
from telefonist.storage.handoffs import handoff_of
from telefonist.storage.schema import conversations, dialogs, handoffs, messages
from telefonist.types import Dialog, DialogCard, DialogMessage, Owner, Role


class OperatorInbox:
    """The conversations that people have, or that wait for one."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def page(
        self, owner: Owner | None, operator_id: UUID | None, after: UUID | None, limit: int
    ) -> Sequence[DialogCard]:
        """List them, the longest unchanged first, from the conversation ``after`` on (exclusive).

        Those of one owner or one operator where these are given, else all that are not the bot's. Raises Unavailable.
        """
        query = _cards().where(dialogs.c.owner != Owner.BOT.value)
        if owner is not None:
            query = query.where(dialogs.c.owner == owner.value)
        if operator_id is not None:
            query = query.where(dialogs.c.operator_id == operator_id)
        if after is not None:
            place = select(dialogs.c.changed_at).where(dialogs.c.conversation_id == after).scalar_subquery()
            query = query.where(tuple_(dialogs.c.changed_at, dialogs.c.conversation_id) > tuple_(place, literal(after)))
        query = query.order_by(dialogs.c.changed_at, dialogs.c.conversation_id).limit(limit)
        async with self._database.begin() as connection:
            return [await _with_handoff(connection, row) for row in (await connection.execute(query)).all()]

    async def get(self, conversation_id: UUID) -> DialogCard:
        """Look at one, whoever answers in it; raises NotFound and Unavailable."""
        async with self._database.begin() as connection:
            row = (await connection.execute(_cards().where(conversations.c.id == conversation_id))).one_or_none()
            if row is None:
                raise NotFound("conversation_not_found", conversation=conversation_id)
            return await _with_handoff(connection, row)

    async def messages(self, conversation_id: UUID, before: UUID | None, limit: int) -> Sequence[DialogMessage]:
        """Read what was said and noted, the newest first, from the message ``before`` on (exclusive)."""
        query = select(messages).where(messages.c.conversation_id == conversation_id)
        if before is not None:
            place = select(messages.c.turn, messages.c.part).where(
                messages.c.conversation_id == conversation_id, messages.c.id == before
            )
            query = query.where(tuple_(messages.c.turn, messages.c.part) < place.scalar_subquery())
        query = query.order_by(messages.c.turn.desc(), messages.c.part.desc()).limit(limit)
        async with self._database.begin() as connection:
            return [_message(row) for row in await connection.execute(query)]


def _cards() -> Select[Any]:
    last = (
        select(messages.c.content, messages.c.created_at)
        .where(messages.c.conversation_id == conversations.c.id, messages.c.visible)
        .order_by(messages.c.turn.desc(), messages.c.part.desc())
        .limit(1)
        .lateral()
    )
    return (
        select(
            conversations.c.id,
            conversations.c.door,
            conversations.c.external_id,
            conversations.c.created_at,
            dialogs.c.owner,
            dialogs.c.epoch,
            dialogs.c.operator_id,
            dialogs.c.handoff_id,
            dialogs.c.language,
            dialogs.c.offered_to,
            dialogs.c.offer_pending,
            dialogs.c.changed_at,
            last.c.content.label("last_text"),
            last.c.created_at.label("last_at"),
        )
        .outerjoin(dialogs, dialogs.c.conversation_id == conversations.c.id)
        .outerjoin(last, true())
    )


async def _with_handoff(connection: AsyncConnection, row: Row[Any]) -> DialogCard:
    owner = Owner(row.owner or Owner.BOT)
    handoff = None
    if owner is not Owner.BOT:
        found = (await connection.execute(select(handoffs).where(handoffs.c.id == row.handoff_id))).one_or_none()
        handoff = None if found is None else handoff_of(found)
    dialog = Dialog(row.id, owner, row.epoch or 0, row.operator_id, row.handoff_id, row.language or "en")
    changed_at: datetime = row.changed_at or row.created_at
    return DialogCard(
        dialog=dialog,
        door=row.door,
        external_id=row.external_id,
        handoff=handoff,
        offered_to=row.offered_to,
        last_text=row.last_text or "",
        last_at=row.last_at or changed_at,
        changed_at=changed_at,
    )


def _message(row: Row[Any]) -> DialogMessage:
    return DialogMessage(row.id, row.turn, row.part, Role(row.role), row.content, row.visible, row.created_at)
