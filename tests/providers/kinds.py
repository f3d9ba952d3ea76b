"""The kinds of providers as the conformance suite meets them: a new one is a row of ``KINDS`` here."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Any

from telefonist.types import ProviderConfig
from tests.fakes import anthropic, gigachat, openai_upstream
from tests.fakes.openai_upstream import Piece
from tests.fakes.private_ca import PrivateCA
from tests.fakes.scripted_http import Behaviour, ScriptedServer

ARGUMENTS = {"city": "Paris"}
"""What ``Kind.calls`` calls the function ``weather`` with."""


@dataclass(frozen=True, slots=True)
class Upstream:
    """A fake that listens: ``server`` takes the scripts, and ``config`` is a row for it."""

    server: ScriptedServer
    config: ProviderConfig


@dataclass(frozen=True, slots=True)
class Kind:
    """What a fake of that kind does, in its own protocol."""

    open: Callable[[PrivateCA], AbstractAsyncContextManager[Upstream]]
    says: Callable[[str], Behaviour]
    """Answers with a text, plain or streamed as asked, and counts its words."""
    calls: Behaviour
    """Calls ``weather``, plain or streamed as asked."""
    refuses: Callable[[int, Mapping[str, str]], Behaviour]
    """Refuses with a status and headers."""
    begins: Sequence[Piece]
    """The events of a stream that has said "Half an", and nothing of an end."""


@asynccontextmanager
async def _openai(_: PrivateCA) -> AsyncIterator[Upstream]:
    async with openai_upstream.FakeOpenAI() as server:
        yield Upstream(server, ProviderConfig("fake", "openai", base_url=server.base_url, api_key=server.api_key))


@asynccontextmanager
async def _anthropic(_: PrivateCA) -> AsyncIterator[Upstream]:
    async with anthropic.FakeAnthropic() as server:
        yield Upstream(server, server.config)


@asynccontextmanager
async def _gigachat(ca: PrivateCA) -> AsyncIterator[Upstream]:
    async with gigachat.FakeGigaChat(ca.server) as both:
        yield Upstream(both.api, both.config(ca.bundle))


_OPENAI_CALL: Mapping[str, Any] = {
    "id": "call_1",
    "type": "function",
    "function": {"name": "weather", "arguments": '{"city": "Paris"}'},
}

KINDS: Mapping[str, Kind] = {
    "openai": Kind(
        open=_openai,
        says=openai_upstream.answer,
        calls=openai_upstream.answer(None, tool_calls=[_OPENAI_CALL]),
        refuses=lambda status, headers: openai_upstream.refuse(status, headers=headers),
        begins=(openai_upstream.chunk("Half "), openai_upstream.chunk("an")),
    ),
    "anthropic": Kind(
        open=_anthropic,
        says=anthropic.answer,
        calls=anthropic.answer("", calls=[{"id": "toolu_1", "name": "weather", "input": ARGUMENTS}]),
        refuses=lambda status, headers: anthropic.refuse(status, "some_error", headers=headers),
        begins=[
            anthropic.event(piece) for piece in (anthropic.started(), anthropic.words("Half "), anthropic.words("an"))
        ],
    ),
    "gigachat": Kind(
        open=_gigachat,
        says=gigachat.answer,
        calls=gigachat.answer("", call={"name": "weather", "arguments": ARGUMENTS}),
        refuses=lambda status, headers: gigachat.refuse(status, headers=headers),
        begins=(gigachat.chunk("Half "), gigachat.chunk("an")),
    ),
}
