"""A streamed answer from an OpenAI-compatible upstream, well-behaved and not."""

import asyncio
import json
from typing import Any

import pytest

from telefonist.errors import (
    ProviderCredentialsRefused,
    ProviderError,
    ProviderFailed,
    ProviderOutOfFunds,
    ProviderProtocolError,
    ProviderRateLimited,
)
from telefonist.providers.base import Provider
from telefonist.types import Delta, Usage
from tests.fakes.openai_upstream import FakeOpenAI, answer, chunk, event, events, refuse, reply
from tests.providers.asking import ask, stream, text_of

DONE = "data: [DONE]\n\n"
USAGE = {"prompt_tokens": 9, "completion_tokens": 4, "total_tokens": 13}
CALLS: list[dict[str, Any]] = [
    {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Moscow"}'}},
    {"id": "call_2", "type": "function", "function": {"name": "time", "arguments": '{"zone": "UTC"}'}},
]


async def test_the_answer_comes_word_by_word_with_its_usage(upstream: FakeOpenAI, provider: Provider) -> None:
    upstream.script(answer("one two three"))
    deltas = await stream(provider, ask())
    assert [delta.text for delta in deltas] == ["", "one ", "two ", "three", "", ""]
    assert [delta.finish_reason for delta in deltas] == [None, None, None, None, "stop", None]
    assert [delta.usage for delta in deltas] == [None] * 5 + [Usage(1, 3)]
    assert deltas[-1].chunk["choices"] == []


async def test_usage_is_always_asked_for(upstream: FakeOpenAI, provider: Provider) -> None:
    await stream(provider, ask())
    await stream(provider, ask(stream_options={"include_usage": False, "include_obfuscation": False}))
    assert upstream.requests[0].json["stream_options"] == {"include_usage": True}
    assert upstream.requests[1].json["stream_options"] == {"include_usage": True, "include_obfuscation": False}


async def test_each_piece_is_given_before_the_next_is_written(upstream: FakeOpenAI, provider: Provider) -> None:
    gate = asyncio.Event()
    upstream.script(events(chunk("one"), gate, chunk("two", finish_reason="stop"), DONE))
    batches = provider.stream(ask())
    assert text_of(await anext(batches)) == "one"
    gate.set()
    assert [text_of(batch) async for batch in batches] == ["two"]


async def test_what_arrives_together_is_given_together(upstream: FakeOpenAI, provider: Provider) -> None:
    gate = asyncio.Event()
    first = b"".join(event(chunk(word)) for word in ("one ", "two ", "three "))
    upstream.script(events(first, gate, event(chunk("four", finish_reason="stop")) + DONE.encode()))
    batches = provider.stream(ask())
    assert [delta.text for delta in await anext(batches)] == ["one ", "two ", "three "]
    gate.set()
    assert [[delta.text for delta in batch] async for batch in batches] == [["four"]]


ODD = (
    b'{ "choices" :[{"delta":{"content":"\\u041f\\/","x":1.0e0},"index":0,"finish_reason":"stop"}] ,"x_groq":{"id":[]}}'
)


@pytest.mark.parametrize("end", [b"\n\n", b"\r\n\r\n"])
async def test_chunks_pass_through_byte_for_byte(upstream: FakeOpenAI, provider: Provider, end: bytes) -> None:
    upstream.script(events(b"data: " + ODD + end, DONE))
    [delta] = await stream(provider, ask())
    assert delta.data == ODD
    assert delta.chunk == json.loads(ODD)
    assert delta.text == "П/"


async def test_a_chunk_of_several_lines_is_put_on_one(upstream: FakeOpenAI, provider: Provider) -> None:
    upstream.script(events('data: {"choices": [\ndata: {"delta": {"content": "a b"},\ndata: "index": 0}]}\n\n', DONE))
    [delta] = await stream(provider, ask())
    assert b"\n" not in delta.data
    assert json.loads(delta.data) == delta.chunk == {"choices": [{"delta": {"content": "a b"}, "index": 0}]}


async def test_a_chunk_without_choices_gets_an_empty_list_of_them(upstream: FakeOpenAI, provider: Provider) -> None:
    upstream.script(events(chunk("Hi", finish_reason="stop"), {"usage": USAGE}, DONE))
    last = (await stream(provider, ask()))[-1]
    assert json.loads(last.data) == last.chunk == {"usage": USAGE, "choices": []}


@pytest.mark.parametrize(
    ("delta", "text", "wrote"),
    [
        ({"content": "Hi"}, "Hi", "Hi"),
        ({"role": "assistant", "content": "Hi"}, "Hi", "Hi"),
        ({"role": "assistant", "content": ""}, "", ""),
        ({"content": None}, "", ""),
        ({"reasoning_content": "Hm"}, "", "Hm"),
        ({"content": "Hi", "reasoning": "Hm"}, "Hi", "HmHi"),
        ({"reasoning": "Hm", "reasoning_content": "Hm"}, "", "Hm"),
        ({"refusal": "No"}, "", "No"),
        ({"tool_calls": [{"index": 0, "id": "c", "function": {"name": "f", "arguments": "{}"}}]}, "", "f{}"),
        ({"tool_calls": [{"index": 0, "function": {"arguments": "1"}}, {"index": 1}, 7]}, "", "1"),
        ({"tool_calls": [{"index": 0, "type": "custom", "custom": {"name": "g", "input": "x"}}]}, "", "gx"),
        ({"function_call": {"name": "f", "arguments": "{"}}, "", "f{"),
        ({"tool_calls": 7, "refusal": 7, "reasoning": 7, "function_call": 7}, "", ""),
    ],
)
async def test_everything_that_a_model_wrote_is_there_to_be_counted(
    upstream: FakeOpenAI, provider: Provider, delta: dict[str, Any], text: str, wrote: str
) -> None:
    upstream.script(events(chunk(delta=delta), chunk(index=1, delta=delta), DONE))
    first, second = await stream(provider, ask())
    assert (first.text, first.written) == (text, wrote)
    assert (second.text, second.written) == ("", wrote)


async def test_two_choices_in_one_chunk_are_both_read(upstream: FakeOpenAI, provider: Provider) -> None:
    both = [{"index": index, "delta": {"content": word}} for index, word in enumerate("AB")]
    upstream.script(events({"choices": both}, DONE))
    [delta] = await stream(provider, ask())
    assert (delta.text, delta.written) == ("A", "AB")


async def test_tool_calls_pass_through_to_be_merged_by_index(upstream: FakeOpenAI, provider: Provider) -> None:
    upstream.script(answer(None, tool_calls=CALLS))
    deltas = await stream(provider, ask())
    arguments = {0: "", 1: ""}
    for delta in deltas:
        for choice in delta.chunk["choices"]:
            for call in choice["delta"].get("tool_calls", []):
                arguments[call["index"]] += call["function"]["arguments"]
    assert list(arguments.values()) == [call["function"]["arguments"] for call in CALLS]
    assert text_of(deltas) == ""
    assert deltas[-2].finish_reason == "tool_calls"


async def test_choices_that_interleave_keep_their_index_and_the_text_is_the_first_ones(
    upstream: FakeOpenAI, provider: Provider
) -> None:
    upstream.script(
        events(
            chunk("A1", index=0),
            chunk("B1", index=1),
            chunk("B2", index=1, finish_reason="stop"),
            chunk("A2", index=0, finish_reason="stop"),
            DONE,
        )
    )
    deltas = await stream(provider, ask(n=2))
    assert text_of(deltas) == "A1A2"
    assert [delta.chunk["choices"][0]["index"] for delta in deltas] == [0, 1, 1, 0]


@pytest.mark.parametrize(
    "pieces",
    [
        [chunk("Hi"), chunk(finish_reason="stop", usage=USAGE), DONE],
        [chunk("Hi"), chunk(finish_reason="stop"), {**chunk(), "choices": [], "usage": USAGE}, DONE],
        [chunk("Hi"), chunk(finish_reason="stop"), {"usage": USAGE}, DONE],
        [chunk("Hi", usage={**USAGE, "completion_tokens": 1}), chunk(finish_reason="stop", usage=USAGE), DONE],
    ],
    ids=["in the last chunk", "in its own chunk", "in a chunk without choices", "in every chunk"],
)
async def test_usage_is_found_wherever_it_comes(
    upstream: FakeOpenAI, provider: Provider, pieces: list[dict[str, Any] | str]
) -> None:
    upstream.script(events(*pieces))
    deltas = await stream(provider, ask())
    assert [delta.usage for delta in deltas if delta.usage][-1] == Usage(9, 4)
    assert all(isinstance(delta.chunk["choices"], list) for delta in deltas)


async def test_a_stream_without_usage_is_whole_all_the_same(upstream: FakeOpenAI, provider: Provider) -> None:
    upstream.script(answer("Hi", usage=None))
    deltas = await stream(provider, ask())
    assert text_of(deltas) == "Hi"
    assert not any(delta.usage for delta in deltas)


@pytest.mark.parametrize(
    "pieces",
    [
        [": OPENROUTER PROCESSING\n\n", event(chunk("Hi")), ": ping\n\n", event(chunk(finish_reason="stop")), DONE],
        [event(chunk("Hi", finish_reason="stop")).replace(b"\n", b"\r\n"), "data: [DONE]\r\n\r\n"],
        [event(chunk("Hi", finish_reason="stop")).replace(b"\n", b"\r"), "data: [DONE]\r\r"],
        [event(chunk("Hi", finish_reason="stop")).replace(b"data: ", b"data:"), "data:[DONE]\n\n"],
        ["data:\n\n", event(chunk("Hi", finish_reason="stop")), DONE],
        [event(chunk("Hi", finish_reason="stop")).replace(b',"choices"', b',\ndata: "choices"'), DONE],
        [b"\xef\xbb\xbf" + event(chunk("Hi", finish_reason="stop")), DONE],
        [event(chunk("Hi")), event(chunk(finish_reason="stop"))],
        [event(chunk("Hi")), DONE],
        [event(chunk("Hi", finish_reason="stop")), event(chunk()), DONE],
        [event(chunk("Hi", finish_reason="stop")), event(chunk("")), "data: [DONE]\n"],
        [event(chunk(delta={"role": "assistant", "content": None})), event(chunk("Hi", finish_reason="stop")), DONE],
        [event({"id": "x", "choices": [{"delta": {"content": "Hi"}, "finish_reason": "stop"}]}), DONE],
        [event(chunk("Hi")), event({"choices": [{"index": 0, "delta": None, "finish_reason": "stop"}]}), DONE],
        [event(chunk("Hi", error=None)), DONE],
        [event(chunk(delta={"content": [{"type": "text", "text": "Hi"}]})), DONE],
    ],
    ids=[
        "comments",
        "CRLF",
        "CR",
        "no space",
        "empty events",
        "several data lines",
        "byte order mark",
        "no [DONE]",
        "no finish_reason",
        "something after the end",
        "half a [DONE]",
        "content null",
        "no index",
        "delta null",
        "error null",
        "content in parts",
    ],
)
async def test_legal_oddities_are_understood(
    upstream: FakeOpenAI, provider: Provider, pieces: list[str | bytes]
) -> None:
    upstream.script(events(*pieces))
    assert text_of(await stream(provider, ask())) == "Hi"


@pytest.mark.parametrize("size", [1, 7])
async def test_letters_and_line_ends_may_be_split_anywhere(upstream: FakeOpenAI, provider: Provider, size: int) -> None:
    whole = event(chunk("Привет, маяк", finish_reason="stop")).replace(b"\n", b"\r\n") + b"data: [DONE]\r\n\r\n"
    upstream.script(events(*(whole[start : start + size] for start in range(0, len(whole), size))))
    assert text_of(await stream(provider, ask())) == "Привет, маяк"


@pytest.mark.parametrize("size", [70_000, 1_000_000])
async def test_a_very_long_line_is_read(upstream: FakeOpenAI, provider: Provider, size: int) -> None:
    upstream.script(events(chunk("x" * size, finish_reason="stop"), DONE))
    assert len(text_of(await stream(provider, ask()))) == size


async def test_an_endless_line_is_refused(upstream: FakeOpenAI, provider: Provider) -> None:
    upstream.script(events("data: ", *["x" * 65_536] * 70, ending="hang"))
    with pytest.raises(ProviderProtocolError, match="an event of more than"):
        await stream(provider, ask())
    await asyncio.wait_for(upstream.requests[0].gone.wait(), 2)


@pytest.mark.parametrize(
    ("failure", "error", "reason"),
    [
        ({"error": {"message": "Failed to call", "type": "invalid_request_error"}}, ProviderFailed, "Failed to call"),
        ({"error": {"message": "Slow", "code": "rate_limit_exceeded"}}, ProviderRateLimited, "Slow"),
        ({"error": {"message": "Quota", "code": "insufficient_quota"}}, ProviderOutOfFunds, "Quota"),
        ({"error": "plain words"}, ProviderFailed, "plain words"),
        (chunk("", finish_reason="error", error={"code": 502, "message": "Gone"}), ProviderFailed, "502: Gone"),
        (chunk("", finish_reason="error", error={"code": 401, "message": "No"}), ProviderCredentialsRefused, "No"),
        (chunk("", finish_reason="error"), ProviderFailed, 'finish_reason "error"'),
        ('event: error\ndata: {"message": "Overloaded"}\n\n', ProviderFailed, "Overloaded"),
    ],
)
async def test_an_error_in_the_stream_ends_it_as_an_error(
    upstream: FakeOpenAI,
    provider: Provider,
    failure: dict[str, Any] | str,
    error: type[ProviderError],
    reason: str,
) -> None:
    upstream.script(events(chunk("Half an"), failure, DONE))
    got: list[Delta] = []
    with pytest.raises(error, match=reason):
        await stream(provider, ask(), into=got)
    assert text_of(got) == "Half an"


@pytest.mark.parametrize(
    "failure",
    [event({"error": {"message": "Gone"}}), b"data: {\n\n", b"data: {}\n\n", b"data: " + b"x" * 5_000_000],
    ids=["an error", "broken JSON", "no chunk", "an endless line"],
)
async def test_what_came_with_an_error_is_given_before_it(
    upstream: FakeOpenAI, provider: Provider, failure: bytes
) -> None:
    upstream.script(events(event(chunk("Half ")) + event(chunk("an")) + failure, event(chunk("other")), ending="hang"))
    batches = provider.stream(ask())
    assert [delta.text for delta in await anext(batches)] == ["Half ", "an"]
    with pytest.raises(ProviderError):
        await anext(batches)
    await asyncio.wait_for(upstream.requests[0].gone.wait(), 2)


@pytest.mark.parametrize("ending", ["end", "cut", "reset"])
async def test_a_truncated_stream_never_looks_complete(upstream: FakeOpenAI, provider: Provider, ending: Any) -> None:
    upstream.script(events(chunk("Half an"), ending=ending))
    with pytest.raises(ProviderProtocolError):
        await stream(provider, ask())


async def test_a_stream_is_truncated_while_one_of_its_choices_is_open(upstream: FakeOpenAI, provider: Provider) -> None:
    upstream.script(events(chunk("A", index=0, finish_reason="stop"), chunk("B", index=1)))
    with pytest.raises(ProviderProtocolError, match="cut"):
        await stream(provider, ask(n=2))


@pytest.mark.parametrize(
    "pieces",
    [[], [DONE], [": ping\n\n"], ["data: {\n\n"], ["data: 1\n\n"], ["data: {}\n\n"], ['data: {"choices": [1]}\n\n']],
)
async def test_garbage_is_no_stream(upstream: FakeOpenAI, provider: Provider, pieces: list[str]) -> None:
    upstream.script(events(*pieces))
    with pytest.raises(ProviderProtocolError):
        await stream(provider, ask())


async def test_a_wrong_content_type_is_no_stream(upstream: FakeOpenAI, provider: Provider) -> None:
    upstream.script(events(chunk("Hi", finish_reason="stop"), DONE, content_type="text/html"))
    with pytest.raises(ProviderProtocolError, match="text/html"):
        await stream(provider, ask())


async def test_a_refusal_comes_before_anything_else(upstream: FakeOpenAI, provider: Provider) -> None:
    upstream.script(refuse(429, "Slow down", headers={"Retry-After": "3"}))
    with pytest.raises(ProviderRateLimited) as refused:
        await anext(provider.stream(ask()))
    assert refused.value.retry_after == 3


async def test_a_plain_answer_to_a_streamed_request_is_one_piece(upstream: FakeOpenAI, provider: Provider) -> None:
    message = {"role": "assistant", "content": "Hi", "tool_calls": CALLS}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
    body = {"id": "x", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice], "usage": USAGE}
    upstream.script(reply(json.dumps(body).encode()))
    [delta] = await stream(provider, ask())
    assert (delta.text, delta.finish_reason, delta.usage) == ("Hi", "stop", Usage(9, 4))
    assert delta.chunk["object"] == "chat.completion.chunk"
    assert json.loads(delta.data) == delta.chunk
    assert delta.written == 'Hiweather{"city": "Moscow"}time{"zone": "UTC"}'
    written = delta.chunk["choices"][0]["delta"]
    assert written["content"] == "Hi"
    assert [call["index"] for call in written["tool_calls"]] == [0, 1]
    assert "message" not in delta.chunk["choices"][0]


async def test_a_plain_error_to_a_streamed_request_is_an_error(upstream: FakeOpenAI, provider: Provider) -> None:
    upstream.script(reply(b'{"error": {"message": "No such model", "code": 404}}'))
    with pytest.raises(ProviderError, match="No such model"):
        await stream(provider, ask())


async def test_the_connection_is_used_again_after_a_stream(upstream: FakeOpenAI, provider: Provider) -> None:
    upstream.script(events(chunk("Hi", finish_reason="stop"), DONE, 0.01))
    for _ in range(3):
        await stream(provider, ask())
    assert upstream.connections == 1


async def test_an_upstream_that_lingers_after_the_end_holds_nobody_up(upstream: FakeOpenAI, provider: Provider) -> None:
    upstream.script(events(chunk("Hi", finish_reason="stop"), DONE, ending="hang"))
    assert text_of(await asyncio.wait_for(stream(provider, ask()), 2)) == "Hi"
    await asyncio.wait_for(upstream.requests[0].gone.wait(), 2)
