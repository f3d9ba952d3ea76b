"""The outgoing mailbox: what to send next, and what came of sending it."""

from collections.abc import Sequence
from uuid import UUID

import asyncpg

from telefonist.storage.database import Database
from telefonist.storage.grouping import Grouped
from telefonist.types import DeliveryOutcome, Lease, Outgoing, PendingDelivery, Side

NEXT = """
SELECT w.conversation_id, d.*
FROM unnest($1::uuid[]) AS w (conversation_id)
CROSS JOIN LATERAL (
    SELECT id, account_id, callback_url, body, attempts, tries, held_until FROM deliveries
    WHERE conversation_id = w.conversation_id AND state = 'pending' AND due_at <= now()
      AND position <= coalesce((
          SELECT min(position) FROM deliveries
          WHERE conversation_id = w.conversation_id AND state = 'pending' AND held_until > now()), position)
    ORDER BY position LIMIT 1
) d
"""

REST = """
WITH resting AS (
    SELECT m.conversation_id, m.tail = l.tail AS unchanged FROM mailboxes m
    JOIN unnest($2::uuid[], $3::bigint[], $4::bigint[]) AS l (conversation_id, epoch, tail)
      ON m.conversation_id = l.conversation_id AND m.epoch = l.epoch
    WHERE m.side = 'out' AND m.leased_by = $1
    ORDER BY m.conversation_id FOR UPDATE OF m
), pending AS (
    SELECT r.conversation_id, min(d.due_at) AS due_at, min(d.held_until) AS held_until
    FROM resting r
    CROSS JOIN LATERAL (
        SELECT due_at, CASE WHEN held_until > now() THEN held_until END AS held_until FROM deliveries
        WHERE conversation_id = r.conversation_id AND state = 'pending'
          AND position <= coalesce((
              SELECT min(position) FROM deliveries
              WHERE conversation_id = r.conversation_id AND state = 'pending' AND held_until > now()), position)
    ) d
    GROUP BY r.conversation_id
)
UPDATE mailboxes m SET
    leased_by = CASE WHEN r.unchanged THEN NULL ELSE m.leased_by END,
    due_at = CASE WHEN m.tail > m.head THEN coalesce(least(p.due_at, p.held_until), now()) END,
    held_until = CASE WHEN m.tail > m.head THEN p.held_until END
FROM resting r LEFT JOIN pending p USING (conversation_id)
WHERE m.conversation_id = r.conversation_id AND m.side = 'out'
RETURNING m.conversation_id, m.epoch, m.head, m.tail, m.leased_by IS NOT NULL AS kept
"""

RECORD = """
WITH done AS (
    SELECT * FROM unnest($2::uuid[], $3::bigint[], $4::uuid[], $5::timestamptz[], $6::int[], $7::int[], $8::text[],
                         $9::text[], $10::text[], $11::float8[], $12::float8[])
        AS t (conversation_id, epoch, delivery_id, started_at, milliseconds, status, error, response, state, retry_in,
              hold_back)
), untold AS (
    SELECT d.* FROM done d
    WHERE NOT EXISTS (SELECT 1 FROM delivery_attempts a
                      WHERE a.delivery_id = d.delivery_id AND a.started_at = d.started_at)
), tried AS (
    INSERT INTO delivery_attempts (delivery_id, number, started_at, milliseconds, status, error, response)
    SELECT delivery_id, (SELECT coalesce(max(a.number), 0) FROM delivery_attempts a
                         WHERE a.delivery_id = u.delivery_id)
                        + row_number() OVER (PARTITION BY delivery_id ORDER BY started_at),
        started_at, milliseconds, status, error, response
    FROM untold u
    ON CONFLICT DO NOTHING
), ours AS (
    SELECT m.conversation_id, m.epoch FROM mailboxes m JOIN done d USING (conversation_id)
    WHERE m.side = 'out' AND m.leased_by = $1 AND m.epoch = d.epoch
    ORDER BY m.conversation_id FOR UPDATE OF m
), marked AS (
    UPDATE deliveries x SET state = d.state, attempts = x.attempts + 1, tries = x.tries + 1,
        due_at = now() + make_interval(secs => d.retry_in),
        held_until = CASE WHEN d.state = 'pending'
            THEN coalesce(x.held_until, now() + make_interval(secs => d.hold_back)) END,
        finished_at = CASE WHEN d.state <> 'pending' THEN now() END
    FROM untold d JOIN ours USING (conversation_id, epoch)
    WHERE x.id = d.delivery_id AND x.state = 'pending'
    RETURNING x.conversation_id, x.state
), counted AS (
    SELECT ours.conversation_id, coalesce(marked.state <> 'pending', false)::int AS closed
    FROM ours LEFT JOIN marked USING (conversation_id)
)
UPDATE mailboxes m SET head = m.head + c.closed,
    leased_by = CASE WHEN m.tail > m.head + c.closed THEN m.leased_by END,
    due_at = CASE WHEN m.tail > m.head + c.closed THEN m.due_at END,
    held_until = CASE WHEN m.tail > m.head + c.closed THEN m.held_until END
FROM counted c WHERE m.conversation_id = c.conversation_id AND m.side = 'out'
RETURNING m.conversation_id, m.epoch, m.head, m.tail
"""


