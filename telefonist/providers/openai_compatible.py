"""Whatever speaks OpenAI's chat completions: OpenAI, OpenRouter, bothub, Groq, DeepSeek, Ollama, vLLM and the rest."""

from collections.abc import AsyncGenerator, Sequence
from typing import Any, Literal

import aiohttp
import orjson
from multidict import CIMultiDict
from yarl import URL

from telefonist import __version__
from telefonist.errors import ConfigurationError, ProviderError, ProviderProtocolError, ProviderRejectedRequest
from telefonist.providers import failures, openai_wire
from telefonist.providers.sse import SSEParser
from telefonist.providers.upstream import MAX_EMBEDDINGS_BYTES, MAX_STREAM_BYTES, Answer, Upstream, checked_address
from telefonist.types import ChatRequest, Completion, Delta, EmbeddingRequest, Embeddings, Json, ProviderConfig

_DONE = b"[DONE]"
_CHAT_PATH = "/chat/completions"


class OpenAICompatible:
    """A provider that answers ``POST {base_url}/chat/completions`` and ``{base_url}/embeddings``.

    Where ``chat_url`` is given chats go there, and embeddings, without a ``base_url``, to the address beside it.

    The request goes upstream and the answer comes back as they are, unknown fields included.
    Raises ConfigurationError for an address or a key that cannot be used.
    """

    def __init__(self, config: ProviderConfig, session: aiohttp.ClientSession) -> None:
        self._url, self._embeddings_url = _addresses(config)
        self._name = config.name
        self._on_disconnect = config.on_disconnect
        self._headers = _headers(config)
        self._upstream = Upstream(config, session)

    @property
    def name(self) -> str:
        return self._name

    @property
    def on_disconnect(self) -> Literal["cancel", "drain"]:
        return self._on_disconnect

    async def complete(self, request: ChatRequest) -> Completion:
        """Give the whole answer; usage is estimated where the upstream sends none."""
        body = self._write(openai_wire.request_body(request, stream=False))
        async with self._upstream.post(self._url, body, self._headers) as answer:
            if not answer.is_json:
                raise self._wrong_type(answer)
            return await self._read_plain(request, answer)

    async def stream(self, request: ChatRequest) -> AsyncGenerator[Sequence[Delta], None]:
        """Give the answer as it is written; what one read of the socket brought comes together.

        Usage may come with any chunk or not at all; the last one counts. An upstream that ignores ``stream`` and
        answers with JSON gives one delta. Raises ProviderProtocolError when the stream ends before ``[DONE]`` and
        before every choice has finished: a truncated answer must not look complete.
        """
        body = self._write(openai_wire.request_body(request, stream=True))
        async with self._upstream.post(self._url, body, self._headers) as answer:
            if answer.is_json:
                yield [openai_wire.delta_of(await self._read_plain(request, answer))]
                return
            if answer.content_type != "text/event-stream":
                raise self._wrong_type(answer)
            parser = SSEParser(self._name)
            reader = openai_wire.ChunkReader(self._name)
            begun = done = False
            while not done and (read := await answer.read(MAX_STREAM_BYTES)):
                batch: list[Delta] = []
                failure: ProviderError | None = None
                try:
                    for event, data in parser.feed(read):
                        if data == _DONE:
                            done = True
                            break
                        if data:
                            line = data.replace(b"\n", b" ")  # between tokens of JSON they mean the same
                            batch.append(reader.read(line, self._decode(line, failed=event == "error")))
                except ProviderError as error:
                    failure = error
                if batch:
                    begun = True
                    yield batch
                if failure is not None:
                    raise failure
            if not begun:
                raise ProviderProtocolError(self._name, reason="a stream without a chunk")
            if not done and not reader.finished:
                raise ProviderProtocolError(self._name, reason="the stream was cut before its end")
            if done:
                await answer.drain()

    async def embed(self, request: EmbeddingRequest) -> Embeddings:
        """Give the vectors as the upstream writes them; usage is estimated where it sends none.

        Raises ProviderRejectedRequest where only a ``chat_url`` is known, and it does not tell where embeddings are.
        """
        if self._embeddings_url is None:
            raise ProviderRejectedRequest(
                self._name,
                status=404,
                reason="its chat_url does not end in /chat/completions, so base_url must say where embeddings are",
            )
        body = self._write(openai_wire.embedding_body(request))
        async with self._upstream.post(self._embeddings_url, body, self._headers) as answer:
            if not answer.is_json:
                raise self._wrong_type(answer)
            decoded = self._decode(await answer.read_all(MAX_EMBEDDINGS_BYTES), failed=False)
            return openai_wire.read_embeddings(self._name, request, decoded)

    async def aclose(self) -> None:
        """Nothing to let go: the connections belong to the process's session."""

    def _write(self, body: Json) -> bytes:
        try:
            return orjson.dumps(body, default=dict)
        except TypeError as error:
            raise ProviderRejectedRequest(
                self._name, status=400, reason=f"the request cannot be written as JSON: {error}"
            ) from error

    async def _read_plain(self, request: ChatRequest, answer: Answer) -> Completion:
        body = self._decode(await answer.read_all(), failed=False)
        return openai_wire.read_completion(self._name, request, body)

    def _decode(self, data: bytes, *, failed: bool) -> dict[str, Any]:
        """Decode an answer or a chunk; raises the error it carries, or stands for when ``failed``."""
        try:
            decoded = orjson.loads(data)
        except orjson.JSONDecodeError as error:
            raise ProviderProtocolError(self._name, reason=f"not JSON: {error}") from None
        if not isinstance(decoded, dict):
            raise ProviderProtocolError(self._name, reason="JSON that is not an object")
        if carried := decoded.get("error") or (failed and decoded):
            raise failures.from_answer(self._name, carried, self._upstream.secrets)
        return decoded

    def _wrong_type(self, answer: Answer) -> ProviderProtocolError:
        return ProviderProtocolError(self._name, reason=f"content type {answer.content_type[:100]!r}")


def _addresses(config: ProviderConfig) -> tuple[URL, URL | None]:
    """Give where chats and embeddings are asked for."""
    base = config.base_url.rstrip("/")
    embeddings = checked_address(config, "base_url", base + "/embeddings") if base else None
    if not config.chat_url:
        return checked_address(config, "base_url", base + _CHAT_PATH), embeddings
    chat = checked_address(config, "chat_url", config.chat_url)
    if embeddings is None and chat.raw_path.endswith(_CHAT_PATH):
        path = chat.raw_path.removesuffix(_CHAT_PATH) + "/embeddings"
        embeddings = chat.with_path(path, encoded=True, keep_query=True)
    return chat, embeddings


def _headers(config: ProviderConfig) -> CIMultiDict[str]:
    headers = CIMultiDict(
        {
            "Content-Type": "application/json",
            "Accept-Encoding": "identity",
            "User-Agent": f"telefonist/{__version__}",
        }
    )
    if config.api_key:
        headers["Authorization"] = f"Bearer {config.api_key}"
    headers.update(config.headers)
    for name, value in headers.items():
        if not f"{name}{value}".isprintable() or not f"{name}{value}".isascii():
            setting = "api_key" if name == "Authorization" else f"headers.{name!r}"
            raise ConfigurationError(
                f"providers.{config.name}.{setting}: holds a line break or a character that no header may hold."
            )
    return headers
