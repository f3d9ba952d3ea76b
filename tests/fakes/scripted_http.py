"""A small HTTP/1.1 server written by hand, because tests must be able to break HTTP on purpose.

It takes one request after another on a connection and lets a *behaviour* answer each: a coroutine function that writes
with an ``Exchange`` and may cut, reset, stall or send garbage. It is strict about requests (RFC 9112): a client's
mistake fails the test when the server is left. Fakes of real services derive from it and choose the behaviour.
"""

import asyncio
import json
import socket
import ssl
import struct
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Literal, Self

Ending = Literal["end", "cut", "reset", "hang"]
"""How a chunked answer ends: whole, by a closed connection, by a TCP reset, or never."""


@dataclass
class Received:
    """One request as it arrived, and what became of it."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    connection: int
    json: Any = None
    gone: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the client left before its answer was complete."""
    gone_at: float = 0.0
    """When that was (``time.monotonic``)."""
    finished: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the answer was complete, or there was nobody left to answer."""


class Exchange:
    """The answering side of one request: what behaviours write with."""

    def __init__(self, request: Received, writer: asyncio.StreamWriter) -> None:
        self.request = request
        self.keep_alive = True
        self._writer = writer

    async def head(
        self, status: int = 200, content_type: str = "text/plain", headers: Mapping[str, str] | None = None
    ) -> None:
        """Send the head of a chunked answer."""
        await self.raw(_head(status, {"Content-Type": content_type, "Transfer-Encoding": "chunked", **(headers or {})}))

    async def write(self, data: bytes) -> None:
        """Send one chunk, in its own write."""
        if data:
            await self.raw(b"%x\r\n%b\r\n" % (len(data), data))

    async def end(self) -> None:
        await self.raw(b"0\r\n\r\n")

    async def reply(
        self, status: int, body: bytes, content_type: str = "application/json", headers: Mapping[str, str] | None = None
    ) -> None:
        """Send a whole answer with its length."""
        fields = {"Content-Type": content_type, "Content-Length": str(len(body)), **(headers or {})}
        await self.raw(_head(status, fields) + body)

    async def raw(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()

    async def hang(self) -> None:
        """Say nothing until the client has left."""
        await self.request.gone.wait()

    async def finish(self, ending: Ending) -> None:
        match ending:
            case "end":
                await self.end()
            case "cut":
                self.cut()
            case "reset":
                self.reset()
            case "hang":
                await self.hang()

    def cut(self) -> None:
        """Close the connection where it stands."""
        self.keep_alive = False

    def reset(self) -> None:
        """Break the connection with a TCP reset."""
        self.keep_alive = False
        linger_not = struct.pack("ii", 1, 0)
        self._writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger_not)
        self._writer.transport.abort()


Behaviour = Callable[[Exchange], Awaitable[None]]


class ScriptedServer:
    """Listens on a free loopback port; each request meets the next scripted behaviour, then ``default``."""

    def __init__(self, default: Behaviour, tls: ssl.SSLContext | None = None) -> None:
        self.default = default
        self.requests: list[Received] = []
        self.connections = 0
        """How many were opened since the start."""
        self.open_connections = 0
        self.under_way = 0
        self.most_under_way = 0
        self._tls = tls
        self._script: deque[Behaviour] = deque()
        self._conversations: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self._mistakes: list[BaseException] = []

    @property
    def address(self) -> str:
        assert self._server is not None, "use it as 'async with ... as server'"
        port = self._server.sockets[0].getsockname()[1]
        return f"https://localhost:{port}" if self._tls else f"http://127.0.0.1:{port}"

    def script(self, *behaviours: Behaviour) -> None:
        """Line up what the next requests meet."""
        self._script.extend(behaviours)

    def choose(self, request: Received) -> Behaviour:  # noqa: ARG002  for those that look at it
        """Say how a request is answered."""
        return self.next_behaviour()

    def next_behaviour(self) -> Behaviour:
        return self._script.popleft() if self._script else self.default

    async def received(self, count: int, within: float = 5.0) -> list[Received]:
        """Wait until ``count`` requests have arrived."""
        async with asyncio.timeout(within):
            while len(self.requests) < count:  # noqa: ASYNC110  several tasks change the condition
                await asyncio.sleep(0.002)
        return self.requests

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: _Connection(self._accept), "127.0.0.1", 0, ssl=self._tls, backlog=1024
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._conversations:
            task.cancel()
        await asyncio.gather(*self._conversations, return_exceptions=True)
        await self._server.wait_closed()
        if self._mistakes and error is None:
            raise self._mistakes[0]

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, lost: asyncio.Event) -> None:
        self.connections += 1
        task = asyncio.create_task(self._converse(reader, writer, lost, self.connections))
        self._conversations.add(task)
        task.add_done_callback(self._conversations.discard)

    async def _converse(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, lost: asyncio.Event, number: int
    ) -> None:
        self.open_connections += 1
        try:
            while (request := await _read_request(reader, number)) is not None:
                if not await self._answer(request, writer, lost):
                    break
        except ConnectionError:
            pass  # the client broke the connection between two requests, as it may
        except Exception as mistake:  # noqa: BLE001  raised again when the server is left
            self._mistakes.append(mistake)
        finally:
            self.open_connections -= 1
            writer.close()

    async def _answer(self, request: Received, writer: asyncio.StreamWriter, lost: asyncio.Event) -> bool:
        """Run one behaviour until it is through or the client has left; tells whether the connection goes on."""
        exchange = Exchange(request, writer)
        behaviour = self.choose(request)
        self.requests.append(request)
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        answering = asyncio.ensure_future(behaviour(exchange))
        watching = asyncio.ensure_future(lost.wait())
        try:
            await asyncio.wait({answering, watching}, return_when=asyncio.FIRST_COMPLETED)
            if not answering.done() or isinstance(answering.exception(), ConnectionError):
                request.gone_at = time.monotonic()
                request.gone.set()
                return False
            answering.result()
            return exchange.keep_alive and not lost.is_set()
        finally:
            self.under_way -= 1
            request.finished.set()
            for task in (answering, watching):
                task.cancel()
            await asyncio.gather(answering, watching, return_exceptions=True)


class _Connection(asyncio.StreamReaderProtocol):
    """A stream that also tells at once, without anybody reading, that the other side has left."""

    def __init__(self, accept: Callable[[asyncio.StreamReader, asyncio.StreamWriter, asyncio.Event], None]) -> None:
        self._lost = asyncio.Event()
        super().__init__(asyncio.StreamReader(), lambda reader, writer: accept(reader, writer, self._lost))

    def eof_received(self) -> bool | None:
        self._lost.set()
        return super().eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        self._lost.set()
        super().connection_lost(exc)


def reply(
    body: bytes = b"",
    status: int = 200,
    *,
    content_type: str = "application/json",
    headers: Mapping[str, str] | None = None,
) -> Behaviour:
    """Send any body under any status."""

    async def behave(exchange: Exchange) -> None:
        await exchange.reply(status, body, content_type, headers)

    return behave


def raw(data: bytes = b"", ending: Ending = "cut") -> Behaviour:
    """Send bytes that need not be HTTP; with none, close without an answer."""

    async def behave(exchange: Exchange) -> None:
        if data:
            await exchange.raw(data)
        await exchange.finish(ending)

    return behave


def silence() -> Behaviour:
    """Take the request and never answer."""
    return raw(ending="hang")


async def _read_request(reader: asyncio.StreamReader, connection: int) -> Received | None:
    """Read one HTTP/1.1 request (RFC 9112) with a length; None when the client has closed."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
        start, *lines = head[:-4].decode("latin-1").split("\r\n")
        method, path, version = start.split(" ")
        assert version == "HTTP/1.1", version
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        assert len(headers) == len(lines), f"a header was sent twice: {lines}"
        assert "host" in headers, "no Host header"
        assert "transfer-encoding" not in headers, "a request body with a length was expected"
        body = await reader.readexactly(int(headers.get("content-length", "0")))
    except asyncio.IncompleteReadError:
        return None
    request = Received(method, path, headers, body, connection)
    try:
        request.json = json.loads(body) if body else None
    except ValueError:
        request.json = None
    return request


def _head(status: int, headers: Mapping[str, str]) -> bytes:
    lines = [f"HTTP/1.1 {status} Scripted", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n"
