"""Connections that are kept for one purpose and come back by themselves."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

import asyncpg

from telefonist.errors import Unavailable
from telefonist.logs import get_logger

log = get_logger(__name__)

Result = TypeVar("Result")

CONNECT_TIMEOUT = 5.0
"""Seconds to reach the database."""

STATEMENT_TIMEOUT = 30.0
"""Seconds after which a statement counts as lost with its connection."""

RETRY_AFTER = 2
"""Seconds that a caller is told to wait while the database is away."""

DISCONNECTED = (
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    asyncpg.exceptions.OperatorInterventionError,
    asyncpg.exceptions.InsufficientResourcesError,
    asyncpg.exceptions.PostgresSystemError,
    asyncpg.ReadOnlySQLTransactionError,
    OSError,
    TimeoutError,
)
"""What asyncpg raises when the server went away, restarts, is full, has a broken disk or, after a failover, may only be
read (``cannot switch to state`` included)."""

SESSION = {"idle_in_transaction_session_timeout": "4s"}
"""What each connection asks of the server: that a process which froze in a transaction does not keep its locks."""

CONFLICTS = (asyncpg.DeadlockDetectedError, asyncpg.SerializationError)
"""Errors after which the same statement may simply be run again."""

CONFLICTS_BORNE = 5
"""How often a statement is run again after a conflict before the database counts as unavailable."""

IDLE_SECONDS = 60.0
"""A connection that nobody used for so long is closed: each costs the server some megabytes."""

REASONS = 20
"""Different reasons that the log is told of within one outage."""


class Outage:
    """Says in the log that the database fails us and why, once for each reason, and when all is well again.

    Connections that find out are many, and each of them tries again several times a second.
    """

    def __init__(self) -> None:
        self._failing: dict[str, float] = {}
        self._reasons: set[str] = set()

    def failed(self, name: str, error: BaseException) -> None:
        """Hear from the connection of that name that it failed."""
        self._failing[name] = time.monotonic()
        reason = _reason(error)
        if reason not in self._reasons and len(self._reasons) < REASONS:
            self._reasons.add(reason)
            log.error("database_unavailable", reason=reason)

    def passed(self, name: str) -> None:
        """Hear from the connection of that name that it works; one that was not tried of late has no say."""
        if not self._failing:
            return
        stale = time.monotonic() - STATEMENT_TIMEOUT
        self._failing = {other: at for other, at in self._failing.items() if other != name and at > stale}
        if not self._failing:
            self._reasons.clear()
            log.info("database_available")


class Line:
    """One database connection, opened when first needed, used by one caller at a time and dropped after a fault.

    A pool would reset the connection after every use, which costs a round trip on the hot path.
    """

    def __init__(self, dsn: str, name: str, outage: Outage) -> None:
        self._dsn = dsn
        self._name = name
        self._outage = outage
        self._lock = asyncio.Lock()
        self._connection: asyncpg.Connection | None = None
        self._refused_until = 0.0
        self._used_at = 0.0
        self._idle_check: asyncio.TimerHandle | None = None
        self._closing: asyncio.Task[None] | None = None

    async def run(self, work: Callable[[asyncpg.Connection], Awaitable[Result]]) -> Result:
        """Do ``work`` on the connection; again when it met another transaction's locks the wrong way round.

        Raises Unavailable when the database cannot be reached or is lost midway: then the outcome is unknown.
        """
        async with self._lock:
            for _ in range(CONFLICTS_BORNE):
                connection = await self._connected()
                try:
                    result = await work(connection)
                except CONFLICTS:
                    continue
                except ValueError:
                    raise
                except DISCONNECTED as error:
                    self._drop()
                    self._outage.failed(self._name, error)
                    raise Unavailable(seconds=RETRY_AFTER) from error
                except asyncio.CancelledError:
                    self._drop()
                    raise
                self._outage.passed(self._name)
                self._used_at = time.monotonic()
                return result
            raise Unavailable(seconds=RETRY_AFTER)

    async def close(self) -> None:
        """Close the connection once nobody uses it; the next ``run`` opens it again."""
        if self._idle_check is not None:
            self._idle_check.cancel()
            self._idle_check = None
        async with self._lock:
            if self._connection is not None and not self._connection.is_closed():
                await self._connection.close(timeout=2)
            self._connection = None

    async def _connected(self) -> asyncpg.Connection:
        if self._connection is not None and not self._connection.is_closed():
            return self._connection
        if time.monotonic() < self._refused_until:
            raise Unavailable(seconds=RETRY_AFTER)
        try:
            self._connection = await asyncpg.connect(
                self._dsn,
                timeout=CONNECT_TIMEOUT,
                command_timeout=STATEMENT_TIMEOUT,
                server_settings={"application_name": f"telefonist {self._name}", **SESSION},
            )
        except (*DISCONNECTED, asyncpg.PostgresError) as error:
            self._refused_until = time.monotonic() + 0.2
            self._outage.failed(self._name, error)
            raise Unavailable(seconds=RETRY_AFTER) from error
        if self._idle_check is None:
            self._look_later(IDLE_SECONDS)
        return self._connection

    def _look_later(self, seconds: float) -> None:
        self._idle_check = asyncio.get_running_loop().call_later(seconds, self._close_if_idle)

    def _close_if_idle(self) -> None:
        self._idle_check = None
        if self._connection is None:
            return
        idle = time.monotonic() - self._used_at
        if idle < IDLE_SECONDS or self._lock.locked():
            self._look_later(max(1.0, IDLE_SECONDS - idle))
        else:
            self._closing = asyncio.create_task(self.close())

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None


def _reason(error: BaseException) -> str:
    """Give the server's or the system's own words; what asyncpg says of a dead connection is about asyncpg."""
    match error:
        case asyncpg.InterfaceError() | asyncpg.InternalClientError() | asyncpg.PostgresConnectionError():
            return "the connection was lost"
        case TimeoutError():
            return "no answer in time"
        case _:
            return str(error).partition("\n")[0]
