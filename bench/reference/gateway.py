"""A bare gateway as raw ASGI: the key is looked up in a dict, the request goes on and the answer comes back unread.

Nothing is checked, counted, logged or stored, and an upstream that fails is not handled. KEYS names a file of keys, one
a line. Needs nothing but what the HTTP client needs, so that it runs in virtual environments that lack Telefonist.
"""

import json
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, MutableMapping
from pathlib import Path
from typing import Any

Message = MutableMapping[str, Any]
Send = Callable[[Message], Awaitable[None]]
Receive = Callable[[], Awaitable[Message]]

Answer = AsyncIterator[tuple[int, bytes, bytes, bool]]
"""Status, content type, what came, and whether more is to come; piece by piece."""

Forward = Callable[[bytes], Answer]
"""Sends a body to the upstream."""

REFUSED = json.dumps({"error": {"message": "Invalid API key.", "type": "invalid_request_error"}}).encode()


class Gateway:
    """The ASGI application; ``open_client`` is awaited when the server starts."""

    def __init__(self, open_client: Callable[[str], Awaitable[Forward]]) -> None:
        self._open_client = open_client
        self._keys: Mapping[bytes, int] = {
            b"Bearer " + key.encode(): number for number, key in enumerate(Path(os.environ["KEYS"]).read_text().split())
        }
        self._forward: Forward

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._live(receive, send)
            return
        key = next((value for name, value in scope["headers"] if name == b"authorization"), b"")
        if key not in self._keys:
            await send(
                {"type": "http.response.start", "status": 401, "headers": [(b"content-type", b"application/json")]}
            )
            await send({"type": "http.response.body", "body": REFUSED})
            return
        body = b""
        more = True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        begun = False
        async for status, content_type, piece, more in self._forward(body):
            if not begun:
                begun = True
                headers = [(b"content-type", content_type)]
                if not more:
                    headers.append((b"content-length", str(len(piece)).encode()))
                await send({"type": "http.response.start", "status": status, "headers": headers})
            await send({"type": "http.response.body", "body": piece, "more_body": more})

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        self._forward = await self._open_client(os.environ["UPSTREAM"])
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})
