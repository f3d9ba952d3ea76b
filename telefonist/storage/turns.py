"""Answering: loading what a worker needs for a turn, and storing what came of it."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from uuid import UUID

import asyncpg
import orjson

from telefonist.storage.database import Database
from telefonist.storage.grouping import Grouped
from telefonist.storage.settlements import settle
from telefonist.texts import language_of
from telefonist.types import (
    Failure,
    GenerationState,
    HistoryMessage,
    Lease,
    Owner,
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
    c.external_id, s.owner, i.dialog_epoch, s.offer_pending, h.roles, h.contents
FROM unnest($1::uuid[], $2::bigint[]) AS w (conversation_id, turn)
JOIN tasks t ON t.conversation_id = w.conversation_id AND t.turn = w.turn
JOIN conversations c ON c.id = w.conversation_id
JOIN mailboxes i ON i.conversation_id = w.conversation_id AND i.side = 'in'
LEFT JOIN dialogs s ON s.conversation_id = w.conversation_id
LEFT JOIN unnest($3::text[], $4::int[]) AS b (model, budget) ON b.model = t.model
CROSS JOIN LATERAL (
    SELECT array_agg(role ORDER BY asks, turn, part) AS roles, array_agg(content ORDER BY asks, turn, part) AS contents
    FROM (
        SELECT role, content, turn, part, turn = w.turn AND part = 0 AS asks,
            sum(tokens) OVER (ORDER BY turn DESC, part DESC) AS running
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
    SELECT * FROM unnest($2::uuid[], $3::bigint[], $4::bigint[], $5::bigint[], $6::uuid[], $7::text[], $8::text[],
                         $9::int[], $10::text[], $11::text[], $12::text[], $13::uuid[])
        AS t (conversation_id, epoch, dialog_epoch, turn, task_id, state, answer, tokens, model, usage, error,
              answer_id)
), parts AS (
    SELECT * FROM unnest($14::uuid[], $15::bigint[], $16::bigint[], $17::uuid[], $18::text[], $19::text[], $20::text[])
        AS t (conversation_id, epoch, number, id, callback_url, host, body)
), ours AS (
    SELECT m.conversation_id, m.epoch, d.dialog_epoch IS NULL OR m.dialog_epoch = d.dialog_epoch AS heard
    FROM mailboxes m JOIN done d USING (conversation_id)
    WHERE m.side = 'in' AND m.leased_by = $1 AND m.epoch = d.epoch AND m.head = d.turn - 1
    ORDER BY m.conversation_id FOR UPDATE OF m
), moved AS (
    UPDATE mailboxes m SET head = d.turn,
        leased_by = CASE WHEN m.tail > d.turn THEN m.leased_by END,
        due_at = CASE WHEN m.tail > d.turn THEN m.due_at END
    FROM done d JOIN ours USING (conversation_id, epoch)
    WHERE m.conversation_id = d.conversation_id AND m.side = 'in' AND ours.heard
    RETURNING m.conversation_id, m.epoch, m.tail
), finished AS (
    UPDATE tasks t SET state = d.state, answered_by = d.model, usage = d.usage::json, error = d.error::json,
        finished_at = now()
    FROM done d JOIN moved USING (conversation_id, epoch)
    WHERE t.id = d.task_id AND t.state = 'queued'
    RETURNING t.id, t.conversation_id, d.epoch, t.account_id
), answered AS (
    INSERT INTO messages (conversation_id, turn, part, id, role, content, tokens, model)
    SELECT d.conversation_id, d.turn, 1, d.answer_id, 'bot', d.answer, d.tokens, d.model
    FROM done d JOIN finished f ON f.id = d.task_id AND f.epoch = d.epoch WHERE d.answer IS NOT NULL
), sent AS (
    INSERT INTO mailboxes AS m (conversation_id, side, head, tail, epoch, leased_by, due_at)
    SELECT conversation_id, 'out', 0, count(*), 1, $1, now()
    FROM parts JOIN finished USING (conversation_id, epoch) GROUP BY conversation_id ORDER BY conversation_id
    ON CONFLICT (conversation_id, side) DO UPDATE SET tail = m.tail + EXCLUDED.tail,
        leased_by = CASE WHEN m.leased_by IS NULL AND m.head = m.tail THEN $1 ELSE m.leased_by END,
        epoch = CASE WHEN m.leased_by IS NULL AND m.head = m.tail THEN m.epoch + 1 ELSE m.epoch END,
        due_at = least(m.due_at, greatest(now(), m.held_until))
    RETURNING conversation_id, head, tail, epoch, leased_by
), queued AS (
    INSERT INTO deliveries (id, conversation_id, position, task_id, account_id, callback_url, host, body, state)
    SELECT p.id, p.conversation_id, s.tail - count(*) OVER (PARTITION BY p.conversation_id) + p.number, f.id,
        f.account_id, p.callback_url, p.host, p.body, 'pending'
    FROM parts p JOIN finished f USING (conversation_id, epoch) JOIN sent s USING (conversation_id)
)
SELECT ours.conversation_id, ours.epoch, ours.heard, moved.tail AS in_tail,
    s.head AS out_head, s.tail AS out_tail, s.epoch AS out_epoch
FROM ours LEFT JOIN moved USING (conversation_id, epoch)
LEFT JOIN sent s ON s.conversation_id = moved.conversation_id AND s.leased_by = $1
"""

