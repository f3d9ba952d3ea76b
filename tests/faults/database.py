"""A PostgreSQL that stands by itself, as most installations have it; and the death of one that does not."""

import os
import signal
from pathlib import Path
from types import TracebackType
from typing import Self

from telefonist.storage.embedded import EmbeddedPostgres
from telefonist.storage.embedded.processes import find_postmaster
from tests.service import processes_below
from tests.waiting import until


class StandalonePostgres:
    """Runs while the block does, in a folder of its own, and nobody else brings it back.

    ``settings`` point a service to it.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._server = EmbeddedPostgres(folder)
        self.dsn = ""

    @property
    def settings(self) -> dict[str, str]:
        return {"DATABASE_URL": self.dsn, "TELEFONIST_SECRET": "0123456789abcdef" * 2}

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._server.stop()

    async def start(self) -> None:
        self.dsn = (await self._server.start()).dsn

    async def kill(self) -> None:
        """kill -9 the postmaster; its processes notice that and end."""
        assert self._server.info is not None
        os.kill(self._server.info.pid, signal.SIGKILL)

        async def gone() -> bool:
            return not processes_below(self._folder)

        await until(gone)
        await self._server.stop()


async def kill_embedded_postgres(folder: Path) -> None:
    """kill -9 the service's own postmaster, and see another one in its place."""
    cluster = folder / "data" / "postgres"
    killed = find_postmaster(cluster)
    assert killed is not None
    killed.process.kill()

    async def another() -> bool:
        found = find_postmaster(cluster)
        return found is not None and found.ready and found.process.pid != killed.process.pid

    await until(another, 30)
