"""Accepted answers in OpenAI's shape, or in one that is turned into it, read as far as they come."""

from collections.abc import AsyncGenerator, Sequence
from typing import Any, Protocol

import orjson

from telefonist.errors import ProviderError, ProviderProtocolError
from telefonist.providers import failures, openai_wire
from telefonist.providers.sse import SSEParser
from telefonist.providers.upstream import MAX_EMBEDDINGS_BYTES, MAX_STREAM_BYTES, Answer
from telefonist.types import ChatRequest, Completion, Delta

_DONE = b"[DONE]"


class Dialect(Protocol):
    """Turns one answer of a protocol that resembles OpenAI's into OpenAI's own shape."""

    def whole(self, body: dict[str, Any]) -> dict[str, Any]:
        """Turn a whole answer."""
        ...

    def chunk(self, chunk: dict[str, Any]) -> dict[str, Any] | None:
        """Turn one chunk of a stream; None for one that has nothing to say to an OpenAI client."""
        ...


class OpenAIAnswers:
    """Reads the answers of one provider; ``secrets`` never appear in what its errors say."""

    def __init__(self, provider: str, secrets: Sequence[str]) -> None:
        self._provider = provider
        self._secrets = secrets

    async def whole(self, request: ChatRequest, answer: Answer, dialect: Dialect | None = None) -> Completion:
        """Read an answer that comes in one piece; usage is estimated where the upstream sends none."""
        if not answer.is_json:
            raise self._wrong_type(answer)
        body = self._decode(await answer.read_all(), failed=False)
        if dialect is not None:
            body = dialect.whole(body)
        return openai_wire.read_completion(self._provider, request, body)

    async def streamed(
        self, request: ChatRequest, answer: Answer, dialect: Dialect | None = None, last_event: str = ""
    ) -> AsyncGenerator[Sequence[Delta], None]:
        """Read an answer as it is written; what one read of the socket brought comes together.

        Usage may come with any chunk or not at all; the last one counts. An upstream that ignores ``stream`` and
        answers with JSON gives one delta. Raises ProviderProtocolError when the stream ends before ``[DONE]`` and
        before every choice has finished: a truncated answer must not look complete. ``last_event`` names the event
        that stands for ``[DONE]`` in a protocol that has another.
        """
        if answer.is_json:
            yield [openai_wire.delta_of(await self.whole(request, answer, dialect))]
            return
        if answer.content_type != "text/event-stream":
            raise self._wrong_type(answer)
        parser = SSEParser(self._provider)
        reader = openai_wire.ChunkReader(self._provider)
        begun = done = False
        while not done and (read := await answer.read(MAX_STREAM_BYTES)):
            batch: list[Delta] = []
            failure: ProviderError | None = None
            try:
                for event, data in parser.feed(read):
                    if data == _DONE or event == last_event:
                        done = True
                        break
                    if not data:
                        continue
                    line = data.replace(b"\n", b" ")  # between tokens of JSON they mean the same
                    chunk = self._decode(line, failed=event == "error")
                    if dialect is not None:
                        turned = dialect.chunk(chunk)
                        if turned is None:
                            continue
                        line, chunk = orjson.dumps(turned), turned
                    batch.append(reader.read(line, chunk))
            except ProviderError as error:
                failure = error
            if batch:
                begun = True
                yield batch
            if failure is not None:
                raise failure
        if not begun:
            raise ProviderProtocolError(self._provider, reason="a stream without a chunk")
        if not done and not reader.finished:
            raise ProviderProtocolError(self._provider, reason="the stream was cut before its end")
        if done:
            await answer.drain()

    async def vectors(self, answer: Answer) -> dict[str, Any]:
        """Give an answer with vectors as it came."""
        if not answer.is_json:
            raise self._wrong_type(answer)
        return self._decode(await answer.read_all(MAX_EMBEDDINGS_BYTES), failed=False)

    def _decode(self, data: bytes, *, failed: bool) -> dict[str, Any]:
        """Decode an answer or a chunk; raises the error it carries, or stands for when ``failed``."""
        try:
            decoded = orjson.loads(data)
        except orjson.JSONDecodeError as error:
            raise ProviderProtocolError(self._provider, reason=f"not JSON: {error}") from None
        if not isinstance(decoded, dict):
            raise ProviderProtocolError(self._provider, reason="JSON that is not an object")
        if carried := decoded.get("error") or (failed and decoded):
            raise failures.from_answer(self._provider, carried, self._secrets)
        return decoded

    def _wrong_type(self, answer: Answer) -> ProviderProtocolError:
        return ProviderProtocolError(self._provider, reason=f"content type {answer.content_type[:100]!r}")
