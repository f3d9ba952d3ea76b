"""A fake OpenAI upstream on a real socket: strict about what it is asked, scriptable in how it misbehaves.

    async with FakeOpenAI() as upstream:
        upstream.script(refuse(500), answer("Hello"))     # one behaviour for each request, in order
        ...                                               # what comes after them gets ``upstream.default``
        assert upstream.requests[0].json["stream"] is True

A request that OpenAI would refuse is refused as OpenAI does it, and uses up no behaviour. A behaviour of one's own is
any ``async def odd(exchange: Exchange) -> None``; ``scripted_http`` has those that are not about OpenAI.
"""

import asyncio
import itertools
import json
import re
import ssl
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from tests.fakes.scripted_http import Behaviour, Ending, Exchange, Received, ScriptedServer, raw, reply, silence

__all__ = ["FakeOpenAI", "answer", "chunk", "embeddings", "event", "events", "raw", "refuse", "reply", "silence"]

Piece = Mapping[str, Any] | str | bytes | float | asyncio.Event
"""Of a scripted stream: an event's JSON, raw text or bytes, a pause in seconds, or something to wait for."""

EVENT_STREAM = "text/event-stream; charset=utf-8"
CREATED = 1_760_000_000

_ids = itertools.count(1)


class FakeOpenAI(ScriptedServer):
    """The server; ``base_url`` and ``api_key`` are what a provider is configured with."""

    def __init__(self, *, api_key: str = "sk-upstream-0123456789abcdef", tls: ssl.SSLContext | None = None) -> None:
        super().__init__(answer(), tls)
        self.api_key = api_key
        self.models: Sequence[str] = ("gpt-4", "gpt-3.5-turbo")
        """What ``GET /models`` lists; any model may be asked for all the same."""

    @property
    def base_url(self) -> str:
        return f"{self.address}/v1"

    def choose(self, request: Received) -> Behaviour:
        path = request.path.partition("?")[0]
        if self.api_key and request.headers.get("authorization") != f"Bearer {self.api_key}":
            given = request.headers.get("authorization", "none").removeprefix("Bearer ")
            return refuse(401, f"Incorrect API key provided: {given}.", code="invalid_api_key")
        if request.method == "GET" and path == "/v1/models":
            return reply(_dump({"object": "list", "data": [_model(name) for name in self.models]}))
        check = _CHECKS.get(path) if request.method == "POST" else None
        if check is None:
            return refuse(404, f"Invalid URL ({request.method} {path})")
        problem = check(request)
        return self.next_behaviour() if problem is None else refuse(400, problem)


def answer(
    text: str | None = "Hello from upstream.",
    *,
    tool_calls: Sequence[Mapping[str, Any]] = (),
    finish_reason: str | None = None,
    usage: Mapping[str, Any] | Literal["counted"] | None = "counted",
    pause: float = 0.0,
    headers: Mapping[str, str] | None = None,
    **fields: Any,
) -> Behaviour:
    """Answer as OpenAI does, plain or streamed as asked, ``n`` choices included.

    ``usage`` is counted by words unless given (None: never sent); ``pause`` seconds pass before each streamed word;
    ``fields`` go into every body.
    """
    reason = finish_reason or ("tool_calls" if tool_calls else "stop")

    async def behave(exchange: Exchange) -> None:
        asked = exchange.request.json
        count = asked.get("n") or 1
        counted = _counted(asked, text or "", count) if usage == "counted" else usage
        envelope = {"id": f"chatcmpl-{next(_ids)}", "created": CREATED, "model": asked["model"], **fields}
        if not asked.get("stream"):
            message: dict[str, Any] = {"role": "assistant", "content": text, "refusal": None}
            if tool_calls:
                message["tool_calls"] = list(tool_calls)
            choices = [
                {"index": index, "message": message, "logprobs": None, "finish_reason": reason}
                for index in range(count)
            ]
            body = {**envelope, "object": "chat.completion", "choices": choices}
            await exchange.reply(200, _dump(body if counted is None else {**body, "usage": counted}), headers=headers)
            return
        wants_usage = bool((asked.get("stream_options") or {}).get("include_usage"))
        envelope |= {"usage": None} if wants_usage else {}
        await exchange.head(200, EVENT_STREAM, headers)
        for delta in _deltas(text, tool_calls):
            if pause and delta.get("content"):
                await asyncio.sleep(pause)
            for index in range(count):
                await exchange.write(event(chunk(index=index, delta=delta, **envelope)))
        for index in range(count):
            await exchange.write(event(chunk(index=index, delta={}, finish_reason=reason, **envelope)))
        if wants_usage and counted is not None:
            await exchange.write(event({**chunk(**envelope), "choices": [], "usage": counted}))
        await exchange.write(b"data: [DONE]\n\n")
        await exchange.end()

    return behave


def embeddings(*, usage: Mapping[str, Any] | Literal["counted"] | None = "counted", **fields: Any) -> Behaviour:
    """Answer with a vector of four numbers for each text, in base64 where that is asked for."""

    async def behave(exchange: Exchange) -> None:
        asked = exchange.request.json
        given = asked["input"]
        items = given if isinstance(given, list) and not isinstance(given[0], int) else [given]
        packed = asked.get("encoding_format") == "base64"
        vector = "AACAPwAAAAAAAAAAAAAAAA==" if packed else [1.0, 0.0, 0.0, 0.0]
        data = [{"object": "embedding", "index": index, "embedding": vector} for index in range(len(items))]
        tokens = sum(len(item.split()) if isinstance(item, str) else len(item) for item in items)
        counted = {"prompt_tokens": tokens, "total_tokens": tokens} if usage == "counted" else usage
        body = {"object": "list", "data": data, "model": asked["model"], **fields}
        await exchange.reply(200, _dump(body if counted is None else {**body, "usage": counted}))

    return behave


