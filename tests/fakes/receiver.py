"""Receivers of callbacks over real sockets: one that behaves, and ways to misbehave.

    async with Receiver() as receiver:
        receiver.script(reply(503, headers={"Retry-After": "2"}), reset())   # the first two requests; then 200
        ...                                                                  # something sends to receiver.url
        first, second, third = await receiver.wait_for(3)

Whatever a receiver does, it reads and records the whole request first, and is strict about HTTP: what h11 does not
accept is answered 400 and listed in ``protocol_errors``, which fails the test on leaving. It knows nothing of the
sender, which may be another process, killed and started again.
"""

import asyncio
import json
import socket
import struct
import time
import zlib
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from ssl import SSLContext
from types import TracebackType
from typing import Any, Self

import h11


@dataclass(frozen=True, slots=True)
class Received:
    """A request as it arrived; header names are lower-case, ``at`` is on the clock of ``time.monotonic``."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    connection: int
    """Which connection of the receiver brought it, counted from 1."""
    at: float = field(default_factory=time.monotonic)

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(slots=True)
class Exchange:
    """A recorded request, and the raw connection on which to answer it."""

    received: Received
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    keep_alive: bool = False

    async def write(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def wait_until_client_leaves(self) -> None:
        while await self.reader.read(4096):
            pass


Behaviour = Callable[[Exchange], Awaitable[None]]
"""What is done with a request; the connection is closed afterwards unless ``keep_alive`` was set."""


def reply(
    status: int = 200,
    body: bytes | str = b"ok",
    headers: Mapping[str, str] | None = None,
    *,
    delay: float = 0.0,
    keep_alive: bool = True,
) -> Behaviour:
    """Answer properly, ``delay`` seconds later."""
    content = body.encode() if isinstance(body, str) else body

    async def behave(exchange: Exchange) -> None:
        if delay:
            await asyncio.sleep(delay)
        fields = {"Content-Length": str(len(content)), **(headers or {})}
        if not keep_alive:
            fields["Connection"] = "close"
        await exchange.write(_head(status, fields) + content)
        exchange.keep_alive = keep_alive

    return behave


def redirect(location: str, status: int = 302) -> Behaviour:
    """Send the client elsewhere."""
    return reply(status, b"", {"Location": location})


def hang() -> Behaviour:
    """Say nothing until the client leaves."""

    async def behave(exchange: Exchange) -> None:
        await exchange.wait_until_client_leaves()

    return behave


def reset(after: bytes = b"") -> Behaviour:
    """Cut the connection with a TCP reset, after having sent ``after``."""

    async def behave(exchange: Exchange) -> None:
        if after:
            await exchange.write(after)
        raw = exchange.writer.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    return behave


def say(*pieces: bytes) -> Behaviour:
    """Send these bytes, HTTP or not, each piece in a packet of its own, and close."""

    async def behave(exchange: Exchange) -> None:
        for piece in pieces:
            await exchange.write(piece)
            await asyncio.sleep(0.01)

    return behave


def trickle(*, head: bytes = b"", interval: float = 0.01) -> Behaviour:
    """Send ``head``, then a byte every ``interval`` seconds until the client leaves: the head, or with one the body."""
    opening = head or b"HTTP/1.1 200 OK\r\nX-Slow: "
    return _repeat(opening, b"x", interval)


def endless_body(status: int = 200, headers: Mapping[str, str] | None = None, *, chunked: bool = False) -> Behaviour:
    """Answer with a body that has no end."""
    fields = {**(headers or {}), **({"Transfer-Encoding": "chunked"} if chunked else {})}
    content = b"x" * 16384
    return _repeat(_head(status, fields), b"%x\r\n%b\r\n" % (len(content), content) if chunked else content)


def endless_headers() -> Behaviour:
    """Send header lines for ever."""
    return _repeat(b"HTTP/1.1 200 OK\r\n", b"X-More: and more\r\n" * 64)


def endless_interim_replies() -> Behaviour:
    """Send 103 Early Hints for ever and no final reply."""
    return _repeat(b"", b"HTTP/1.1 103 Early Hints\r\n\r\n", 0.001)


def gzip_bomb(size: int = 100 * 1024 * 1024, encoding: str = "gzip") -> Behaviour:
    """Answer with zeros that inflate to ``size`` bytes."""
    return reply(200, _bomb(size), {"Content-Encoding": encoding})


class Receiver:
    """An HTTP/1.1 server on a port of its own that records every request.

    ``behaviour`` answers whatever is not scripted. With ``mute`` it accepts connections and neither reads nor writes.
    """

    def __init__(
        self,
        behaviour: Behaviour | None = None,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        tls: SSLContext | None = None,
        mute: bool = False,
    ) -> None:
        self.behaviour = behaviour or reply()
        self.requests: list[Received] = []
        self.protocol_errors: list[str] = []
        self.connections = 0
        self.bytes_read = 0
        self._script: deque[Behaviour] = deque()
        self._host = host
        self._port = port
        self._tls = tls
        self._mute = mute
        self._arrived = asyncio.Event()
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def port(self) -> int:
        return self._port

    @property
    def url(self) -> str:
        return self.url_for("/callback")

    def url_for(self, path: str, host: str | None = None) -> str:
        """Give the URL of a path here, by another name or notation of the host if one is given."""
        shown = host or (f"[{self._host}]" if ":" in self._host else self._host)
        return f"{'https' if self._tls else 'http'}://{shown}:{self._port}{path}"

    def script(self, *behaviours: Behaviour) -> None:
        """Say how the next requests are answered, in the order in which they arrive."""
        self._script.extend(behaviours)

    async def wait_for(self, count: int, timeout: float = 10.0) -> list[Received]:
        """Wait until ``count`` requests have arrived in all, and give all that have; AssertionError past the time."""
        try:
            async with asyncio.timeout(timeout):
                while len(self.requests) < count:
                    self._arrived.clear()
                    await self._arrived.wait()
        except TimeoutError:
            raise AssertionError(f"{len(self.requests)} of {count} requests arrived within {timeout} s") from None
        return list(self.requests)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()
        if error is None and self.protocol_errors:
            raise AssertionError(f"requests that are not HTTP: {self.protocol_errors}")

    async def start(self) -> None:
        """Listen; after a stop, again on the same port."""
        self._server = await asyncio.start_server(
            self._accept, self._host, self._port, ssl=self._tls, backlog=1024, limit=1 << 20
        )
        self._port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Stop listening and cut every connection."""
        if self._server is not None:
            self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.get_running_loop().create_task(self._serve(reader, writer, self.connections))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, connection: int) -> None:
        try:
            if self._mute:
                await asyncio.Event().wait()
            protocol = h11.Connection(h11.SERVER)
            while received := await self._read_request(protocol, reader, writer, connection):
                self.requests.append(received)
                self._arrived.set()
                behave = self._script.popleft() if self._script else self.behaviour
                exchange = Exchange(received, reader, writer)
                await behave(exchange)
                if not exchange.keep_alive:
                    break
                protocol = h11.Connection(h11.SERVER)
        except ConnectionError:
            pass  # the client left
        except asyncio.CancelledError:
            writer.transport.abort()
            raise
        finally:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()

    async def _read_request(
        self, protocol: h11.Connection, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, connection: int
    ) -> Received | None:
        request: h11.Request | None = None
        body = bytearray()
        while True:
            try:
                event = protocol.next_event()
            except h11.RemoteProtocolError as error:
                self.protocol_errors.append(str(error))
                writer.write(_head(400, {"Content-Length": "0", "Connection": "close"}))
                return None
            match event:
                case h11.NEED_DATA:
                    data = await reader.read(65536)
                    self.bytes_read += len(data)
                    protocol.receive_data(data)
                case h11.Request():
                    request = event
                case h11.Data():
                    body += event.data
                case h11.EndOfMessage() if request is not None:
                    if protocol.trailing_data[0]:
                        self.protocol_errors.append("bytes follow the request before its answer")
                    return Received(
                        method=request.method.decode(),
                        path=request.target.decode(),
                        headers={name.decode(): value.decode() for name, value in request.headers},
                        body=bytes(body),
                        connection=connection,
                    )
                case _:
                    return None


def unused_port() -> int:
    """Give a port of 127.0.0.1 on which nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _head(status: int, headers: Mapping[str, str]) -> bytes:
    lines = [f"HTTP/1.1 {status} Scripted", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode()


def _repeat(opening: bytes, more: bytes, interval: float = 0.0) -> Behaviour:
    async def behave(exchange: Exchange) -> None:
        await exchange.write(opening)
        while not exchange.writer.is_closing():
            await exchange.write(more)
            await asyncio.sleep(interval)

    return behave


def _bomb(size: int) -> bytes:
    packer = zlib.compressobj(9, wbits=zlib.MAX_WBITS | 16)
    megabyte = bytes(1 << 20)
    return b"".join([*(packer.compress(megabyte) for _ in range(size >> 20)), packer.flush()])
