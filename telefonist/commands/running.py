"""Running the service: ``telefonist serve`` and ``telefonist worker``."""

import asyncio
import gc
import resource
import signal
import socket
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress

import uvicorn
import uvloop

from telefonist.app import House, ProcessKind, open_house
from telefonist.commands.terminal import say, terminal_language
from telefonist.core.heartbeat import Heartbeat
from telefonist.errors import ConfigurationError
from telefonist.logs import configure_logging, get_logger
from telefonist.settings import Settings
from telefonist.texts import render
from telefonist.web import build_web

log = get_logger(__name__)

BACKLOG = 2048
"""Connections that the kernel keeps waiting while we are busy."""

GARBAGE_THRESHOLDS = (10_000, 20, 100)
"""Objects made, and younger collections, between two collections (Python's own: 700, 10, 10)."""

WANTED_FILES = 65_536
"""Open files asked for, as far as the system allows: every connection is one."""


def serve(settings: Settings, *, with_worker: bool) -> None:
    """Serve the web, and work in the same process unless told otherwise, until a signal ends it."""
    _prepare(settings)
    listener = _listen(settings.host, settings.port)
    uvloop.run(_serve(settings, listener, "serve" if with_worker else "web"))


def work(settings: Settings) -> None:
    """Work without serving the web, until a signal ends it."""
    _prepare(settings)
    uvloop.run(_work(settings))


async def _serve(settings: Settings, listener: socket.socket, kind: ProcessKind) -> None:
    stop = _Stop()
    with stop.on_signals():
        async with open_house(settings, kind) as house:
            server = _Server(
                uvicorn.Config(
                    build_web(house),
                    log_config=None,
                    access_log=False,
                    server_header=False,
                    proxy_headers=False,
                    timeout_keep_alive=75,
                    timeout_graceful_shutdown=max(1, int(settings.grace)),
                    h11_max_incomplete_event_size=64 * 1024,
                    backlog=BACKLOG,
                )
            )
            server.when_ready = lambda: _say_ready(house, listener)
            serving = asyncio.create_task(server.serve(sockets=[listener]))

            async def drain() -> None:
                house.memory.events.close()
                server.stop()
                await asyncio.wait([serving])

            await _run(house, stop, serving, drain)


async def _work(settings: Settings) -> None:
    stop = _Stop()
    with stop.on_signals():
        async with open_house(settings, "worker") as house:
            for note in house.notes:
                say(note)
            say(render("worker_ready", terminal_language()))

            async def nothing() -> None:
                return

            await _run(house, stop, None, nothing)


async def _run(
    house: House, stop: "_Stop", serving: "asyncio.Task[None] | None", drain: Callable[[], Awaitable[None]]
) -> None:
    """Run everything until a signal comes or something ends that should not; then stop in order."""
    stop.started()
    _settle()
    background = [asyncio.create_task(house.worker.run())] if house.worker else []
    if house.processes is not None and house.worker is None:
        background.append(asyncio.create_task(Heartbeat(house.processes).run()))
    if house.embedded is not None:
        background.append(asyncio.create_task(house.embedded.watch()))
    told = asyncio.create_task(stop.told.wait())
    parts = [*background, *([serving] if serving else [])]
    done, _ = await asyncio.wait([told, *parts], return_when=asyncio.FIRST_COMPLETED)
    started = time.monotonic()
    if house.worker is not None:
        house.worker.close()
    await drain()
    if house.worker is not None:
        await house.worker.stop(max(0.0, house.settings.grace - (time.monotonic() - started)))
    for task in [told, *background]:
        task.cancel()
    await asyncio.gather(told, *background, return_exceptions=True)
    for task in done - {told}:
        task.result()


class _Stop:
    """The first SIGINT or SIGTERM asks for an orderly stop, the second ends the process at once.

    A start that is not through is broken off: it may be waiting for a database that never comes.
    """

    def __init__(self) -> None:
        self.told = asyncio.Event()
        self._starting: asyncio.Task[None] | None = None

    @contextmanager
    def on_signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        self._starting = asyncio.current_task()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._hear, number)
        try:
            yield
        except asyncio.CancelledError:
            if not self.told.is_set():
                raise
        finally:
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.remove_signal_handler(number)

    def started(self) -> None:
        self._starting = None

    def _hear(self, number: signal.Signals) -> None:
        if self.told.is_set():
            for each in (signal.SIGINT, signal.SIGTERM):
                signal.signal(each, signal.SIG_DFL)
            signal.raise_signal(number)
        self.told.set()
        log.info("stopping", signal=number.name)
        if self._starting is not None:
            self._starting.cancel()


class _Server(uvicorn.Server):
    """Uvicorn that leaves signals to us, says when it listens, and sleeps when there is nothing to do."""

    when_ready: Callable[[], None] = staticmethod(lambda: None)

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._told_to_stop = asyncio.Event()

    def stop(self) -> None:
        """Accept no more connections, and end when the open ones have."""
        self.should_exit = True
        self._told_to_stop.set()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        self.when_ready()

    async def main_loop(self) -> None:
        """Renew the Date header each second; uvicorn looks ten times a second whether it shall stop."""
        while not await self.on_tick(0):
            with suppress(TimeoutError):
                async with asyncio.timeout(1.0):
                    await self._told_to_stop.wait()


def _prepare(settings: Settings) -> None:
    configure_logging(settings.log.level, settings.log.format, message_text=settings.log.messages)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = WANTED_FILES if hard == resource.RLIM_INFINITY else min(hard, WANTED_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _settle() -> None:
    """Spare the collector going again and again through what the start made: a fifth of our CPU went there."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GARBAGE_THRESHOLDS)


def _listen(host: str, port: int) -> socket.socket:
    """Bind before anything else is started, so that a taken port is told at once."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, kind, protocol, _, address = next((entry for entry in found if entry[0] == socket.AF_INET), found[0])
        listener = socket.socket(family, kind, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(BACKLOG)
    except OSError as error:
        raise ConfigurationError(
            f"Cannot listen on {host}:{port}: {error.strerror or error}. "
            "Stop what uses this address, or choose another with TELEFONIST_PORT (and TELEFONIST_HOST), "
            f"for example: TELEFONIST_PORT={port + 1 if port < 65535 else 8081} make run"
        ) from error
    listener.setblocking(False)
    return listener


def _say_ready(house: House, listener: socket.socket) -> None:
    settings = house.settings
    host, port = listener.getsockname()[:2]
    reachable = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    url = settings.public_url or f"http://{f'[{reachable}]' if ':' in reachable else reachable}:{port}"
    log.info("ready", url=url, default_model=house.catalog.default.name)
    for note in house.notes:
        say(note)
    language = terminal_language()
    say(render("serve_ready", language, {"url": url, "models": ", ".join(m.name for m in house.catalog.models)}))
    if settings.loopback_is_open and settings.anonymous != "off":
        say(render("try_next", language, {"url": url}))
    else:
        say(render("open_to_all" if settings.anonymous == "on" else "accounts_let_in", language))
