"""Whatever speaks OpenAI's chat completions: OpenAI, OpenRouter, bothub, Groq, DeepSeek, Ollama, vLLM and the rest."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Literal

import aiohttp

from telefonist.errors import ProviderRejectedRequest
from telefonist.providers import openai_wire
from telefonist.providers.endpoints import chat_and_embeddings, checked_headers
from telefonist.providers.openai_answers import OpenAIAnswers
from telefonist.providers.upstream import Upstream
from telefonist.types import ChatRequest, Completion, Delta, EmbeddingRequest, Embeddings, ProviderConfig


class OpenAICompatible:
    """A provider that answers ``POST {base_url}/chat/completions`` and ``{base_url}/embeddings``.

    Where ``chat_url`` is given chats go there, and embeddings, without a ``base_url``, to the address beside it.

    The request goes upstream and the answer comes back as they are, unknown fields included.
    Raises ConfigurationError for an address or a key that cannot be used.
    """

    def __init__(self, config: ProviderConfig, session: aiohttp.ClientSession) -> None:
        self._url, self._embeddings_url = chat_and_embeddings(config)
        self._name = config.name
        self._on_disconnect = config.on_disconnect
        self._headers = checked_headers(config, f"Bearer {config.api_key}" if config.api_key else "")
        self._upstream = Upstream(config, session)
        self._answers = OpenAIAnswers(config.name, self._upstream.secrets)

    @property
    def name(self) -> str:
        return self._name

    @property
    def on_disconnect(self) -> Literal["cancel", "drain"]:
        return self._on_disconnect

    async def complete(self, request: ChatRequest) -> Completion:
        """Give the whole answer; usage is estimated where the upstream sends none."""
        body = openai_wire.write_json(self._name, openai_wire.request_body(request, stream=False))
        async with self._upstream.post(self._url, body, self._headers) as answer:
            return await self._answers.whole(request, answer)

    async def stream(self, request: ChatRequest) -> AsyncGenerator[Sequence[Delta], None]:
        """Give the answer as it is written (see ``OpenAIAnswers.streamed``)."""
        body = openai_wire.write_json(self._name, openai_wire.request_body(request, stream=True))
        async with (
            self._upstream.post(self._url, body, self._headers) as answer,
            aclosing(self._answers.streamed(request, answer)) as batches,
        ):
            async for batch in batches:
                yield batch

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
        body = openai_wire.write_json(self._name, openai_wire.embedding_body(request))
        async with self._upstream.post(self._embeddings_url, body, self._headers) as answer:
            return openai_wire.read_embeddings(self._name, request, await self._answers.vectors(answer))

    async def aclose(self) -> None:
        """Nothing to let go: the connections belong to the process's session."""
