"""OpenAI's own client, unmodified, asks GigaChat through a service that was given nothing but credentials."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import openai
import pytest

from telefonist.types import MICROCREDITS
from tests.doors.conftest import Serve
from tests.doors.exchange import MODELS, Exchange, User, open_exchange
from tests.fakes.gigachat import MODEL, STATE, FakeGigaChat, answer, embeddings, refuse
from tests.fakes.openai_upstream import FakeOpenAI
from tests.fakes.private_ca import PrivateCA

HELLO: list[Any] = [{"role": "user", "content": "Привет, как дела?"}]
TOOLS: list[Any] = [{"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}]
CALL = {"name": "weather", "arguments": {"city": "Манжерок"}}
PRICES = """
[[models]]
name = "GigaChat:latest"
credits_per_1k_input = 100
credits_per_1k_output = 100
credits_per_1k_cached_input = 10

[[models]]
name = "Embeddings"
kind = "embedding"
provider = "gigachat"
"""


@pytest.fixture
async def gigachat(tmp_path: Path) -> AsyncIterator[FakeGigaChat]:
    async with FakeGigaChat(PrivateCA(tmp_path).server) as gigachat:
        yield gigachat


@pytest.fixture
async def exchange(serve: Serve, dsn: str, tmp_path: Path, gigachat: FakeGigaChat) -> AsyncIterator[Exchange]:
    environ = {
        "AUTH_CREDENTIALS": gigachat.tokens.credentials,
        "URL_GIGACHAT": f"{gigachat.api.address}/api/v1/chat/completions",
        "AUTH_URL": f"{gigachat.tokens.address}/api/v2/oauth",
        "GIGACHAT_CA_BUNDLE": "root-ca.pem",
    }
    async with (
        FakeOpenAI() as upstream,
        open_exchange(serve, dsn, tmp_path, upstream, models=MODELS + PRICES, **environ) as exchange,
    ):
        yield exchange


@pytest.fixture
async def user(exchange: Exchange) -> User:
    return await exchange.user()


async def test_every_model_of_gigachats_is_listed_and_asked_by_its_own_name(user: User, gigachat: FakeGigaChat) -> None:
    listed = [model.id async for model in user.openai.models.list() if model.id.startswith("GigaChat")]
    assert sorted(listed) == ["GigaChat", "GigaChat-2", "GigaChat-2-Max", "GigaChat-2-Pro", "GigaChat:latest"]
    for name in listed:
        await user.openai.chat.completions.create(model=name, messages=HELLO)
    assert [request.json["model"] for request in gigachat.api.requests] == listed
    assert len(gigachat.tokens.requests) == 1


async def test_an_answer_is_charged_by_the_name_that_was_asked_for(user: User, gigachat: FakeGigaChat) -> None:
    gigachat.api.script(answer("Хорошо, спасибо!", cached=100))
    completion = await user.openai.chat.completions.create(model="GigaChat:latest", messages=HELLO)
    assert completion.choices[0].message.content == "Хорошо, спасибо!"
    assert completion.model == MODEL
    assert completion.usage is not None
    assert completion.usage.prompt_tokens_details is not None
    assert completion.usage.prompt_tokens_details.cached_tokens == 100
    assert completion.usage.total_tokens == 105
    assert 1000 * MICROCREDITS - await user.balance() == 5 * 100_000 + 100 * 10_000


async def test_a_stream_with_its_usage_comes_as_from_openai(user: User, gigachat: FakeGigaChat) -> None:
    gigachat.api.script(answer("раз два три"))
    stream = await user.openai.chat.completions.create(
        model="GigaChat:latest", messages=HELLO, stream=True, stream_options={"include_usage": True}
    )
    chunks = [chunk async for chunk in stream]
    assert [choice.delta.content for chunk in chunks for choice in chunk.choices] == ["раз ", "два ", "три", ""]
    assert [chunk.usage is None for chunk in chunks] == [True, True, True, True, False]
    (generation,) = await user.settled()
    assert (generation["state"], generation["charge"]) == ("succeeded", 6 * 100_000)


async def test_a_tool_is_called_in_a_stream_and_its_result_sent_back(user: User, gigachat: FakeGigaChat) -> None:
    gigachat.api.script(answer(call=CALL), answer("Ясно, плюс семь."))
    asking = user.openai.chat.completions.stream(model="GigaChat:latest", messages=HELLO, tools=TOOLS)
    async with asking as stream:
        first = await stream.get_final_completion()
    message = first.choices[0].message
    assert message.tool_calls is not None
    (call,) = message.tool_calls
    assert first.choices[0].finish_reason == "tool_calls"
    assert (call.function.name, json.loads(call.function.arguments)) == ("weather", CALL["arguments"])
    result = {"role": "tool", "tool_call_id": call.id, "content": "+7"}
    history = [*HELLO, message.model_dump(exclude_none=True), result]
    second = await user.openai.chat.completions.create(model="GigaChat:latest", messages=history, tools=TOOLS)
    assert second.choices[0].message.content == "Ясно, плюс семь."
    told = gigachat.api.requests[-1].json["messages"]
    assert (told[1]["function_call"], told[1]["functions_state_id"]) == (CALL, STATE)
    assert told[2] == {"role": "function", "name": "weather", "content": '{"result":"+7"}'}


async def test_vectors_come_as_from_openai(user: User, gigachat: FakeGigaChat) -> None:
    gigachat.api.script(embeddings())
    made = await user.openai.embeddings.create(model="Embeddings", input=["раз", "два"])
    assert [item.embedding for item in made.data] == [[1.0, 0.5, -0.25, 0.0]] * 2


async def test_money_that_the_provider_wants_is_not_the_clients(user: User, gigachat: FakeGigaChat) -> None:
    gigachat.api.script(refuse(402, "Payment Required"))
    with pytest.raises(openai.InternalServerError) as failed:
        await user.openai.chat.completions.create(model="GigaChat-2", messages=HELLO)
    assert failed.value.status_code == 502
    assert await user.balance() == 1000 * MICROCREDITS


async def test_what_gigachat_cannot_do_is_the_clients_to_change(user: User, gigachat: FakeGigaChat) -> None:
    with pytest.raises(openai.BadRequestError, match="n must be 1"):
        await user.openai.chat.completions.create(model="GigaChat-2", messages=HELLO, n=2)
    assert gigachat.api.requests == []