OFFER = """
INSERT INTO dialogs AS d (conversation_id, owner, epoch, language, offer_pending)
SELECT * FROM (
    SELECT conversation_id, 'bot', 0, language, offers FROM unnest($1::uuid[], $2::text[], $3::bool[])
        AS t (conversation_id, language, offers)
) offered ORDER BY conversation_id
ON CONFLICT (conversation_id) DO UPDATE SET offer_pending = EXCLUDED.offer_pending
"""

USER_WROTE = "UPDATE dialogs SET user_wrote_at = now() WHERE conversation_id = ANY($1)"


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

        Nothing is written when the lease is no longer ours, or when the turn was read under another owner of the
        conversation than there is now (``stored`` is False then, and of the latter ``overtaken`` tells); and no answer
        when the task was cancelled meanwhile. The generation is settled in the same commit: as lost or cancelled, where
        nothing is written.
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
        owner=Owner(row["owner"] or Owner.BOT),
        dialog_epoch=row["dialog_epoch"],
        offered=bool(row["offer_pending"]),
    )


async def _store(connection: asyncpg.Connection, outcomes: Sequence[tuple[UUID, TurnOutcome]]) -> list[TurnReceipt]:
    if not any(outcome.settlement or outcome.left_to_person or outcome.offers is not None for _, outcome in outcomes):
        return await _write(connection, outcomes)
    async with connection.transaction():
        receipts = await _write(connection, outcomes)
        told = [(outcome, receipt) for (_, outcome), receipt in zip(outcomes, receipts, strict=True)]
        await settle(
            connection, [_settled(outcome.settlement, receipt) for outcome, receipt in told if outcome.settlement]
        )
        await _mark(connection, [outcome for outcome, receipt in told if receipt.stored])
    return receipts


def _settled(settlement: Settlement, receipt: TurnReceipt) -> Settlement:
    if receipt.stored:
        return settlement
    state = GenerationState.CANCELLED if receipt.overtaken else GenerationState.LOST
    return replace(settlement, state=state, usage=Usage(), charge=0, error=None, first_token_ms=None)


async def _mark(connection: asyncpg.Connection, outcomes: Sequence[TurnOutcome]) -> None:
    """Note in the dialogs whether the bot offered a person, and that the user of one with a person wrote."""
    if offers := [outcome for outcome in outcomes if outcome.offers is not None]:
        await connection.execute(
            OFFER,
            [outcome.turn.lease.conversation_id for outcome in offers],
            [language_of(outcome.turn.history[-1].content) for outcome in offers],
            [outcome.offers for outcome in offers],
        )
    if left := [outcome.turn.lease.conversation_id for outcome in outcomes if outcome.left_to_person]:
        await connection.execute(USER_WROTE, left)


async def _write(connection: asyncpg.Connection, outcomes: Sequence[tuple[UUID, TurnOutcome]]) -> list[TurnReceipt]:
    ours: dict[tuple[UUID, UUID, int], asyncpg.Record] = {}
    for process_id in {owner for owner, _ in outcomes}:
        done = [outcome for owner, outcome in outcomes if owner == process_id]
        for row in await connection.fetch(STORE, process_id, *_columns(done), *_parts(done)):
            ours[process_id, row["conversation_id"], row["epoch"]] = row
    return [
        _receipt(outcome, ours.get((owner, outcome.turn.lease.conversation_id, outcome.turn.lease.epoch)))
        for owner, outcome in outcomes
    ]


def _columns(done: Sequence[TurnOutcome]) -> list[list[object]]:
    return [
        [outcome.turn.lease.conversation_id for outcome in done],
        [outcome.turn.lease.epoch for outcome in done],
        [outcome.turn.dialog_epoch if _speaks(outcome) else None for outcome in done],
        [outcome.turn.number for outcome in done],
        [outcome.turn.task_id for outcome in done],
        [_state(outcome).value for outcome in done],
        [outcome.answer for outcome in done],
        [outcome.answer_tokens for outcome in done],
        [outcome.model for outcome in done],
        [_json(outcome.usage) for outcome in done],
        [_json(outcome.failure) for outcome in done],
        [outcome.outgoing.message_id if outcome.outgoing else new_id() for outcome in done],
    ]


def _parts(done: Sequence[TurnOutcome]) -> list[list[object]]:
    parts = [
        (outcome, number, outgoing)
        for outcome in done
        if outcome.outgoing
        for number, outgoing in enumerate((outcome.outgoing, *outcome.more), start=1)
    ]
    return [
        [outcome.turn.lease.conversation_id for outcome, _, _ in parts],
        [outcome.turn.lease.epoch for outcome, _, _ in parts],
        [number for _, number, _ in parts],
        [outgoing.message_id for _, _, outgoing in parts],
        [outgoing.callback_url for _, _, outgoing in parts],
        [outcome.host for outcome, _, _ in parts],
        [outgoing.body.decode() for _, _, outgoing in parts],
    ]


def _speaks(outcome: TurnOutcome) -> bool:
    """Tell what the owner of the conversation decides about from what only moves the mailbox past a finished task."""
    return outcome.left_to_person or bool(outcome.outgoing or outcome.failure) or outcome.answer is not None


def _state(outcome: TurnOutcome) -> TaskState:
    if outcome.left_to_person:
        return TaskState.WAITING_FOR_OPERATOR
    return TaskState.FAILED if outcome.failure else TaskState.SUCCEEDED


LOST = TurnReceipt(stored=False, next_lease=None, delivery_lease=None)
OVERTAKEN = TurnReceipt(stored=False, next_lease=None, delivery_lease=None, overtaken=True)


def _receipt(outcome: TurnOutcome, row: asyncpg.Record | None) -> TurnReceipt:
    if row is None:
        return LOST
    if not row["heard"]:
        return OVERTAKEN
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
