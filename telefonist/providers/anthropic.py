"""Anthropic, whose Messages API says the same as OpenAI's chat completions in words of its own."""

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace
from typing import Literal

import aiohttp
from yarl import URL

from telefonist.errors import ProviderOutOfFunds, ProviderRejectedRequest
from telefonist.providers import openai_wire
from telefonist.providers.anthropic_answers import LAST_EVENT, AnthropicDialect
from telefonist.providers.anthropic_requests import request_body
from telefonist.providers.endpoints import checked_address, checked_headers
from telefonist.providers.openai_answers import OpenAIAnswers
from telefonist.providers.upstream import Answer, Upstream
from telefonist.types import ChatRequest, Completion, Delta, EmbeddingRequest, Embeddings, ProviderConfig

BASE_URL = "https://api.anthropic.com"
VERSION = "2023-06-01"
"""The version of the API that is spoken; a row's ``headers`` may add ``anthropic-beta``."""

_EMPTY_ACCOUNT = "credit balance is too low"
"""An account without funds is refused with 400 and these words."""


class Anthropic:
    """A provider that answers ``POST {base_url}/v1/messages``; where ``chat_url`` is given, there.

    Requests and answers are mapped by ``anthropic_requests`` and ``anthropic_answers``; docs/anthropic.md tells what
    that leaves out. Raises ConfigurationError for an address or a key that cannot be used.
    """

    def __init__(self, config: ProviderConfig, session: aiohttp.ClientSession) -> None:
        self._url = _address(config)
        self._name = config.name
        self._on_disconnect = config.on_disconnect
        ours = {"x-api-key": config.api_key} if config.api_key else {}
        self._headers = checked_headers(
            replace(config, headers={**ours, "anthropic-version": VERSION, **config.headers})
        )
        self._upstream = Upstream(config, session)
        self._answers = OpenAIAnswers(config.name, self._upstream.secrets)

    @property
    def name(self) -> str:
        return self._name

    @property
    def on_disconnect(self) -> Literal["cancel", "drain"]:
        return self._on_disconnect

    async def complete(self, request: ChatRequest) -> Completion:
        """Give the whole answer."""
        async with self._post(request, stream=False) as answer:
            return await self._answers.whole(request, answer, AnthropicDialect())

    async def stream(self, request: ChatRequest) -> AsyncGenerator[Sequence[Delta], None]:
        """Give the answer as it is written (see ``OpenAIAnswers.streamed``); usage comes with the last chunk."""
        async with (
            self._post(request, stream=True) as answer,
            aclosing(self._answers.streamed(request, answer, AnthropicDialect(), LAST_EVENT)) as batches,
        ):
            async for batch in batches:
                yield batch

    async def embed(self, request: EmbeddingRequest) -> Embeddings:  # noqa: ARG002  nothing of it would help
        """Raise ProviderRejectedRequest: Anthropic makes no embeddings."""
        raise ProviderRejectedRequest(self._name, status=404, reason="Anthropic makes no embeddings")

    async def aclose(self) -> None:
        """Nothing to let go: the connections belong to the process's session."""

    @asynccontextmanager
    async def _post(self, request: ChatRequest, *, stream: bool) -> AsyncIterator[Answer]:
        body = openai_wire.write_json(self._name, request_body(self._name, request, stream=stream))
        try:
            async with self._upstream.post(self._url, body, self._headers) as answer:
                yield answer
        except ProviderRejectedRequest as refused:
            if _EMPTY_ACCOUNT in refused.values["reason"]:
                raise ProviderOutOfFunds(self._name, reason=refused.values["reason"]) from None
            raise


def _address(config: ProviderConfig) -> URL:
    if config.chat_url:
        return checked_address(config, "chat_url", config.chat_url)
    base = (config.base_url or BASE_URL).rstrip("/").removesuffix("/v1")
    return checked_address(config, "base_url", f"{base}/v1/messages")
