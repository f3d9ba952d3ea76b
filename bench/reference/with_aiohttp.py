"""The bare gateway on aiohttp, the client that Telefonist uses."""

import aiohttp

from bench.reference.gateway import Answer, Forward, Gateway

HEADERS = {"Content-Type": "application/json"}


async def open_client(upstream: str) -> Forward:
    """Open a session without a limit of connections."""
    session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))

    async def forward(body: bytes) -> Answer:
        async with session.post(upstream, data=body, headers=HEADERS) as response:
            content_type = response.headers["Content-Type"].encode()
            if not content_type.startswith(b"text/event-stream"):
                yield response.status, content_type, await response.read(), False
                return
            async for piece in response.content.iter_any():
                yield response.status, content_type, piece, True
            yield response.status, content_type, b"", False

    return forward


app = Gateway(open_client)
