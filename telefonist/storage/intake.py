"""Taking webhook requests in: one grouped statement writes conversation, mailbox, message and task."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

import asyncpg

from telefonist.errors import Conflict
from telefonist.storage.database import Database
from telefonist.storage.grouping import Grouped
from telefonist.storage.mailboxes import CHANNEL
from telefonist.storage.ownership import conversation_key, digest, owner
from telefonist.types import AcceptedTask, HistoryMessage, Lease, NewTask, Role, Side, TaskState, Turn, new_id

IDEMPOTENCY_HOURS = 24
"""How long a key is remembered; the same key may be used anew afterwards."""

TAKE_KEYS = f"""
INSERT INTO idempotency_keys AS known (digest, request_digest, task_id)
SELECT * FROM unnest($1::bytea[], $2::bytea[], $3::uuid[]) AS t (digest, request_digest, task_id) ORDER BY digest
ON CONFLICT (digest) DO UPDATE
    SET request_digest = EXCLUDED.request_digest, task_id = EXCLUDED.task_id, created_at = now()
    WHERE known.created_at < now() - interval '{IDEMPOTENCY_HOURS} hours'
RETURNING digest, request_digest, task_id
"""  # noqa: S608  the hours are a constant

PURGE_KEYS = f"""
DELETE FROM idempotency_keys WHERE digest IN (
    SELECT digest FROM idempotency_keys WHERE created_at < now() - interval '{IDEMPOTENCY_HOURS} hours'
    ORDER BY created_at LIMIT 5000 FOR UPDATE SKIP LOCKED
)
"""  # noqa: S608  the hours are a constant

FIND_KEYS = "SELECT digest, request_digest, task_id FROM idempotency_keys WHERE digest = ANY($1)"

FIND_TASK = f"""
SELECT task_id FROM idempotency_keys
WHERE digest = $1 AND request_digest = $2 AND created_at >= now() - interval '{IDEMPOTENCY_HOURS} hours'
"""  # noqa: S608  the hours are a constant

ACCEPT = f"""
WITH incoming AS (
    SELECT * FROM unnest($1::bytea[], $2::uuid[], $3::uuid[], $4::text[], $5::text[], $6::uuid[], $7::text[],
                         $8::int[], $9::text[], $10::text[], $11::uuid[], $13::uuid[]) WITH ORDINALITY
        AS t (key, conversation_id, account_id, external_id, callback_url, task_id, content, tokens, model, metadata,
              lease_to, key_id, ord)
), made AS (
    INSERT INTO conversations AS c (id, key, account_id, door, external_id, callback_url)
    SELECT DISTINCT ON (key) conversation_id, key, account_id, 'webhook', external_id, callback_url
    FROM incoming ORDER BY key, ord DESC
    ON CONFLICT (key) DO UPDATE SET callback_url = EXCLUDED.callback_url
        WHERE c.callback_url IS DISTINCT FROM EXCLUDED.callback_url
    RETURNING id, key
), known AS (
    SELECT id, key FROM made
    UNION
    SELECT c.id, c.key FROM conversations c WHERE c.key = ANY($1)
), boxes AS (
    INSERT INTO mailboxes AS m (conversation_id, side, head, tail, epoch, leased_by, due_at)
    SELECT known.id, 'in', 0, count(*), 1, (array_agg(lease_to) FILTER (WHERE lease_to IS NOT NULL))[1], now()
    FROM incoming JOIN known USING (key) GROUP BY known.id ORDER BY known.id
    ON CONFLICT (conversation_id, side) DO UPDATE
        SET tail = m.tail + EXCLUDED.tail, due_at = coalesce(m.due_at, EXCLUDED.due_at),
            leased_by = CASE WHEN m.head = m.tail THEN EXCLUDED.leased_by ELSE m.leased_by END,
            epoch = CASE WHEN m.head = m.tail THEN m.epoch + 1 ELSE m.epoch END
    RETURNING conversation_id, head, tail, epoch, leased_by
), numbered AS (
    SELECT i.*, known.id AS kept_id, boxes.head, boxes.tail, boxes.epoch,
        coalesce(boxes.leased_by = i.lease_to, false) AS leased,
        boxes.tail - count(*) OVER (PARTITION BY known.id)
            + row_number() OVER (PARTITION BY known.id ORDER BY i.ord) AS turn
    FROM incoming i JOIN known USING (key) JOIN boxes ON boxes.conversation_id = known.id
), said AS (
    INSERT INTO messages (conversation_id, turn, part, id, role, content, tokens)
    SELECT kept_id, turn, 0, task_id, 'user', content, tokens FROM numbered
), asked AS (
    INSERT INTO tasks (id, conversation_id, turn, account_id, key_id, callback_url, model, metadata, state)
    SELECT task_id, kept_id, turn, account_id, key_id, callback_url, model, metadata::json, 'queued' FROM numbered
), woken AS (
    SELECT pg_notify('{CHANNEL}', '{Side.IN}') WHERE $12
)
SELECT task_id, kept_id, turn, head, tail, epoch, leased
FROM numbered LEFT JOIN woken ON true
"""  # noqa: S608  the channel is a constant


@dataclass(frozen=True, slots=True)
class _Request:
    task_id: UUID
    account_id: UUID | None
    key_id: UUID | None
    task: NewTask
    tokens: int
    lease_to: UUID | None

    @property
    def owner(self) -> bytes:
        return owner(self.account_id, self.task.callback_url)

    @property
    def conversation_key(self) -> bytes:
        return conversation_key(self.owner, self.task.external_id)

    @property
    def idempotency_digest(self) -> bytes:
        return digest(b"idempotency", self.owner, (self.task.idempotency_key or "").encode())

    @property
    def request_digest(self) -> bytes:
        task = self.task
        metadata = json.dumps(json.loads(task.metadata or "null"), sort_keys=True)
        parts = [task.message, task.callback_url, task.external_id, task.model, metadata]
        return digest(*(part.encode() for part in parts))


@dataclass(frozen=True, slots=True)
class Receipt:
    """What accepting came to: the task, and its conversation's lease where it was free and wanted.

    ``turn`` spares the worker reading back what was just written; it is there when the message opens its conversation.
    """

    accepted: AcceptedTask
    lease: Lease | None = None
    turn: Turn | None = None


class Intake:
    """The way in for webhook requests; what it returns is on disk."""

    def __init__(self, database: Database) -> None:
        self._line = database.line("accept")
        self._grouped: Grouped[_Request, Receipt | Conflict | None] = Grouped(self._line, _accept)

    async def accept(
        self,
        task: NewTask,
        account_id: UUID | None,
        tokens: int,
        lease_to: UUID | None,
        *,
        key_id: UUID | None = None,
    ) -> Receipt:
        """Store a request and put it into its conversation's mailbox.

        ``tokens`` is the message's share of the window. A conversation that nobody works on is leased in the same
        statement to the process ``lease_to``; where that is None, workers elsewhere are woken. Raises Conflict when the
        idempotency key was used with another body within 24 hours, and Unavailable.
        """
        request = _Request(new_id(), account_id, key_id, task, tokens, lease_to)
        while (receipt := await self._grouped.submit(request)) is None:
            pass  # another process made the conversation in the same instant: now it is there
        if isinstance(receipt, Conflict):
            raise receipt
        return receipt

    async def known(self, task: NewTask, account_id: UUID | None) -> AcceptedTask | None:
        """Give the receipt of the same request under the same key; None where it is new. Raises Unavailable."""
        if task.idempotency_key is None:
            return None
        request = _Request(new_id(), account_id, None, task, 0, None)
        task_id = await self._line.run(
            lambda connection: connection.fetchval(FIND_TASK, request.idempotency_digest, request.request_digest)
        )
        return None if task_id is None else AcceptedTask(task_id, task.external_id, repeated=True)

    async def purge(self) -> None:
        """Forget idempotency keys that are past their time, some thousands at once."""
        await self._line.run(lambda connection: connection.execute(PURGE_KEYS))


async def _accept(connection: asyncpg.Connection, requests: Sequence[_Request]) -> list[Receipt | Conflict | None]:
    """Write the requests; None for one whose conversation another process made in the same instant."""
    if not any(request.task.idempotency_key for request in requests):
        stored = await _store(connection, requests)
        return [stored.get(request.task_id) for request in requests]
    async with connection.transaction():
        kept = await _resolve_keys(connection, requests)
        stored = {}
        fresh = [request for request, task_id in zip(requests, kept, strict=True) if task_id == request.task_id]
        while missing := [request for request in fresh if request.task_id not in stored]:
            stored |= await _store(connection, missing)
    return [
        stored.get(request.task_id) or _repeated(request, task_id)
        for request, task_id in zip(requests, kept, strict=True)
    ]


async def _store(connection: asyncpg.Connection, requests: Sequence[_Request]) -> dict[UUID, Receipt]:
    rows = await connection.fetch(
        ACCEPT,
        [request.conversation_key for request in requests],
        [new_id() for _ in requests],
        [request.account_id for request in requests],
        [request.task.external_id for request in requests],
        [request.task.callback_url for request in requests],
        [request.task_id for request in requests],
        [request.task.message for request in requests],
        [request.tokens for request in requests],
        [request.task.model for request in requests],
        [request.task.metadata for request in requests],
        [request.lease_to for request in requests],
        any(request.lease_to is None for request in requests),
        [request.key_id for request in requests],
    )
    by_id = {request.task_id: request for request in requests}
    return {row["task_id"]: _receipt(by_id[row["task_id"]], row) for row in rows}


def _receipt(request: _Request, row: asyncpg.Record) -> Receipt:
    task = request.task
    accepted = AcceptedTask(request.task_id, task.external_id)
    if not row["leased"]:
        return Receipt(accepted)
    lease = Lease(row["kept_id"], Side.IN, row["epoch"], row["head"], row["tail"])
    if row["turn"] != 1:
        return Receipt(accepted, lease)
    turn = Turn(
        lease=lease,
        number=1,
        task_id=request.task_id,
        account_id=request.account_id,
        key_id=request.key_id,
        state=TaskState.QUEUED,
        external_id=task.external_id,
        callback_url=task.callback_url,
        model=task.model,
        metadata=task.metadata,
        history=(HistoryMessage(Role.USER, task.message),),
    )
    return Receipt(accepted, lease, turn)


def _repeated(request: _Request, kept: UUID | Conflict) -> Receipt | Conflict:
    if isinstance(kept, Conflict):
        return kept
    return Receipt(AcceptedTask(kept, request.task.external_id, repeated=True))


async def _resolve_keys(connection: asyncpg.Connection, requests: Sequence[_Request]) -> list[UUID | Conflict]:
    """Give for each request the task that it stands for: a new one, or the one its key was first used for."""
    first: dict[bytes, _Request] = {}
    for request in requests:
        if request.task.idempotency_key:
            first.setdefault(request.idempotency_digest, request)
    known: dict[bytes, tuple[bytes, UUID]] = {}
    while missing := [digest for digest in first if digest not in known]:  # again where a key was purged in between
        new = [first[digest] for digest in missing]
        taken = await connection.fetch(
            TAKE_KEYS, missing, [request.request_digest for request in new], [request.task_id for request in new]
        )
        known |= {row["digest"]: (row["request_digest"], row["task_id"]) for row in taken}
        if others := [digest for digest in missing if digest not in known]:
            rows = await connection.fetch(FIND_KEYS, others)
            known |= {row["digest"]: (row["request_digest"], row["task_id"]) for row in rows}
    results: list[UUID | Conflict] = []
    for request in requests:
        if not request.task.idempotency_key:
            results.append(request.task_id)
            continue
        request_digest, task_id = known[request.idempotency_digest]
        results.append(task_id if request_digest == request.request_digest else Conflict("idempotency_conflict"))
    return results
