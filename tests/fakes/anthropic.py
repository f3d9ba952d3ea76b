"""A fake of Anthropic's Messages API on a real socket, strict about what it is asked.

    async with FakeAnthropic() as anthropic:
        anthropic.script(refuse(529, "overloaded_error"), answer("Hello"))    # one for each request, in order

A request that the real one would refuse is refused as it does that, and uses up no behaviour. ``scripted_http`` has
the behaviours that are about no service.
"""

import asyncio
import itertools
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from telefonist.types import ProviderConfig
from tests.fakes import openai_upstream
from tests.fakes.openai_upstream import EVENT_STREAM, Piece
from tests.fakes.scripted_http import Behaviour, Ending, Exchange, Received, ScriptedServer, reply

MODEL = "claude-sonnet-5-5"
FIELDS = frozenset(
    {
        "max_tokens",
        "messages",
        "metadata",
        "model",
        "output_config",
        "service_tier",
        "stop_sequences",
        "stream",
        "system",
        "temperature",
        "thinking",
        "tool_choice",
        "tools",
        "top_k",
        "top_p",
    }
)
BLOCKS: Mapping[str, frozenset[str]] = {
    "text": frozenset({"text", "cache_control", "citations"}),
    "image": frozenset({"source", "cache_control"}),
    "document": frozenset({"source", "title", "context", "cache_control", "citations"}),
    "tool_use": frozenset({"id", "name", "input", "cache_control"}),
    "tool_result": frozenset({"tool_use_id", "content", "is_error", "cache_control"}),
    "thinking": frozenset({"thinking", "signature"}),
    "redacted_thinking": frozenset({"data"}),
}
"""The fields of each kind of block beside its type."""

_ids = itertools.count(1)


class FakeAnthropic(ScriptedServer):
    """The server; ``config`` is a row for it."""

    def __init__(self, api_key: str = "sk-ant-api03-0123456789abcdef") -> None:
        super().__init__(answer())
        self.api_key = api_key

    @property
    def config(self) -> ProviderConfig:
        return ProviderConfig("fake", "anthropic", base_url=self.address, api_key=self.api_key)

    def choose(self, request: Received) -> Behaviour:
        if request.headers.get("x-api-key") != self.api_key:
            return refuse(401, "authentication_error", "invalid x-api-key")
        if (request.method, request.path) != ("POST", "/v1/messages"):
            return refuse(404, "not_found_error", f"Not found: {request.path}")
        if request.headers.get("anthropic-version") != "2023-06-01":
            return refuse(400, "invalid_request_error", "anthropic-version: header is required")
        if request.headers.get("content-type") != "application/json" or not isinstance(request.json, dict):
            return refuse(400, "invalid_request_error", "The request body is not valid JSON")
        problem = _problem(request.json)
        return refuse(400, "invalid_request_error", problem) if problem else self.next_behaviour()


def answer(
    text: str = "Hello from Claude.",
    *,
    calls: Sequence[Mapping[str, Any]] = (),
    thinking: str = "",
    stop_reason: str | None = None,
    usage: Mapping[str, int] | None = None,
    pause: float = 0.0,
) -> Behaviour:
    """Answer as Claude does, plain or streamed as asked.

    ``calls`` have ``id``, ``name`` and ``input``; tokens are counted by words unless ``usage`` says otherwise, and
    ``pause`` seconds pass before each streamed word.
    """
    reason = stop_reason or ("tool_use" if calls else "end_turn")
    blocks: list[dict[str, Any]] = []
    if thinking:
        blocks.append({"type": "thinking", "thinking": thinking, "signature": "c2lnbmVk"})
    if text:
        blocks.append({"type": "text", "text": text})
    blocks.extend({"type": "tool_use", **call} for call in calls)

    async def behave(exchange: Exchange) -> None:
        asked = exchange.request.json
        counted = {"input_tokens": _words(asked), "output_tokens": len(text.split()), **(usage or {})}
        message = {
            "id": f"msg_{next(_ids):04}",
            "type": "message",
            "role": "assistant",
            "model": asked["model"],
            "content": blocks,
            "stop_reason": reason,
            "stop_sequence": None,
            "usage": counted,
        }
        if not asked.get("stream"):
            await exchange.reply(200, _dump(message))
            return
        await exchange.head(200, EVENT_STREAM)
        begun = {**message, "content": [], "stop_reason": None, "usage": {**counted, "output_tokens": 1}}
        await exchange.write(event({"type": "message_start", "message": begun}))
        await exchange.write(event({"type": "ping"}))
        for index, block in enumerate(blocks):
            for piece in _block_events(index, block):
                if pause and piece["type"] == "content_block_delta":
                    await asyncio.sleep(pause)
                await exchange.write(event(piece))
        ended = {"stop_reason": reason, "stop_sequence": None}
        written = {"output_tokens": counted["output_tokens"]}
        await exchange.write(event({"type": "message_delta", "delta": ended, "usage": written}))
        await exchange.write(event({"type": "message_stop"}))
        await exchange.end()

    return behave


def events(*pieces: Piece, ending: Ending = "end") -> Behaviour:
    """Stream exactly these pieces; nothing is added."""
    return openai_upstream.events(
        *(event(piece) if isinstance(piece, Mapping) else piece for piece in pieces), ending=ending
    )


def refuse(
    status: int, kind: str, message: str = "Something is wrong.", *, headers: Mapping[str, str] | None = None
) -> Behaviour:
    """Refuse in Anthropic's error shape."""
    error = {"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_011CSHoEeqs5C35K2UUqR7Fy"}
    return reply(_dump(error), status, headers=headers)


