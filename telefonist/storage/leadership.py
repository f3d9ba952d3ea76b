"""Work that one process of many does: whoever holds the lock of that name, for as long as its connection stands."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from hashlib import sha256

import asyncpg

from telefonist.errors import Unavailable
from telefonist.storage.database import Database
from telefonist.storage.lines import CONNECT_TIMEOUT, DISCONNECTED, RETRY_AFTER

KEEPALIVES = {"tcp_keepalives_idle": "5", "tcp_keepalives_interval": "2", "tcp_keepalives_count": "3"}
"""Let the server notice within seconds that a machine is gone, and free its lock."""


class Leadership:
    """The right to do one thing alone (an advisory lock of PostgreSQL's)."""

    def __init__(self, database: Database, name: str) -> None:
        self._dsn = database.dsn
        self._name = name
        self._key = int.from_bytes(sha256(f"telefonist {name}".encode()).digest()[:8], "big", signed=True)

    @asynccontextmanager
    async def take(self) -> AsyncIterator[asyncio.Event | None]:
        """Hold the right until the block ends; gives None where another process has it.

        The event is set when it is lost with the connection. Raises Unavailable.
        """
        try:
            connection = await asyncpg.connect(
                self._dsn,
                timeout=CONNECT_TIMEOUT,
                server_settings={"application_name": f"telefonist {self._name}", **KEEPALIVES},
            )
        except (*DISCONNECTED, asyncpg.PostgresError) as error:
            raise Unavailable(seconds=RETRY_AFTER) from error
        try:
            lost = asyncio.Event()
            connection.add_termination_listener(lambda _: lost.set())
            try:
                ours = await connection.fetchval("SELECT pg_try_advisory_lock($1)", self._key)
            except (*DISCONNECTED, asyncpg.PostgresError) as error:
                raise Unavailable(seconds=RETRY_AFTER) from error
            yield lost if ours else None
        finally:
            with suppress(*DISCONNECTED, asyncpg.PostgresError):
                connection.terminate()
