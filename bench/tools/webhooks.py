"""Posts webhooks, each in a conversation of its own, and prints one JSON line: how long until the 202 and the callback.

Closed loop: every connection posts its next message when its last one was accepted. With ``--rate``, open loop: posts
go out at their planned times whatever the service does, and latency counts from the planned time. With ``--listen``,
callbacks come to this process, which notes when; without, to whoever serves ``--callback``.
"""

import argparse
import asyncio
import json
import math
import re
import statistics
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, cast
from urllib.parse import SplitResult, urlsplit

import uvloop

QUESTION = "Здравствуйте! Подскажите, пожалуйста, работаете ли вы в субботу, and is there a place to park nearby?"
ACCEPTED = 202
SILENCE = 30.0
"""Seconds without any callback after which the missing ones are given up."""
AIM = 0.0015
"""Seconds before a planned time in which the clock is watched: the event loop's timers are a millisecond coarse."""

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_NUMBER = re.compile(rb'"number": ?(\d+)')
_THANKS = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"


class Book:
    """When each webhook was sent, accepted and called back for, by its number."""

    def __init__(self, count: int) -> None:
        self.sent = [math.nan] * count
        self.accepted = [math.nan] * count
        self.called = [math.nan] * count
        self.statuses: Counter[int] = Counter()
        self.called_back = 0
        self.repeated = 0
        self.strange = 0
        self.news = asyncio.Event()

    def note_callback(self, body: bytes) -> None:
        """Note a callback that came just now; one that brings no answer, or answers nothing of ours, is strange."""
        now = time.perf_counter()
        self.news.set()
        found = _NUMBER.search(body)
        number = int(found[1]) if found else -1
        if b'"succeeded"' not in body or not 0 <= number < len(self.called):
            self.strange += 1
        elif math.isnan(self.called[number]):
            self.called[number] = now
            self.called_back += 1
        else:
            self.repeated += 1

    @property
    def missing(self) -> int:
        """Webhooks that were accepted and not yet called back for."""
        return self.statuses[ACCEPTED] - self.called_back

    def report(self, *, listens: bool) -> dict[str, Any]:
        """Sum up, in milliseconds."""
        report: dict[str, Any] = {
            "posted": len(self.sent),
            "accepted": self.statuses[ACCEPTED],
            "statuses": dict(self.statuses),
            "accept_ms": _spread(self.sent, self.accepted),
        }
        if listens:
            report |= {
                "missing": self.missing,
                "repeated": self.repeated,
                "strange": self.strange,
                "accept_to_callback_ms": _spread(self.accepted, self.called),
                "post_to_callback_ms": _spread(self.sent, self.called),
            }
        return report


