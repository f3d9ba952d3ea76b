"""What Anthropic's Messages API answers, as an OpenAI client reads it, and what it refuses."""

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
)
from telefonist.providers.anthropic import Anthropic
from telefonist.types import Delta, EmbeddingRequest, Usage
from tests.fakes.anthropic import MODEL, FakeAnthropic, answer, ended, event, events, refuse, started, words
from tests.fakes.scripted_http import reply
from tests.providers.asking import ask, stream, text_of, written_in
from tests.providers.conftest import MakeClaude

WEATHER = {"type": "function", "function": {"name": "weather"}}
CALL = {"id": "toolu_1", "name": "weather", "input": {"city": "Paris"}}
OTHER_CALL = {"id": "toolu_2", "name": "time", "input": {}}


async def test_a_whole_answer_has_openais_shape(anthropic: FakeAnthropic, claude: Anthropic) -> None:
    anthropic.script(answer("Hello to you"))
    got = await claude.complete(ask())
    assert (got.text, got.model, got.finish_reason, got.usage) == ("Hello to you", "gpt-4", "stop", Usage(1, 3))
    assert got.body["object"] == "chat.completion"
    assert got.body["id"].startswith("msg_")
    (choice,) = got.body["choices"]
    assert choice == {
        "index": 0,
        "message": {"role": "assistant", "content": "Hello to you"},
        "finish_reason": "stop",
    }


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize(
    ("reason", "finish"),
    [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("pause_turn", "stop"),
        ("max_tokens", "length"),
        ("model_context_window_exceeded", "length"),
        ("tool_use", "tool_calls"),
        ("refusal", "content_filter"),
        ("invented_later", "stop"),
    ],
)
async def test_the_reason_to_stop_is_openais(
    anthropic: FakeAnthropic, claude: Anthropic, reason: str, finish: str, streamed: bool
) -> None:
    anthropic.script(answer("Hi", stop_reason=reason))
    if streamed:
        assert (await stream(claude, ask()))[-1].finish_reason == finish
    else:
        assert (await claude.complete(ask())).finish_reason == finish


@pytest.mark.parametrize("streamed", [False, True])
async def test_usage_counts_all_that_was_read_and_what_of_it_was_cached(
    anthropic: FakeAnthropic, claude: Anthropic, streamed: bool
) -> None:
    counts = {
        "input_tokens": 10,
        "cache_read_input_tokens": 100,
        "cache_creation_input_tokens": 1000,
        "output_tokens": 5,
    }
    anthropic.script(answer("Hi", usage=counts))
    usage = (await stream(claude, ask()))[-1].usage if streamed else (await claude.complete(ask())).usage
    assert usage == Usage(prompt_tokens=1110, completion_tokens=5, cached_tokens=100)


async def test_counts_of_the_last_event_stand_above_the_first(anthropic: FakeAnthropic, claude: Anthropic) -> None:
    last = ended(input_tokens=70, cache_read_input_tokens=0)
    anthropic.script(events(started(cache_read_input_tokens=9), words("Hi"), last, {"type": "message_stop"}))
    assert (await stream(claude, ask()))[-1].usage == Usage(70, 3)


@pytest.mark.parametrize("streamed", [False, True])
async def test_an_answer_without_counts_is_not_taken_for_free(
    anthropic: FakeAnthropic, claude: Anthropic, streamed: bool
) -> None:
    if streamed:
        bare = {**started()["message"], "usage": None}
        anthropic.script(events({"type": "message_start", "message": bare}, words("Hi"), ended()))
        assert [delta.usage for delta in await stream(claude, ask())] == [None, None, None]
    else:
        body = {**started()["message"], "content": [{"type": "text", "text": "Hi"}], "usage": None}
        anthropic.script(reply(orjson.dumps(body)))
        assert (await claude.complete(ask())).usage.estimated


