"""A whole answer from an OpenAI-compatible upstream: what is sent, what is read, what is refused."""

import json
from typing import Any

import pytest

from telefonist.errors import ProviderFailed, ProviderProtocolError, ProviderRateLimited, ProviderRejectedRequest
from telefonist.providers.base import Provider
from telefonist.types import ChatRequest, Usage, estimate_tokens
from tests.fakes.openai_upstream import FakeOpenAI, answer, events, reply
from tests.providers.asking import ask
from tests.providers.conftest import MakeProvider

FRAME = 4 + 3
"""Tokens around one message, and before its answer."""
CALL: dict[str, Any] = {
    "id": "call_1",
    "type": "function",
    "function": {"name": "weather", "arguments": '{"city": "Moscow"}'},
}


def completion(**changes: Any) -> dict[str, Any]:
    choice = {"index": 0, "message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"}
    return {"id": "x", "object": "chat.completion", "model": "gpt-4-0613", "choices": [choice], **changes}


def body(**changes: Any) -> bytes:
    return json.dumps(completion(**changes)).encode()


async def test_the_answer_comes_with_its_text_model_and_usage(upstream: FakeOpenAI, provider: Provider) -> None:
    upstream.script(answer("Hello to you"))
    got = await provider.complete(ask("Hello there"))
    assert (got.text, got.model, got.finish_reason) == ("Hello to you", "gpt-4", "stop")
    assert got.usage == Usage(prompt_tokens=2, completion_tokens=3)
    assert got.body["choices"][0]["message"]["content"] == "Hello to you"


async def test_every_option_goes_upstream_untouched(upstream: FakeOpenAI, provider: Provider) -> None:
    await provider.complete(ask(temperature=0.5, seed=7, brand_new={"deep": [1, None, "ё"]}))
    sent = upstream.requests[0]
    assert sent.json == {
        "model": "gpt-4",
        "messages": [{"role": "user", "content": "Hello"}],
        "temperature": 0.5,
        "seed": 7,
        "brand_new": {"deep": [1, None, "ё"]},
    }
    assert (sent.method, sent.path) == ("POST", "/v1/chat/completions")
    assert sent.headers["authorization"] == f"Bearer {upstream.api_key}"
    assert sent.headers["content-type"] == "application/json"
    assert sent.headers["user-agent"].startswith("telefonist/")
    assert "cookie" not in sent.headers


async def test_what_only_concerns_streams_is_not_sent_with_a_plain_request(
    upstream: FakeOpenAI, provider: Provider
) -> None:
    await provider.complete(ask(stream=True, stream_options={"include_usage": True}))
    assert set(upstream.requests[0].json) == {"model", "messages"}


async def test_unknown_fields_of_the_answer_are_kept(upstream: FakeOpenAI, provider: Provider) -> None:
    upstream.script(answer(system_fingerprint="fp_1", x_provider={"region": "eu"}))
    got = await provider.complete(ask())
    assert (got.body["system_fingerprint"], got.body["x_provider"]) == ("fp_1", {"region": "eu"})


async def test_a_tool_call_has_no_text(upstream: FakeOpenAI, provider: Provider) -> None:
    upstream.script(answer(None, tool_calls=[CALL]))
    got = await provider.complete(ask(tools=[{"type": "function", "function": {"name": "weather"}}]))
    assert (got.text, got.finish_reason) == ("", "tool_calls")
    assert got.body["choices"][0]["message"]["tool_calls"] == [CALL]


async def test_content_in_parts_becomes_one_text(upstream: FakeOpenAI, provider: Provider) -> None:
    parts = [{"type": "text", "text": "Hel"}, {"type": "thinking", "thinking": []}, {"type": "text", "text": "lo"}]
    choice = {"index": 0, "message": {"role": "assistant", "content": parts}, "finish_reason": "stop"}
    upstream.script(reply(body(choices=[choice])))
    assert (await provider.complete(ask())).text == "Hello"


async def test_of_several_choices_the_first_is_the_text_and_all_are_in_the_body(
    upstream: FakeOpenAI, provider: Provider
) -> None:
    upstream.script(answer("one two"))
    got = await provider.complete(ask(n=3))
    assert (got.text, len(got.body["choices"]), got.usage.completion_tokens) == ("one two", 3, 6)


async def test_cached_tokens_are_counted(upstream: FakeOpenAI, provider: Provider) -> None:
    usage = {"prompt_tokens": 100, "completion_tokens": 5, "prompt_tokens_details": {"cached_tokens": 64}}
    upstream.script(answer(usage=usage))
    assert (await provider.complete(ask())).usage == Usage(100, 5, cached_tokens=64)


@pytest.mark.parametrize(
    "usage",
    [
        None,
        {},
        {"prompt_tokens": None, "completion_tokens": None},
        {"prompt_tokens": "12", "completion_tokens": 3},
        {"prompt_tokens": -1, "completion_tokens": 3},
        {"prompt_tokens": True, "completion_tokens": 3},
        {"prompt_tokens": 1, "completion_tokens": 10**12},
    ],
)
async def test_usage_that_is_missing_or_makes_no_sense_is_estimated_from_the_bytes(
    upstream: FakeOpenAI, provider: Provider, usage: dict[str, Any] | None
) -> None:
    upstream.script(answer("Маяк", usage=usage))
    assert (await provider.complete(ask("12345"))).usage == Usage(2 + FRAME, 2, estimated=True)


async def test_the_estimate_counts_what_the_model_wrote_besides_text(upstream: FakeOpenAI, provider: Provider) -> None:
    upstream.script(answer(None, tool_calls=[CALL], usage=None))
    usage = (await provider.complete(ask())).usage
    assert usage.completion_tokens == estimate_tokens(CALL["function"]["name"] + CALL["function"]["arguments"])