class Poster(asyncio.Protocol):
    """A kept connection that posts one request at a time."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._answer: asyncio.Future[int] | None = None
        self.transport: asyncio.WriteTransport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.WriteTransport, transport)  # uvloop's own kind

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        message = _take(self._buffer)
        if message is not None and self._answer is not None:
            self._answer.set_result(int(message[0][9:12]))

    def connection_lost(self, error: Exception | None) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(error or ConnectionResetError("the service closed the connection"))

    async def post(self, request: bytes) -> int:
        """Send a request and give the status of its answer."""
        self._answer = asyncio.get_running_loop().create_future()
        self.transport.write(request)
        return await self._answer


class Receiver(asyncio.Protocol):
    """One sender of callbacks."""

    def __init__(self, book: Book) -> None:
        self._book = book
        self._buffer = bytearray()
        self._transport: asyncio.WriteTransport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.WriteTransport, transport)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while (message := _take(self._buffer)) is not None:
            self._book.note_callback(message[1])
            self._transport.write(_THANKS)


class Load:
    """The posts of one run."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.book = Book(options.count)
        self._options = options
        self._url: SplitResult = urlsplit(options.url)
        self._idle: list[Poster] = []

    async def closed_loop(self) -> None:
        """Keep every connection busy until all is posted."""
        numbers = iter(range(self._options.count))

        async def post_all() -> None:
            for number in numbers:
                await self._post(number)

        async with asyncio.TaskGroup() as group:
            for _ in range(self._options.connections):
                group.create_task(post_all())

    async def open_loop(self) -> None:
        """Post at the planned times."""
        start = time.perf_counter() + 0.05
        async with asyncio.TaskGroup() as group:
            for number in range(self._options.count):
                planned = start + number / self._options.rate
                await asyncio.sleep(max(0.0, planned - AIM - time.perf_counter()))
                while time.perf_counter() < planned:  # noqa: ASYNC110  a clock sets no event
                    await asyncio.sleep(0)
                group.create_task(self._post(number, planned))

    async def called_back(self) -> None:
        """Wait for the callbacks that are missing, as long as some still come."""
        with suppress(TimeoutError):
            while self.book.missing > 0:
                self.book.news.clear()
                async with asyncio.timeout(SILENCE):
                    await self.book.news.wait()

    async def _post(self, number: int, planned: float | None = None) -> None:
        poster = await self._connected()
        book = self.book
        book.sent[number] = time.perf_counter() if planned is None else planned
        status = await poster.post(self._request(number))
        if status == ACCEPTED:
            book.accepted[number] = time.perf_counter()
        book.statuses[status] += 1
        self._idle.append(poster)

    async def _connected(self) -> Poster:
        while self._idle:
            poster = self._idle.pop()
            if not poster.transport.is_closing():
                return poster
        loop = asyncio.get_running_loop()
        _, poster = await loop.create_connection(Poster, self._url.hostname or "127.0.0.1", self._url.port or 80)
        return poster

    def _request(self, number: int) -> bytes:
        fields = {
            "message": f"{QUESTION} {self._options.marker}",
            "callback_url": self._options.callback,
            "conversationId": f"{self._options.name}-{number}",
            "metadata": {"number": number},
        }
        body = json.dumps(fields, ensure_ascii=False).encode()
        head = f"POST {self._url.path} HTTP/1.1\r\nHost: {self._url.netloc}\r\nContent-Type: application/json\r\n"
        return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


def _take(buffer: bytearray) -> tuple[bytes, bytes] | None:
    """Take the first whole HTTP message, head and body, out of what was received."""
    end = buffer.find(b"\r\n\r\n")
    if end < 0:
        return None
    length = _LENGTH.search(buffer, 0, end)
    whole = end + 4 + (int(length[1]) if length else 0)
    if len(buffer) < whole:
        return None
    message = bytes(buffer[:end]), bytes(buffer[end + 4 : whole])
    del buffer[:whole]
    return message


def _spread(begun: Sequence[float], ended: Sequence[float]) -> dict[str, float] | None:
    """Give the median and the tail of what took from one moment to the other, in milliseconds."""
    times = [1000 * (end - begin) for begin, end in zip(begun, ended, strict=True) if not math.isnan(end - begin)]
    if len(times) < 2:
        return None
    cuts = statistics.quantiles(times, n=100, method="inclusive")
    spread = {"p50": cuts[49], "p90": cuts[89], "p99": cuts[98], "max": max(times)}
    return {name: round(value, 2) for name, value in spread.items()}


async def run(options: argparse.Namespace) -> dict[str, Any]:
    """Post everything, and wait for the callbacks where they come here."""
    load = Load(options)
    if options.listen:
        loop = asyncio.get_running_loop()
        await loop.create_server(lambda: Receiver(load.book), "127.0.0.1", options.listen)
    await (load.open_loop() if options.rate else load.closed_loop())
    if options.listen:
        await load.called_back()
    return load.book.report(listens=bool(options.listen))


def main() -> None:
    """Read the command line, run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", required=True, help="where to post")
    parser.add_argument("--callback", required=True, help="the callback_url of every webhook")
    parser.add_argument("--name", required=True, help="sets the conversations of this run apart from those of others")
    parser.add_argument("--count", type=int, required=True)
    parser.add_argument("--connections", type=int, default=64, help="of the closed loop")
    parser.add_argument("--rate", type=float, default=0.0, help="posts in a second; makes it an open loop")
    parser.add_argument("--listen", type=int, default=0, help="the port of --callback, to receive callbacks here")
    parser.add_argument("--marker", default="", help="goes with each message; see upstream.c")
    print(json.dumps(uvloop.run(run(parser.parse_args()))))


if __name__ == "__main__":
    main()