class Deliveries:
    """The outgoing mailbox seen by a worker.

    An earlier message that waits for a retry holds later ones of its conversation back until its ``held_until``.
    """

    def __init__(self, database: Database) -> None:
        outbox = database.line("outbox")
        self._loading: Grouped[Lease, PendingDelivery | None] = Grouped(outbox, _next)
        self._resting: Grouped[tuple[UUID, Lease], Lease | None] = Grouped(outbox, _rest)
        self._recording: Grouped[tuple[UUID, DeliveryOutcome], Lease | None] = Grouped(outbox, _record)

    async def next(self, lease: Lease) -> PendingDelivery | None:
        """Read the message that may be sent now; None when all that is left has to wait."""
        return await self._loading.submit(lease)

    async def rest(self, process_id: UUID, lease: Lease) -> Lease | None:
        """Let go of the mailbox until its next message is due.

        When something was put meanwhile the lease is kept and given back, brought up to date.
        """
        return await self._resting.submit((process_id, lease))

    async def record(self, process_id: UUID, outcome: DeliveryOutcome) -> Lease | None:
        """Write an attempt and what it led to; gives the lease while more is left, None when it has ended.

        An attempt is known by its moment: told twice, after a commit whose answer was lost, it counts once.
        """
        return await self._recording.submit((process_id, outcome))


async def _next(connection: asyncpg.Connection, leases: Sequence[Lease]) -> list[PendingDelivery | None]:
    rows = await connection.fetch(NEXT, [lease.conversation_id for lease in leases])
    found = {
        row["conversation_id"]: PendingDelivery(
            Outgoing(row["id"], row["callback_url"], row["body"].encode()),
            row["account_id"],
            row["attempts"],
            row["tries"],
            row["held_until"],
        )
        for row in rows
    }
    return [found.get(lease.conversation_id) for lease in leases]


async def _rest(connection: asyncpg.Connection, resting: Sequence[tuple[UUID, Lease]]) -> list[Lease | None]:
    kept: dict[tuple[UUID, UUID, int], Lease] = {}
    for process_id in {owner for owner, _ in resting}:
        leases = [lease for owner, lease in resting if owner == process_id]
        rows = await connection.fetch(
            REST,
            process_id,
            [lease.conversation_id for lease in leases],
            [lease.epoch for lease in leases],
            [lease.tail for lease in leases],
        )
        for row in rows:
            if row["kept"]:
                kept[process_id, row["conversation_id"], row["epoch"]] = _out_lease(row)
    return [kept.get((owner, lease.conversation_id, lease.epoch)) for owner, lease in resting]


async def _record(
    connection: asyncpg.Connection, outcomes: Sequence[tuple[UUID, DeliveryOutcome]]
) -> list[Lease | None]:
    kept: dict[tuple[UUID, UUID, int], Lease] = {}
    for process_id in {owner for owner, _ in outcomes}:
        done = [outcome for owner, outcome in outcomes if owner == process_id]
        rows = await connection.fetch(
            RECORD,
            process_id,
            [outcome.lease.conversation_id for outcome in done],
            [outcome.lease.epoch for outcome in done],
            [outcome.message_id for outcome in done],
            [outcome.attempt.started_at for outcome in done],
            [outcome.attempt.milliseconds for outcome in done],
            [outcome.attempt.status for outcome in done],
            [outcome.attempt.error for outcome in done],
            [outcome.attempt.response for outcome in done],
            [outcome.state.value for outcome in done],
            [outcome.retry_in for outcome in done],
            [outcome.hold_back for outcome in done],
        )
        for row in rows:
            if row["tail"] > row["head"]:
                kept[process_id, row["conversation_id"], row["epoch"]] = _out_lease(row)
    return [kept.get((owner, outcome.lease.conversation_id, outcome.lease.epoch)) for owner, outcome in outcomes]


def _out_lease(row: asyncpg.Record) -> Lease:
    return Lease(row["conversation_id"], Side.OUT, row["epoch"], row["head"], row["tail"])