def event(data: Mapping[str, Any]) -> bytes:
    """Write one server-sent event, which names its type twice."""
    return b"event: %b\ndata: %b\n\n" % (data["type"].encode(), _dump(data))


def started(**usage: int) -> dict[str, Any]:
    """Make the first event of a stream."""
    counted = {"input_tokens": 5, "output_tokens": 1, **usage}
    message = {"id": "msg_1", "type": "message", "role": "assistant", "model": MODEL, "content": [], "usage": counted}
    return {"type": "message_start", "message": {**message, "stop_reason": None, "stop_sequence": None}}


def words(text: str, index: int = 0) -> dict[str, Any]:
    """Make an event that adds to a text."""
    return {"type": "content_block_delta", "index": index, "delta": {"type": "text_delta", "text": text}}


def ended(reason: str = "end_turn", **usage: int) -> dict[str, Any]:
    """Make the event that says why an answer ends."""
    delta = {"stop_reason": reason, "stop_sequence": None}
    return {"type": "message_delta", "delta": delta, "usage": {"output_tokens": 3, **usage}}


def _block_events(index: int, block: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    match block["type"]:
        case "text":
            start: dict[str, Any] = {"type": "text", "text": ""}
            deltas = [{"type": "text_delta", "text": word} for word in re.findall(r"\S+\s*", block["text"])]
        case "thinking":
            start = {"type": "thinking", "thinking": "", "signature": ""}
            deltas = [{"type": "thinking_delta", "thinking": word} for word in re.findall(r"\S+\s*", block["thinking"])]
            deltas.append({"type": "signature_delta", "signature": block["signature"]})
        case _:
            start = {**block, "input": {}}
            written = json.dumps(block["input"]) if block["input"] else ""
            half = len(written) // 2
            parts = ("", written[:half], written[half:])
            deltas = [{"type": "input_json_delta", "partial_json": part} for part in parts]
    yield {"type": "content_block_start", "index": index, "content_block": start}
    for delta in deltas:
        yield {"type": "content_block_delta", "index": index, "delta": delta}
    yield {"type": "content_block_stop", "index": index}


def _problem(body: Mapping[str, Any]) -> str | None:
    if unknown := body.keys() - FIELDS:
        return f"{min(unknown)}: Extra inputs are not permitted"
    if not isinstance(body.get("model"), str) or not body["model"]:
        return "model: Field required"
    if type(body.get("max_tokens")) is not int or body["max_tokens"] < 1:
        return "max_tokens: Field required"
    temperature = body.get("temperature")
    if temperature is not None and not 0 <= temperature <= 1:
        return "temperature: range: 0..1"
    for block in body.get("system") or ():
        if block.get("type") != "text" or (problem := _block_problem(block)):
            return f"system: {problem or 'must be text'}"
    for tool in body.get("tools") or ():
        if "type" not in tool and (not tool.get("name") or tool.get("input_schema", {}).get("type") != "object"):
            return "tools.0.input_schema: Field required"
    if "tool_choice" in body and not body.get("tools"):
        return "tool_choice: may only be specified while providing tools"
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages:
        return "messages: at least one message is required"
    return _order_problem(messages)


def _order_problem(messages: Sequence[Mapping[str, Any]]) -> str | None:
    if messages[0].get("role") != "user":
        return "messages: first message must use the user role"
    waiting: list[str] = []
    for position, message in enumerate(messages):
        role, content = message.get("role"), message.get("content")
        if message.keys() != {"role", "content"} or role not in ("user", "assistant"):
            return f"messages.{position}.role: unexpected role or fields"
        if not isinstance(content, list) or not content:
            return f"messages.{position}: all messages must have non-empty content"
        for block in content:
            if problem := _block_problem(block):
                return f"messages.{position}: {problem}"
        results = [block["tool_use_id"] for block in content if block["type"] == "tool_result"]
        if sorted(results) != sorted(waiting):
            return f"messages.{position}: tool_use ids were found without tool_result blocks immediately after"
        if any(block["type"] != "tool_result" for block in content[: len(results)]):
            return f"messages.{position}: tool_result blocks must come first"
        if role == "user" and any(block["type"] in ("tool_use", "thinking") for block in content):
            return f"messages.{position}: tool_use and thinking are the assistant's"
        waiting = [block["id"] for block in content if block["type"] == "tool_use"]
    return "tool_use without tool_result" if waiting else None


def _block_problem(block: Mapping[str, Any]) -> str | None:
    kind = str(block.get("type"))
    if kind not in BLOCKS:
        return f"unknown block {kind}"
    if unknown := block.keys() - BLOCKS[kind] - {"type"}:
        return f"{kind}: {sorted(unknown)}: Extra inputs are not permitted"
    if kind == "text" and not block.get("text"):
        return "text content blocks must be non-empty"
    if kind == "tool_use" and not isinstance(block.get("input"), dict):
        return "tool_use.input: should be an object"
    called = block.get("id", block.get("tool_use_id", "x"))
    if not re.fullmatch(r"[A-Za-z0-9_-]+", called):
        return f"{kind}.id: String should match pattern"
    if kind in ("image", "document"):
        source = block.get("source", {})
        known = {"base64": {"type", "media_type", "data"}, "url": {"type", "url"}}
        return None if known.get(source.get("type")) == source.keys() else f"{kind}.source: wrong fields"
    return None


def _words(asked: Mapping[str, Any]) -> int:
    blocks = [*(asked.get("system") or ()), *(block for message in asked["messages"] for block in message["content"])]
    return sum(len(str(block.get("text", "")).split()) for block in blocks)


def _dump(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
