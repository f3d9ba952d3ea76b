"""Handoffs: each time a person was called, whom the conversation was offered to, and how it ended."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import Row, func, insert, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from telefonist.storage.database import Database
from telefonist.storage.schema import handoff_decisions, handoffs
from telefonist.types import Handoff, HandoffEnd, HandoffReason, HistoryMessage, Language, Owner, Role, new_id

CHOOSE = text("""
WITH waiting AS (
    SELECT conversation_id, offered_to, passed_by FROM dialogs
    WHERE conversation_id = :conversation AND owner = 'waiting'
      AND (offered_at IS NULL OR offered_at <= now() - make_interval(secs => :patience))
    FOR UPDATE
), passed AS (
    SELECT array_remove(passed_by || offered_to, NULL) AS ids FROM waiting
), free AS (
    SELECT o.id, count(d.conversation_id) AS load FROM operators o
    LEFT JOIN dialogs d ON d.owner <> 'bot' AND d.conversation_id <> :conversation
        AND (d.operator_id = o.id OR d.owner = 'waiting' AND d.offered_to = o.id)
    WHERE o.online AND o.disabled_at IS NULL
    GROUP BY o.id, o.capacity HAVING count(d.conversation_id) < o.capacity
), chosen AS (
    SELECT free.id, passed.ids, free.id = ANY(passed.ids) AS again FROM free CROSS JOIN passed
    ORDER BY again, load, free.id LIMIT 1
)
UPDATE dialogs d SET offered_to = chosen.id, offered_at = now(),
    passed_by = CASE WHEN chosen.again THEN '{}' ELSE chosen.ids END
FROM chosen WHERE d.conversation_id = :conversation
RETURNING d.offered_to
""")

DECLINE = text("""
UPDATE dialogs SET offered_to = NULL, offered_at = NULL, passed_by = passed_by || cast(:operator AS uuid)
WHERE conversation_id = :conversation AND owner = 'waiting'
  AND (offered_to = :operator OR offered_to IS NULL)
""")

TO_OFFER = text("""
SELECT conversation_id FROM dialogs
WHERE owner = 'waiting' AND (offered_at IS NULL OR offered_at <= now() - make_interval(secs => :patience))
  AND EXISTS (SELECT 1 FROM operators WHERE online AND disabled_at IS NULL)
ORDER BY changed_at LIMIT :most
""")

SILENT = text("""
SELECT conversation_id, epoch, owner, language FROM dialogs
WHERE owner = 'operator' AND greatest(user_wrote_at, operator_wrote_at, changed_at)
        <= now() - make_interval(secs => :silence)
   OR owner = 'waiting' AND changed_at <= now() - make_interval(secs => :wait)
ORDER BY changed_at LIMIT :most
""")

LAST_MESSAGES = text("""
SELECT role, content FROM (
    SELECT role, content, turn, part FROM messages
    WHERE conversation_id = :conversation AND visible ORDER BY turn DESC, part DESC LIMIT :most
) newest ORDER BY turn, part
""")

AT_ONCE = 100
"""Dialogs that one look takes on; the next look takes the rest."""


@dataclass(frozen=True, slots=True)
class Overdue:
    """A dialog with people in which nothing happened for too long, as it was found."""

    conversation_id: UUID
    epoch: int
    owner: Owner
    language: Language


class HandoffStore:
    """What is looked up about handoffs, and what becomes of them afterwards."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def to_offer(self, patience: float) -> Sequence[UUID]:
        """List conversations that wait and are offered to nobody, or were for ``patience`` seconds.

        None while no operator is there.
        """
        values = {"patience": float(patience), "most": AT_ONCE}
        async with self._database.begin() as connection:
            return list((await connection.execute(TO_OFFER, values)).scalars())

    async def overdue(self, silence: float, wait: float) -> Sequence[Overdue]:
        """List dialogs in which nobody wrote for ``silence`` seconds, or to which nobody came for ``wait``."""
        values = {"silence": float(silence), "wait": float(wait), "most": AT_ONCE}
        async with self._database.begin() as connection:
            rows = await connection.execute(SILENT, values)
            return [Overdue(row.conversation_id, row.epoch, Owner(row.owner), row.language) for row in rows]

    async def last_messages(self, conversation_id: UUID, most: int) -> Sequence[HistoryMessage]:
        """Read the newest messages of a conversation, oldest first."""
        async with self._database.begin() as connection:
            return await last_messages(connection, conversation_id, most)

    async def get(self, handoff_id: UUID) -> Handoff | None:
        """Read one handoff."""
        async with self._database.begin() as connection:
            row = (await connection.execute(select(handoffs).where(handoffs.c.id == handoff_id))).one_or_none()
        return None if row is None else handoff_of(row)

    async def summarise(self, handoff_id: UUID, summary: str) -> None:
        """Keep a better summary of what led to a handoff."""
        await self._change(handoff_id, summary=summary)

    async def rate(self, handoff_id: UUID, rating: int) -> bool:
        """Keep what the user says of it: 1 good, 0 bad; False where it has not ended, or is not known."""
        rated = update(handoffs).where(handoffs.c.id == handoff_id, handoffs.c.ended_at.is_not(None))
        async with self._database.begin() as connection:
            return (await connection.execute(rated.values(rating=rating))).rowcount > 0

    async def decided(
        self, conversation_id: UUID, turn: int, detector: str, score: float, reason: str, decision: str
    ) -> None:
        """Keep a decision of a detector, to be judged later."""
        row = {
            "id": new_id(),
            "conversation_id": conversation_id,
            "turn": turn,
            "detector": detector,
            "score": score,
            "reason": reason,
            "decision": decision,
        }
        async with self._database.begin() as connection:
            await connection.execute(insert(handoff_decisions).values(row))

    async def _change(self, handoff_id: UUID, **values: Any) -> None:
        async with self._database.begin() as connection:
            await connection.execute(update(handoffs).where(handoffs.c.id == handoff_id).values(**values))


