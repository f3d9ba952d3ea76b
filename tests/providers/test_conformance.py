"""What every kind of provider does alike, whatever its wire protocol, so that the core need not know which it is."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any

import orjson
import pytest

from telefonist.errors import (
    ProviderCredentialsRefused,
    ProviderError,
    ProviderFailed,
    ProviderOutOfFunds,
    ProviderProtocolError,
    ProviderRateLimited,
    ProviderRejectedRequest,
    ProviderTimeout,
    ProviderUnreachable,
)
from telefonist.memory.local import LocalTokens
from telefonist.memory.local_quotas import LocalSlots
from telefonist.providers import registry
from telefonist.providers.base import Provider
from telefonist.types import ChatRequest, Delta, EmbeddingRequest, Json, Usage
from tests.fakes.openai_upstream import Piece, events
from tests.fakes.private_ca import PrivateCA
from tests.fakes.scripted_http import Behaviour, Ending, Exchange, raw, reply, silence
from tests.providers.asking import ask, stream, text_of, written_in
from tests.providers.kinds import ARGUMENTS, KINDS, Kind, Upstream

TOOLS: Any = [
    {
        "type": "function",
        "function": {"name": "weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}},
    }
]
SHORT = 0.3
"""Seconds that stand for a long time; a request for a token must fit in, too."""


@dataclass(frozen=True, slots=True)
class Case:
    """A provider of one kind before its fake."""

    kind: Kind
    upstream: Upstream
    make: Callable[..., Provider]

    def meets(self, *behaviours: Behaviour) -> None:
        self.upstream.server.script(*behaviours)

    def streams(self, *pieces: Piece, ending: Ending = "end") -> None:
        self.meets(events(*pieces, ending=ending))


@pytest.fixture(params=KINDS)
async def case(request: pytest.FixtureRequest, private_ca: PrivateCA) -> AsyncIterator[Case]:
    kind = KINDS[request.param]
    async with kind.open(private_ca) as upstream, registry.new_session() as session:

        def make(**changes: Any) -> Provider:
            return registry.build_provider(replace(upstream.config, **changes), session, LocalTokens(), LocalSlots())

        yield Case(kind, upstream, make)


async def plain(provider: Provider, request: ChatRequest | None = None) -> object:
    return await provider.complete(request or ask())


async def streamed(provider: Provider, request: ChatRequest | None = None) -> object:
    return await stream(provider, request or ask())


both_ways = pytest.mark.parametrize("use", [plain, streamed])
Use = Callable[..., Awaitable[object]]


def test_every_kind_but_the_demo_is_tried() -> None:
    assert KINDS.keys() == registry.KINDS.keys() - {"demo"}


async def test_a_provider_has_the_name_of_its_row(case: Case) -> None:
    provider = case.make(on_disconnect="drain")
    assert (provider.name, provider.on_disconnect) == ("fake", "drain")


async def test_a_plain_answer_has_openais_shape(case: Case) -> None:
    case.meets(case.kind.says("Hello to you"))
    got = await case.make().complete(ask("Hello there"))
    assert (got.text, got.written, got.finish_reason) == ("Hello to you", "Hello to you", "stop")
    assert got.usage == Usage(prompt_tokens=2, completion_tokens=3)
    assert got.body["object"] == "chat.completion"
    assert got.body["id"]
    assert got.body["model"] == got.model
    (choice,) = got.body["choices"]
    assert (choice["index"], choice["finish_reason"]) == (0, "stop")
    assert (choice["message"]["role"], choice["message"]["content"]) == ("assistant", "Hello to you")
    usage = got.body["usage"]
    assert (usage["prompt_tokens"], usage["completion_tokens"], usage["total_tokens"]) == (2, 3, 5)


async def test_a_stream_has_openais_shape_and_comes_word_by_word(case: Case) -> None:
    case.meets(case.kind.says("one two three"))
    deltas = await stream(case.make(), ask("Hello there"))
    assert [delta.text for delta in deltas if delta.text] == ["one ", "two ", "three"]
    assert written_in(deltas) == "one two three"
    assert [delta.finish_reason for delta in deltas if delta.finish_reason] == ["stop"]
    assert {delta.chunk["object"] for delta in deltas} == {"chat.completion.chunk"}
    assert len({delta.chunk["id"] for delta in deltas}) == 1
    assert all(b"\n" not in delta.data and orjson.loads(delta.data) == delta.chunk for delta in deltas)
    roles = [choice["delta"].get("role") for delta in deltas for choice in delta.chunk["choices"]]
    assert roles[0] == "assistant"


async def test_usage_comes_at_the_end_of_a_stream_and_says_what_a_plain_answer_does(case: Case) -> None:
    case.meets(case.kind.says("one two three"), case.kind.says("one two three"))
    provider = case.make()
    deltas = await stream(provider, ask("Hello there"))
    assert [delta.usage for delta in deltas][:-1] == [None] * (len(deltas) - 1)
    assert deltas[-1].usage == (await provider.complete(ask("Hello there"))).usage == Usage(2, 3)


async def test_each_piece_is_given_before_the_next_is_written(case: Case) -> None:
    gate = asyncio.Event()
    case.streams(*case.kind.begins, gate)
    batches = case.make().stream(ask())
    said = ""
    while said != "Half an":
        said += text_of(await anext(batches))
    gate.set()
    with pytest.raises(ProviderProtocolError):
        await anext(batches)


async def test_a_system_prompt_and_earlier_answers_are_accepted(case: Case) -> None:
    messages: list[Json] = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Hello"},
        {"role": "assistant", "content": "Hello!"},
        {"role": "user", "content": [{"type": "text", "text": "How are you?"}]},
    ]
    assert (await case.make().complete(ChatRequest("gpt-4", messages))).text


async def test_a_call_of_a_tool_is_openais_and_its_result_can_be_sent_back(case: Case) -> None:
    case.meets(case.kind.calls, case.kind.says("Sunny."))
    provider = case.make()
    got = await provider.complete(ask(tools=TOOLS, tool_choice="auto"))
    assert (got.text, got.finish_reason) == ("", "tool_calls")
    message = got.body["choices"][0]["message"]
    (call,) = message["tool_calls"]
    assert (call["type"], call["function"]["name"]) == ("function", "weather")
    assert orjson.loads(call["function"]["arguments"]) == ARGUMENTS
    assert "weather" in got.written
    result = {"role": "tool", "tool_call_id": call["id"], "content": "sunny"}
    again = ChatRequest("gpt-4", [{"role": "user", "content": "Hello"}, message, result], {"tools": TOOLS})
    assert (await provider.complete(again)).text == "Sunny."


async def test_a_streamed_call_of_a_tool_is_merged_by_its_index(case: Case) -> None:
    case.meets(case.kind.calls)
    deltas = await stream(case.make(), ask(tools=TOOLS))
    parts = [
        part
        for delta in deltas
        for choice in delta.chunk["choices"]
        for part in choice["delta"].get("tool_calls") or []
    ]
    assert {part["index"] for part in parts} == {0}
    assert parts[0]["id"]
    assert parts[0]["function"]["name"] == "weather"
    assert orjson.loads("".join(part["function"].get("arguments", "") for part in parts)) == ARGUMENTS
    assert [delta.finish_reason for delta in deltas if delta.finish_reason] == ["tool_calls"]
    assert "weather" in written_in(deltas)


@pytest.mark.parametrize("ending", ["end", "cut", "reset"])
async def test_a_stream_that_is_cut_is_no_whole_answer(case: Case, ending: Ending) -> None:
    case.streams(*case.kind.begins, 0.02, ending=ending)
    got: list[Delta] = []
    with pytest.raises(ProviderProtocolError):
        await stream(case.make(), ask(), into=got)
    assert text_of(got) == "Half an"


async def test_a_plain_answer_that_is_cut_is_none(case: Case) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n"
    case.meets(raw(head + b'{"id": "x", '))
    with pytest.raises(ProviderProtocolError):
        await case.make().complete(ask())


@both_ways
async def test_a_connection_that_closes_without_an_answer_may_be_tried_again(case: Case, use: Use) -> None:
    case.meets(raw())
    with pytest.raises(ProviderUnreachable) as lost:
        await use(case.make())
    assert lost.value.repeatable


@both_ways
async def test_headers_that_do_not_come_are_waited_for_only_so_long(case: Case, use: Use) -> None:
    case.meets(silence())
    with pytest.raises(ProviderTimeout) as slow:
        await use(case.make(header_timeout=SHORT))
    assert (slow.value.values["phase"], slow.value.values["seconds"]) == ("headers", SHORT)
    assert not slow.value.repeatable
    await asyncio.wait_for(case.upstream.server.requests[-1].gone.wait(), 2)


async def test_a_chunk_that_does_not_come_is_waited_for_only_so_long(case: Case) -> None:
    case.streams(*case.kind.begins, ending="hang")
    got: list[Delta] = []
    with pytest.raises(ProviderTimeout) as slow:
        await stream(case.make(chunk_timeout=SHORT), ask(), into=got)
    assert (slow.value.values["phase"], slow.value.values["seconds"]) == ("chunk", SHORT)
    assert text_of(got) == "Half an"
    await asyncio.wait_for(case.upstream.server.requests[-1].gone.wait(), 2)


@both_ways
@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, ProviderRejectedRequest),
        (401, ProviderCredentialsRefused),
        (402, ProviderOutOfFunds),
        (403, ProviderCredentialsRefused),
        (404, ProviderRejectedRequest),
        (413, ProviderRejectedRequest),
        (422, ProviderRejectedRequest),
        (429, ProviderRateLimited),
        (500, ProviderFailed),
        (503, ProviderFailed),
    ],
)
async def test_a_status_means_the_same_everywhere(
    case: Case, use: Use, status: int, error: type[ProviderError]
) -> None:
    case.upstream.server.default = case.kind.refuses(status, {"Retry-After": "7"})
    with pytest.raises(ProviderError) as refused:
        await use(case.make())
    assert type(refused.value) is error
    assert refused.value.provider == "fake"
    assert "omething is wrong" in str(refused.value)
    assert refused.value.retry_after == (7 if status == 429 or status >= 500 else None)
    assert case.upstream.config.api_key not in str(refused.value)


@both_ways
@pytest.mark.parametrize("body", [b"nothing", b"[]", b"{}", b"null", b'{"choices": 7}', b'{"content": 7}', b"\xff"])
async def test_garbage_in_place_of_an_answer_is_refused(case: Case, use: Use, body: bytes) -> None:
    case.meets(reply(body))
    with pytest.raises(ProviderProtocolError):
        await use(case.make())


@pytest.mark.parametrize("data", ["nothing", "[]", "null", '{"choices": 7}', "7"])
async def test_garbage_in_the_middle_of_a_stream_ends_it(case: Case, data: str) -> None:
    case.streams(*case.kind.begins, 0.02, f"data: {data}\n\n")
    got: list[Delta] = []
    with pytest.raises(ProviderProtocolError):
        await stream(case.make(), ask(), into=got)
    assert text_of(got) == "Half an"


async def test_a_stream_without_a_chunk_is_no_answer(case: Case) -> None:
    case.streams(": nothing to say\n\n")
    with pytest.raises(ProviderProtocolError):
        await stream(case.make(), ask())


@both_ways
async def test_another_content_type_is_no_answer(case: Case, use: Use) -> None:
    case.meets(reply(b"<html>Welcome</html>", content_type="text/html; charset=utf-8"))
    with pytest.raises(ProviderProtocolError, match="text/html"):
        await use(case.make())


@both_ways
async def test_an_endless_line_does_not_fill_the_memory(case: Case, use: Use) -> None:
    async def endless(exchange: Exchange) -> None:
        await exchange.head(200, "text/event-stream" if exchange.request.json.get("stream") else "application/json")
        while True:
            await exchange.write(b"x" * 500_000)
            await asyncio.sleep(0)  # over TLS nothing else tells whoever writes that nobody reads

    case.meets(endless)
    with pytest.raises(ProviderProtocolError, match="of more than"):
        await use(case.make())
    await asyncio.wait_for(case.upstream.server.requests[-1].gone.wait(), 2)


@both_ways
async def test_cancelling_closes_the_upstream_connection_at_once(case: Case, use: Use) -> None:
    case.meets(silence())
    task = asyncio.ensure_future(use(case.make()))
    (request,) = await case.upstream.server.received(1)
    cancelled = time.monotonic()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.wait_for(request.gone.wait(), 2)
    assert request.gone_at - cancelled < 1


async def test_embeddings_are_made_or_refused_in_words(case: Case) -> None:
    case.upstream.server.default = case.kind.refuses(404, {})
    with pytest.raises(ProviderRejectedRequest):
        await case.make().embed(EmbeddingRequest("embedding", "Hello"))
