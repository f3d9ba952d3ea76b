"""GigaChat, which resembles OpenAI's chat completions and differs in what every request must show and may hold."""

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, aclosing, asynccontextmanager
from typing import Literal

import aiohttp
from yarl import URL

from telefonist.errors import ProviderCredentialsRefused, ProviderRejectedRequest
from telefonist.providers import gigachat_answers, gigachat_requests, openai_wire
from telefonist.providers.base import Slots, Tokens
from telefonist.providers.endpoints import chat_and_embeddings, checked_headers
from telefonist.providers.gigachat_access import Access
from telefonist.providers.gigachat_answers import GigaChatDialect
from telefonist.providers.openai_answers import OpenAIAnswers
from telefonist.providers.shared_places import SharedPlaces
from telefonist.providers.upstream import Answer, Upstream
from telefonist.types import ChatRequest, Completion, Delta, EmbeddingRequest, Embeddings, ProviderConfig


class GigaChat:
    """A provider that answers ``POST .../chat/completions`` and ``.../embeddings`` to whoever shows a fresh token.

    ``api_key`` is the authorization key of the project; ``auth_url`` hands out tokens for it and ``scope``. Requests
    and answers are mapped by ``gigachat_requests`` and ``gigachat_answers``; docs/gigachat.md tells what that leaves
    out. Both hosts are checked against ``ca_bundle``, since their certificates come from the Russian Trusted Root CA.
    ``max_concurrency`` holds for the key in all processes that share ``slots``, since GigaChat counts by it.

    Raises ConfigurationError for an address or a key that cannot be used.
    """

    def __init__(self, config: ProviderConfig, session: aiohttp.ClientSession, tokens: Tokens, slots: Slots) -> None:
        self._url, self._embeddings_url = chat_and_embeddings(config)
        self._name = config.name
        self._on_disconnect = config.on_disconnect
        self._headers = checked_headers(config)
        self._upstream = Upstream(config, session)
        self._access = Access(config, session, tokens)
        self._places = SharedPlaces(config, slots, self._access.credential)
        self._answers = OpenAIAnswers(config.name, self._upstream.secrets)

    @property
    def name(self) -> str:
        return self._name

    @property
    def on_disconnect(self) -> Literal["cancel", "drain"]:
        return self._on_disconnect

    async def complete(self, request: ChatRequest) -> Completion:
        """Give the whole answer; usage is estimated where the upstream sends none."""
        body = openai_wire.write_json(self._name, gigachat_requests.request_body(self._name, request, stream=False))
        async with self._post(self._url, body) as answer:
            return await self._answers.whole(request, answer, GigaChatDialect(request))

    async def stream(self, request: ChatRequest) -> AsyncGenerator[Sequence[Delta], None]:
        """Give the answer as it is written (see ``OpenAIAnswers.streamed``)."""
        body = openai_wire.write_json(self._name, gigachat_requests.request_body(self._name, request, stream=True))
        async with (
            self._post(self._url, body) as answer,
            aclosing(self._answers.streamed(request, answer, GigaChatDialect(request))) as batches,
        ):
            async for batch in batches:
                yield batch

    async def embed(self, request: EmbeddingRequest) -> Embeddings:
        """Give the vectors of texts; raises ProviderRejectedRequest where the row does not tell where to ask."""
        if self._embeddings_url is None:
            raise ProviderRejectedRequest(
                self._name,
                status=404,
                reason="its chat_url does not end in /chat/completions, so base_url must say where embeddings are",
            )
        body = openai_wire.write_json(self._name, gigachat_requests.embedding_body(self._name, request))
        async with self._post(self._embeddings_url, body) as answer:
            vectors = gigachat_answers.embeddings(request, await self._answers.vectors(answer))
        return openai_wire.read_embeddings(self._name, request, vectors)

    async def aclose(self) -> None:
        """Nothing to let go: the connections belong to the process's session."""

    @asynccontextmanager
    async def _post(self, url: URL, body: bytes) -> AsyncIterator[Answer]:
        """Send a request with a token, and once more with another one where it was refused with 401.

        The token is fetched once the request has its place, so that it does not grow old in the queue; repeating is
        safe because a request without a valid token does nothing. A second 401 is our credential's.
        """
        async with AsyncExitStack() as stack:
            deadline = await stack.enter_async_context(self._upstream.place())
            await stack.enter_async_context(self._places.place(deadline))
            token = await self._access.token()
            try:
                answer = await stack.enter_async_context(self._send(url, body, token, deadline))
            except ProviderCredentialsRefused as refused:
                another = await self._access.instead_of(token) if refused.values["status"] == 401 else None
                if another is None:
                    raise
                answer = await stack.enter_async_context(self._send(url, body, another, deadline))
            self._access.accepted()
            yield answer

    def _send(self, url: URL, body: bytes, token: str, deadline: float) -> AbstractAsyncContextManager[Answer]:
        headers = self._headers.copy()
        headers["Authorization"] = f"Bearer {token}"
        return self._upstream.send(url, body, headers, deadline)