async def test_the_estimate_of_a_prompt_counts_texts_and_tools_and_takes_pictures_at_a_fixed_number(
    upstream: FakeOpenAI, provider: Provider
) -> None:
    upstream.default = answer(usage=None)
    parts = [{"type": "text", "text": "12345678"}, {"type": "image_url", "image_url": {"url": "data:" + "x" * 9000}}]
    request = ChatRequest("gpt-4", [{"role": "user", "content": parts}])
    assert (await provider.complete(request)).usage.prompt_tokens == 2 + 765 + FRAME
    with_tools = ChatRequest("gpt-4", request.messages, {"tools": [{"type": "function"}]})
    assert (await provider.complete(with_tools)).usage.prompt_tokens == 8 + 765 + FRAME


@pytest.mark.parametrize(("text", "tokens"), [("", 0), ("a", 1), ("abcd", 1), ("abcde", 2), ("маяк", 2), ("\ud800", 1)])
def test_an_estimated_token_is_four_bytes(text: str, tokens: int) -> None:
    assert estimate_tokens(text) == tokens


async def test_a_full_address_is_used_as_it_is(upstream: FakeOpenAI, make_provider: MakeProvider) -> None:
    provider = make_provider(base_url="", chat_url=f"{upstream.address}/v1/chat/completions?api-version=2024-10-21")
    assert (await provider.complete(ask())).text == "Hello from upstream."
    assert upstream.requests[0].path == "/v1/chat/completions?api-version=2024-10-21"


async def test_a_slash_at_the_end_of_the_base_address_does_no_harm(
    upstream: FakeOpenAI, make_provider: MakeProvider
) -> None:
    await make_provider(base_url=upstream.base_url + "/").complete(ask())
    assert upstream.requests[0].path == "/v1/chat/completions"


async def test_headers_of_the_row_are_sent_and_may_replace_ours(
    upstream: FakeOpenAI, make_provider: MakeProvider
) -> None:
    key = f"Bearer {upstream.api_key}"
    provider = make_provider(api_key="sk-another-key", headers={"authorization": key, "X-Title": "Telefonist"})
    await provider.complete(ask())
    headers = upstream.requests[0].headers
    assert (headers["authorization"], headers["x-title"]) == (key, "Telefonist")


async def test_without_a_key_no_authorization_is_sent(upstream: FakeOpenAI, make_provider: MakeProvider) -> None:
    upstream.api_key = ""
    await make_provider(api_key="").complete(ask())
    assert "authorization" not in upstream.requests[0].headers


async def test_requests_one_after_another_share_a_connection(upstream: FakeOpenAI, provider: Provider) -> None:
    for _ in range(5):
        await provider.complete(ask())
    assert upstream.connections == 1


async def test_cookies_of_an_upstream_are_not_sent_back(upstream: FakeOpenAI, make_provider: MakeProvider) -> None:
    provider = make_provider(base_url=upstream.base_url.replace("127.0.0.1", "localhost"))
    upstream.script(answer(headers={"Set-Cookie": "session=1; Path=/"}))
    await provider.complete(ask())
    await provider.complete(ask())
    assert "cookie" not in upstream.requests[1].headers


async def test_a_large_request_arrives_whole(upstream: FakeOpenAI, provider: Provider) -> None:
    text = "x" * 3_000_000
    await provider.complete(ask(text))
    assert upstream.requests[0].json["messages"][0]["content"] == text


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "not JSON"),
        (b"<html>", "not JSON"),
        (b'{"choices": [', "not JSON"),
        (b'{"text": "\xff"}', "not JSON"),
        (b"[]", "not an object"),
        (b"{}", "without choices"),
        (b'{"choices": []}', "without choices"),
        (b'{"choices": null}', "without choices"),
        (b'{"choices": [null]}', "without a message"),
        (b'{"choices": [{"index": 0}]}', "without a message"),
    ],
)
async def test_garbage_is_no_answer(upstream: FakeOpenAI, provider: Provider, content: bytes, reason: str) -> None:
    upstream.script(reply(content))
    with pytest.raises(ProviderProtocolError, match=reason):
        await provider.complete(ask())


@pytest.mark.parametrize("content_type", ["text/html", "text/plain", "application/octet-stream", ""])
async def test_a_wrong_content_type_is_no_answer(upstream: FakeOpenAI, provider: Provider, content_type: str) -> None:
    upstream.script(reply(body(), content_type=content_type))
    with pytest.raises(ProviderProtocolError, match="content type"):
        await provider.complete(ask())


async def test_a_stream_that_nobody_asked_for_is_no_answer(upstream: FakeOpenAI, provider: Provider) -> None:
    upstream.script(events("data: [DONE]\n\n"))
    with pytest.raises(ProviderProtocolError, match="text/event-stream"):
        await provider.complete(ask())


async def test_an_error_with_status_200_is_an_error(upstream: FakeOpenAI, provider: Provider) -> None:
    upstream.script(reply(json.dumps({"error": {"code": 429, "message": "Slow down"}}).encode()))
    with pytest.raises(ProviderRateLimited, match="Slow down"):
        await provider.complete(ask())


async def test_a_generation_that_ended_with_an_error_is_an_error(upstream: FakeOpenAI, provider: Provider) -> None:
    upstream.script(answer("half an ans", finish_reason="error"))
    with pytest.raises(ProviderFailed):
        await provider.complete(ask())


async def test_a_request_that_json_cannot_hold_is_refused_before_it_is_sent(
    upstream: FakeOpenAI, provider: Provider
) -> None:
    with pytest.raises(ProviderRejectedRequest, match="JSON"):
        await provider.complete(ask("half a pair: \ud800"))
    assert upstream.requests == []
