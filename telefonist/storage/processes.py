"""Who is alive: each process keeps a heartbeat, and the work of a silent one goes back to the others."""

import asyncio
import os
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from uuid import UUID

import asyncpg
import psutil

from telefonist.logs import get_logger
from telefonist.storage.database import Database
from telefonist.storage.lines import Line
from telefonist.storage.settlements import release_orphaned
from telefonist.types import new_id

log = get_logger(__name__)

WEB_KINDS = ("serve", "web")
"""The kinds of process that serve the web."""

SILENT = 5.0
"""Seconds without a heartbeat after which a process that serves the web is taken for dead, if we also watched it."""

WATCHED = 2.0
"""Seconds for which we watch a heartbeat stand still: after an outage of the database everybody's is old."""

LOOK_EVERY = 0.2
"""Seconds between two looks at the heartbeats of others."""

OTHERS = """
SELECT id, kind, host, pid, started_at, heartbeat_at, extract(epoch FROM clock_timestamp() - heartbeat_at)::float8
FROM processes WHERE kind = ANY($1) AND id <> $2 ORDER BY started_at
"""

STRIKE_OFF = """
DELETE FROM processes WHERE id = ANY($1) AND heartbeat_at < clock_timestamp() - make_interval(secs => $2)
"""

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


@dataclass(frozen=True, slots=True)
class Neighbour:
    """Another process on the list; ``silent_for`` is seconds by the database's clock."""

    id: UUID
    kind: str
    host: str
    pid: int
    started_at: datetime
    heartbeat_at: datetime
    silent_for: float


class Processes:
    """This process among the others.

    ``id`` names it in every lease it takes. A process that was silent for too long is struck off by the others: it
    learns so from its next heartbeat, and starts anew under a new id.
    """

    def __init__(self, database: Database, kind: str) -> None:
        self._line: Line = database.line("heartbeat")
        self._kind = kind
        self._host = socket.gethostname()
        self._alone = False
        self.id: UUID = new_id()

    async def register(self, *, same_machine: bool) -> None:
        """Enter the list of living processes.

        With ``same_machine`` (the embedded database, which only this machine can reach) processes whose pid is gone are
        struck off at once, so that a restart after a kill does not wait for their heartbeat to go stale.
        """
        self.id = new_id()

        async def enter(connection: asyncpg.Connection) -> list[Neighbour]:
            if same_machine:
                await self._strike_off_gone(connection)
            await self._enter(connection)
            return await self._web_processes(connection) if self._alone else []

        for other in await self._line.run(enter):
            log.error("second_web_process", host=other.host, process=other.pid, since=str(other.started_at))

    async def register_alone(
        self, *, same_machine: bool, silent: float = SILENT, watched: float = WATCHED
    ) -> Neighbour | None:
        """Enter the list as the only process that serves the web; give the one that does already, else None.

        A process that was killed stays on the list, so one whose heartbeat stands still is watched until it is
        ``silent`` seconds old and stood still for ``watched`` of them, and then struck off: this takes up to the sum of
        both. Of several that try in the same moment exactly one gets in.
        """
        self.id = new_id()
        self._alone = True
        watch = _Watch(silent, watched)
        while others := await self._line.run(
            partial(self._enter_alone, same_machine=same_machine, dead=watch.dead, silent=silent)
        ):
            living = watch.look(others)
            if living is not None:
                return living
            await asyncio.sleep(LOOK_EVERY)
        return None

    async def beat(self) -> bool:
        """Renew the heartbeat; False when this process has been struck off."""
        status: str = await self._line.run(
            lambda connection: connection.execute("UPDATE processes SET heartbeat_at = now() WHERE id = $1", self.id)
        )
        return status == "UPDATE 1"

    async def reap(self, silent_for: float) -> int:
        """Strike off processes silent for that many seconds and free their leases, with a new epoch; say how many.

        Generations that they had under way are settled as lost: nothing is charged, and their holds are given back.
        """

        async def strike_off(connection: asyncpg.Connection) -> tuple[int, int]:
            return await connection.fetchval(REAP, silent_for), await release_orphaned(connection)

        freed, lost = await self._line.run(strike_off)
        if lost:
            log.warning("generations_lost", generations=lost)
        return freed

    async def leave(self) -> None:
        """Leave the list; what is still leased is freed by the next ``reap`` of anybody."""
        await self._line.run(lambda connection: connection.execute("DELETE FROM processes WHERE id = $1", self.id))

    async def _enter(self, connection: asyncpg.Connection) -> None:
        await connection.execute(
            "INSERT INTO processes (id, kind, host, pid) VALUES ($1, $2, $3, $4)",
            self.id,
            self._kind,
            self._host,
            os.getpid(),
        )

    async def _enter_alone(
        self, connection: asyncpg.Connection, *, same_machine: bool, dead: Sequence[UUID], silent: float
    ) -> list[Neighbour]:
        """Enter the list if nobody else on it serves the web, else say who does."""
        async with connection.transaction():
            await connection.execute("SELECT pg_advisory_xact_lock(hashtext('web processes'))")
            if same_machine:
                await self._strike_off_gone(connection)
            await connection.execute(STRIKE_OFF, dead, silent)
            others = await self._web_processes(connection)
            if not others:
                await self._enter(connection)
        return others

    async def _strike_off_gone(self, connection: asyncpg.Connection) -> None:
        rows = await connection.fetch("SELECT id, pid, started_at FROM processes WHERE host = $1", self._host)
        gone = [row["id"] for row in rows if not _lives(row["pid"], row["started_at"].timestamp())]
        await connection.execute("DELETE FROM processes WHERE id = ANY($1)", gone)

    async def _web_processes(self, connection: asyncpg.Connection) -> list[Neighbour]:
        return [Neighbour(*row) for row in await connection.fetch(OTHERS, WEB_KINDS, self.id)]


class _Watch:
    """Tells processes that live from those that were killed: only of the living does the heartbeat move."""

    def __init__(self, silent: float, watched: float) -> None:
        self._silent = silent
        self._watched = watched
        self._first_seen: dict[UUID, tuple[datetime, float]] = {}
        self.dead: list[UUID] = []

    def look(self, others: Sequence[Neighbour]) -> Neighbour | None:
        """Give one that lives, if that is certain by now; those that are dead for certain are then in ``dead``."""
        now = time.monotonic()
        for other in others:
            if other.id not in self._first_seen:
                log.info("other_web_process", host=other.host, process=other.pid, silent_for=round(other.silent_for, 1))
            heartbeat_at, since = self._first_seen.setdefault(other.id, (other.heartbeat_at, now))
            if other.heartbeat_at != heartbeat_at:
                return other
            if other.silent_for >= self._silent and now - since >= self._watched:
                self.dead.append(other.id)
        return None


def _lives(pid: int, registered_at: float) -> bool:
    try:
        return psutil.Process(pid).create_time() <= registered_at
    except psutil.Error:
        return False
