"""Webhook tasks as their owners see them: reading, listing, cancelling, sending again."""

import json
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Row, Select, and_, select, text

from telefonist.storage.database import Database
from telefonist.storage.mailboxes import CHANNEL
from telefonist.storage.ownership import conversation_key, owner
from telefonist.storage.schema import conversations, deliveries, delivery_attempts, mailboxes, messages, tasks
from telefonist.types import (
    DeliveryAttempt,
    DeliveryState,
    DeliveryView,
    Failure,
    Side,
    TaskState,
    TaskView,
    Usage,
)

REOPEN_LIMIT = 500
"""Deliveries that one statement sends again; more are taken in rounds."""

# Changing pending deliveries from outside counts as a put (and as done, where it is): a worker that is about to rest
# compares ``tail``, sees that its picture is old, and looks again.

LOCK_OUT = """
SELECT conversation_id FROM mailboxes WHERE side = 'out' AND conversation_id = ANY(:conversations)
ORDER BY conversation_id FOR UPDATE
"""

REOPEN = """
WITH chosen AS (
    SELECT id, conversation_id, state = 'pending' AS was_open FROM deliveries WHERE id = ANY(:deliveries) FOR UPDATE
), opened AS (
    UPDATE deliveries d SET state = 'pending', tries = 0, due_at = now(), held_until = NULL, finished_at = NULL
    FROM chosen c WHERE d.id = c.id RETURNING d.conversation_id, c.was_open
)
UPDATE mailboxes m SET tail = m.tail + o.put, head = m.head + o.was_open, due_at = now(), held_until = NULL
FROM (SELECT conversation_id, count(*) AS put, count(*) FILTER (WHERE was_open) AS was_open
      FROM opened GROUP BY conversation_id) o
WHERE m.conversation_id = o.conversation_id AND m.side = 'out'
"""

CANCEL = """
WITH cancelled AS (
    UPDATE tasks SET state = 'cancelled', finished_at = now() WHERE id = :task AND state = 'queued'
    RETURNING conversation_id, turn
), hidden AS (
    UPDATE messages m SET visible = false FROM cancelled c
    WHERE m.conversation_id = c.conversation_id AND m.turn = c.turn
), told AS (
    SELECT pg_notify(:channel, 'cancel:' || cast(:task as text)) FROM cancelled
)
SELECT 1 FROM cancelled LEFT JOIN told ON true
"""

WITHDRAW = """
WITH withdrawn AS (
    UPDATE deliveries SET state = 'cancelled', finished_at = now() WHERE task_id = :task AND state = 'pending'
    RETURNING conversation_id
)
UPDATE mailboxes m SET tail = m.tail + 1, head = m.head + 2, held_until = NULL,
    due_at = CASE WHEN m.tail > m.head + 1 THEN now() END
FROM withdrawn w WHERE m.conversation_id = w.conversation_id AND m.side = 'out'
"""


