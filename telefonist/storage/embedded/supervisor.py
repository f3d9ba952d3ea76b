"""Who uses the embedded PostgreSQL, and when does it start, stop and come back?

Every process that uses it holds a shared lock. Whoever finds no server starts one, and whoever leaves last stops it:
so a command joins a running service without ever stopping it, two services on one data folder share one server, and a
server whose starter was killed is adopted by the next who comes.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Self, TypeVar

import psutil
import structlog

from telefonist.errors import ConfigurationError
from telefonist.storage.embedded.cluster import Cluster
from telefonist.storage.embedded.configuration import dsn
from telefonist.storage.embedded.locks import FileLock, Patience
from telefonist.storage.embedded.placement import SYSTEM_DIR, find_home
from telefonist.storage.embedded.processes import WATCH_SECONDS, ended, is_alive

T = TypeVar("T")

LOCK_SECONDS = 180.0
"""For another process to make, start or stop the server: longer than any of these may take."""
TRIM_SECONDS = 60.0
PAUSES = (1.0, 2.0, 4.0, 8.0, 15.0, 30.0)
"""Seconds between two tries to bring a server back that does not start; the last one repeats."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class ClusterInfo:
    """A running server: ``dsn`` is for asyncpg, libpq and, as ``postgresql+asyncpg://``, SQLAlchemy.

    ``version`` is PostgreSQL's major version; ``notes`` are for the user: where the data is, when not where expected.
    """

    dsn: str
    socket_dir: Path
    data_dir: Path
    pid: int
    version: str
    notes: tuple[str, ...] = ()


class EmbeddedPostgres:
    """The PostgreSQL server of one data folder, shared with every other process that uses the same folder.

    Works as root (PostgreSQL then runs as an unprivileged user) and as an ordinary user, on Linux and macOS, and
    listens on a Unix socket alone, in a folder that no other user can enter.
    """

    def __init__(self, data_dir: Path, *, log_path: Path | None = None, system_dir: Path = SYSTEM_DIR) -> None:
        self._data_dir = data_dir.expanduser().resolve()
        self._log_path = log_path
        self._system_dir = system_dir
        self._changing = asyncio.Lock()
        self._cluster: Cluster | None = None
        self._in_use: FileLock | None = None
        self._postmaster: psutil.Process | None = None
        self._info: ClusterInfo | None = None

    @property
    def info(self) -> ClusterInfo | None:
        """The server in use, None before ``start`` and after ``stop``."""
        return self._info

    def has_data(self) -> bool:
        """Say whether the data folder has a database already; raises ConfigurationError and OSError as ``start``."""
        return self._data_dir.is_dir() and find_home(self._data_dir, self._system_dir).cluster.exists()

    async def start(self) -> ClusterInfo:
        """Join the server of the data folder or start it, making the cluster first where there is none.

        A new data folder takes about half a second, an existing one 0.1 s, a running server some milliseconds. Raises
        ConfigurationError that says what to do. A second call changes nothing.
        """
        async with self._changing:
            if self._info is None:
                try:
                    self._info = await _to_its_end(self._join)
                except BaseException:
                    await _to_its_end(self._leave)
                    raise
            return self._info

    async def stop(self) -> None:
        """Leave the server, and stop it where nobody else uses it; a second call changes nothing."""
        async with self._changing:
            self._info = None
            await _to_its_end(self._leave)

    async def watch(self) -> None:
        """Bring the server back whenever it dies, and keep its log short; runs until cancelled.

        Its address stays the same. What keeps it from starting is logged, and tried again after 1 to 30 s.
        """
        loop = asyncio.get_running_loop()
        trimmed = loop.time()
        failures = 0
        while True:
            postmaster = self._postmaster
            if postmaster is None or self._cluster is None:
                await asyncio.sleep(WATCH_SECONDS)
                continue
            await ended(postmaster, TRIM_SECONDS)
            if self._postmaster is not postmaster:
                continue
            if loop.time() - trimmed >= TRIM_SECONDS:
                await asyncio.to_thread(_trim_log, self._cluster)
                trimmed = loop.time()
            if is_alive(postmaster):
                continue
            log.warning("embedded_postgres_died", pid=postmaster.pid)
            try:
                async with self._changing:
                    if self._info is None:
                        continue
                    self._info = await _to_its_end(self._join)
            except ConfigurationError as error:
                pause = PAUSES[min(failures, len(PAUSES) - 1)]
                failures += 1
                log.error("embedded_postgres_not_restarted", reason=str(error), next_try_seconds=pause)  # noqa: TRY400
                await asyncio.sleep(pause)
            else:
                failures = 0
                log.info("embedded_postgres_restarted", pid=self._info.pid)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    def _join(self, patience: Patience) -> ClusterInfo:
        try:
            if self._cluster is None:
                home = find_home(self._data_dir, self._system_dir)
                self._cluster = Cluster(home, self._log_path or home.log, self._system_dir)
            folder = self._cluster.home.folder
            with FileLock(folder / "postgres.lock") as changing:
                changing.take_alone(patience, LOCK_SECONDS)
                if self._in_use is None:
                    self._in_use = FileLock(folder / "postgres.users")
                    self._in_use.share(patience, LOCK_SECONDS)
                postmaster = self._cluster.ensure_running(patience)
        except OSError as error:
            raise self._unusable(error) from error
        self._postmaster = postmaster.process
        return ClusterInfo(
            dsn=dsn(postmaster.socket_dir),
            socket_dir=postmaster.socket_dir,
            data_dir=self._cluster.home.cluster,
            pid=postmaster.process.pid,
            version=str(self._cluster.major),
            notes=tuple(self._cluster.notes),
        )

    def _leave(self, _: Patience) -> None:
        cluster, in_use = self._cluster, self._in_use
        self._cluster = self._in_use = self._postmaster = None
        if cluster is None or in_use is None:
            return
        try:
            with FileLock(cluster.home.folder / "postgres.lock") as changing, in_use:
                changing.take_alone(Patience(), LOCK_SECONDS)
                if in_use.became_ours_alone():
                    cluster.stop()
        except OSError as error:
            raise self._unusable(error) from error

    def _unusable(self, error: OSError) -> ConfigurationError:
        return ConfigurationError(
            f"The data folder {self._data_dir} cannot be used: {error}. Make it a folder that this user can write to, "
            "on a disk with free space, or point TELEFONIST_DATA_DIR at another one; or set DATABASE_URL."
        )


def _trim_log(cluster: Cluster) -> None:
    try:
        cluster.trim_log()
    except OSError as error:
        log.warning("embedded_postgres_log_not_trimmed", reason=str(error))


async def _to_its_end(work: Callable[[Patience], T]) -> T:
    """Run blocking work in a thread; a caller that is cancelled hurries it and waits, for it must not go on unseen."""
    patience = Patience()
    running = asyncio.create_task(asyncio.to_thread(work, patience))
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        patience.lose()
        await asyncio.wait([running])
        if not running.cancelled():
            running.exception()
        raise
