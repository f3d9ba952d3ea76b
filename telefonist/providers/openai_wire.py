"""What OpenAI's chat-completions bodies say, in the house's types; pure functions, no I/O.

Source: OpenAI API reference, "Chat completions" and "Chat completion chunk". Upstreams that call themselves compatible
differ in what they leave out or set to null, so everything but the outline is read leniently.
"""

from collections.abc import Iterable, Mapping
from typing import Any, TypeGuard

import orjson

from telefonist.errors import ProviderFailed, ProviderProtocolError
from telefonist.types import ChatRequest, Completion, Delta, Json, Usage, estimate_tokens

_MOST_TOKENS = 1_000_000_000
"""A count past this is a mistake of the upstream, and would not fit where counts are stored."""


def request_body(request: ChatRequest, *, stream: bool) -> bytes:
    """Write the request for the upstream; every option the client sent goes along untouched.

    Usage is always asked for when streaming: whether the client sees that chunk is the door's to decide.
    Raises TypeError for what JSON cannot hold (such as half of a surrogate pair in a text).
    """
    body: dict[str, Any] = {**request.options, "model": request.model, "messages": list(request.messages)}
    if stream:
        asked = body.get("stream_options")
        body["stream"] = True
        body["stream_options"] = {**(asked if isinstance(asked, Mapping) else {}), "include_usage": True}
    else:
        body.pop("stream", None)
        body.pop("stream_options", None)  # OpenAI refuses it on a plain request
    return orjson.dumps(body, default=dict)


def read_completion(provider: str, request: ChatRequest, body: dict[str, Any]) -> Completion:
    """Read a whole answer; with ``n`` > 1 its text is the first choice's.

    Where the upstream sent no usage, it is estimated from the bytes of the texts and marked so.
    Raises ProviderProtocolError without a choice that has a message.
    """
    choices = body.get("choices")
    if not isinstance(choices, list) or not choices:
        raise ProviderProtocolError(provider, reason="an answer without choices")
    if not all(isinstance(choice, dict) and isinstance(choice.get("message"), dict) for choice in choices):
        raise ProviderProtocolError(provider, reason="a choice without a message")
    first = choices[0]
    reason = first.get("finish_reason")
    _refuse_error_finish(provider, reason)
    model = body.get("model")
    return Completion(
        text=plain_text(first["message"].get("content")),
        model=model if isinstance(model, str) and model else request.model,
        finish_reason=reason if isinstance(reason, str) and reason else "stop",
        usage=read_usage(body.get("usage")) or _estimated_usage(request, choices),
        body=body,
    )


class ChunkReader:
    """Reads the chunks of one streamed answer, and tells an answer that came to its end from one that was cut."""

    def __init__(self, provider: str) -> None:
        self._provider = provider
        self._begun: set[int] = set()
        self._finished: set[int] = set()

    def read(self, chunk: dict[str, Any]) -> Delta:
        """Give one chunk as a delta; with ``n`` > 1 its text is what choice 0 gains by it.

        Raises ProviderProtocolError for a chunk that has neither choices nor usage.
        """
        choices = chunk.get("choices")
        usage = read_usage(chunk.get("usage"))
        if not isinstance(choices, list):
            if usage is None:
                raise ProviderProtocolError(self._provider, reason="a chunk without choices")
            chunk["choices"] = choices = []  # clients index it without looking
        text = ""
        finish_reason: str | None = None
        for choice in choices:
            if not isinstance(choice, dict):
                raise ProviderProtocolError(self._provider, reason="a choice that is not an object")
            index = choice.get("index")
            if type(index) is not int:
                index = 0
            self._begun.add(index)
            reason = choice.get("finish_reason")
            if reason:
                _refuse_error_finish(self._provider, reason)
                self._finished.add(index)
                finish_reason = finish_reason or str(reason)
            delta = choice.get("delta")
            if index == 0 and isinstance(delta, dict):
                text += plain_text(delta.get("content"))
        return Delta(text, chunk, finish_reason, usage)

    @property
    def finished(self) -> bool:
        """Whether every choice that began has given its ``finish_reason``."""
        return bool(self._begun) and self._begun == self._finished


def delta_of(completion: Completion) -> Delta:
    """Give a whole answer as the one chunk of a stream, for an upstream that ignores ``stream``."""
    body = completion.body
    choices = []
    for position, choice in enumerate(body["choices"]):
        delta = dict(choice["message"])
        calls = delta.get("tool_calls")
        if isinstance(calls, list):
            delta["tool_calls"] = [
                {"index": index, **call} if isinstance(call, dict) else call for index, call in enumerate(calls)
            ]
        rest = {key: value for key, value in choice.items() if key != "message"}
        reason = choice.get("finish_reason") or "stop"
        choices.append({"index": position, **rest, "delta": delta, "finish_reason": reason})
    chunk = {**body, "object": "chat.completion.chunk", "choices": choices}
    usage = None if completion.usage.estimated else completion.usage
    return Delta(completion.text, chunk, completion.finish_reason, usage)


def read_usage(usage: object) -> Usage | None:
    """Read the provider's token counts; None where it gave none that make sense."""
    if not isinstance(usage, dict):
        return None
    prompt, completion = usage.get("prompt_tokens"), usage.get("completion_tokens")
    if not _is_count(prompt) or not (completion is None or _is_count(completion)):
        return None
    details = usage.get("prompt_tokens_details")
    cached = details.get("cached_tokens") if isinstance(details, dict) else None
    return Usage(prompt, completion or 0, min(cached, prompt) if _is_count(cached) else 0)


def plain_text(content: object) -> str:
    """Flatten a message's content, which is a string, null or a list of parts, to its text."""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return ""
    return "".join(part["text"] for part in content if isinstance(part, Mapping) and isinstance(part.get("text"), str))


def _is_count(value: object) -> TypeGuard[int]:
    return type(value) is int and 0 <= value <= _MOST_TOKENS


def _refuse_error_finish(provider: str, reason: object) -> None:
    """OpenRouter marks a generation that failed half-way with this reason."""
    if reason == "error":
        raise ProviderFailed(provider, status=200, reason='the generation ended with finish_reason "error"')


def _estimated_usage(request: ChatRequest, choices: Iterable[Json]) -> Usage:
    return Usage(
        prompt_tokens=estimate_prompt(request),
        completion_tokens=estimate_tokens("".join(_written(choice.get("message")) for choice in choices)),
        estimated=True,
    )


def estimate_prompt(request: ChatRequest) -> int:
    """Estimate the prompt's tokens from its texts, calls and tool definitions; images and sounds are not counted."""
    texts = [_written(message) for message in request.messages]
    tools = request.options.get("tools")
    if tools:
        texts.append(orjson.dumps(tools, default=dict).decode())
    return estimate_tokens("".join(texts))


def _written(message: object) -> str:
    """Give everything in a message that a model reads or writes as text."""
    if not isinstance(message, Mapping):
        return ""
    pieces = [plain_text(message.get("content"))]
    pieces.extend(str(message[key]) for key in ("reasoning", "reasoning_content", "refusal") if message.get(key))
    if message.get("tool_calls"):
        pieces.append(orjson.dumps(message["tool_calls"], default=dict).decode())
    return "".join(pieces)