async def open_handoff(
    connection: AsyncConnection,
    handoff_id: UUID,
    conversation_id: UUID,
    reason: HandoffReason,
    *,
    score: float | None,
    detail: str | None,
    summary: str | None,
) -> Handoff:
    """Write down that a person is called."""
    row = {
        "id": handoff_id,
        "conversation_id": conversation_id,
        "reason": reason.value,
        "score": score,
        "detail": detail,
        "summary": summary,
    }
    return handoff_of((await connection.execute(insert(handoffs).values(row).returning(handoffs))).one())


async def handed_to(connection: AsyncConnection, handoff_id: UUID, operator_id: UUID) -> None:
    """Write down who has it now; the moment of the first one stays."""
    taken_at = func.coalesce(handoffs.c.taken_at, func.now())
    await connection.execute(
        update(handoffs).where(handoffs.c.id == handoff_id).values(operator_id=operator_id, taken_at=taken_at)
    )


async def close_handoff(connection: AsyncConnection, handoff_id: UUID, end: HandoffEnd, *, wrong: bool) -> None:
    """Write down how it ended, and whether it should not have been."""
    await connection.execute(
        update(handoffs).where(handoffs.c.id == handoff_id).values(ended_at=func.now(), ending=end.value, wrong=wrong)
    )


async def mark_decisions(connection: AsyncConnection, conversation_id: UUID, mark: str) -> None:
    """Say of the newest decision of a conversation what an operator found."""
    newest = (
        select(handoff_decisions.c.id)
        .where(handoff_decisions.c.conversation_id == conversation_id)
        .order_by(handoff_decisions.c.turn.desc(), handoff_decisions.c.id.desc())
        .limit(1)
        .scalar_subquery()
    )
    await connection.execute(update(handoff_decisions).where(handoff_decisions.c.id == newest).values(marked=mark))


async def choose_operator(connection: AsyncConnection, conversation_id: UUID, patience: float) -> UUID | None:
    """Offer a waiting conversation to the operator online with the fewest; None where nobody has room.

    Those who let it pass before come again when everybody has. Nothing changes while an earlier offer is younger than
    ``patience`` seconds.
    """
    values = {"conversation": conversation_id, "patience": float(patience)}
    found: UUID | None = await connection.scalar(CHOOSE, values)
    return found


async def decline(connection: AsyncConnection, conversation_id: UUID, operator_id: UUID) -> bool:
    """Note that an operator does not want it; the next look offers it to another one."""
    values = {"conversation": conversation_id, "operator": operator_id}
    return (await connection.execute(DECLINE, values)).rowcount > 0


async def last_messages(connection: AsyncConnection, conversation_id: UUID, most: int) -> Sequence[HistoryMessage]:
    """Read the newest messages of a conversation, oldest first."""
    rows = await connection.execute(LAST_MESSAGES, {"conversation": conversation_id, "most": most})
    return [HistoryMessage(Role(row.role), row.content) for row in rows]


def handoff_of(row: Row[Any]) -> Handoff:
    """Read a handoff from its row."""
    return Handoff(
        id=row.id,
        conversation_id=row.conversation_id,
        reason=HandoffReason(row.reason),
        score=row.score,
        detail=row.detail,
        summary=row.summary,
        requested_at=row.requested_at,
        taken_at=row.taken_at,
        operator_id=row.operator_id,
        ended_at=row.ended_at,
        end=None if row.ending is None else HandoffEnd(row.ending),
        wrong=row.wrong,
        rating=row.rating,
    )
