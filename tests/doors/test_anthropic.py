"""OpenAI's own client, unmodified, asks Claude through a service that was given nothing but a key."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import openai
import pytest

from telefonist.types import MICROCREDITS
from tests.doors.conftest import Serve
from tests.doors.exchange import MODELS, User, open_exchange
from tests.fakes.anthropic import FakeAnthropic, answer, refuse
from tests.fakes.openai_upstream import FakeOpenAI

CLAUDE = "claude-sonnet-5-5"
HELLO: list[Any] = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello there"}]
TOOLS: list[Any] = [{"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}]
CALLS = [
    {"id": "toolu_1", "name": "weather", "input": {"city": "Paris"}},
    {"id": "toolu_2", "name": "weather", "input": {"city": "Rome"}},
]
PRICE = f"""
[[models]]
name = "{CLAUDE}"
credits_per_1k_input = 100
credits_per_1k_output = 200
credits_per_1k_cached_input = 10
"""


@pytest.fixture
async def anthropic() -> AsyncIterator[FakeAnthropic]:
    async with FakeAnthropic() as anthropic:
        yield anthropic


@pytest.fixture
async def user(serve: Serve, dsn: str, tmp_path: Path, anthropic: FakeAnthropic) -> AsyncIterator[User]:
    environ = {"ANTHROPIC_API_KEY": anthropic.api_key, "ANTHROPIC_BASE_URL": anthropic.address}
    async with (
        FakeOpenAI() as upstream,
        open_exchange(serve, dsn, tmp_path, upstream, models=MODELS + PRICE, **environ) as exchange,
    ):
        yield await exchange.user()


async def test_an_answer_is_charged_by_what_was_read_cached_and_written(user: User, anthropic: FakeAnthropic) -> None:
    counts = {"input_tokens": 10, "cache_read_input_tokens": 100, "cache_creation_input_tokens": 5, "output_tokens": 20}
    anthropic.script(answer("Hi.", usage=counts))
    completion = await user.openai.chat.completions.create(model=CLAUDE, messages=HELLO)
    assert completion.choices[0].message.content == "Hi."
    assert completion.usage is not None
    assert completion.usage.prompt_tokens_details is not None
    assert (completion.usage.prompt_tokens, completion.usage.prompt_tokens_details.cached_tokens) == (115, 100)
    cost = 15 * 100_000 + 100 * 10_000 + 20 * 200_000
    assert await user.balance() == 1000 * MICROCREDITS - cost
    sent = anthropic.requests[0].json
    assert (sent["system"], sent["max_tokens"]) == ([{"type": "text", "text": "Be brief."}], 16_000)


async def test_a_stream_with_its_usage_comes_as_from_openai(user: User, anthropic: FakeAnthropic) -> None:
    anthropic.script(answer("one two three", thinking="Hm."))
    chunks = [
        chunk
        async for chunk in await user.openai.chat.completions.create(
            model=CLAUDE, messages=HELLO, stream=True, stream_options={"include_usage": True}
        )
    ]
    assert [chunk.choices[0].delta.content for chunk in chunks if chunk.choices and chunk.choices[0].delta.content] == [
        "one ",
        "two ",
        "three",
    ]
    assert chunks[-1].usage is not None
    assert (chunks[-1].usage.prompt_tokens, chunks[-1].usage.completion_tokens) == (4, 3)
    (generation,) = await user.settled()
    assert generation["charge"] == 4 * 100_000 + 3 * 200_000
    assert generation["estimated"] is False


async def test_parallel_tools_are_called_in_a_stream_and_their_results_sent_back(
    user: User, anthropic: FakeAnthropic
) -> None:
    anthropic.script(answer("", calls=CALLS), answer("Sunny in both."))
    calls: dict[int, dict[str, Any]] = {}
    async for chunk in await user.openai.chat.completions.create(
        model=CLAUDE, messages=HELLO, tools=TOOLS, stream=True
    ):
        for part in chunk.choices[0].delta.tool_calls or []:
            assert part.function is not None
            call = calls.setdefault(part.index, {"id": part.id, "name": part.function.name, "arguments": ""})
            call["arguments"] += part.function.arguments or ""
    assert [json.loads(call["arguments"])["city"] for call in calls.values()] == ["Paris", "Rome"]
    made = [
        {"id": call["id"], "type": "function", "function": {"name": call["name"], "arguments": call["arguments"]}}
        for call in calls.values()
    ]
    results: list[Any] = [{"role": "tool", "tool_call_id": call["id"], "content": "sunny"} for call in made]
    again: list[Any] = [*HELLO, {"role": "assistant", "content": None, "tool_calls": made}, *results]
    completion = await user.openai.chat.completions.create(model=CLAUDE, messages=again, tools=TOOLS)
    assert completion.choices[0].message.content == "Sunny in both."


async def test_an_overloaded_upstream_is_asked_again(user: User, anthropic: FakeAnthropic) -> None:
    anthropic.script(refuse(529, "overloaded_error", "Overloaded"), answer("Now."))
    completion = await user.openai.chat.completions.create(model=CLAUDE, messages=HELLO)
    assert completion.choices[0].message.content == "Now."


async def test_what_claude_cannot_do_is_the_clients_to_change(user: User, anthropic: FakeAnthropic) -> None:
    with pytest.raises(openai.BadRequestError, match="n must be 1"):
        await user.openai.chat.completions.create(model=CLAUDE, messages=HELLO, n=2)
    with pytest.raises(openai.BadRequestError, match="of kind chat"):
        await user.openai.embeddings.create(model=CLAUDE, input="Hello")
    assert anthropic.requests == []


async def test_claude_answers_at_the_plain_chat_door_too(user: User) -> None:
    asked = {"model": CLAUDE, "messages": [{"role": "user", "content": "Hello"}]}
    answered = await user.exchange.client.post("/chatgpt/", json=asked, headers=user.headers)
    assert answered.json()["messages"][-1] == {"role": "assistant", "content": "Hello from Claude."}
