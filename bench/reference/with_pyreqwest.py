"""The bare gateway on pyreqwest, the cheapest client that we found."""

from pyreqwest.client import ClientBuilder  # type: ignore[import-not-found]

from bench.reference.gateway import Answer, Forward, Gateway


async def open_client(upstream: str) -> Forward:
    """Open a client; a stream comes as it arrives only where nothing of it is collected."""
    client = ClientBuilder().default_headers({"Content-Type": "application/json"}).build()

    async def forward(body: bytes) -> Answer:
        request = client.post(upstream).body_bytes(body).streamed_read_buffer_limit(0).build_streamed()
        async with request as response:
            content_type = response.headers["content-type"].encode()
            if not content_type.startswith(b"text/event-stream"):
                yield response.status, content_type, bytes(await response.bytes()), False
                return
            while (piece := await response.body_reader.read_chunk()) is not None:
                yield response.status, content_type, bytes(piece), True
            yield response.status, content_type, b"", False

    return forward


app = Gateway(open_client)
