"""The real command line as processes of their own: started, watched, asked, frozen, killed.

    with home() as folder:                                   # where it is started: .env, telefonist.toml and data
        async with Service(folder) as service:               # ready: Service(folder, "worker") is a worker alone
            await service.client.post("/webhook", json=...)
            await service.wait_for_log("ready")
            await service.kill()                             # kill -9; stop() is Ctrl-C
        finished = await run(folder, "webhook", "secret")    # a command to its end

It sees none of the environment's settings but those given by name: ``Service(folder, TELEFONIST_GRACE="1")``.
"""

import asyncio
import json
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx
import psutil

from telefonist.texts import render
from tests.conftest import open_folder
from tests.waiting import until

T = TypeVar("T")

COMMAND = Path(sys.executable).with_name("telefonist")
INHERITED = ("PATH", "HOME", "TMPDIR")
START_SECONDS = 60.0
STOP_SECONDS = 30.0
RUN_SECONDS = 60.0
LONGEST_LINE = 1 << 22


@contextmanager
def home() -> Iterator[Path]:
    """Make a folder to start services in, with a name that scripts trip over; whatever outlives its test fails it."""
    with open_folder() as parent:
        folder = parent / "мой дом"
        folder.mkdir(0o755)
        yield folder
        left = processes_below(folder)
        names = [f"{process.pid} {process.name()}" for process in left]
        for process in left:
            process.kill()
        psutil.wait_procs(left, timeout=10)
        if names:
            raise AssertionError(f"processes left behind: {', '.join(names)}")


def processes_below(folder: Path, name: str = "") -> list[psutil.Process]:
    """Find the processes at work in or below a folder, of one name or of any."""
    found = []
    for process in psutil.process_iter():
        try:
            if Path(process.cwd()).is_relative_to(folder) and name in ("", process.name()):
                found.append(process)
        except (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess, FileNotFoundError):
            continue
    return found


class Service:
    """One process of ``telefonist serve`` (with arguments: of whatever they say) started in ``folder``.

    Ready as soon as it is entered; left running, it is stopped in order, which must end with 0. ``log`` holds its log
    lines, ``output`` and ``errors`` the raw lines of its standard output and standard error.
    """

    def __init__(self, folder: Path, *arguments: str, **environment: str) -> None:
        self.folder = folder
        self._arguments = arguments or ("serve",)
        self._environment = environment
        self._process: asyncio.subprocess.Process | None = None
        self._client: httpx.AsyncClient | None = None
        self._reading: list[asyncio.Task[None]] = []
        self.output: list[str] = []
        self.errors: list[str] = []

    @property
    def pid(self) -> int:
        return self._started.pid

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.returncode is None

    @property
    def client(self) -> httpx.AsyncClient:
        """A client of the service's web side, from when that is ready."""
        assert self._client is not None, "this process serves no web, or is not ready"
        return self._client

    @property
    def url(self) -> str:
        return str(self.client.base_url).rstrip("/")

    @property
    def log(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.errors if line.startswith("{")]

    async def __aenter__(self) -> Self:
        await self.start()
        try:
            await self.ready()
        except BaseException:
            await self.kill()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self.running:
            return
        try:
            self.thaw()
            status = await self.stop()
        finally:
            await self.kill()
        if error is None and status != 0:
            raise AssertionError(f"ended with {status}:\n{self._words()}")

    async def start(self) -> None:
        """Start the process, and wait for nothing; after an end, once more."""
        self.output, self.errors = [], []
        self._process = await asyncio.create_subprocess_exec(
            COMMAND,
            *self._arguments,
            cwd=self.folder,
            env={name: os.environ[name] for name in INHERITED if name in os.environ}
            | {"LANG": "C.UTF-8", "TELEFONIST_PORT": "0"}
            | self._environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            limit=LONGEST_LINE,
            start_new_session=True,
        )
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        self._reading = [
            asyncio.create_task(_collect(self._process.stdout, self.output)),
            asyncio.create_task(_collect(self._process.stderr, self.errors)),
        ]

    async def ready(self) -> None:
        """Wait until ``/ready`` says so; a worker alone says it on its standard output."""
        if self._arguments[0] == "worker":
            await self.wait_for(lambda: render("worker_ready", "en") in self.output, START_SECONDS)
            return
        started = await self.wait_for_log("ready", START_SECONDS)
        self._client = httpx.AsyncClient(base_url=started["url"], timeout=30, trust_env=False)

        async def is_ready() -> bool:
            return (await self.client.get("/ready")).status_code == 200

        await until(is_ready, START_SECONDS)

    async def wait_for_log(self, event: str, timeout: float = 10.0, **fields: Any) -> dict[str, Any]:
        """Wait for a line of the log with this event and these fields, and give the first that has them."""
        wanted = {"event": event, **fields}.items()
        return await self.wait_for(lambda: next((line for line in self.log if wanted <= line.items()), None), timeout)

    async def wait_for(self, look: Callable[[], T | None], timeout: float = 10.0) -> T:
        """Wait until ``look`` sees something; fails with the process's own words when that ends or takes too long."""

        async def seen() -> T | None:
            running = self.running
            if not running:
                await asyncio.gather(*self._reading)
            found = look()
            if not found and not running:
                raise AssertionError(f"ended with {self._started.returncode}")
            return found

        try:
            found = await until(seen, timeout)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self._words()}") from None
        assert found is not None
        return found

    async def stop(self, number: signal.Signals = signal.SIGINT) -> int:
        """Stop as Ctrl-C does, or by another signal, and give the exit status."""
        self.send(number)
        return await self.ended(STOP_SECONDS)

    async def kill(self) -> None:
        """End this one process at once, as ``kill -9`` and the kernel out of memory do."""
        if self.running:
            self.send(signal.SIGKILL)
        await self.ended(STOP_SECONDS)

    def freeze(self) -> None:
        """Make the process stand still, as a suspended machine does."""
        self.send(signal.SIGSTOP)

    def thaw(self) -> None:
        self.send(signal.SIGCONT)

    def send(self, number: signal.Signals) -> None:
        self._started.send_signal(number)

    async def ended(self, timeout: float) -> int:
        """Wait for the end and the last words; give the exit status, negative for the signal that ended it."""
        try:
            async with asyncio.timeout(timeout):
                status = await self._started.wait()
                await asyncio.gather(*self._reading)
        except TimeoutError:
            raise AssertionError(f"has not ended within {timeout} s:\n{self._words()}") from None
        if self._client is not None:
            await self._client.aclose()
        return status

    @property
    def _started(self) -> asyncio.subprocess.Process:
        assert self._process is not None, "not started"
        return self._process

    def _words(self) -> str:
        return "\n".join([*self.output[-20:], *self.errors[-20:]])


@dataclass(frozen=True, slots=True)
class Finished:
    """What a command left: its exit status, standard output and standard error."""

    status: int
    output: str
    errors: str


async def run(folder: Path, *arguments: str, **environment: str) -> Finished:
    """Run a command to its end, for a minute at most."""
    process = Service(folder, *arguments, **environment)
    await process.start()
    try:
        status = await process.ended(RUN_SECONDS)
    finally:
        await process.kill()
    return Finished(status, "\n".join(process.output), "\n".join(process.errors))


async def _collect(stream: asyncio.StreamReader, lines: list[str]) -> None:
    while line := await stream.readline():
        lines.append(line.decode().rstrip("\n"))
