"""A PostgreSQL that stands by itself, as most installations have it: nobody brings it back but the test."""

import os
import signal
from pathlib import Path
from types import TracebackType
from typing import Self

from telefonist.storage.embedded import EmbeddedPostgres
from tests.service import processes_below
from tests.waiting import until


class StandalonePostgres:
    """Runs while the block does, in a folder of its own; ``settings`` point a service to it."""

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