class Tasks:
    """The view from outside on what the mailboxes hold."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def get(self, task_id: UUID, account_id: UUID | None) -> TaskView | None:
        """Read one task with its delivery and every attempt; None when there is none for that owner.

        A task without an account is reached by anybody who knows its id.
        """
        query = _views().where(tasks.c.id == task_id, tasks.c.account_id.is_not_distinct_from(account_id))
        async with self._database.snapshot() as connection:
            row = (await connection.execute(query)).first()
            if row is None:
                return None
            attempts = await connection.execute(
                select(delivery_attempts)
                .where(delivery_attempts.c.delivery_id == row.delivery_id)
                .order_by(delivery_attempts.c.number)
            )
            return _view(row, [_attempt(attempt) for attempt in attempts])

    async def of_conversation(
        self, account_id: UUID, external_id: str, before: UUID | None, limit: int
    ) -> list[TaskView]:
        """List an account's tasks of one conversation, newest first, from ``before`` on (exclusive)."""
        key = conversation_key(owner(account_id, ""), external_id)
        query = _views().where(conversations.c.key == key)
        if before is not None:
            query = query.where(tasks.c.turn < select(tasks.c.turn).where(tasks.c.id == before).scalar_subquery())
        async with self._database.snapshot() as connection:
            rows = (await connection.execute(query.order_by(tasks.c.turn.desc()).limit(limit))).all()
            found = await connection.execute(
                select(delivery_attempts)
                .where(delivery_attempts.c.delivery_id.in_([row.delivery_id for row in rows if row.delivery_id]))
                .order_by(delivery_attempts.c.number)
            )
            attempts: dict[UUID, list[DeliveryAttempt]] = {}
            for attempt in found:
                attempts.setdefault(attempt.delivery_id, []).append(_attempt(attempt))
            return [_view(row, attempts.get(row.delivery_id, [])) for row in rows]

    async def cancel(self, task_id: UUID) -> bool:
        """Cancel a task that has no answer yet, or withdraw its undelivered callback; False when neither is left."""
        async with self._database.begin() as connection:
            cancelled = await connection.execute(text(CANCEL), {"task": task_id, "channel": CHANNEL})
            if cancelled.first() is not None:
                return True
            conversation = await connection.scalar(select(tasks.c.conversation_id).where(tasks.c.id == task_id))
            await connection.execute(text(LOCK_OUT), {"conversations": [conversation]})
            return (await connection.execute(text(WITHDRAW), {"task": task_id})).rowcount > 0

    async def redeliver(self, task_id: UUID) -> bool:
        """Send a task's callback again; False when it has none yet."""
        return await self._reopen(deliveries.c.task_id == task_id) > 0

    async def redeliver_host(self, host: str) -> int:
        """Send everything again that is parked for a host (``name:port``); says how many."""
        parked = (
            select(deliveries.c.id)
            .where(deliveries.c.host == host, deliveries.c.state == DeliveryState.PARKED.value)
            .order_by(deliveries.c.id)
        )
        async with self._database.begin() as connection:
            ids = (await connection.scalars(parked)).all()
        for start in range(0, len(ids), REOPEN_LIMIT):
            await self._reopen(deliveries.c.id.in_(ids[start : start + REOPEN_LIMIT]))
        return len(ids)

    async def _reopen(self, which: ColumnElement[bool]) -> int:
        async with self._database.begin() as connection:
            chosen = select(deliveries.c.id, deliveries.c.conversation_id).where(which)
            rows = (await connection.execute(chosen)).all()
            if not rows:
                return 0
            await connection.execute(text(LOCK_OUT), {"conversations": [row.conversation_id for row in rows]})
            await connection.execute(text(REOPEN), {"deliveries": [row.id for row in rows]})
            await connection.execute(text("SELECT pg_notify(:channel, :side)"), {"channel": CHANNEL, "side": Side.OUT})
            return len(rows)


def _views() -> Select[Any]:
    question, answer, box = messages.alias("question"), messages.alias("answer"), mailboxes.alias("box")

    def part(which: Any, number: int) -> Any:
        return and_(
            which.c.conversation_id == tasks.c.conversation_id, which.c.turn == tasks.c.turn, which.c.part == number
        )

    return (
        select(
            tasks,
            conversations.c.external_id,
            question.c.content.label("message"),
            answer.c.content.label("answer"),
            and_(box.c.leased_by.is_not(None), box.c.head == tasks.c.turn - 1).label("under_way"),
            deliveries.c.id.label("delivery_id"),
            deliveries.c.state.label("delivery_state"),
            deliveries.c.due_at.label("delivery_due_at"),
        )
        .join(conversations, conversations.c.id == tasks.c.conversation_id)
        .join(question, part(question, 0))
        .outerjoin(answer, part(answer, 1))
        .outerjoin(box, and_(box.c.conversation_id == tasks.c.conversation_id, box.c.side == Side.IN.value))
        .outerjoin(deliveries, deliveries.c.task_id == tasks.c.id)
    )


def _view(row: Row[Any], attempts: Sequence[DeliveryAttempt]) -> TaskView:
    state = TaskState(row.state)
    return TaskView(
        task_id=row.id,
        conversation_id=row.external_id,
        state=TaskState.RUNNING if state is TaskState.QUEUED and row.under_way else state,
        model=row.model,
        callback_url=row.callback_url,
        message=row.message,
        answer=row.answer,
        answered_by=row.answered_by,
        usage=Usage(**row.usage) if row.usage else None,
        failure=Failure(**row.error) if row.error else None,
        metadata=None if row.metadata is None else json.dumps(row.metadata),
        created_at=row.created_at,
        finished_at=row.finished_at,
        delivery=None
        if row.delivery_id is None
        else DeliveryView(
            message_id=row.delivery_id,
            state=DeliveryState(row.delivery_state),
            attempts=tuple(attempts),
            next_attempt_at=row.delivery_due_at if row.delivery_state == DeliveryState.PENDING else None,
        ),
    )


def _attempt(row: Row[Any]) -> DeliveryAttempt:
    return DeliveryAttempt(
        started_at=row.started_at,
        milliseconds=row.milliseconds,
        status=row.status,
        error=row.error,
        response=row.response,
    )
