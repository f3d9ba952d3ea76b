"""A client of the model API that is a bare connection, to leave at any moment, or not to read."""

import asyncio
import json
import time
from dataclasses import dataclass
from typing import Any

import httpx


@dataclass
class BareClient:
    """Asks once."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    read: bytes = b""
    left_at: float = 0.0
    """When it left (``time.monotonic``)."""

    async def until(self, seen: bytes, within: float = 10.0) -> None:
        """Read until that has come."""
        async with asyncio.timeout(within):
            while seen not in self.read:
                piece = await self.reader.read(65536)
                assert piece, self.read
                self.read += piece

    def leave(self, *, reset: bool = False) -> None:
        """Close the connection, or break it."""
        self.left_at = time.monotonic()
        if reset:
            self.writer.transport.abort()
        else:
            self.writer.close()

    async def leave_noticed(self) -> None:
        """Say that nothing more comes from here, which ends a connection with us, and wait until that is so."""
        self.writer.write_eof()
        async with asyncio.timeout(10):
            while await self.reader.read(65536):
                pass
        self.writer.close()


async def ask_barely(url: str, key: str, **fields: Any) -> BareClient:
    """Ask for an answer, and read nothing of it yet."""
    address = httpx.URL(url)
    asked = {"model": "gpt-4", "messages": [{"role": "user", "content": "Hello there"}], "stream": True, **fields}
    body = json.dumps(asked).encode()
    reader, writer = await asyncio.open_connection(address.host, address.port)
    head = (
        f"POST /v1/chat/completions HTTP/1.1\r\nHost: {address.host}\r\nAuthorization: Bearer {key}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    writer.write(head.encode() + body)
    return BareClient(reader, writer)
