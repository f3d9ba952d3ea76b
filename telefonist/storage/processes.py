"""Who is alive: each process keeps a heartbeat, and the work of a silent one goes back to the others."""

import asyncio
import os
import socket
from contextlib import suppress
from uuid import UUID

import asyncpg
import psutil

from telefonist.errors import Unavailable
from telefonist.storage.database import Database
from telefonist.storage.lines import Line
from telefonist.types import new_id

REAP = """
WITH dead AS (
    DELETE FROM processes WHERE heartbeat_at < now() - make_interval(secs => $1) RETURNING id
), orphaned AS (
    SELECT conversation_id, side FROM mailboxes
    WHERE leased_by IS NOT NULL
      AND (leased_by IN (SELECT id FROM dead) OR leased_by NOT IN (SELECT id FROM processes))
    ORDER BY conversation_id, side FOR UPDATE SKIP LOCKED
), freed AS (
    UPDATE mailboxes m SET leased_by = NULL, epoch = m.epoch + 1,
        due_at = CASE WHEN m.tail > m.head THEN coalesce(m.due_at, now()) END
    FROM orphaned o WHERE m.conversation_id = o.conversation_id AND m.side = o.side
    RETURNING 1
)
SELECT count(*) FROM freed
"""


class Processes:
    """This process among the others.

    ``id`` names it in every lease it takes. A process that was silent for too long is struck off by the others: it
    learns so from its next heartbeat, and starts anew under a new id.
    """

    def __init__(self, database: Database, kind: str) -> None:
        self._line: Line = database.line("heartbeat")
        self._kind = kind
        self.id: UUID = new_id()

    async def register(self, *, same_machine: bool) -> None:
        """Enter the list of living processes.

        With ``same_machine`` (the embedded database, which only this machine can reach) processes whose pid is gone are
        struck off at once, so that a restart after a kill does not wait for their heartbeat to go stale.
        """
        self.id = new_id()
        host = socket.gethostname()

        async def enter(connection: asyncpg.Connection) -> None:
            if same_machine:
                rows = await connection.fetch("SELECT id, pid, started_at FROM processes WHERE host = $1", host)
                gone = [row["id"] for row in rows if not _lives(row["pid"], row["started_at"].timestamp())]
                await connection.execute("DELETE FROM processes WHERE id = ANY($1)", gone)
            await connection.execute(
                "INSERT INTO processes (id, kind, host, pid) VALUES ($1, $2, $3, $4)",
                self.id,
                self._kind,
                host,
                os.getpid(),
            )

        await self._line.run(enter)

    async def beat(self) -> bool:
        """Renew the heartbeat; False when this process has been struck off."""
        status: str = await self._line.run(
            lambda connection: connection.execute("UPDATE processes SET heartbeat_at = now() WHERE id = $1", self.id)
        )
        return status == "UPDATE 1"

    async def keep_alive(self, every: float = 1.0) -> None:
        """Renew the heartbeat until cancelled, for a process that holds no leases."""
        while True:
            with suppress(Unavailable):
                if not await self.beat():
                    await self.register(same_machine=False)
            await asyncio.sleep(every)

    async def reap(self, silent_for: float) -> int:
        """Strike off processes silent for that many seconds and free their leases, with a new epoch; say how many."""
        freed: int = await self._line.run(lambda connection: connection.fetchval(REAP, silent_for))
        return freed

    async def leave(self) -> None:
        """Leave the list; what is still leased is freed by the next ``reap`` of anybody."""
        await self._line.run(lambda connection: connection.execute("DELETE FROM processes WHERE id = $1", self.id))


def _lives(pid: int, registered_at: float) -> bool:
    try:
        return psutil.Process(pid).create_time() <= registered_at
    except psutil.Error:
        return False