def events(
    *pieces: Piece,
    ending: Ending = "end",
    content_type: str = EVENT_STREAM,
    headers: Mapping[str, str] | None = None,
) -> Behaviour:
    """Stream exactly these pieces; nothing is added, not even ``[DONE]``."""

    async def behave(exchange: Exchange) -> None:
        await exchange.head(200, content_type, headers)
        for piece in pieces:
            if isinstance(piece, asyncio.Event):
                await piece.wait()
            elif isinstance(piece, float):
                await asyncio.sleep(piece)
            elif isinstance(piece, (str, bytes)):
                await exchange.write(piece.encode() if isinstance(piece, str) else piece)
            else:
                await exchange.write(event(piece))
        await exchange.finish(ending)

    return behave


def refuse(
    status: int,
    message: str = "Something is wrong.",
    *,
    code: str | None = None,
    kind: str = "invalid_request_error",
    headers: Mapping[str, str] | None = None,
) -> Behaviour:
    """Refuse in OpenAI's error shape."""
    return reply(
        _dump({"error": {"message": message, "type": kind, "param": None, "code": code}}), status, headers=headers
    )


def event(data: Mapping[str, Any]) -> bytes:
    """Write one server-sent event."""
    return b"data: %b\n\n" % _dump(data)


def chunk(
    text: str | None = None,
    *,
    index: int = 0,
    delta: Mapping[str, Any] | None = None,
    finish_reason: str | None = None,
    **fields: Any,
) -> dict[str, Any]:
    """Make one ``chat.completion.chunk`` with one choice."""
    written = delta if delta is not None else ({} if text is None else {"content": text})
    choice = {"index": index, "delta": written, "logprobs": None, "finish_reason": finish_reason}
    envelope = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": CREATED, "model": "gpt-4"}
    return {**envelope, "choices": [choice], **fields}


def _deltas(text: str | None, tool_calls: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    deltas: list[dict[str, Any]] = [{"role": "assistant", "content": None if text is None else ""}]
    deltas.extend({"content": word} for word in re.findall(r"\S+\s*", text or ""))
    for index, call in enumerate(tool_calls):
        arguments = call["function"]["arguments"]
        half = len(arguments) // 2
        start = {**call, "index": index, "function": {**call["function"], "arguments": ""}}
        deltas.append({"tool_calls": [start]})
        deltas.extend(
            {"tool_calls": [{"index": index, "function": {"arguments": part}}]}
            for part in (arguments[:half], arguments[half:])
        )
    return deltas


def _counted(asked: Mapping[str, Any], text: str, count: int) -> dict[str, Any]:
    prompt = sum(len(str(message.get("content")).split()) for message in asked["messages"])
    completion = len(text.split()) * count
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "prompt_tokens_details": {"cached_tokens": 0},
    }


def _problem(request: Received) -> str | None:
    """Say what OpenAI would refuse about any request; None where it would not."""
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        return "the content type must be application/json"
    body = request.json
    if not isinstance(body, dict):
        return "the body must be a JSON object"
    if not isinstance(body.get("model"), str) or not body["model"]:
        return "you must provide a model parameter"
    return None


def _embedding_problem(request: Received) -> str | None:
    if problem := _problem(request):
        return problem
    given = request.json.get("input")
    if isinstance(given, str):
        return None if given else "'input' cannot be an empty string"
    if not isinstance(given, list) or not 0 < len(given) <= 2048:
        return "'input' must be a string or an array of 1 to 2048"
    kinds = {type(item) for item in given}
    return None if len(kinds) == 1 and kinds <= {str, int, list} else "'input' mixes kinds"


def _chat_problem(request: Received) -> str | None:
    if problem := _problem(request):
        return problem
    body = request.json
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages:
        return "'messages' must be a non-empty array"
    for position, message in enumerate(messages):
        if problem := _message_problem(message):
            return f"messages[{position}]: {problem}"
    if "stream" in body and not isinstance(body["stream"], bool):
        return "'stream' must be a boolean"
    if body.get("stream_options") is not None and not body.get("stream"):
        return "'stream_options' is only allowed when 'stream' is enabled"
    if "n" in body and (type(body["n"]) is not int or body["n"] < 1):
        return "'n' must be a positive integer"
    temperature = body.get("temperature")
    if temperature is not None and not 0 <= temperature <= 2:
        return "'temperature' must be between 0 and 2"
    return None


_CHECKS: Mapping[str, Callable[[Received], str | None]] = {
    "/v1/chat/completions": _chat_problem,
    "/v1/embeddings": _embedding_problem,
}


def _message_problem(message: object) -> str | None:
    if not isinstance(message, dict):
        return "must be an object"
    role, content = message.get("role"), message.get("content")
    if role not in ("system", "developer", "user", "assistant", "tool"):
        return f"invalid role {role!r}"
    if role == "tool" and not isinstance(message.get("tool_call_id"), str):
        return "'tool_call_id' is missing"
    if content is None and role == "assistant" and message.get("tool_calls"):
        return None
    if isinstance(content, list) and content:
        return None if all(isinstance(part, dict) and "type" in part for part in content) else "a part without a type"
    return None if isinstance(content, str) else "'content' must be a string or a non-empty array of parts"


def _model(name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": CREATED, "owned_by": "upstream"}


def _dump(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
