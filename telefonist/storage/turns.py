"""Answering: loading what a worker needs for a turn, and storing what came of it."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from uuid import UUID

import asyncpg
import orjson

from telefonist.storage.database import Database
from telefonist.storage.grouping import Grouped
from telefonist.storage.settlements import settle
from telefonist.types import (
    Failure,
    GenerationState,
    HistoryMessage,
    Lease,
    Role,
    Settlement,
    Side,
    TaskState,
    Turn,
    TurnOutcome,
    TurnReceipt,
    Usage,
    new_id,
)

MESSAGE_OVERHEAD = 5
"""The fewest tokens a message can count for, its frame included: it bounds how many messages a budget can hold."""

LOAD = """
SELECT t.id, t.conversation_id, t.turn, t.account_id, t.key_id, t.state, t.callback_url, t.model, t.metadata,
    c.external_id, h.roles, h.contents
FROM unnest($1::uuid[], $2::bigint[]) AS w (conversation_id, turn)
JOIN tasks t ON t.conversation_id = w.conversation_id AND t.turn = w.turn
JOIN conversations c ON c.id = w.conversation_id
LEFT JOIN unnest($3::text[], $4::int[]) AS b (model, budget) ON b.model = t.model
CROSS JOIN LATERAL (
    SELECT array_agg(role ORDER BY turn, part) AS roles, array_agg(content ORDER BY turn, part) AS contents
    FROM (
        SELECT role, content, turn, part, sum(tokens) OVER (ORDER BY turn DESC, part DESC) AS running
        FROM (
            SELECT role, content, turn, part, tokens FROM messages m
            WHERE m.conversation_id = w.conversation_id AND m.turn <= w.turn AND m.visible
            ORDER BY turn DESC, part DESC LIMIT greatest(b.budget, 0) / $5 + 1
        ) newest
    ) counted
    WHERE running <= b.budget OR turn = w.turn
) h
"""

STORE = """
WITH done AS (
    SELECT * FROM unnest($2::uuid[], $3::bigint[], $4::bigint[], $5::uuid[], $6::text[], $7::text[], $8::int[],
                         $9::text[], $10::text[], $11::text[], $12::uuid[], $13::uuid[], $14::text[], $15::text[],
                         $16::text[])
        AS t (conversation_id, epoch, turn, task_id, state, answer, tokens, model, usage, error, answer_id,
              message_id, callback_url, host, body)
), ours AS (
    SELECT m.conversation_id, m.epoch FROM mailboxes m JOIN done d USING (conversation_id)
    WHERE m.side = 'in' AND m.leased_by = $1 AND m.epoch = d.epoch AND m.head = d.turn - 1
    ORDER BY m.conversation_id FOR UPDATE OF m
), moved AS (
    UPDATE mailboxes m SET head = d.turn,
        leased_by = CASE WHEN m.tail > d.turn THEN m.leased_by END,
        due_at = CASE WHEN m.tail > d.turn THEN m.due_at END
    FROM done d JOIN ours USING (conversation_id, epoch)
    WHERE m.conversation_id = d.conversation_id AND m.side = 'in'
    RETURNING m.conversation_id, m.epoch, m.tail
), finished AS (
    UPDATE tasks t SET state = d.state, answered_by = d.model, usage = d.usage::json, error = d.error::json,
        finished_at = now()
    FROM done d JOIN moved USING (conversation_id, epoch)
    WHERE t.id = d.task_id AND t.state = 'queued'
    RETURNING t.id, d.epoch, t.account_id
), answered AS (
    INSERT INTO messages (conversation_id, turn, part, id, role, content, tokens, model)
    SELECT d.conversation_id, d.turn, 1, d.answer_id, 'bot', d.answer, d.tokens, d.model
    FROM done d JOIN finished f ON f.id = d.task_id AND f.epoch = d.epoch WHERE d.answer IS NOT NULL
), sent AS (
    INSERT INTO mailboxes AS m (conversation_id, side, head, tail, epoch, leased_by, due_at)
    SELECT d.conversation_id, 'out', 0, 1, 1, $1, now()
    FROM done d JOIN finished f ON f.id = d.task_id AND f.epoch = d.epoch WHERE d.message_id IS NOT NULL
    ORDER BY d.conversation_id
    ON CONFLICT (conversation_id, side) DO UPDATE SET tail = m.tail + 1,
        leased_by = CASE WHEN m.leased_by IS NULL AND m.head = m.tail THEN $1 ELSE m.leased_by END,
        epoch = CASE WHEN m.leased_by IS NULL AND m.head = m.tail THEN m.epoch + 1 ELSE m.epoch END,
        due_at = least(m.due_at, greatest(now(), m.held_until))
    RETURNING conversation_id, head, tail, epoch, leased_by
), queued AS (
    INSERT INTO deliveries (id, conversation_id, position, task_id, account_id, callback_url, host, body, state)
    SELECT d.message_id, d.conversation_id, s.tail, d.task_id, f.account_id, d.callback_url, d.host, d.body, 'pending'
    FROM done d JOIN finished f ON f.id = d.task_id AND f.epoch = d.epoch
    JOIN sent s ON s.conversation_id = d.conversation_id
)
SELECT moved.conversation_id, moved.epoch, moved.tail AS in_tail,
    s.head AS out_head, s.tail AS out_tail, s.epoch AS out_epoch
