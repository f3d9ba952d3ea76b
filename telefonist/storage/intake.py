"""Taking webhook requests in: one grouped statement writes conversation, mailbox, message and task."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

import asyncpg

from telefonist.errors import Conflict
from telefonist.storage.database import Database
from telefonist.storage.grouping import Grouped
from telefonist.storage.mailboxes import CHANNEL
from telefonist.types import AcceptedTask, NewTask, Side, new_id

IDEMPOTENCY_HOURS = 24
"""How long a key is remembered; the same key may be used anew afterwards."""

TAKE_KEYS = f"""
INSERT INTO idempotency_keys AS known (digest, request_digest, task_id)
SELECT * FROM unnest($1::bytea[], $2::bytea[], $3::uuid[]) AS t (digest, request_digest, task_id) ORDER BY digest
ON CONFLICT (digest) DO UPDATE
    SET request_digest = EXCLUDED.request_digest, task_id = EXCLUDED.task_id, created_at = now()
    WHERE known.created_at < now() - interval '{IDEMPOTENCY_HOURS} hours'
RETURNING digest
"""  # noqa: S608  the hours are a constant

FIND_KEYS = "SELECT digest, request_digest, task_id FROM idempotency_keys WHERE digest = ANY($1)"

ACCEPT = f"""
WITH incoming AS (
    SELECT * FROM unnest($1::bytea[], $2::uuid[], $3::uuid[], $4::text[], $5::text[], $6::uuid[], $7::text[],
                         $8::int[], $9::text[], $10::text[]) WITH ORDINALITY
        AS t (key, conversation_id, account_id, external_id, callback_url, task_id, content, tokens, model, metadata,
              ord)
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
    INSERT INTO mailboxes AS m (conversation_id, side, head, tail, epoch, due_at)
    SELECT known.id, 'in', 0, count(*), 0, now()
    FROM incoming JOIN known USING (key) GROUP BY known.id ORDER BY known.id
    ON CONFLICT (conversation_id, side) DO UPDATE
        SET tail = m.tail + EXCLUDED.tail, due_at = coalesce(m.due_at, EXCLUDED.due_at)
    RETURNING conversation_id, tail
), numbered AS (
    SELECT i.*, known.id AS kept_id,
        boxes.tail - count(*) OVER (PARTITION BY known.id)
            + row_number() OVER (PARTITION BY known.id ORDER BY i.ord) AS turn
    FROM incoming i JOIN known USING (key) JOIN boxes ON boxes.conversation_id = known.id
), said AS (
    INSERT INTO messages (conversation_id, turn, part, id, role, content, tokens)
    SELECT kept_id, turn, 0, task_id, 'user', content, tokens FROM numbered
), asked AS (
    INSERT INTO tasks (id, conversation_id, turn, account_id, callback_url, model, metadata, state)
    SELECT task_id, kept_id, turn, account_id, callback_url, model, metadata::json, 'queued' FROM numbered
), woken AS (
    SELECT pg_notify('{CHANNEL}', '{Side.IN}') WHERE $11
)
SELECT task_id FROM numbered LEFT JOIN woken ON true
"""  # noqa: S608  the channel is a constant


@dataclass(frozen=True, slots=True)
class _Request:
    task_id: UUID
    account_id: UUID | None
    task: NewTask
    tokens: int
    notify: bool

    @property
    def scope(self) -> bytes:
        """Who the conversation and the key belong to: the account, or without one the callback URL."""
        owner = f"account:{self.account_id}" if self.account_id else f"callback:{self.task.callback_url}"
        return owner.encode()

    @property
    def conversation_key(self) -> bytes:
        return _digest(b"conversation", self.scope, self.task.external_id.encode())

    @property
    def idempotency_digest(self) -> bytes:
        return _digest(b"idempotency", self.scope, (self.task.idempotency_key or "").encode())

    @property
    def request_digest(self) -> bytes:
        task = self.task
        metadata = json.dumps(json.loads(task.metadata or "null"), sort_keys=True)
        parts = [task.message, task.callback_url, task.external_id, task.model, metadata]
        return _digest(*(part.encode() for part in parts))


class Intake:
    """The way in for webhook requests; what it returns is on disk."""

    def __init__(self, database: Database) -> None:
        self._grouped: Grouped[_Request, UUID | Conflict] = Grouped(database.line("accept"), _accept)

    async def accept(self, task: NewTask, account_id: UUID | None, tokens: int, *, notify: bool) -> AcceptedTask:
        """Store a request and put it into its conversation's mailbox.

        ``tokens`` is the message's share of the window; ``notify`` wakes workers in other processes. Raises Conflict
        when the idempotency key was used with another body within 24 hours, and Unavailable.
        """
        task_id = new_id()
        kept = await self._grouped.submit(_Request(task_id, account_id, task, tokens, notify))
        if isinstance(kept, Conflict):
            raise kept
        return AcceptedTask(kept, task.external_id, repeated=kept != task_id)


async def _accept(connection: asyncpg.Connection, requests: Sequence[_Request]) -> list[UUID | Conflict]:
    if not any(request.task.idempotency_key for request in requests):
        await _store(connection, requests)
        return [request.task_id for request in requests]
    async with connection.transaction():
        results = await _resolve_keys(connection, requests)
        fresh = [request for request, kept in zip(requests, results, strict=True) if kept == request.task_id]
        await _store(connection, fresh)
    return results


async def _store(connection: asyncpg.Connection, requests: Sequence[_Request]) -> None:
    """Write the requests; a conversation made by another process in the same instant is met in a second round."""
    while requests:
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
            any(request.notify for request in requests),
        )
        stored = {row["task_id"] for row in rows}
        requests = [request for request in requests if request.task_id not in stored]


async def _resolve_keys(connection: asyncpg.Connection, requests: Sequence[_Request]) -> list[UUID | Conflict]:
    """Give for each request the task that it stands for: a new one, or the one its key was first used for."""
    first: dict[bytes, _Request] = {}
    for request in requests:
        if request.task.idempotency_key:
            first.setdefault(request.idempotency_digest, request)
    taken = await connection.fetch(
        TAKE_KEYS,
        list(first),
        [request.request_digest for request in first.values()],
        [request.task_id for request in first.values()],
    )
    known = {row["digest"]: (first[row["digest"]].request_digest, first[row["digest"]].task_id) for row in taken}
    missing = [digest for digest in first if digest not in known]
    if missing:
        for row in await connection.fetch(FIND_KEYS, missing):
            known[row["digest"]] = (row["request_digest"], row["task_id"])
    results: list[UUID | Conflict] = []
    for request in requests:
        if not request.task.idempotency_key:
            results.append(request.task_id)
            continue
        request_digest, task_id = known[request.idempotency_digest]
        results.append(task_id if request_digest == request.request_digest else Conflict("idempotency_conflict"))
    return results


def _digest(*parts: bytes) -> bytes:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8, "big"))
        digest.update(part)
    return digest.digest()
