"""A real server in this process, on a free port, for any ASGI application."""

import asyncio
import contextlib
import json
import logging
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, Protocol

import httpx
import pytest
import uvicorn
from starlette.types import ASGIApp

from telefonist.app import open_house
from telefonist.logs import configure_logging
from telefonist.settings import load_settings
from telefonist.web import build_web
from tests.conftest import log_plainly


class Serve(Protocol):
    async def __call__(self, app: ASGIApp, host: str = "127.0.0.1") -> str:
        """Start serving ``app`` and give its address, such as ``http://127.0.0.1:40123``."""
        ...


class _Server(uvicorn.Server):
    """Tells when it is ready, stops without uvicorn's pauses, and leaves the process's signals alone."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = asyncio.Event()
        self.stopping = asyncio.Event()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.ready.set()

    async def main_loop(self) -> None:
        await self.stopping.wait()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for server in self.servers:
            server.close()
        for listener in sockets or []:
            listener.close()
        for connection in list(self.server_state.connections):
            connection.shutdown()
        await asyncio.gather(*self.server_state.tasks)
        await self.lifespan.shutdown()


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    async with serving() as serve:
        yield serve


@contextlib.asynccontextmanager
async def serving() -> AsyncIterator[Serve]:
    """Give a way to serve applications until the block ends."""
    running: list[tuple[_Server, asyncio.Task[None]]] = []

    async def start(app: ASGIApp, host: str = "127.0.0.1") -> str:
        # asyncio sets TCP_NODELAY only on sockets that name their protocol; without it each answer waits 40 ms.
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        listener.bind((host, 0))
        config = uvicorn.Config(app, http="httptools", ws="none", log_config=None, proxy_headers=False, lifespan="on")
        server = _Server(config)
        running.append((server, asyncio.create_task(server.serve(sockets=[listener]))))
        async with asyncio.timeout(10):
            await server.ready.wait()
        port = listener.getsockname()[1]
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    yield start
    for server, task in running:
        server.stopping.set()
        await task


@pytest.fixture
def log_lines(capsys: pytest.CaptureFixture[str]) -> Iterator[Callable[[], list[dict[str, Any]]]]:
    """Write the log as JSON while the test runs, and give the lines written since the last call."""
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    configure_logging("info", "json")
    yield lambda: [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    log_plainly()
    root.handlers = handlers
    root.setLevel(level)


OpenWeb = Callable[..., AbstractAsyncContextManager[httpx.AsyncClient]]


@pytest.fixture
def open_web(dsn: str, tmp_path: Path, serve: Serve) -> OpenWeb:
    """Give a way to start a process that serves the web, with settings of the test's own."""

    @contextlib.asynccontextmanager
    async def start(**environ: str) -> AsyncIterator[httpx.AsyncClient]:
        given = {"DATABASE_URL": dsn, "TELEFONIST_SECRET": "s" * 32, "TELEFONIST_DATA_DIR": str(tmp_path), **environ}
        async with open_house(load_settings(given, tmp_path), "web") as house:
            url = await serve(build_web(house))
            async with httpx.AsyncClient(base_url=url) as client:
                yield client

    return start
