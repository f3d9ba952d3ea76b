"""OpenAI's own client, unmodified, against the model API."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import openai
import pytest

from telefonist.types import MICROCREDITS, KeyTerms
from tests.doors.conftest import Serve
from tests.doors.exchange import Exchange, User, open_exchange
from tests.fakes.openai_upstream import FakeOpenAI, answer, embeddings, refuse, silence

HELLO: list[Any] = [{"role": "user", "content": "Hello there"}]
WEATHER: Any = {
    "id": "call_1",
    "type": "function",
    "function": {"name": "weather", "arguments": '{"city": "Paris"}'},
}


@pytest.fixture
async def exchange(serve: Serve, dsn: str, tmp_path: Path) -> AsyncIterator[Exchange]:
    async with FakeOpenAI() as upstream, open_exchange(serve, dsn, tmp_path, upstream) as exchange:
        yield exchange


@pytest.fixture
async def user(exchange: Exchange) -> User:
    return await exchange.user()


async def test_a_plain_answer_comes_whole_and_is_charged(exchange: Exchange, user: User) -> None:
    exchange.upstream.script(answer("Hello from far away."))
    completion = await user.openai.chat.completions.create(model="gpt-4", messages=HELLO)
    assert completion.choices[0].message.content == "Hello from far away."
    assert completion.usage is not None
    assert (completion.usage.prompt_tokens, completion.usage.completion_tokens) == (2, 4)
    assert await user.balance() == 1000 * MICROCREDITS - 6 * 200_000
    (generation,) = await user.settled()
    assert (generation["state"], generation["charge"], generation["estimated"]) == ("succeeded", 1_200_000, False)


async def test_a_stream_comes_word_by_word_and_is_charged_the_same(exchange: Exchange, user: User) -> None:
    exchange.upstream.script(answer("Hello from far away."))
    words = []
    async for chunk in await user.openai.chat.completions.create(model="gpt-4", messages=HELLO, stream=True):
        assert chunk.usage is None
        words += [choice.delta.content for choice in chunk.choices if choice.delta.content]
    assert words == ["Hello ", "from ", "far ", "away."]
    assert await user.balance() == 1000 * MICROCREDITS - 6 * 200_000
    (generation,) = await user.settled()
    assert (generation["state"], generation["streamed"]) == ("succeeded", True)
    assert generation["first_token_ms"] is not None


async def test_a_client_that_asks_gets_the_usage_in_a_chunk_of_its_own_at_the_end(user: User) -> None:
    stream = await user.openai.chat.completions.create(
        model="gpt-4", messages=HELLO, stream=True, stream_options={"include_usage": True}
    )
    chunks = [chunk async for chunk in stream]
    assert chunks[-1].choices == []
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.prompt_tokens == 2
    assert all(chunk.usage is None for chunk in chunks[:-1])


@pytest.mark.parametrize("streamed", [False, True])
async def test_tools_reach_the_model_and_its_calls_reach_the_client(
    exchange: Exchange, user: User, *, streamed: bool
) -> None:
    exchange.upstream.script(answer(None, tool_calls=[WEATHER]))
    tools: Any = [{"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}]
    asked: dict[str, Any] = {"model": "gpt-4", "messages": HELLO, "tools": tools, "tool_choice": "auto"}
    if streamed:
        arguments = ""
        async for chunk in await user.openai.chat.completions.create(stream=True, **asked):
            for call in chunk.choices[0].delta.tool_calls or []:
                assert call.index == 0
                arguments += (call.function and call.function.arguments) or ""
    else:
        completion = await user.openai.chat.completions.create(**asked)
        assert completion.choices[0].finish_reason == "tool_calls"
        assert completion.choices[0].message.tool_calls is not None
        arguments = completion.choices[0].message.tool_calls[0].function.arguments
    assert arguments == '{"city": "Paris"}'
    assert exchange.upstream.requests[0].json["tools"] == tools


async def test_what_we_do_not_know_passes_through_both_ways(exchange: Exchange, user: User) -> None:
    exchange.upstream.script(answer("Hi", system_fingerprint="fp_1", x_new_field={"a": [1]}))
    content: Any = [{"type": "text", "text": "What is this?"}, {"type": "image_url", "image_url": {"url": "data:x"}}]
    completion = await user.openai.chat.completions.create(
        model="gpt-4-latest",
        messages=[{"role": "user", "content": content}],
        n=2,
        response_format={"type": "json_object"},
        extra_body={"reasoning": {"effort": "low"}, "новое": 1},
    )
    asked = exchange.upstream.requests[0].json
    assert asked["messages"][0]["content"] == content
    assert (asked["model"], asked["n"], asked["response_format"]) == ("gpt-4", 2, {"type": "json_object"})
    assert (asked["reasoning"], asked["новое"]) == ({"effort": "low"}, 1)
    assert len(completion.choices) == 2
    assert completion.system_fingerprint == "fp_1"
    assert completion.model_extra is not None
    assert completion.model_extra["x_new_field"] == {"a": [1]}


async def test_the_synchronous_client_works_as_well(exchange: Exchange, user: User) -> None:
    def talk() -> str:
        with openai.OpenAI(api_key=user.key, base_url=f"{exchange.url}/v1", max_retries=0) as client:
            completion = client.chat.completions.create(model="free", messages=HELLO)
            with client.chat.completions.create(model="free", messages=HELLO, stream=True) as stream:
                streamed = "".join(chunk.choices[0].delta.content or "" for chunk in stream)
            assert streamed == completion.choices[0].message.content
            return streamed

    assert await asyncio.to_thread(talk) == "Hello from upstream."


async def test_embeddings_come_back_and_cost_what_was_read(exchange: Exchange, user: User) -> None:
    exchange.upstream.script(embeddings())
    vectors = await user.openai.embeddings.create(model="vectors", input=["one two", "three"])
    assert [vector.embedding for vector in vectors.data] == [[1.0, 0.0, 0.0, 0.0]] * 2
    assert await user.balance() == 1000 * MICROCREDITS - 3 * 100_000


async def test_models_are_listed_and_found_by_name_or_alias(user: User) -> None:
    names = [model.id async for model in await user.openai.models.list()]
    assert names[:5] == ["gpt-4", "gpt-3.5-turbo", "free", "dear", "vectors"]
    assert (await user.openai.models.retrieve("gpt-4-latest")).id == "gpt-4"
    described = await user.openai.models.retrieve("gpt-4")
    assert described.model_extra is not None
    assert described.model_extra["credits_per_1k_output"] == 200


async def test_a_key_that_does_not_hold_is_an_authentication_error(exchange: Exchange) -> None:
    client = openai.AsyncOpenAI(api_key="tf-wrong", base_url=f"{exchange.url}/v1", max_retries=0)
    async with client:
        with pytest.raises(openai.AuthenticationError) as refused:
            await client.chat.completions.create(model="gpt-4", messages=HELLO)
    assert refused.value.body == {
        "message": refused.value.body["message"],  # type: ignore[index]
        "type": "authentication_error",
        "param": None,
        "code": "credentials_not_accepted",
    }
    assert exchange.upstream.requests == []


async def test_an_empty_balance_is_a_402_that_names_what_is_there_and_what_is_needed(exchange: Exchange) -> None:
    user = await exchange.user(credits_=0)
    with pytest.raises(openai.APIStatusError) as refused:
        await user.openai.chat.completions.create(model="gpt-4", messages=HELLO)
    assert refused.value.status_code == 402
    assert refused.value.code == "insufficient_credits"
    assert "0 available (balance 0)" in refused.value.message
    assert exchange.upstream.requests == []


async def test_with_an_empty_balance_a_free_model_still_answers(exchange: Exchange) -> None:
    user = await exchange.user(credits_=0)
    assert (await user.openai.chat.completions.create(model="free", messages=HELLO)).choices
    (generation,) = await user.settled()
    assert (generation["state"], generation["charge"], generation["prompt_tokens"]) == ("succeeded", 0, 2)


async def test_an_unknown_model_is_not_found_and_the_known_ones_are_named(user: User) -> None:
    with pytest.raises(openai.NotFoundError, match="gpt-4"):
        await user.openai.chat.completions.create(model="gpt-9", messages=HELLO)
    with pytest.raises(openai.NotFoundError):
        await user.openai.models.retrieve("gpt-9")


async def test_a_model_of_the_other_kind_is_a_bad_request(user: User) -> None:
    with pytest.raises(openai.BadRequestError, match="gpt-4"):
        await user.openai.chat.completions.create(model="vectors", messages=HELLO)
    with pytest.raises(openai.BadRequestError, match="vectors"):
        await user.openai.embeddings.create(model="gpt-4", input="Hello")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("messages", []),
        ("messages", "Hello"),
        ("messages", [{"role": "robot", "content": "x"}]),
        ("messages", [{"role": "user", "content": 5}]),
        ("n", 0),
        ("n", 1000),
        ("max_tokens", -1),
        ("stream", "yes"),
        ("stream_options", []),
    ],
)
async def test_a_wrong_field_is_a_bad_request_that_names_it(user: User, field: str, value: Any) -> None:
    asked: dict[str, Any] = {"model": "gpt-4", "messages": HELLO, field: value}
    response = await user.exchange.client.post("/v1/chat/completions", json=asked, headers=user.headers)
    assert response.status_code == 400
    error = response.json()["error"]
    assert error["type"] == "invalid_request_error"
    assert error["param"].startswith(field)
    assert error["param"] in error["message"]


async def test_a_provider_that_refuses_the_request_is_a_bad_request_in_its_own_words(
    exchange: Exchange, user: User
) -> None:
    exchange.upstream.script(refuse(400, "too many legs"), refuse(400, "too many legs"))
    with pytest.raises(openai.BadRequestError, match="too many legs"):
        await user.openai.chat.completions.create(model="gpt-4", messages=HELLO, stream=True)
    await user.settled()
    assert await user.balance() == 1000 * MICROCREDITS


async def test_a_provider_that_fails_is_a_server_error_and_costs_nothing(exchange: Exchange, user: User) -> None:
    exchange.upstream.default = refuse(401, "bad key")
    with pytest.raises(openai.InternalServerError) as failed:
        await user.openai.chat.completions.create(model="gpt-4", messages=HELLO)
    assert failed.value.status_code == 502
    (generation,) = await user.settled()
    assert (generation["state"], generation["error"]) == ("failed", "provider_credentials_refused")
    assert await user.balance() == 1000 * MICROCREDITS


async def test_past_a_key_s_limit_is_a_rate_limit_error_that_says_when_to_come_back(exchange: Exchange) -> None:
    user = await exchange.user(terms=KeyTerms(requests_per_minute=2))
    raw = user.openai.chat.completions.with_raw_response
    first = await raw.create(model="free", messages=HELLO)
    assert first.headers["x-ratelimit-limit-requests"] == "2"
    assert first.headers["x-ratelimit-remaining-requests"] == "1"
    assert first.headers["x-request-id"]
    await raw.create(model="free", messages=HELLO)
    with pytest.raises(openai.RateLimitError) as refused:
        await raw.create(model="free", messages=HELLO)
    headers = refused.value.response.headers
    assert 0 < int(headers["retry-after"]) <= 60
    assert (headers["x-ratelimit-limit-requests"], headers["x-ratelimit-remaining-requests"]) == ("2", "0")
    assert headers["x-ratelimit-reset-requests"] == f"{headers['retry-after']}s"


async def test_a_key_for_some_models_gets_no_other(exchange: Exchange) -> None:
    user = await exchange.user(terms=KeyTerms(models=("free",)))
    assert [model.id async for model in await user.openai.models.list()] == ["free"]
    with pytest.raises(openai.PermissionDeniedError, match="free"):
        await user.openai.models.retrieve("gpt-4")
    with pytest.raises(openai.PermissionDeniedError, match="free"):
        await user.openai.chat.completions.create(model="gpt-4", messages=HELLO)


async def test_a_key_s_budget_ends_before_the_balance_does(exchange: Exchange) -> None:
    user = await exchange.user(credits_=1000, terms=KeyTerms(budget=2 * MICROCREDITS))
    for _ in range(2):
        await user.openai.chat.completions.create(model="gpt-4", messages=HELLO)
    with pytest.raises(openai.APIStatusError) as refused:
        await user.openai.chat.completions.create(model="gpt-4", messages=HELLO)
    assert (refused.value.status_code, refused.value.code) == (402, "key_budget_spent")


async def test_a_key_s_tokens_a_minute_count_what_was_really_used(exchange: Exchange) -> None:
    user = await exchange.user(terms=KeyTerms(tokens_per_minute=600))
    for _ in range(3):
        await user.openai.chat.completions.create(model="free", messages=HELLO, max_tokens=500)
    exchange.upstream.script(answer("word " * 550))
    await user.openai.chat.completions.create(model="free", messages=HELLO, max_tokens=500)
    with pytest.raises(openai.RateLimitError, match="tokens"):
        await user.openai.chat.completions.create(model="free", messages=HELLO, max_tokens=500)


async def test_more_streams_than_a_key_may_have_open_are_refused_until_one_ends(exchange: Exchange) -> None:
    user = await exchange.user(terms=KeyTerms(max_streams=1))
    exchange.upstream.script(answer("One two three", pause=0.2))
    first = await user.openai.chat.completions.create(model="free", messages=HELLO, stream=True)
    with pytest.raises(openai.RateLimitError):
        await user.openai.chat.completions.create(model="free", messages=HELLO, stream=True)
    async for _ in first:
        pass
    await user.openai.chat.completions.create(model="free", messages=HELLO, stream=True)


async def test_a_client_that_gives_up_waiting_gets_its_own_time_out_and_pays_nothing(exchange: Exchange) -> None:
    user = await exchange.user(timeout=0.2)
    exchange.upstream.script(silence())
    with pytest.raises(openai.APITimeoutError):
        await user.openai.chat.completions.create(model="gpt-4", messages=HELLO)
    (generation,) = await user.settled()
    assert (generation["state"], generation["charge"]) == ("cancelled", 0)
    async with asyncio.timeout(5):
        await exchange.upstream.requests[0].gone.wait()


async def test_a_fallback_answers_in_place_of_a_model_that_fails_at_the_price_asked_for(
    exchange: Exchange, user: User
) -> None:
    exchange.upstream.script(refuse(401), answer("From the spare."))
    response = await user.openai.chat.completions.with_raw_response.create(model="gpt-4", messages=HELLO)
    assert response.headers["x-telefonist-served-by"] == "gpt-3.5-turbo"
    (generation,) = await user.settled()
    assert (generation["model"], generation["served_by"]) == ("gpt-4", "gpt-3.5-turbo")
    assert generation["charge"] == 5 * 200_000


async def test_without_a_key_this_machine_is_served_and_nothing_is_charged(exchange: Exchange) -> None:
    response = await exchange.client.post("/v1/chat/completions", json={"model": "gpt-4", "messages": HELLO})
    assert response.status_code == 200
    (row,) = await exchange.rows("SELECT metered, charge FROM generations g JOIN accounts a ON a.id = g.account_id")
    assert (row["metered"], row["charge"]) == (False, 5 * 200_000)
    assert await exchange.value("SELECT count(*) FROM ledger") == 0


@pytest.mark.parametrize("path", ["/v1/nothing", "/v1/chat/completions"])
async def test_a_wrong_path_or_method_answers_in_openai_s_envelope(exchange: Exchange, path: str) -> None:
    response = await exchange.client.get(path)
    assert response.status_code in (404, 405)
    assert response.json()["error"]["type"] == "invalid_request_error"
