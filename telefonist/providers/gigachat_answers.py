"""What GigaChat answers, in OpenAI's terms; no I/O.

Source: GigaChat API reference, "POST /chat/completions" and "POST /embeddings".
"""

import array
import base64
from typing import Any

import orjson

from telefonist.providers.gigachat_calls import make_id
from telefonist.types import ChatRequest, EmbeddingRequest, new_id

IN_PROGRESS = "function_in_progress"
"""The role of a chunk that tells how far a function of GigaChat's own has come, in a text that is no answer."""


class GigaChatDialect:
    """Turns one answer, whole or chunk by chunk, into OpenAI's shape; what it does not know stays as it is.

    Whoever offered ``tools`` gets ``tool_calls``; whoever offered ``functions``, as older clients do, a
    ``function_call``. Arguments become the JSON text that OpenAI writes.
    """

    def __init__(self, request: ChatRequest) -> None:
        self._speaks_tools = bool(request.options.get("tools"))
        self._id = f"chatcmpl-{new_id().hex}"
        self._state: object = None
        self._calls = 0

    def whole(self, body: dict[str, Any]) -> dict[str, Any]:
        return self._turn(body, "message", "chat.completion")

    def chunk(self, chunk: dict[str, Any]) -> dict[str, Any] | None:
        choices = chunk.get("choices")
        if isinstance(choices, list) and choices and all(_role(choice) == IN_PROGRESS for choice in choices):
            return None
        return self._turn(chunk, "delta", "chat.completion.chunk")

    def _turn(self, body: dict[str, Any], part: str, kind: str) -> dict[str, Any]:
        turned = {"id": self._id, **body, "object": kind}
        choices = body.get("choices")
        if isinstance(choices, list):
            turned["choices"] = [
                self._choice(choice, part) if isinstance(choice, dict) else choice for choice in choices
            ]
        if isinstance(body.get("usage"), dict):
            turned["usage"] = _usage(body["usage"])
        return turned

    def _choice(self, choice: dict[str, Any], part: str) -> dict[str, Any]:
        said = choice.get(part)
        turned = {"index": 0, **choice}
        if isinstance(said, dict):
            turned[part] = self._message(said, part)
        turned["finish_reason"] = self._finish_reason(choice.get("finish_reason"))
        return turned

    def _message(self, said: dict[str, Any], part: str) -> dict[str, Any]:
        self._state = said.get("functions_state_id") or self._state
        call = said.get("function_call")
        if not isinstance(call, dict):
            return said
        message = {name: value for name, value in said.items() if name != "function_call"}
        message["content"] = said.get("content") or None
        arguments = call.get("arguments")
        written = arguments if isinstance(arguments, str) else orjson.dumps(arguments or {}).decode()
        function = {"name": call.get("name"), "arguments": written}
        if self._speaks_tools:
            made = {"id": make_id(self._state), "type": "function", "function": function}
            message["tool_calls"] = [{"index": self._calls, **made} if part == "delta" else made]
        else:
            message["function_call"] = function
        self._calls += 1
        return message

    def _finish_reason(self, reason: object) -> object:
        if reason == "blacklist":
            return "content_filter"
        if reason == "function_call" and not self._calls:
            return "stop"  # it was a function of GigaChat's own, whose result is already in the answer
        if reason == "function_call" and self._speaks_tools:
            return "tool_calls"
        return reason


def embeddings(request: EmbeddingRequest, body: dict[str, Any]) -> dict[str, Any]:
    """Turn vectors into OpenAI's shape, where usage stands once for all of them and base64 can be asked for."""
    data = body.get("data")
    if not isinstance(data, list) or not all(isinstance(item, dict) for item in data):
        return body
    packed = request.options.get("encoding_format") == "base64"
    counts = [item["usage"].get("prompt_tokens") for item in data if isinstance(item.get("usage"), dict)]
    turned = {
        "object": "list",
        "data": [
            {"object": "embedding", "index": item.get("index", position), "embedding": _vector(item, packed=packed)}
            for position, item in enumerate(data)
        ],
        "model": body.get("model") or request.model,
    }
    if len(counts) == len(data) and all(type(count) is int for count in counts):
        turned["usage"] = {"prompt_tokens": sum(counts), "total_tokens": sum(counts)}
    return turned


def _vector(item: dict[str, Any], *, packed: bool) -> object:
    """Give a vector in the form that is wanted; None for what is none, as whoever reads the answer will say."""
    vector = item.get("embedding")
    if not packed or not isinstance(vector, list):
        return vector
    try:
        return base64.b64encode(array.array("f", vector).tobytes()).decode()
    except (TypeError, OverflowError):
        return None


def _usage(usage: dict[str, Any]) -> dict[str, Any]:
    """Count as OpenAI does, where the prompt includes what was cached; here it is what remains after that."""
    prompt, cached, written = (
        usage.get(name, 0) for name in ("prompt_tokens", "precached_prompt_tokens", "completion_tokens")
    )
    if not all(type(count) is int for count in (prompt, cached, written)):
        return usage
    return {
        **usage,
        "prompt_tokens": prompt + cached,
        "total_tokens": prompt + cached + written,
        "prompt_tokens_details": {"cached_tokens": cached},
    }


def _role(choice: object) -> object:
    delta = choice.get("delta") if isinstance(choice, dict) else None
    return delta.get("role") if isinstance(delta, dict) else None
