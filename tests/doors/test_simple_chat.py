"""The plain chat doors, with the examples of the assignment word for word."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from telefonist.types import MICROCREDITS, KeyTerms
from tests.doors.conftest import OpenWeb, Serve
from tests.doors.exchange import Exchange, User, open_exchange
from tests.fakes.openai_upstream import FakeOpenAI, answer, refuse, silence

SYSTEM = {"role": "system", "content": "Ты заботливый ассистент и хочешь помочь пользователю решить его проблему"}
QUESTION = {"role": "user", "content": "Привет!"}
ANSWER = {"role": "assistant", "content": "Привет! Чем я могу тебе помочь?"}
ASKED = {"model": "gpt-3.5-turbo", "messages": [QUESTION]}


@pytest.fixture
async def exchange(serve: Serve, dsn: str, tmp_path: Path) -> AsyncIterator[Exchange]:
    async with FakeOpenAI() as upstream, open_exchange(serve, dsn, tmp_path, upstream) as exchange:
        upstream.default = answer(ANSWER["content"])
        yield exchange


@pytest.fixture
async def user(exchange: Exchange) -> User:
    return await exchange.user()


async def ask(exchange: Exchange, body: Any = ASKED, path: str = "/chatgpt/", **more: Any) -> httpx.Response:
    return await exchange.client.post(path, json=body, **more)


@pytest.mark.parametrize("path", ["/chatgpt/", "/chatgpt"])
async def test_the_conversation_comes_back_with_the_system_prompt_before_and_the_answer_behind(
    exchange: Exchange, path: str
) -> None:
    response = await ask(exchange, path=path)
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/json"
    assert response.json() == {"model": "gpt-3.5-turbo", "messages": [SYSTEM, QUESTION, ANSWER]}
    sent = exchange.upstream.requests[0].json
    assert (sent["model"], sent["messages"]) == ("gpt-3.5-turbo", [SYSTEM, QUESTION])


async def test_the_list_can_be_sent_back_with_the_next_question(exchange: Exchange) -> None:
    first = (await ask(exchange)).json()
    again = {"model": "gpt-3.5-turbo", "messages": [*first["messages"], {"role": "user", "content": "Кто ты?"}]}
    second = (await ask(exchange, again)).json()
    assert second["messages"] == [*again["messages"], ANSWER]
    assert exchange.upstream.requests[1].json["messages"] == again["messages"]


async def test_a_system_message_of_ones_own_stays_the_only_one(exchange: Exchange) -> None:
    mine = {"role": "system", "content": "Отвечай стихами."}
    got = (await ask(exchange, {"model": "free", "messages": [mine, QUESTION]})).json()
    assert got["messages"] == [mine, QUESTION, ANSWER]


async def test_an_answer_without_words_can_be_sent_back_too(exchange: Exchange) -> None:
    exchange.upstream.script(answer(""))
    silent = (await ask(exchange)).json()
    assert silent["messages"][-1] == {"role": "assistant", "content": ""}
    again = await ask(exchange, {"model": "free", "messages": [*silent["messages"], QUESTION]})
    assert again.status_code == 200


async def test_the_model_that_is_asked_for_answers_also_by_another_name(exchange: Exchange, user: User) -> None:
    got = await ask(exchange, {**ASKED, "model": "gpt-4-latest"}, headers=user.headers)
    assert got.json()["model"] == "gpt-4-latest"
    assert exchange.upstream.requests[0].json["model"] == "gpt-4"


async def test_the_system_prompt_is_a_setting(serve: Serve, dsn: str, tmp_path: Path) -> None:
    async with (
        FakeOpenAI() as upstream,
        open_exchange(serve, dsn, tmp_path, upstream, TELEFONIST_CHAT_SYSTEM_PROMPT="Кратко.") as exchange,
    ):
        got = (await ask(exchange)).json()
        assert got["messages"][0] == {"role": "system", "content": "Кратко."}


@pytest.mark.parametrize("path", ["/chatgpt/", "/gigachat/"])
async def test_the_documents_example_begins_as_an_answer_does(exchange: Exchange, path: str) -> None:
    described = (await exchange.client.get("/openapi.json")).json()["paths"][path]["post"]["responses"]["200"]
    assert described["content"]["application/json"]["example"]["messages"] == [SYSTEM, QUESTION, ANSWER]


async def test_an_empty_system_prompt_puts_nothing_before(serve: Serve, dsn: str, tmp_path: Path) -> None:
    nothing = '[doors.chat]\nsystem_prompt = ""'
    async with (
        FakeOpenAI() as upstream,
        open_exchange(serve, dsn, tmp_path, upstream, provider=nothing) as exchange,
    ):
        assert (await ask(exchange)).json()["messages"][0] == QUESTION


async def test_an_answer_is_charged_to_the_account(exchange: Exchange, user: User) -> None:
    await ask(exchange, {**ASKED, "model": "gpt-4"}, headers=user.headers)
    (generation,) = await user.settled()
    assert (generation["door"], generation["state"], generation["streamed"]) == ("chat", "succeeded", False)
    assert generation["charge"] == (generation["prompt_tokens"] + generation["completion_tokens"]) * 200_000
    assert await user.balance() == 1000 * MICROCREDITS - generation["charge"]


async def test_whoever_cannot_pay_hears_so(exchange: Exchange) -> None:
    poor = await exchange.user(credits_=0)
    refused = await ask(exchange, {**ASKED, "model": "gpt-4"}, headers=poor.headers)
    assert (refused.status_code, refused.json()["code"]) == (402, "insufficient_credits")
    assert exchange.upstream.requests == []


async def test_a_key_that_may_not_use_the_model_is_refused(exchange: Exchange) -> None:
    user = await exchange.user(terms=KeyTerms(models=("free",)))
    refused = await ask(exchange, headers=user.headers)
    assert (refused.status_code, refused.json()["code"]) == (403, "model_not_allowed")


async def test_a_wrong_key_is_never_taken_for_an_anonymous_caller(exchange: Exchange) -> None:
    assert (await ask(exchange, headers={"authorization": "Bearer tf-wrong"})).status_code == 401


async def test_the_limit_of_a_key_counts_here_too(exchange: Exchange) -> None:
    user = await exchange.user(terms=KeyTerms(requests_per_minute=1))
    first = await ask(exchange, headers=user.headers)
    assert (first.headers["x-ratelimit-limit-requests"], first.headers["x-ratelimit-remaining-requests"]) == ("1", "0")
    second = await ask(exchange, headers=user.headers)
    assert (second.status_code, second.json()["code"]) == (429, "rate_limited")
    assert int(second.headers["retry-after"]) > 0


async def test_an_address_without_an_account_has_a_limit_of_this_doors_own(
    serve: Serve, dsn: str, tmp_path: Path
) -> None:
    limits = {"TELEFONIST_CHAT_RATE_LIMIT": "1/hour", "TELEFONIST_API_RATE_LIMIT": "1/hour"}
    async with (
        FakeOpenAI() as upstream,
        open_exchange(serve, dsn, tmp_path, upstream, **limits) as exchange,
    ):
        assert (await exchange.client.post("/v1/chat/completions", json=ASKED)).status_code == 200
        assert (await ask(exchange)).status_code == 200
        assert (await ask(exchange)).status_code == 429


@pytest.mark.parametrize("path", ["/chatgpt/", "/gigachat/"])
async def test_a_body_without_messages_is_refused_as_fastapi_does_it(exchange: Exchange, path: str) -> None:
    refused = await ask(exchange, {"model": "gpt-4"}, path)
    assert refused.status_code == 422
    assert refused.json() == {
        "detail": [
            {"type": "missing", "loc": ["body", "messages"], "msg": "Field required", "input": {"model": "gpt-4"}}
        ],
        "body": {"model": "gpt-4"},
    }


@pytest.mark.parametrize(
    ("change", "where", "kind"),
    [
        ({"model": None}, ["model"], "string_type"),
        ({"model": 4}, ["model"], "string_type"),
        ({"model": ""}, ["model"], "string_too_short"),
        ({"messages": []}, ["messages"], "too_short"),
        ({"messages": "Привет!"}, ["messages"], "list_type"),
        ({"messages": ["Привет!"]}, ["messages", 0], "model_type"),
        ({"messages": [{"role": "user"}]}, ["messages", 0, "content"], "missing"),
        ({"messages": [{"content": "Привет!"}]}, ["messages", 0, "role"], "missing"),
        ({"messages": [QUESTION, {**QUESTION, "role": "tool"}]}, ["messages", 1, "role"], "literal_error"),
        ({"messages": [{**QUESTION, "content": 7}]}, ["messages", 0, "content"], "string_type"),
        ({"messages": [{**QUESTION, "content": None}]}, ["messages", 0, "content"], "string_type"),
        ({"messages": [{**QUESTION, "content": "\n"}]}, ["messages", 0, "content"], "string_too_short"),
        ({"messages": [{**QUESTION, "name": "Ann"}]}, ["messages", 0, "name"], "extra_forbidden"),
        ({"temperature": 0.5}, ["temperature"], "extra_forbidden"),
    ],
)
async def test_what_is_wrong_is_named_beside_the_body_that_came(
    exchange: Exchange, change: dict[str, Any], where: list[str | int], kind: str
) -> None:
    sent = {**ASKED, **change}
    refused = await ask(exchange, sent)
    assert refused.status_code == 422
    (problem,) = refused.json()["detail"]
    assert (problem["loc"], problem["type"]) == (["body", *where], kind)
    assert refused.json()["body"] == sent
    assert exchange.upstream.requests == []


@pytest.mark.parametrize("body", [b"{not json", b"", b"[]", b'{"model": "\xff"}'])
async def test_what_is_no_request_at_all_is_refused(exchange: Exchange, body: bytes) -> None:
    refused = await exchange.client.post("/chatgpt/", content=body, headers={"content-type": "application/json"})
    assert refused.status_code == 422
    assert isinstance(refused.json()["detail"], list)


async def test_an_unknown_model_is_not_found_and_the_known_ones_are_named(exchange: Exchange) -> None:
    refused = await ask(exchange, {**ASKED, "model": "gpt-9"})
    assert (refused.status_code, refused.json()["code"]) == (404, "model_not_found")
    assert "gpt-4, gpt-3.5-turbo" in refused.json()["detail"]


async def test_a_model_that_makes_vectors_is_none_of_this_doors(exchange: Exchange) -> None:
    refused = await ask(exchange, {**ASKED, "model": "vectors"})
    assert refused.status_code == 404
    assert "vectors" not in refused.json()["detail"].partition("Known models:")[2]


async def test_an_upstream_that_fails_is_a_502_with_its_reason(exchange: Exchange, user: User) -> None:
    exchange.upstream.default = refuse(401, "Wrong key.")
    refused = await ask(exchange, headers=user.headers)
    assert (refused.status_code, refused.json()["code"]) == (502, "provider_credentials_refused")
    assert "Wrong key" in refused.json()["detail"]
    (generation,) = await user.settled()
    assert (generation["state"], generation["charge"]) == ("failed", 0)


async def test_an_upstream_that_is_silent_is_a_504_with_its_reason(serve: Serve, dsn: str, tmp_path: Path) -> None:
    async with (
        FakeOpenAI() as upstream,
        open_exchange(serve, dsn, tmp_path, upstream, provider="header_timeout = 0.05") as exchange,
    ):
        upstream.default = silence()
        refused = await ask(exchange, headers={"accept-language": "ru"})
        assert (refused.status_code, refused.json()["code"]) == (504, "provider_timeout")
        assert "не ответил за 0.05 с" in refused.json()["detail"]


async def test_a_fallback_answers_under_the_name_that_was_asked_for_and_is_named(
    exchange: Exchange, user: User
) -> None:
    exchange.upstream.script(refuse(402, "Empty."), answer("I stand in."))
    got = await ask(exchange, {**ASKED, "model": "gpt-4"}, headers=user.headers)
    assert got.json()["model"] == "gpt-4"
    assert got.headers["x-telefonist-served-by"] == "gpt-3.5-turbo"


async def test_a_client_that_leaves_is_not_charged_and_the_upstream_is_left_too(exchange: Exchange, user: User) -> None:
    exchange.upstream.default = silence()
    asking = asyncio.create_task(ask(exchange, {**ASKED, "model": "gpt-4"}, headers=user.headers))
    await exchange.upstream.received(1)
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    await asyncio.wait_for(exchange.upstream.requests[0].gone.wait(), 5)
    (generation,) = await user.settled()
    assert (generation["state"], generation["charge"]) == ("cancelled", 0)


async def test_without_gigachat_its_door_says_what_to_set_and_no_other_model_stands_in(exchange: Exchange) -> None:
    for model in ("GigaChat:latest", "demo", "gpt-3.5-turbo"):
        refused = await ask(exchange, {**ASKED, "model": model}, "/gigachat/")
        assert (refused.status_code, refused.json()["code"]) == (503, "gigachat_not_configured")
        assert "AUTH_CREDENTIALS" in refused.json()["detail"]
        assert "retry-after" not in refused.headers
    assert exchange.upstream.requests == []


async def test_without_any_provider_the_demo_answers_by_name_and_nothing_stands_in_for_chatgpt(
    open_web: OpenWeb,
) -> None:
    async with open_web() as client:
        refused = await client.post("/chatgpt/", json=ASKED)
        assert (refused.status_code, refused.json()["code"]) == (503, "chatgpt_not_configured")
        assert "URL_GPT and API_KEY" in refused.json()["detail"]
        answered = await client.post("/chatgpt/", json={**ASKED, "model": "demo"})
        assert answered.status_code == 200
        assert [message["role"] for message in answered.json()["messages"]] == ["system", "user", "assistant"]
