"""The built-in model: answers offline, at no price, so that everything can be tried before there is a key."""

import asyncio
import re
import time
from collections.abc import AsyncGenerator, Sequence
from typing import Any, Literal, TypeGuard

import orjson

from telefonist.errors import ProviderFailed, ProviderRejectedRequest
from telefonist.providers.demo_embedding import DIMENSIONS, MOST_DIMENSIONS, as_base64, vector_of
from telefonist.providers.demo_replies import reply
from telefonist.providers.openai_text import estimate_input, estimate_prompt
from telefonist.types import (
    ChatRequest,
    Completion,
    Delta,
    EmbeddingRequest,
    Embeddings,
    Json,
    ProviderConfig,
    Usage,
    estimate_tokens,
    new_id,
)

DEMO = "demo"
DEMO_SLOW = "demo-slow"
DEMO_FAILING = "demo-failing"
DEMO_EMBEDDING = "demo-embedding"

_MOST_TEXTS = 2048
"""As OpenAI allows in one request."""

_WORD = re.compile(r"\s*\S+\s*")


class DemoProvider:
    """A provider without an upstream: ``demo``, ``demo-slow``, ``demo-failing``, and ``demo-embedding`` for vectors.

    What it says depends on the messages alone (``demo_replies``). ``demo-slow`` spreads its answer over
    ``slow_seconds``, to watch streaming and waiting; ``demo-failing`` always fails, to watch retries and fallbacks.
    """

    def __init__(self, config: ProviderConfig, *, slow_seconds: float = 5.0) -> None:
        self._name = config.name
        self._on_disconnect = config.on_disconnect
        self._slow_seconds = slow_seconds

    @property
    def name(self) -> str:
        return self._name

    @property
    def on_disconnect(self) -> Literal["cancel", "drain"]:
        return self._on_disconnect

    async def complete(self, request: ChatRequest) -> Completion:
        """Give the whole answer: at once, or after ``slow_seconds`` for ``demo-slow``."""
        self._check(request.model)
        if request.model == DEMO_SLOW:
            await asyncio.sleep(self._slow_seconds)
        text = reply(request.messages)
        usage = _usage(request, text)
        choice = {
            "index": 0,
            "message": {"role": "assistant", "content": text, "refusal": None},
            "logprobs": None,
            "finish_reason": "stop",
        }
        body = {**_envelope(request.model, "chat.completion"), "choices": [choice], "usage": _usage_body(usage)}
        return Completion(text, request.model, "stop", usage, body, text)

    async def stream(self, request: ChatRequest) -> AsyncGenerator[Sequence[Delta], None]:
        """Give the answer word by word, then the reason it ended and the usage, in OpenAI's chunks."""
        self._check(request.model)
        text = reply(request.messages)
        words = _WORD.findall(text)
        pause = self._slow_seconds / len(words) if request.model == DEMO_SLOW else 0
        envelope = _envelope(request.model, "chat.completion.chunk")
        yield [_delta(envelope, {"role": "assistant", "content": ""})]
        for word in words:
            await asyncio.sleep(pause)  # 0 still lets other tasks run between two words
            yield [_delta(envelope, {"content": word})]
        usage = _usage(request, text)
        last = {**envelope, "choices": [], "usage": _usage_body(usage)}
        yield [_delta(envelope, {}, finish_reason="stop"), Delta(orjson.dumps(last), last, usage=usage)]

    async def embed(self, request: EmbeddingRequest) -> Embeddings:
        """Give the vectors (``demo_embedding``), with OpenAI's ``dimensions`` and ``encoding_format``."""
        if request.model != DEMO_EMBEDDING:
            raise self._rejected(404, f"there is no demo model {request.model!r} for embeddings")
        dimensions = request.options.get("dimensions") or DIMENSIONS
        if type(dimensions) is not int or not 1 <= dimensions <= MOST_DIMENSIONS:
            raise self._rejected(400, f"dimensions must be a whole number from 1 to {MOST_DIMENSIONS}")
        as_text = request.options.get("encoding_format") == "base64"
        data = []
        for index, text in enumerate(self._texts(request.input)):
            vector = vector_of(text, dimensions)
            embedding = as_base64(vector) if as_text else vector
            data.append({"object": "embedding", "index": index, "embedding": embedding})
            await asyncio.sleep(0)  # lets other tasks run between two texts
        usage = Usage(estimate_input(request.input))
        counted = {"prompt_tokens": usage.prompt_tokens, "total_tokens": usage.prompt_tokens}
        return Embeddings({"object": "list", "data": data, "model": request.model, "usage": counted}, usage)

    async def aclose(self) -> None:
        """Nothing to let go."""

    def _check(self, model: str) -> None:
        if model == DEMO_FAILING:
            raise ProviderFailed(self._name, status=500, reason="demo-failing always fails")
        if model not in (DEMO, DEMO_SLOW):
            raise self._rejected(404, f"there is no demo model {model!r}")

    def _texts(self, given: object) -> list[str]:
        """Give what is to be embedded as texts; a list of tokens is read as one."""
        items = given if isinstance(given, list) and not _are_tokens(given) else [given]
        if not 0 < len(items) <= _MOST_TEXTS:
            raise self._rejected(400, f"input must hold from 1 to {_MOST_TEXTS} texts")
        texts = [" ".join(map(str, item)) if _are_tokens(item) else item for item in items]
        said = [text for text in texts if isinstance(text, str) and text]
        if len(said) < len(texts):
            raise self._rejected(400, "input must be a text that is not empty, a list of texts, or tokens")
        return said

    def _rejected(self, status: int, reason: str) -> ProviderRejectedRequest:
        return ProviderRejectedRequest(self._name, status=status, reason=reason)


def _are_tokens(given: object) -> TypeGuard[list[int]]:
    return isinstance(given, list) and bool(given) and all(type(item) is int for item in given)


def _envelope(model: str, kind: str) -> dict[str, Any]:
    return {"id": f"chatcmpl-{new_id().hex}", "object": kind, "created": int(time.time()), "model": model}


def _delta(envelope: Json, delta: Json, finish_reason: str | None = None) -> Delta:
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
    chunk = {**envelope, "choices": [choice], "usage": None}
    text = delta.get("content", "")
    return Delta(orjson.dumps(chunk), chunk, text, text, finish_reason)


def _usage(request: ChatRequest, text: str) -> Usage:
    """Count four bytes to a token: there is no other tokenizer whose count this could estimate."""
    return Usage(estimate_prompt(request.messages, request.options), estimate_tokens(text))


def _usage_body(usage: Usage) -> Json:
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.total_tokens,
    }
