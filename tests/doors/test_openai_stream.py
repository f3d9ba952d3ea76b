"""Streams as a client reads them, from an upstream that does what upstreams do."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import openai
import pytest
import pytest_asyncio

from telefonist.core.token_counting import counted_usage
from telefonist.types import MICROCREDITS
from tests.conftest import new_database
from tests.doors.conftest import serving
from tests.doors.exchange import Exchange, User, open_exchange
from tests.fakes.openai_upstream import FakeOpenAI, Piece, answer, chunk, event, events, refuse, reply, silence
from tests.fakes.scripted_http import Behaviour

pytestmark = pytest.mark.asyncio(loop_scope="module")

HELLO: list[Any] = [{"role": "user", "content": "Hello there"}]
DONE = "data: [DONE]\n\n"
USAGE = {"prompt_tokens": 9, "completion_tokens": 4, "total_tokens": 13}
COST = 13 * 200_000
"""What USAGE costs with gpt-4."""

START = 1000 * MICROCREDITS
QUICK_TIMEOUTS = "header_timeout = 0.5\nchunk_timeout = 0.5\ntotal_timeout = 1.2"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def exchange(postgres: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Exchange]:
    folder = tmp_path_factory.mktemp("stream")
    async with (
        new_database(postgres) as dsn,
        serving() as serve,
        FakeOpenAI() as upstream,
        open_exchange(
            serve, dsn, folder, upstream, provider=QUICK_TIMEOUTS, TELEFONIST_PROVIDER_CIRCUIT="false"
        ) as exchange,
    ):
        yield exchange


@pytest.fixture
def upstream(exchange: Exchange) -> FakeOpenAI:
    exchange.upstream.default = answer()
    exchange.upstream.requests.clear()
    return exchange.upstream


@pytest_asyncio.fixture(loop_scope="module")
async def user(exchange: Exchange, upstream: FakeOpenAI) -> User:
    return await exchange.user()


async def read(user: User, **fields: Any) -> list[str]:
    """Ask for a stream and give the data of its events, which must be framed as events are."""
    asked = {"model": "gpt-4", "messages": HELLO, "stream": True, **fields}
    response = await user.exchange.client.post("/v1/chat/completions", json=asked, headers=user.headers)
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
    *whole, rest = response.text.split("\n\n")
    assert rest == ""
    assert all(each.startswith("data: ") and "\n" not in each for each in whole)
    return [each.removeprefix("data: ") for each in whole]


def decoded(data: list[str]) -> list[dict[str, Any]]:
    assert data[-1] == "[DONE]"
    return [json.loads(each) for each in data[:-1]]


def text_of(chunks: list[dict[str, Any]], index: int = 0) -> str:
    choices = [choice for each in chunks for choice in each["choices"] if choice["index"] == index]
    return "".join(choice["delta"].get("content") or "" for choice in choices)


# What it used


@pytest.mark.parametrize("wanted", [False, True])
async def test_usage_comes_in_a_chunk_of_its_own_before_the_end_and_only_when_asked(
    user: User, upstream: FakeOpenAI, *, wanted: bool
) -> None:
    upstream.script(answer("one two", usage=USAGE))
    chunks = decoded(await read(user, stream_options={"include_usage": wanted}))
    assert upstream.requests[0].json["stream_options"] == {"include_usage": True}
    assert text_of(chunks) == "one two"
    last = chunks.pop() if wanted else {}
    assert (last.get("choices"), last.get("usage")) == (([], USAGE) if wanted else (None, None))
    assert all(each.get("usage") is None and each["choices"] for each in chunks)
    await user.settled()
    assert await user.balance() == START - COST


FINISHED: list[Piece] = [chunk(finish_reason="stop", usage=USAGE)]
GROWING = [("one ", {**USAGE, "completion_tokens": 1}), ("two", {**USAGE, "completion_tokens": 2})]


@pytest.mark.parametrize("wanted", [False, True])
@pytest.mark.parametrize(
    "pieces",
    [
        [chunk("one ", usage=None), chunk("two", usage=None), *FINISHED],
        [*(chunk(text, usage=so_far) for text, so_far in GROWING), *FINISHED],
        [chunk("one "), chunk("two", finish_reason="stop"), {"usage": USAGE}],
    ],
    ids=["in the chunk that finishes", "in every chunk, growing", "in a chunk without choices"],
)
async def test_usage_that_comes_elsewhere_is_moved_into_a_chunk_of_its_own(
    user: User, upstream: FakeOpenAI, pieces: list[Piece], *, wanted: bool
) -> None:
    upstream.script(events(*pieces, DONE))
    chunks = decoded(await read(user, stream_options={"include_usage": wanted}))
    if wanted:
        last = chunks.pop()
        assert (last["choices"], last["usage"]) == ([], USAGE)
        assert (last["id"], last["object"], last["model"]) == ("chatcmpl-1", "chat.completion.chunk", "gpt-4")
    assert [each.get("usage") for each in chunks] == [None] * len(chunks)
    assert text_of(chunks) == "one two"
    assert chunks[-1]["choices"][0]["finish_reason"] == "stop"
    await user.settled()
    assert await user.balance() == START - COST


@pytest.mark.parametrize(
    "early",
    [
        [],
        [chunk("", usage={**USAGE, "completion_tokens": 0})],
        [{"id": "chatcmpl-1", "choices": [], "usage": {**USAGE, "prompt_tokens": -1}}],
    ],
    ids=["none", "only before the text", "only what makes no sense"],
)
async def test_without_usage_the_tokens_are_counted_charged_and_said_to_be_an_estimate(
    user: User, upstream: FakeOpenAI, early: list[Piece]
) -> None:
    upstream.script(events(*early, chunk("one two three"), chunk(finish_reason="stop"), DONE))
    *others, last = decoded(await read(user, stream_options={"include_usage": True}))
    assert all(each.get("usage") is None for each in others)
    counted = await counted_usage("gpt-4", HELLO, {}, "one two three")
    assert counted.completion_tokens == 3
    assert last["usage"] == {
        "prompt_tokens": counted.prompt_tokens,
        "completion_tokens": 3,
        "total_tokens": counted.total_tokens,
        "estimated": True,
    }
    (generation,) = await user.settled()
    assert (generation["state"], generation["estimated"]) == ("succeeded", True)
    assert await user.balance() == START - counted.total_tokens * 200_000


# How it is framed

LONG = "слово " * 20_000


def plain(text: str) -> bytes:
    return event(chunk(text)) + event(chunk(finish_reason="stop", usage=USAGE)) + DONE.encode()


@pytest.mark.parametrize(
    ("pieces", "text"),
    [
        ([b": OPENROUTER PROCESSING\n\n", plain("привет")[:9], plain("привет")[9:], ": ping\n\n"], "привет"),
        ([plain("привет").replace(b"\n", b"\r\n")], "привет"),
        ([plain("привет").replace(b"\n", b"\r")], "привет"),
        ([plain("hi").replace(b"\n", b"\r\n")[:-3], plain("hi").replace(b"\n", b"\r\n")[-3:]], "hi"),
        ([plain("привет").replace(b"data: ", b"data:")], "привет"),
        ([plain("привет").replace(b',"created"', b',\ndata: "created"')], "привет"),
        ([plain("привет")[at : at + 1] for at in range(len(plain("привет")))], "привет"),
        ([b"\xef\xbb\xbfevent: message\nid: 7\nretry: 10\n" + plain("привет")], "привет"),
        ([plain(LONG)[at : at + 5_000] for at in range(0, len(plain(LONG)), 5_000)], LONG),
    ],
    ids=["comments", "CRLF", "CR", "CR and LF apart", "no space", "several lines", "byte by byte", "fields", "long"],
)
async def test_any_legal_framing_reaches_the_client_as_plain_events(
    user: User, upstream: FakeOpenAI, pieces: list[Piece], text: str
) -> None:
    upstream.script(events(*pieces))
    assert text_of(decoded(await read(user))) == text
    await user.settled()
    assert await user.balance() == START - COST


ODD = [
    '{ "choices" :[{"delta":{"role":"assistant","content":null,"tool_calls":[{"index":0,"id":"call_1",'
    '"type":"function","function":{"name":"weather","arguments":""}}]},"index":0}],"x_new": {"a":1.0e0} }',
    '{"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"{\\"city\\": "}}]}}]}',
    '{"choices":[{"index":0,"delta":{"tool_calls":[{"index":1,"id":"call_2","function":{"name":"\\u0432","arguments":'
    '"{}"}},{"index":0,"function":{"arguments":"\\"Paris\\"}"}}]}}]}',
    '{"choices":[{"index":0,"delta":{"reasoning_content":"hm\\/"}}],"usage":null}',
    '{"choices":[{"index":0,"delta":{},"finish_reason":"tool_calls"}]}',
]


async def test_tool_calls_and_fields_we_do_not_know_reach_the_client_byte_for_byte(
    user: User, upstream: FakeOpenAI
) -> None:
    upstream.script(events(*[f"data: {each}\n\n" for each in ODD], DONE))
    assert await read(user) == [*ODD, "[DONE]"]


async def test_several_choices_keep_their_order_and_all_are_charged(user: User, upstream: FakeOpenAI) -> None:
    pieces = [chunk("a1 ", index=0), chunk("b1 ", index=1), chunk("b2", index=1), chunk("a2", index=0)]
    ends = [chunk(index=1, finish_reason="stop"), chunk(index=0, finish_reason="length")]
    upstream.script(events(*pieces, *ends, DONE))
    chunks = decoded(await read(user, n=2))
    assert chunks == [*pieces, *ends]
    counted = await counted_usage("gpt-4", HELLO, {}, "a1 b1 b2a2")
    (generation,) = await user.settled()
    assert generation["completion_tokens"] == counted.completion_tokens >= 7


async def test_an_upstream_that_does_not_stream_is_streamed_all_the_same(user: User, upstream: FakeOpenAI) -> None:
    message = {"index": 0, "message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"}
    body = {"id": "chatcmpl-1", "object": "chat.completion", "choices": [message], "usage": USAGE}
    upstream.script(reply(json.dumps(body).encode()))
    chunks = decoded(await read(user, stream_options={"include_usage": True}))
    assert text_of(chunks) == "Hi"
    assert chunks[-1]["usage"] == USAGE


# How it fails half-way

ERROR = {"message": "The model fell over.", "type": "server_error", "code": "server_error"}


@pytest.mark.parametrize(
    ("failure", "code", "paid"),
    [
        (events(chunk("one two"), {"error": ERROR}, DONE), "provider_failed", False),
        (events(chunk("one two"), f"event: error\n{event({'message': 'x'}).decode()}"), "provider_failed", False),
        (events(chunk("one two"), {"error": {**ERROR, "code": 429}}), "provider_rate_limited", False),
        (
            events(chunk("one two"), chunk(finish_reason="error", error={"code": 502, "message": "Host down"}), DONE),
            "provider_failed",
            False,
        ),
        (events(chunk("one two"), chunk(finish_reason="error"), DONE), "provider_failed", False),
        (events(chunk("one two"), ending="end"), "provider_protocol_error", True),
        (events(chunk("one two"), ending="cut"), "provider_protocol_error", True),
        (events(chunk("one two"), ending="reset"), "provider_protocol_error", True),
        (events(chunk("one two"), "data: {not json\n\n", DONE), "provider_protocol_error", True),
        (events(chunk("one two"), "data: [1]\n\n", DONE), "provider_protocol_error", True),
        (events(chunk("one two"), ending="hang"), "provider_timeout", True),
    ],
    ids=[
        "an error chunk, as Groq's",
        "an error event",
        "an error with a status",
        "OpenRouter's error",
        "finish_reason error",
        "ended early",
        "cut",
        "reset",
        "not JSON",
        "not an object",
        "silence",
    ],
)
async def test_a_failure_half_way_ends_in_an_error_event_and_never_in_done(
    user: User, upstream: FakeOpenAI, failure: Behaviour, code: str, *, paid: bool
) -> None:
    upstream.script(failure, failure)
    first, last = await read(user)
    assert text_of([json.loads(first)]) == "one two"
    error = json.loads(last)["error"]
    assert (error["code"], error["type"]) == (code, "server_error")
    assert error["message"]
    (generation,) = await user.settled()
    assert (generation["error"], generation["state"]) == (code, "cancelled" if paid else "failed")
    counted = await counted_usage("gpt-4", HELLO, {}, "one two")
    cost = counted.total_tokens * 200_000 if paid else 0
    assert (generation["charge"], await user.balance()) == (cost, START - cost)
    with pytest.raises(openai.APIError) as raised:
        async for _ in await user.openai.chat.completions.create(model="gpt-4", messages=HELLO, stream=True):
            pass
    assert raised.value.code == code
    assert len(upstream.requests) == 2, "nothing is asked again after the client has read a part"
    await user.settled(2)


async def test_a_stream_that_is_never_silent_and_never_ends_is_ended_by_the_total_time_out(
    user: User, upstream: FakeOpenAI
) -> None:
    upstream.script(events(*[piece for _ in range(40) for piece in (chunk("word "), 0.1)], DONE))
    *chunks, last = await read(user)
    assert 3 <= len(chunks) < 30
    assert json.loads(last)["error"]["code"] == "provider_timeout"
    (generation,) = await user.settled()
    assert generation["charge"] > 0


async def test_what_the_provider_counted_before_the_cut_is_what_is_charged(user: User, upstream: FakeOpenAI) -> None:
    upstream.script(events(chunk("one two", usage=USAGE), ending="cut"))
    *_, last = await read(user)
    assert "error" in json.loads(last)
    (generation,) = await user.settled()
    assert (generation["charge"], generation["estimated"]) == (COST, False)


# How it fails before it begins


@pytest.mark.parametrize(
    ("failure", "status", "code"),
    [
        (refuse(400, "too many legs"), 400, "provider_rejected_request"),
        (refuse(401), 502, "provider_credentials_refused"),
        (refuse(402), 502, "provider_out_of_funds"),
        (refuse(404), 400, "provider_rejected_request"),
        (refuse(429, headers={"retry-after": "60"}), 502, "provider_rate_limited"),
        (refuse(500, headers={"retry-after": "60"}), 502, "provider_failed"),
        (events({"error": {**ERROR, "code": 401}}), 502, "provider_credentials_refused"),
        (events(DONE), 502, "provider_protocol_error"),
        (events(ending="end"), 502, "provider_protocol_error"),
        (events(content_type="text/html", ending="end"), 502, "provider_protocol_error"),
        (events(ending="hang"), 504, "provider_timeout"),
        (silence(), 504, "provider_timeout"),
    ],
    ids=["400", "401", "402", "404", "429", "500", "error chunk", "only DONE", "nothing", "HTML", "no chunk", "silent"],
)
async def test_a_failure_before_the_first_chunk_has_a_status_of_its_own_and_costs_nothing(
    user: User, upstream: FakeOpenAI, failure: Behaviour, status: int, code: str
) -> None:
    upstream.default = failure
    with pytest.raises(openai.APIStatusError) as refused:
        await user.openai.chat.completions.create(model="gpt-3.5-turbo", messages=HELLO, stream=True)
    assert (refused.value.status_code, refused.value.code) == (status, code)
    (generation,) = await user.settled()
    assert (generation["state"], generation["error"], generation["charge"]) == ("failed", code, 0)


async def test_before_the_first_chunk_a_passing_failure_is_tried_again(user: User, upstream: FakeOpenAI) -> None:
    upstream.script(refuse(503), events({"error": ERROR}), answer("third time", usage=USAGE))
    assert text_of(decoded(await read(user))) == "third time"
    assert [request.json["model"] for request in upstream.requests] == ["gpt-4"] * 3
    (generation,) = await user.settled()
    assert (generation["served_by"], generation["charge"]) == ("gpt-4", COST)


async def test_before_the_first_chunk_the_fallback_takes_over_at_the_price_asked_for(
    user: User, upstream: FakeOpenAI
) -> None:
    upstream.script(silence(), answer("from the spare", usage=USAGE))
    raw = user.openai.chat.completions.with_raw_response
    response = await raw.create(model="gpt-4", messages=HELLO, stream=True)
    assert response.headers["x-telefonist-served-by"] == "gpt-3.5-turbo"
    async for _ in response.parse():
        pass
    (generation,) = await user.settled()
    assert (generation["model"], generation["served_by"], generation["charge"]) == ("gpt-4", "gpt-3.5-turbo", COST)


async def test_a_mistake_of_ours_half_way_is_an_error_event_and_costs_nothing(
    user: User, upstream: FakeOpenAI, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = asyncio.Event()
    upstream.script(events(chunk("one "), gate, chunk("two"), DONE))

    async def stumble(*_: object) -> None:
        raise RuntimeError("a mistake")

    asked = {"model": "gpt-4", "messages": HELLO, "stream": True}
    path = "/v1/chat/completions"
    async with user.exchange.client.stream("POST", path, json=asked, headers=user.headers) as response:
        lines = response.aiter_lines()
        assert "one " in await anext(lines)
        monkeypatch.setattr("telefonist.core.generation_stream.GenerationStream.next", stumble)
        gate.set()
        rest = [line async for line in lines if line]
    assert json.loads(rest[-1].removeprefix("data: "))["error"]["code"] == "internal_error"
    assert "mistake" not in rest[-1]
    (generation,) = await user.settled()
    assert (generation["state"], generation["error"], generation["charge"]) == ("failed", "internal_error", 0)


async def test_the_client_reads_each_piece_before_the_next_is_written(user: User, upstream: FakeOpenAI) -> None:
    gates = [asyncio.Event() for _ in range(3)]
    pieces: list[Piece] = [piece for gate in gates for piece in (chunk("word "), gate)]
    upstream.script(events(*pieces, chunk(finish_reason="stop"), DONE))
    stream = await user.openai.chat.completions.create(model="gpt-4", messages=HELLO, stream=True)
    async with asyncio.timeout(5):
        for gate in gates:
            assert (await anext(stream)).choices[0].delta.content == "word "
            gate.set()
        assert (await anext(stream)).choices[0].finish_reason == "stop"
        assert [each async for each in stream] == []


async def test_a_stream_may_not_be_kept_or_held_back_on_its_way(user: User) -> None:
    asked = {"model": "free", "messages": HELLO, "stream": True}
    response = await user.exchange.client.post("/v1/chat/completions", json=asked, headers=user.headers)
    assert response.headers["cache-control"] == "no-cache"
    assert response.headers["x-accel-buffering"] == "no"
    assert "content-length" not in response.headers
    assert response.headers["x-request-id"]
