"""One database: an SQLAlchemy engine for everyday statements, lines for the grouped ones."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import asyncpg
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from telefonist.errors import Unavailable
from telefonist.storage.lines import (
    CONFLICTS,
    CONNECT_TIMEOUT,
    DISCONNECTED,
    RETRY_AFTER,
    SESSION,
    STATEMENT_TIMEOUT,
    Line,
    Outage,
)

POOL = "everyday pool"
POOL_SIZE = 2
"""Connections that the everyday pool keeps open; grouped statements have their own lines."""

POOL_OVERFLOW = 8
"""How many more it opens when they are asked for, and closes again."""


class Database:
    """Where everything that must not be lost is kept."""

    def __init__(self, dsn: str) -> None:
        self.dsn = dsn
        self.engine: AsyncEngine = create_async_engine(
            "postgresql+asyncpg://",
            async_creator=self._connect,
            pool_size=POOL_SIZE,
            max_overflow=POOL_OVERFLOW,
            hide_parameters=True,
        )
        self._repeatable = self.engine.execution_options(isolation_level="REPEATABLE READ")
        self._lines: dict[str, Line] = {}
        self._outage = Outage()

    def line(self, name: str) -> Line:
        """Give the connection of that name to a kind of grouped statement; those that seldom run together share one."""
        if name not in self._lines:
            self._lines[name] = Line(self.dsn, name, self._outage)
        return self._lines[name]

    def begin(self) -> AbstractAsyncContextManager[AsyncConnection]:
        """Open a transaction that commits when the block ends.

        Raises Unavailable when the database is away; then nothing of the block is known to be stored.
        """
        return self._transaction(self.engine)

    def snapshot(self) -> AbstractAsyncContextManager[AsyncConnection]:
        """Open a transaction whose statements all see the same moment; raises Unavailable."""
        return self._transaction(self._repeatable)

    async def check(self) -> None:
        """Ask the database for a sign of life; raises Unavailable."""
        async with self.begin() as connection:
            await connection.execute(text("SELECT 1"))

    async def close(self) -> None:
        """Close every connection."""
        for line in self._lines.values():
            await line.close()
        await self.engine.dispose()

    async def _connect(self) -> asyncpg.Connection:
        return await asyncpg.connect(
            self.dsn,
            timeout=CONNECT_TIMEOUT,
            command_timeout=STATEMENT_TIMEOUT,
            server_settings={"application_name": "telefonist", **SESSION},
        )

    @asynccontextmanager
    async def _transaction(self, engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
        try:
            async with engine.begin() as connection:
                try:
                    yield connection
                except DBAPIError as error:
                    if isinstance(_cause(error), DISCONNECTED):
                        await connection.invalidate()  # a session that may only read would stay so for ever
                    raise
        except DBAPIError as error:
            cause = _cause(error)
            if error.connection_invalidated or isinstance(cause, (*DISCONNECTED, *CONFLICTS)):
                raise self._unavailable(cause) from error
            raise
        except PoolTimeoutError as error:
            raise self._unavailable(error) from error
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            raise self._unavailable(error) from error
        self._outage.passed(POOL)

    def _unavailable(self, error: BaseException) -> Unavailable:
        self._outage.failed(POOL, error)
        return Unavailable(seconds=RETRY_AFTER)


def _cause(error: DBAPIError) -> BaseException:
    """Give what asyncpg raised, below the two errors that SQLAlchemy wraps it in."""
    return (error.orig and error.orig.__cause__) or error
