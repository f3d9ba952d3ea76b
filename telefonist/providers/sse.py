"""Server-sent events, read as bytes arrive."""

from collections.abc import Iterator
from typing import NamedTuple

from telefonist.errors import ProviderProtocolError

MAX_EVENT_BYTES = 4 * 1024 * 1024
"""An event that grows past this is an upstream gone wrong, not an answer."""

_BOM = b"\xef\xbb\xbf"


class ServerSentEvent(NamedTuple):
    """One dispatched event; ``data`` stays bytes because JSON is decoded from bytes anyway."""

    event: str
    data: bytes


class SSEParser:
    """Cuts a byte stream into events, however the network splits it.

    Works on bytes, so a UTF-8 sequence split between two reads needs no care, and joins a long line once, so that
    its cost stays linear. ``id`` and ``retry`` only serve reconnecting, which a generation must never do, and are
    ignored. What the stream ends in the middle of is dropped, as the standard demands.

    Raises ProviderProtocolError for an event (or a single line) larger than ``limit`` bytes.
    Source: WHATWG HTML, section 9.2.6, "Interpreting an event stream".
    """

    def __init__(self, provider: str, limit: int = MAX_EVENT_BYTES) -> None:
        self._provider = provider
        self._limit = limit
        self._line: list[bytes] = []
        """The pieces of the line that has not ended yet."""
        self._line_size = 0
        self._data: list[bytes] = []
        self._data_size = 0
        self._event = "message"
        self._start: bytes | None = b""
        """What may still turn out to be a byte order mark; None once that is decided."""
        self._swallow_lf = False

    def feed(self, data: bytes) -> Iterator[ServerSentEvent]:
        """Take the next bytes and give the events they complete; those before an error are given before it is raised.

        A generator: the bytes count as taken once it has been followed to its end.
        """
        if self._start is not None:
            data = self._without_bom(data)
        if self._swallow_lf and data:
            self._swallow_lf = False
            if data[0] == 0x0A:
                data = data[1:]
        if b"\r" in data:
            # A CR at the very end ends its line now; the LF that may follow belongs to it.
            self._swallow_lf = data[-1] == 0x0D
            data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        lines = data.split(b"\n")
        rest = lines.pop()
        if lines and self._line:
            lines[0] = b"".join((*self._line, lines[0]))
            self._line = []
            self._line_size = 0
        for line in lines:
            if line.startswith(b"data: "):
                self._add(line[6:])
            elif line.startswith(b"data:"):
                self._add(line[5:])
            elif line:
                self._other_field(line)
            else:
                if self._data:
                    event = ServerSentEvent(self._event, b"\n".join(self._data))
                    self._data = []
                    self._data_size = 0
                    yield event
                self._event = "message"
        if rest:
            self._line.append(rest)
            self._line_size += len(rest)
            self._check(self._line_size + self._data_size)

    def _without_bom(self, data: bytes) -> bytes:
        data = (self._start or b"") + data
        if len(data) < len(_BOM) and _BOM.startswith(data):
            self._start = data
            return b""
        self._start = None
        return data.removeprefix(_BOM)

    def _other_field(self, line: bytes) -> None:
        name, _, value = line.partition(b":")
        if name == b"data":
            self._add(b"")
        elif name == b"event":
            self._event = value.decode(errors="replace").removeprefix(" ") or "message"

    def _add(self, value: bytes) -> None:
        self._data.append(value)
        self._data_size += len(value) + 1
        self._check(self._data_size)

    def _check(self, size: int) -> None:
        if size > self._limit:
            raise ProviderProtocolError(self._provider, reason=f"an event of more than {self._limit} bytes")
