"""What Anthropic's Messages API answers, in OpenAI's terms; no I/O.

Source: Claude API reference, "Create a Message" and "Streaming messages".
"""

from collections.abc import Mapping
from typing import Any

import orjson

from telefonist.types import new_id, utc_now

LAST_EVENT = "message_stop"
"""What the stream of an answer ends with."""

_FINISH_REASONS: Mapping[str, str] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "pause_turn": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}

_THOUGHTS = ("thinking", "redacted_thinking")


class AnthropicDialect:
    """Turns one answer, whole or event by event, into OpenAI's shape.

    Thoughts become ``reasoning_content``; as the model wants them back with the results of its calls, they also come
    as ``thinking_blocks`` with their signatures, which clients may send back as they are.
    """

    def __init__(self) -> None:
        self._envelope: dict[str, Any] = {
            "id": f"chatcmpl-{new_id().hex}",
            "object": "chat.completion.chunk",
            "created": int(utc_now().timestamp()),
        }
        self._usage: dict[str, Any] = {}
        self._blocks: dict[str, dict[str, Any]] = {}
        """The blocks that have begun, by their index, as far as they are there."""
        self._calls: dict[str, int] = {}
        """Which of the calls a block is."""

    def whole(self, body: dict[str, Any]) -> dict[str, Any]:
        blocks = body.get("content")
        if not isinstance(blocks, list):
            return body
        blocks = [block for block in blocks if isinstance(block, dict)]
        said = "".join(str(block.get("text") or "") for block in blocks if block.get("type") == "text")
        thought = "".join(str(block.get("thinking") or "") for block in blocks if block.get("type") == "thinking")
        thoughts = [block for block in blocks if block.get("type") in _THOUGHTS]
        calls = [
            _call(block, orjson.dumps(block.get("input") or {}).decode())
            for block in blocks
            if block.get("type") == "tool_use"
        ]
        message: dict[str, Any] = {"role": "assistant", "content": said if said or not calls else None}
        message |= {"reasoning_content": thought} if thought else {}
        message |= {"thinking_blocks": thoughts} if thoughts else {}
        message |= {"tool_calls": calls} if calls else {}
        choice = {"index": 0, "message": message, "finish_reason": _finish_reason(body.get("stop_reason"))}
        turned = {**self._envelope, **_named(body), "object": "chat.completion", "choices": [choice]}
        usage = _usage(body.get("usage"))
        return turned if usage is None else {**turned, "usage": usage}

    def chunk(self, event: dict[str, Any]) -> dict[str, Any] | None:
        index = str(event.get("index"))
        match event.get("type"):
            case "message_start":
                return self._begin(event.get("message"))
            case "content_block_start":
                return self._begin_block(index, event.get("content_block"))
            case "content_block_delta":
                return self._add(index, event.get("delta"))
            case "content_block_stop":
                return self._end_block(index, self._blocks.pop(index, {}))
            case "message_delta":
                return self._end(event)
            case None:
                return event  # which is no event at all, as whoever reads it will say
            case _:
                return None  # ping, message_stop, and what may yet be invented: clients are to pass over it

    def _begin(self, message: object) -> dict[str, Any]:
        if isinstance(message, dict):
            self._envelope |= _named(message)
            self._count(message.get("usage"))
        return self._says({"role": "assistant", "content": ""})

    def _begin_block(self, index: str, block: object) -> dict[str, Any] | None:
        if not isinstance(block, dict):
            return None
        self._blocks[index] = dict(block)
        if block.get("type") == "tool_use":
            self._calls[index] = len(self._calls)
            self._blocks[index]["written"] = False
            return self._says({"tool_calls": [{"index": self._calls[index], **_call(block, "")}]})
        return self._says({"content": block["text"]}) if block.get("text") else None

    def _add(self, index: str, delta: object) -> dict[str, Any] | None:
        if not isinstance(delta, dict):
            return None
        block = self._blocks.setdefault(index, {})
        match delta.get("type"):
            case "text_delta":
                return self._says({"content": delta.get("text")})
            case "input_json_delta" if index in self._calls and delta.get("partial_json"):
                block["written"] = True
                return self._arguments(index, delta["partial_json"])
            case "thinking_delta":
                block["thinking"] = str(block.get("thinking") or "") + str(delta.get("thinking") or "")
                return self._says({"reasoning_content": delta.get("thinking")})
            case "signature_delta":
                block["signature"] = delta.get("signature")
        return None

    def _end_block(self, index: str, block: dict[str, Any]) -> dict[str, Any] | None:
        if block.get("type") in _THOUGHTS:
            return self._says({"thinking_blocks": [block]})
        if block.get("type") == "tool_use" and not block["written"]:
            return self._arguments(index, orjson.dumps(block.get("input") or {}).decode())
        return None

    def _end(self, event: dict[str, Any]) -> dict[str, Any]:
        self._count(event.get("usage"))
        delta = event.get("delta")
        reason = delta.get("stop_reason") if isinstance(delta, dict) else None
        chunk = self._says({}, _finish_reason(reason))
        usage = _usage(self._usage)
        return chunk if usage is None else {**chunk, "usage": usage}

    def _arguments(self, index: str, part: str) -> dict[str, Any]:
        return self._says({"tool_calls": [{"index": self._calls[index], "function": {"arguments": part}}]})

    def _says(self, delta: dict[str, Any], finish_reason: str | None = None) -> dict[str, Any]:
        return {**self._envelope, "choices": [{"index": 0, "delta": delta, "finish_reason": finish_reason}]}

    def _count(self, usage: object) -> None:
        """Take counts over, which come in two events and are of the whole answer each time."""
        if isinstance(usage, dict):
            self._usage |= {name: count for name, count in usage.items() if count is not None}


def _named(body: dict[str, Any]) -> dict[str, Any]:
    return {name: body[name] for name in ("id", "model") if isinstance(body.get(name), str)}


def _call(block: dict[str, Any], arguments: str) -> dict[str, Any]:
    return {
        "id": block.get("id"),
        "type": "function",
        "function": {"name": block.get("name"), "arguments": arguments},
    }


def _finish_reason(reason: object) -> str | None:
    """Give OpenAI's word; what is not known yet is an end all the same."""
    return _FINISH_REASONS.get(str(reason), "stop") if reason else None


def _usage(usage: object) -> dict[str, Any] | None:
    """Count as OpenAI does: the prompt is all that was read, be it from the cache, into it, or past it."""
    if not isinstance(usage, dict):
        return None
    names = ("input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens", "output_tokens")
    fresh, read, made, written = counts = [usage.get(name) or 0 for name in names]
    if "input_tokens" not in usage or not all(type(count) is int for count in counts):
        return None
    prompt = fresh + read + made
    return {
        "prompt_tokens": prompt,
        "completion_tokens": written,
        "total_tokens": prompt + written,
        "prompt_tokens_details": {"cached_tokens": read, "cache_creation_tokens": made},
    }
