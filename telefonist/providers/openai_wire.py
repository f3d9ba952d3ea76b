"""What OpenAI's chat-completions bodies say, in the house's types; pure functions, no I/O.

Source: OpenAI API reference, "Chat completions" and "Chat completion chunk". Upstreams that call themselves compatible
differ in what they leave out or set to null, so everything but the outline is read leniently.
"""

from collections.abc import Mapping
from typing import Any, TypeGuard

import orjson

from telefonist.errors import ProviderFailed, ProviderProtocolError, ProviderRejectedRequest
from telefonist.providers.openai_text import estimate_input, estimate_prompt, plain_text, written
from telefonist.types import ChatRequest, Completion, Delta, EmbeddingRequest, Embeddings, Json, Usage, estimate_tokens

_MOST_TOKENS = 20_000_000
"""A count past this, twice the largest window there is, is a mistake of the upstream: we count ourselves."""


def request_body(request: ChatRequest, *, stream: bool) -> Json:
    """Put the request for the upstream together; every option the client sent goes along untouched.

    Usage is always asked for when streaming: whether the client sees that chunk is the door's to decide.
    """
    body: dict[str, Any] = {**request.options, "model": request.model, "messages": list(request.messages)}
    if stream:
        asked = body.get("stream_options")
        body["stream"] = True
        body["stream_options"] = {**(asked if isinstance(asked, Mapping) else {}), "include_usage": True}
    else:
        body.pop("stream", None)
        body.pop("stream_options", None)  # OpenAI refuses it on a plain request
    return body


def write_json(provider: str, body: Json) -> bytes:
    """Write a request; raises ProviderRejectedRequest for what JSON cannot hold."""
    try:
        return orjson.dumps(body, default=dict)
    except TypeError as error:
        raise ProviderRejectedRequest(
            provider, status=400, reason=f"the request cannot be written as JSON: {error}"
        ) from error


def embedding_body(request: EmbeddingRequest) -> Json:
    """Put the request for vectors together; every option the client sent goes along untouched."""
    return {**request.options, "model": request.model, "input": request.input}


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
    wrote = "".join([written(choice["message"]) for choice in choices])
    return Completion(
        text=plain_text(first["message"].get("content")),
        model=model if isinstance(model, str) and model else request.model,
        finish_reason=reason if isinstance(reason, str) and reason else "stop",
        usage=read_usage(body.get("usage"))
        or Usage(estimate_prompt(request.messages, request.options), estimate_tokens(wrote), estimated=True),
        body=body,
        written=wrote,
    )


def read_embeddings(provider: str, request: EmbeddingRequest, body: dict[str, Any]) -> Embeddings:
    """Read vectors; raises ProviderProtocolError where there are none, or something that is none among them."""
    data = body.get("data")
    if not isinstance(data, list) or not data:
        raise ProviderProtocolError(provider, reason="an answer without embeddings")
    if not all(isinstance(item, dict) and isinstance(item.get("embedding"), (list, str)) for item in data):
        raise ProviderProtocolError(provider, reason="an embedding without its vector")
    usage = read_usage(body.get("usage")) or Usage(estimate_input(request.input), estimated=True)
    return Embeddings(body, usage)


class ChunkReader:
    """Reads the chunks of one streamed answer, and tells an answer that came to its end from one that was cut."""

    def __init__(self, provider: str) -> None:
        self._provider = provider
        self._begun: set[int] = set()
        self._finished: set[int] = set()

    def read(self, data: bytes, chunk: dict[str, Any]) -> Delta:
        """Give one chunk, as it came and decoded, as a delta.

        Raises ProviderProtocolError for a chunk that has neither choices nor usage.
        """
        text = _only_text(chunk)
        if text is not None:
            self._begun.add(0)
            return Delta(data, chunk, text, text)
        choices = chunk.get("choices")
        usage = read_usage(chunk.get("usage"))
        if not isinstance(choices, list):
            if usage is None:
                raise ProviderProtocolError(self._provider, reason="a chunk without choices")
            chunk["choices"] = choices = []  # clients index it without looking
            data = orjson.dumps(chunk)
        text = wrote = ""
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
            wrote += written(delta)
            if index == 0 and isinstance(delta, dict):
                text += plain_text(delta.get("content"))
        return Delta(data, chunk, text, wrote, finish_reason, usage)

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
    return Delta(orjson.dumps(chunk), chunk, completion.text, completion.written, completion.finish_reason, usage)


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


def _only_text(chunk: dict[str, Any]) -> str | None:
    """Give the text of the usual chunk, which adds text to choice 0 and does nothing else; None for any other."""
    choices = chunk.get("choices")
    if type(choices) is not list or len(choices) != 1 or chunk.get("usage") is not None:
        return None
    choice = choices[0]
    if type(choice) is not dict or choice.get("index") != 0 or choice.get("finish_reason") is not None:
        return None
    delta = choice.get("delta")
    if type(delta) is not dict or len(delta) > 1 + ("role" in delta):
        return None
    text = delta.get("content")
    return text if type(text) is str else None


def _is_count(value: object) -> TypeGuard[int]:
    return type(value) is int and 0 <= value <= _MOST_TOKENS


def _refuse_error_finish(provider: str, reason: object) -> None:
    """OpenRouter marks a generation that failed half-way with this reason."""
    if reason == "error":
        raise ProviderFailed(provider, status=200, reason='the generation ended with finish_reason "error"')
