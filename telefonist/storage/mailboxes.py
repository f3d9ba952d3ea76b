"""The mailboxes: claiming, giving back, and being woken.

A conversation has two: ``in`` holds messages to be answered, ``out`` messages to be delivered. ``tail`` counts what was
put and ``head`` what is done; a lease is the pair (``leased_by``, ``epoch``). Whether anything is left is decided by
comparing the counters in the same statement that lets go: a ``NOT EXISTS`` would work on an old snapshot and lose a
wake-up.
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from uuid import UUID

import asyncpg

from telefonist.storage.database import Database
from telefonist.storage.grouping import Grouped
from telefonist.storage.lines import CONNECT_TIMEOUT, DISCONNECTED
from telefonist.types import Lease, Side

CHANNEL = "telefonist"
"""The NOTIFY channel: the payload is a side that has new work, or ``cancel:`` and a task id."""

CLAIM = """
WITH due AS (
    SELECT conversation_id, side FROM mailboxes
    WHERE side = $2 AND leased_by IS NULL AND due_at <= now()
    ORDER BY due_at LIMIT $3
    FOR UPDATE SKIP LOCKED
)
UPDATE mailboxes m SET leased_by = $1, epoch = m.epoch + 1
FROM due WHERE m.conversation_id = due.conversation_id AND m.side = due.side
RETURNING m.conversation_id, m.epoch, m.head, m.tail
"""

LET_GO = """
WITH mine AS (
    SELECT m.conversation_id, m.side, l.due_in FROM mailboxes m
    JOIN unnest($2::uuid[], $3::text[], $4::bigint[], $5::float8[]) AS l (conversation_id, side, epoch, due_in)
      ON m.conversation_id = l.conversation_id AND m.side = l.side AND m.epoch = l.epoch
    WHERE m.leased_by = $1
    ORDER BY m.conversation_id, m.side FOR UPDATE OF m
)
UPDATE mailboxes m SET leased_by = NULL,
    due_at = CASE WHEN m.tail > m.head THEN now() + make_interval(secs => mine.due_in) END
FROM mine WHERE m.conversation_id = mine.conversation_id AND m.side = mine.side
"""


class Mailboxes:
    """Leases on conversations, taken and given back by this process."""

    def __init__(self, database: Database) -> None:
        self._dsn = database.dsn
        self._line = database.line("inbox")
        self._letting_go: Grouped[tuple[UUID, Lease, float], None] = Grouped(database.line("outbox"), _let_go)

    async def claim(self, process_id: UUID, side: Side, limit: int) -> list[Lease]:
        """Take up to ``limit`` conversations that have work on that side, the longest due first."""
        rows = await self._line.run(lambda connection: connection.fetch(CLAIM, process_id, side.value, limit))
        return [Lease(row["conversation_id"], side, row["epoch"], row["head"], row["tail"]) for row in rows]

    async def let_go(self, process_id: UUID, leases: Sequence[Lease], due_in: float = 0.0) -> None:
        """Give leases back with their work undone; it is due again after ``due_in`` seconds."""
        await asyncio.gather(*(self._letting_go.submit((process_id, lease, due_in)) for lease in leases))

    async def held(self, process_id: UUID) -> list[Lease]:
        """List what the database believes this process holds."""
        rows = await self._line.run(
            lambda connection: connection.fetch(
                "SELECT conversation_id, side, epoch, head, tail FROM mailboxes WHERE leased_by = $1", process_id
            )
        )
        return [
            Lease(row["conversation_id"], Side(row["side"]), row["epoch"], row["head"], row["tail"]) for row in rows
        ]

    async def listen(self, heard: Callable[[str], None]) -> None:
        """Call ``heard`` with each notification until cancelled; a lost connection is opened again.

        A connection cut by the network is silent for a while: whoever listens also polls.
        """
        while True:
            lost = asyncio.Event()
            connection: asyncpg.Connection | None = None
            try:
                connection = await asyncpg.connect(
                    self._dsn, timeout=CONNECT_TIMEOUT, server_settings={"application_name": "telefonist listen"}
                )
                connection.add_termination_listener(lambda _, lost=lost: lost.set())
                await connection.add_listener(CHANNEL, lambda *arguments: heard(str(arguments[-1])))
                await lost.wait()
            except (*DISCONNECTED, asyncpg.PostgresError):
                await asyncio.sleep(0.5)
            finally:
                if connection is not None:
                    with suppress(*DISCONNECTED, asyncpg.PostgresError):
                        connection.terminate()


async def _let_go(connection: asyncpg.Connection, given_back: Sequence[tuple[UUID, Lease, float]]) -> list[None]:
    for process_id in {owner for owner, _, _ in given_back}:
        mine = [(lease, due_in) for owner, lease, due_in in given_back if owner == process_id]
        await connection.execute(
            LET_GO,
            process_id,
            [lease.conversation_id for lease, _ in mine],
            [lease.side.value for lease, _ in mine],
            [lease.epoch for lease, _ in mine],
            [due_in for _, due_in in mine],
        )
    return [None] * len(given_back)
