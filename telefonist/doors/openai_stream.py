"""A streamed answer as OpenAI's clients read it: chunks as server-sent events, then ``[DONE]``.

Chunks go on exactly as they came. Usage is the exception: we ask the upstream for it always, and the client gets it
only when it asked, in a chunk of its own before ``[DONE]``. An answer that fails half-way ends in an error event and
never in ``[DONE]``, so that it cannot look complete. Source: OpenAI API reference, "Chat completion chunk".
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import orjson
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from telefonist.core.generation_stream import GenerationStream
from telefonist.doors.client_watch import ClientWatch
from telefonist.doors.openai_errors import error_body
from telefonist.errors import TelefonistError, Unavailable
from telefonist.logs import get_logger
from telefonist.types import Delta, Language, Usage, new_id

log = get_logger(__name__)

DONE = b"data: [DONE]\n\n"

SHUTDOWN_SECONDS = 5
"""What a client is told to wait whose answer did not end before we did."""


class ChunkWriter:
    """Writes deltas as events, and keeps back what they say of usage."""

    def __init__(self, *, include_usage: bool) -> None:
        self._include_usage = include_usage
        self._last: dict[str, Any] = {}

    def write(self, deltas: Sequence[Delta]) -> bytes:
        """Give the events for what came together."""
        return b"".join([self._event(delta) for delta in deltas])

    def usage(self, usage: Usage | None, model: str) -> bytes:
        """Give the usage chunk, if the client asked for one."""
        if not self._include_usage or usage is None:
            return b""
        chunk: dict[str, Any] = {
            "id": self._last.get("id") or f"chatcmpl-{new_id().hex}",
            "object": "chat.completion.chunk",
            "created": self._last.get("created") or 0,
            "model": self._last.get("model") or model,
            "choices": [],
            "usage": usage_body(usage) if usage.estimated else self._last["usage"],
        }
        return b"data: " + orjson.dumps(chunk) + b"\n\n"

    def _event(self, delta: Delta) -> bytes:
        data = delta.data
        if not self._last:
            self._last = {name: delta.chunk.get(name) for name in ("id", "created", "model")}
        if delta.usage is not None:
            self._last["usage"] = delta.chunk.get("usage")
        if delta.chunk.get("usage") is not None:  # what makes no sense to us is kept back as well
            if not delta.chunk.get("choices"):
                return b""
            data = self._without_usage(delta.chunk)
        return b"data: " + data + b"\n\n"

    def _without_usage(self, chunk: dict[str, Any]) -> bytes:
        if self._include_usage:
            return orjson.dumps({**chunk, "usage": None})
        return orjson.dumps({name: value for name, value in chunk.items() if name != "usage"})


class StreamedAnswer(Response):
    """Sends a generation as it is written; the client that leaves cuts it."""

    def __init__(
        self,
        stream: GenerationStream,
        writer: ChunkWriter,
        language: Language,
        headers: Mapping[str, str],
    ) -> None:
        super().__init__(headers={**headers, "cache-control": "no-cache", "x-accel-buffering": "no"})
        del self.headers["content-length"]
        self.headers["content-type"] = "text/event-stream; charset=utf-8"
        self._stream = stream
        self._writer = writer
        self._language = language

    async def __call__(self, _scope: Scope, receive: Receive, send: Send) -> None:
        """Send everything, paid for before its end is sent; ends in ClientDisconnect when the client left."""
        async with ClientWatch(receive, send) as watch:
            try:
                async with self._stream:
                    await watch.send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
                    last = await self._pass_on(watch)
            except TelefonistError as error:
                log.warning("stream_failed", code=error.code, reason=str(error))
                last = self._failure(error)
            except asyncio.CancelledError:
                if watch.client_left:
                    raise
                last = self._failure(Unavailable("shutting_down", seconds=SHUTDOWN_SECONDS))
            except Exception:
                log.exception("stream_failed")
                last = self._failure(TelefonistError())
            await watch.send({"type": "http.response.body", "body": last, "more_body": False})

    async def _pass_on(self, watch: ClientWatch) -> bytes:
        """Send what is written, and give what is to be sent last."""
        while (batch := await self._stream.next()) is not None:
            if events := self._writer.write(batch):
                await watch.send({"type": "http.response.body", "body": events, "more_body": True})
        return self._writer.usage(self._stream.usage, self._stream.model.name) + DONE

    def _failure(self, error: TelefonistError) -> bytes:
        return b"data: " + orjson.dumps(error_body(error, self._language)) + b"\n\n"


def usage_body(usage: Usage) -> dict[str, Any]:
    """Write usage as OpenAI does; counts that are ours and not the provider's are marked ``estimated``."""
    body: dict[str, Any] = {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.total_tokens,
    }
    if usage.cached_tokens:
        body["prompt_tokens_details"] = {"cached_tokens": usage.cached_tokens}
    if usage.estimated:
        body["estimated"] = True
    return body