async def test_a_stream_comes_word_by_word(anthropic: FakeAnthropic, claude: Anthropic) -> None:
    anthropic.script(answer("one two three"))
    deltas = await stream(claude, ask())
    assert [delta.text for delta in deltas] == ["", "one ", "two ", "three", ""]
    assert deltas[0].chunk["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    assert {delta.chunk["object"] for delta in deltas} == {"chat.completion.chunk"}
    assert len({delta.chunk["id"] for delta in deltas}) == 1
    assert {delta.chunk["model"] for delta in deltas} == {"gpt-4"}
    assert all(orjson.loads(delta.data) == delta.chunk for delta in deltas)


async def test_parallel_calls_of_a_whole_answer(anthropic: FakeAnthropic, claude: Anthropic) -> None:
    anthropic.script(answer("", calls=[CALL, OTHER_CALL]))
    got = await claude.complete(ask(tools=[WEATHER]))
    message = got.body["choices"][0]["message"]
    assert (message["content"], got.finish_reason) == (None, "tool_calls")
    assert message["tool_calls"] == [
        {"id": "toolu_1", "type": "function", "function": {"name": "weather", "arguments": '{"city":"Paris"}'}},
        {"id": "toolu_2", "type": "function", "function": {"name": "time", "arguments": "{}"}},
    ]


async def test_parallel_calls_of_a_stream_are_merged_by_index(anthropic: FakeAnthropic, claude: Anthropic) -> None:
    anthropic.script(answer("Let me look.", calls=[CALL, OTHER_CALL]))
    deltas = await stream(claude, ask(tools=[WEATHER]))
    calls: dict[int, dict[str, Any]] = {}
    for delta in deltas:
        for part in delta.chunk["choices"][0]["delta"].get("tool_calls", []):
            call = calls.setdefault(part["index"], {"id": part.get("id"), "name": "", "arguments": ""})
            call["name"] += part["function"].get("name", "")
            call["arguments"] += part["function"]["arguments"]
    assert list(calls.values()) == [
        {"id": "toolu_1", "name": "weather", "arguments": '{"city": "Paris"}'},
        {"id": "toolu_2", "name": "time", "arguments": "{}"},
    ]
    assert deltas[-1].finish_reason == "tool_calls"


@pytest.mark.parametrize("streamed", [False, True])
async def test_what_anthropics_own_tools_are_asked_is_no_call_of_the_clients(
    anthropic: FakeAnthropic, claude: Anthropic, streamed: bool
) -> None:
    search = {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": "Paris"}}
    if streamed:
        begun = {"type": "content_block_start", "index": 0, "content_block": {**search, "input": {}}}
        asked = {"type": "input_json_delta", "partial_json": '{"query": "Paris"}'}
        anthropic.script(
            events(
                started(),
                begun,
                {"type": "content_block_delta", "index": 0, "delta": asked},
                {"type": "content_block_stop", "index": 0},
                words("Sunny.", 1),
                ended(),
                {"type": "message_stop"},
            )
        )
        deltas = await stream(claude, ask())
        assert text_of(deltas) == written_in(deltas) == "Sunny."
        assert not any("tool_calls" in delta.chunk["choices"][0]["delta"] for delta in deltas)
    else:
        body = {**started()["message"], "content": [search, {"type": "text", "text": "Sunny."}]}
        anthropic.script(reply(orjson.dumps(body)))
        got = await claude.complete(ask())
        assert got.body["choices"][0]["message"] == {"role": "assistant", "content": "Sunny."}


@pytest.mark.parametrize("streamed", [False, True])
async def test_thoughts_are_reasoning_and_can_be_sent_back_with_their_signature(
    anthropic: FakeAnthropic, claude: Anthropic, streamed: bool
) -> None:
    anthropic.script(answer("Two.", thinking="One and one."))
    signed = [{"type": "thinking", "thinking": "One and one.", "signature": "c2lnbmVk"}]
    if streamed:
        deltas = await stream(claude, ask())
        said = [delta.chunk["choices"][0]["delta"] for delta in deltas]
        assert "".join(part.get("reasoning_content", "") for part in said) == "One and one."
        assert [part["thinking_blocks"] for part in said if "thinking_blocks" in part] == [signed]
        assert (text_of(deltas), written_in(deltas)) == ("Two.", "One and one.Two.")
    else:
        got = await claude.complete(ask())
        message = got.body["choices"][0]["message"]
        assert (message["reasoning_content"], message["thinking_blocks"]) == ("One and one.", signed)
        assert (got.text, got.written) == ("Two.", "One and one.Two.")


async def test_what_is_invented_later_is_passed_over(anthropic: FakeAnthropic, claude: Anthropic) -> None:
    anthropic.script(
        events(
            started(),
            {"type": "invented_later", "delta": {"text": "?"}},
            {"type": "content_block_start", "index": 0, "content_block": {"type": "hologram"}},
            {"type": "content_block_delta", "index": 0, "delta": {"type": "hologram_delta"}},
            {"type": "content_block_stop", "index": 0},
            {"type": "content_block_start", "index": 1, "content_block": {"type": "text", "text": "Hi "}},
            words("there", 1),
            ended(),
            {"type": "message_stop"},
        )
    )
    assert text_of(await stream(claude, ask())) == "Hi there"


@pytest.mark.parametrize(
    "odd",
    [
        {"type": "content_block_start", "index": [], "content_block": {"type": []}},
        {"type": "content_block_delta", "index": {}, "delta": {"type": []}},
        {"type": "content_block_stop", "index": []},
    ],
)
async def test_an_event_with_odd_values_is_no_mistake_of_ours(
    anthropic: FakeAnthropic, claude: Anthropic, odd: dict[str, Any]
) -> None:
    anthropic.script(events(started(), odd, words("Hi"), ended(), {"type": "message_stop"}))
    assert text_of(await stream(claude, ask())) == "Hi"


async def test_the_last_event_ends_an_answer_whose_connection_stays_open(
    anthropic: FakeAnthropic, claude: Anthropic
) -> None:
    anthropic.script(events(started(), words("Hi"), ended(), {"type": "message_stop"}, ending="hang"))
    assert text_of(await stream(claude, ask())) == "Hi"


async def test_a_stream_that_is_cut_is_no_whole_answer(anthropic: FakeAnthropic, claude: Anthropic) -> None:
    anthropic.script(events(started(), words("Half an")))
    got: list[Delta] = []
    with pytest.raises(ProviderProtocolError, match="cut before its end"):
        await stream(claude, ask(), into=got)
    assert text_of(got) == "Half an"


@pytest.mark.parametrize(
    ("kind", "error"), [("overloaded_error", ProviderFailed), ("rate_limit_error", ProviderRateLimited)]
)
async def test_an_error_in_the_middle_of_a_stream_is_raised_after_what_came_before(
    anthropic: FakeAnthropic, claude: Anthropic, kind: str, error: type[ProviderError]
) -> None:
    failure = {"type": "error", "error": {"type": kind, "message": "Overloaded"}}
    anthropic.script(events(started(), words("Half an"), failure))
    got: list[Delta] = []
    with pytest.raises(error, match="Overloaded"):
        await stream(claude, ask(), into=got)
    assert text_of(got) == "Half an"


@pytest.mark.parametrize(
    "data", [b"data: {}\n\n", b"data: []\n\n", b"data: nothing\n\n", event({"type": "message_start"})[:-1]]
)
async def test_what_is_no_event_is_refused(anthropic: FakeAnthropic, claude: Anthropic, data: bytes) -> None:
    anthropic.script(events(data))
    with pytest.raises(ProviderProtocolError):
        await stream(claude, ask())


@pytest.mark.parametrize("body", [b"{}", b"[]", b'{"content": "Hi"}', b"nothing"])
async def test_what_is_no_message_is_refused(anthropic: FakeAnthropic, claude: Anthropic, body: bytes) -> None:
    anthropic.script(reply(body))
    with pytest.raises(ProviderProtocolError):
        await claude.complete(ask())


@pytest.mark.parametrize(
    ("status", "kind", "message", "error"),
    [
        (400, "invalid_request_error", "prompt is too long", ProviderRejectedRequest),
        (400, "invalid_request_error", "Your credit balance is too low to access the API.", ProviderOutOfFunds),
        (402, "billing_error", "Pay.", ProviderOutOfFunds),
        (403, "permission_error", "Not for you.", ProviderCredentialsRefused),
        (404, "not_found_error", "model: claude-9", ProviderRejectedRequest),
        (413, "request_too_large", "Too large.", ProviderRejectedRequest),
        (429, "rate_limit_error", "Too fast.", ProviderRateLimited),
        (500, "api_error", "Internal.", ProviderFailed),
        (529, "overloaded_error", "Overloaded", ProviderFailed),
    ],
)
async def test_a_refusal_becomes_its_error(
    anthropic: FakeAnthropic, claude: Anthropic, status: int, kind: str, message: str, error: type[ProviderError]
) -> None:
    anthropic.script(refuse(status, kind, message, headers={"retry-after": "3"}))
    with pytest.raises(ProviderError) as refused:
        await claude.complete(ask())
    assert type(refused.value) is error
    assert refused.value.values["reason"] == message.rstrip(".")
    assert refused.value.retry_after == (3 if status == 429 or status >= 500 else None)


async def test_our_key_never_shows_in_an_error(anthropic: FakeAnthropic, make_claude: MakeClaude) -> None:
    claude = make_claude(api_key="an-unusual-key")
    with pytest.raises(ProviderCredentialsRefused, match="invalid x-api-key"):
        await claude.complete(ask())
    anthropic.api_key = "an-unusual-key"
    anthropic.script(refuse(400, "invalid_request_error", "an-unusual-key is odd"))
    with pytest.raises(ProviderRejectedRequest) as refused:
        await claude.complete(ask())
    assert refused.value.values["reason"] == "*** is odd"


async def test_embeddings_are_refused(anthropic: FakeAnthropic, claude: Anthropic) -> None:
    with pytest.raises(ProviderRejectedRequest, match="makes no embeddings"):
        await claude.embed(EmbeddingRequest(MODEL, "Hi"))
    assert anthropic.requests == []
