"""Asking a model while people watch: in chats, the answer is shown as it is written."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol

from telefonist.core.generation import Answer, AnswerStream, Generator
from telefonist.core.voices import scheme_of
from telefonist.errors import ProviderError, ProviderRejectedRequest
from telefonist.logs import get_logger
from telefonist.types import Completion, Json, Turn, Usage

log = get_logger(__name__)

Show = Callable[[str], None]
"""Takes the whole text of an answer so far."""


class Presence(Protocol):
    """Shows people who wait that an answer is being written."""

    def attend(self, turn: Turn) -> AbstractAsyncContextManager[Show | None]:
        """Show it until the block ends; gives what takes the text so far, None where only the fact can be shown."""
        ...


class Asker:
    """Gets answers for turns; ``presences`` has, by the scheme of destinations, who shows the writing there."""

    def __init__(self, generator: Generator, presences: Mapping[str, Presence]) -> None:
        self._generator = generator
        self._presences = dict(presences)

    async def ask(self, turn: Turn, messages: Sequence[Json], tools: Sequence[Json] = ()) -> Answer:
        """Get a whole answer, as ``Generator.complete`` does; it is a stream where somebody can watch.

        A stream that breaks off was only a preview: the answer is asked for anew, whole.
        """
        presence = self._presences.get(scheme_of(turn.callback_url))
        if presence is None:
            return await self._generator.complete(turn.model, messages, tools=tools)
        async with presence.attend(turn) as show:
            answer = await self._watched(turn.model, messages, tools, show) if show is not None else None
            return answer or await self._generator.complete(turn.model, messages, tools=tools)

    async def _watched(self, model: str, messages: Sequence[Json], tools: Sequence[Json], show: Show) -> Answer | None:
        offered = {"tools": list(tools)} if tools and model not in self._generator.without_tools else {}
        try:
            stream = await self._generator.stream(model, messages, offered)
        except ProviderRejectedRequest:
            return None  # it may be the tools, which are left out where they are not understood
        try:
            return await _read(stream, show)
        except ProviderError as error:
            log.info("preview_broke_off", code=error.code)
            return None
        finally:
            await stream.aclose()


async def _read(stream: AnswerStream, show: Show) -> Answer:
    text, written, usage, reason = "", "", Usage(estimated=True), "stop"
    calls: dict[int, dict[str, str]] = {}
    while (batch := await stream.next()) is not None:
        for delta in batch:
            text += delta.text
            written += delta.written
            usage = delta.usage or usage
            reason = delta.finish_reason or reason
            _gather(calls, delta.chunk)
        show(text)
    return Answer(Completion(text, stream.model.upstream, reason, usage, _body(calls), written), stream.model)


def _gather(calls: dict[int, dict[str, str]], chunk: Mapping[str, Any]) -> None:
    """Add what a chunk tells of calls of tools: names and arguments come in pieces, told apart by an index."""
    for choice in chunk.get("choices") or ():
        for piece in (choice.get("delta") or {}).get("tool_calls") or ():
            call = calls.setdefault(int(piece.get("index") or 0), {"name": "", "arguments": ""})
            function = piece.get("function") or {}
            call["name"] += function.get("name") or ""
            call["arguments"] += function.get("arguments") or ""


def _body(calls: Mapping[int, Mapping[str, str]]) -> Json:
    """Give the answer in OpenAI's shape as far as tools are concerned."""
    if not calls:
        return {}
    called = [{"type": "function", "function": dict(call)} for _, call in sorted(calls.items())]
    return {"choices": [{"index": 0, "message": {"role": "assistant", "tool_calls": called}}]}