FROM moved LEFT JOIN sent s ON s.conversation_id = moved.conversation_id AND s.leased_by = $1
"""


class Turns:
    """The incoming mailbox seen by a worker."""

    def __init__(self, database: Database, budgets: Mapping[str, int]) -> None:
        """Take the token budget of each model's history, by model name."""
        self._budgets = (list(budgets), list(budgets.values()))
        self._loading: Grouped[Lease, Turn | None] = Grouped(database.line("inbox"), self._load)
        self._storing: Grouped[tuple[UUID, TurnOutcome], TurnReceipt] = Grouped(database.line("answers"), _store)

    async def load(self, lease: Lease) -> Turn | None:
        """Read the first message that waits under ``lease``, with the history that fits its model's token budget.

        None when there is no such message (erased meanwhile).
        """
        return await self._loading.submit(lease)

    async def store(self, process_id: UUID, outcome: TurnOutcome) -> TurnReceipt:
        """Write an outcome, move the mailbox on and put the callback into the outgoing mailbox, in one commit.

        Nothing is written when the lease is no longer ours (``stored`` is False then), and no answer when the task was
        cancelled meanwhile. The generation is settled in the same commit: as lost, where nothing is written.
        """
        return await self._storing.submit((process_id, outcome))

    async def _load(self, connection: asyncpg.Connection, leases: Sequence[Lease]) -> list[Turn | None]:
        rows = await connection.fetch(
            LOAD,
            [lease.conversation_id for lease in leases],
            [lease.head + 1 for lease in leases],
            *self._budgets,
            MESSAGE_OVERHEAD,
        )
        found = {row["conversation_id"]: row for row in rows}
        return [
            _turn(lease, found[lease.conversation_id]) if lease.conversation_id in found else None for lease in leases
        ]


def _turn(lease: Lease, row: asyncpg.Record | None) -> Turn | None:
    if row is None:
        return None
    return Turn(
        lease=lease,
        number=row["turn"],
        task_id=row["id"],
        account_id=row["account_id"],
        key_id=row["key_id"],
        state=TaskState(row["state"]),
        external_id=row["external_id"],
        callback_url=row["callback_url"],
        model=row["model"],
        metadata=row["metadata"],
        history=tuple(
            HistoryMessage(Role(role), content)
            for role, content in zip(row["roles"] or (), row["contents"] or (), strict=True)
        ),
    )


async def _store(connection: asyncpg.Connection, outcomes: Sequence[tuple[UUID, TurnOutcome]]) -> list[TurnReceipt]:
    if not any(outcome.settlement for _, outcome in outcomes):
        return await _write(connection, outcomes)
    async with connection.transaction():
        receipts = await _write(connection, outcomes)
        await settle(
            connection,
            [
                outcome.settlement if receipt.stored else _lost(outcome.settlement)
                for (_, outcome), receipt in zip(outcomes, receipts, strict=True)
                if outcome.settlement
            ],
        )
    return receipts


def _lost(settlement: Settlement) -> Settlement:
    return replace(settlement, state=GenerationState.LOST, usage=Usage(), charge=0, error=None, first_token_ms=None)


async def _write(connection: asyncpg.Connection, outcomes: Sequence[tuple[UUID, TurnOutcome]]) -> list[TurnReceipt]:
    moved: dict[tuple[UUID, UUID, int], asyncpg.Record] = {}
    for process_id in {owner for owner, _ in outcomes}:
        done = [outcome for owner, outcome in outcomes if owner == process_id]
        for row in await connection.fetch(STORE, process_id, *_columns(done)):
            moved[process_id, row["conversation_id"], row["epoch"]] = row
    return [
        _receipt(outcome, moved.get((owner, outcome.turn.lease.conversation_id, outcome.turn.lease.epoch)))
        for owner, outcome in outcomes
    ]


def _columns(done: Sequence[TurnOutcome]) -> list[list[object]]:
    return [
        [outcome.turn.lease.conversation_id for outcome in done],
        [outcome.turn.lease.epoch for outcome in done],
        [outcome.turn.number for outcome in done],
        [outcome.turn.task_id for outcome in done],
        [(TaskState.FAILED if outcome.failure else TaskState.SUCCEEDED).value for outcome in done],
        [outcome.answer for outcome in done],
        [outcome.answer_tokens for outcome in done],
        [outcome.model for outcome in done],
        [_json(outcome.usage) for outcome in done],
        [_json(outcome.failure) for outcome in done],
        [new_id() for _ in done],
        [outcome.outgoing.message_id if outcome.outgoing else None for outcome in done],
        [outcome.outgoing.callback_url if outcome.outgoing else None for outcome in done],
        [outcome.host for outcome in done],
        [outcome.outgoing.body.decode() if outcome.outgoing else None for outcome in done],
    ]


LOST = TurnReceipt(stored=False, next_lease=None, delivery_lease=None)


def _receipt(outcome: TurnOutcome, row: asyncpg.Record | None) -> TurnReceipt:
    if row is None:
        return LOST
    lease, number = outcome.turn.lease, outcome.turn.number
    next_lease = (
        Lease(lease.conversation_id, Side.IN, lease.epoch, number, row["in_tail"]) if row["in_tail"] > number else None
    )
    delivery_lease = (
        Lease(lease.conversation_id, Side.OUT, row["out_epoch"], row["out_head"], row["out_tail"])
        if row["out_epoch"] is not None
        else None
    )
    return TurnReceipt(stored=True, next_lease=next_lease, delivery_lease=delivery_lease)


def _json(value: Usage | Failure | None) -> str | None:
    return None if value is None else orjson.dumps(value).decode()
