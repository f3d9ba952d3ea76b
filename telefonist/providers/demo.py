"""The built-in model: answers offline, at no price, so that everything can be tried before there is a key."""

import asyncio
import re
import time
from collections.abc import AsyncGenerator, Sequence
from typing import Any, Literal

import orjson

from telefonist.errors import ProviderFailed, ProviderRejectedRequest
from telefonist.providers.demo_replies import reply
from telefonist.providers.openai_wire import estimate_prompt
from telefonist.types import ChatRequest, Completion, Delta, Json, ProviderConfig, Usage, estimate_tokens, new_id

DEMO = "demo"
DEMO_SLOW = "demo-slow"
DEMO_FAILING = "demo-failing"

_WORD = re.compile(r"\s*\S+\s*")


class DemoProvider:
    """A provider without an upstream, by the model asked for: ``demo``, ``demo-slow`` and ``demo-failing``.

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

    async def aclose(self) -> None:
        """Nothing to let go."""

    def _check(self, model: str) -> None:
        if model == DEMO_FAILING:
            raise ProviderFailed(self._name, status=500, reason="demo-failing always fails")
        if model not in (DEMO, DEMO_SLOW):
            raise ProviderRejectedRequest(self._name, status=404, reason=f"there is no demo model {model!r}")


def _envelope(model: str, kind: str) -> dict[str, Any]:
    return {"id": f"chatcmpl-{new_id().hex}", "object": kind, "created": int(time.time()), "model": model}


def _delta(envelope: Json, delta: Json, finish_reason: str | None = None) -> Delta:
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
    chunk = {**envelope, "choices": [choice], "usage": None}
    text = delta.get("content", "")
    return Delta(orjson.dumps(chunk), chunk, text, text, finish_reason)


def _usage(request: ChatRequest, text: str) -> Usage:
    return Usage(estimate_prompt(request), estimate_tokens(text), estimated=True)


def _usage_body(usage: Usage) -> Json:
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.total_tokens,
    }
