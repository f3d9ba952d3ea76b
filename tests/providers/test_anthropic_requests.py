"""What Anthropic's Messages API is asked, in place of what OpenAI's would be."""

from collections.abc import Sequence
from typing import Any

import pytest

from telefonist.errors import ConfigurationError, ProviderRejectedRequest
from telefonist.providers.anthropic import Anthropic
from telefonist.types import ChatRequest, Json
from tests.fakes.anthropic import MODEL, FakeAnthropic
from tests.providers.conftest import MakeClaude

PIXEL = "iVBORw0KGgo="
CACHED = {"type": "ephemeral"}
USER: Json = {"role": "user", "content": "Hello"}
WEATHER: dict[str, Any] = {
    "type": "function",
    "function": {"name": "weather", "description": "Tell it", "parameters": {"properties": {"city": {}}}},
}


def ask(*messages: Json, **options: Any) -> ChatRequest:
    return ChatRequest(MODEL, messages or (USER,), options, max_output=2048)


async def sent(anthropic: FakeAnthropic, claude: Anthropic, request: ChatRequest) -> dict[str, Any]:
    """Ask, and give what the other side got, which is as strict as the real one."""
    await claude.complete(request)
    body: dict[str, Any] = anthropic.requests[-1].json
    return body


async def test_a_plain_question_says_all_that_is_compulsory(anthropic: FakeAnthropic, claude: Anthropic) -> None:
    assert await sent(anthropic, claude, ask()) == {
        "model": MODEL,
        "max_tokens": 2048,
        "messages": [{"role": "user", "content": [{"type": "text", "text": "Hello"}]}],
        "stream": False,
    }
    headers = anthropic.requests[0].headers
    assert (headers["x-api-key"], headers["anthropic-version"]) == (anthropic.api_key, "2023-06-01")
    assert "authorization" not in headers


@pytest.mark.parametrize("base", ["", "/", "/v1", "/v1/"])
async def test_the_address_may_end_before_or_after_the_version(
    anthropic: FakeAnthropic, make_claude: MakeClaude, base: str
) -> None:
    await make_claude(base_url=anthropic.address + base).complete(ask())
    await make_claude(base_url="", chat_url=f"{anthropic.address}/v1/messages").complete(ask())
    assert [request.path for request in anthropic.requests] == ["/v1/messages"] * 2


async def test_a_row_adds_headers_of_its_own(anthropic: FakeAnthropic, make_claude: MakeClaude) -> None:
    await make_claude(headers={"anthropic-beta": "context-1m"}).complete(ask())
    assert anthropic.requests[0].headers["anthropic-beta"] == "context-1m"


def test_a_key_with_a_line_break_is_refused_without_showing_it(make_claude: MakeClaude) -> None:
    with pytest.raises(ConfigurationError, match="line break") as refused:
        make_claude(api_key="hidden\n")
    assert "hidden" not in str(refused.value)


async def test_the_system_prompts_are_lifted_out(anthropic: FakeAnthropic, claude: Anthropic) -> None:
    body = await sent(
        anthropic,
        claude,
        ask(
            {"role": "system", "content": "Be brief."},
            USER,
            {
                "role": "developer",
                "content": [{"type": "text", "text": "Rhyme.", "cache_control": {"type": "ephemeral"}}],
            },
            {"role": "system", "content": ""},
        ),
    )
    assert body["system"] == [
        {"type": "text", "text": "Be brief."},
        {"type": "text", "text": "Rhyme.", "cache_control": CACHED},
    ]
    assert [message["role"] for message in body["messages"]] == ["user"]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"max_tokens": 7}, {"max_tokens": 7}),
        ({"max_tokens": 7, "max_completion_tokens": 9}, {"max_tokens": 9}),
        ({"temperature": 0.3, "top_p": 0.5, "top_k": 4}, {"temperature": 0.3, "top_p": 0.5, "top_k": 4}),
        ({"temperature": 1.7}, {"temperature": 1.0}),
        ({"stop": "END"}, {"stop_sequences": ["END"]}),
        ({"stop": ["A", "B"]}, {"stop_sequences": ["A", "B"]}),
        ({"user": "u-1", "metadata": {"a": "b"}}, {"metadata": {"user_id": "u-1"}}),
        ({"thinking": {"type": "adaptive"}}, {"thinking": {"type": "adaptive"}}),
        ({"reasoning_effort": "high"}, {"output_config": {"effort": "high"}}),
        ({"reasoning_effort": "minimal"}, {"output_config": {"effort": "low"}}),
        ({"response_format": {"type": "text"}}, {}),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "object"}}}},
            {"output_config": {"format": {"type": "json_schema", "schema": {"type": "object"}}}},
        ),
        ({"seed": 1, "n": 1, "presence_penalty": 1, "logit_bias": {}, "service_tier": "flex", "stop": None}, {}),
        ({"tool_choice": "auto", "parallel_tool_calls": False}, {}),
    ],
)
async def test_an_option_is_sent_as_it_is_called_there(
    anthropic: FakeAnthropic, claude: Anthropic, options: dict[str, Any], expected: dict[str, Any]
) -> None:
    body = await sent(anthropic, claude, ask(**options))
    usual = {"model": MODEL, "max_tokens": 2048, "messages": body["messages"], "stream": False}
    assert body == {**usual, **expected}


async def test_tools_are_offered_with_their_schema(anthropic: FakeAnthropic, claude: Anthropic) -> None:
    bare = {"type": "function", "function": {"name": "time", "strict": True}}
    search = {"type": "web_search_20250305", "name": "web_search"}
    body = await sent(anthropic, claude, ask(tools=[WEATHER, bare, search]))
    schema = {"type": "object", "properties": {"city": {}}}
    assert body["tools"] == [
        {"name": "weather", "description": "Tell it", "input_schema": schema},
        {"name": "time", "strict": True, "input_schema": {"type": "object"}},
        search,
    ]
    assert "tool_choice" not in body


@pytest.mark.parametrize(
    ("options", "choice"),
    [
        ({"tool_choice": "auto"}, {"type": "auto"}),
        ({"tool_choice": "required"}, {"type": "any"}),
        ({"tool_choice": "none", "parallel_tool_calls": False}, {"type": "none"}),
        ({"tool_choice": {"type": "function", "function": {"name": "weather"}}}, {"type": "tool", "name": "weather"}),
        ({"parallel_tool_calls": False}, {"type": "auto", "disable_parallel_tool_use": True}),
        (
            {"tool_choice": "required", "parallel_tool_calls": False},
            {"type": "any", "disable_parallel_tool_use": True},
        ),
    ],
)
async def test_the_choice_of_a_tool_is_translated(
    anthropic: FakeAnthropic, claude: Anthropic, options: dict[str, Any], choice: dict[str, Any]
) -> None:
    assert (await sent(anthropic, claude, ask(tools=[WEATHER], **options)))["tool_choice"] == choice


async def test_results_of_parallel_calls_come_together_before_what_the_user_says(
    anthropic: FakeAnthropic, claude: Anthropic
) -> None:
    thought = {"type": "thinking", "thinking": "Hm", "signature": "s"}
    body = await sent(
        anthropic,
        claude,
        ask(
            USER,
            {
                "role": "assistant",
                "content": "Let me look.",
                "thinking_blocks": [thought],
                "tool_calls": [
                    {
                        "id": "call:1",
                        "type": "function",
                        "function": {"name": "weather", "arguments": '{"city":"Rome"}'},
                    },
                    {"id": "call_2", "type": "function", "function": {"name": "time", "arguments": ""}},
                ],
            },
            {"role": "tool", "tool_call_id": "call:1", "content": "sunny"},
            {"role": "tool", "tool_call_id": "call_2", "content": ""},
            {"role": "user", "content": "And?"},
        ),
    )
    assert body["messages"][1:] == [
        {
            "role": "assistant",
            "content": [
                thought,
                {"type": "text", "text": "Let me look."},
                {"type": "tool_use", "id": "call_1", "name": "weather", "input": {"city": "Rome"}},
                {"type": "tool_use", "id": "call_2", "name": "time", "input": {}},
            ],
        },
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "call_1", "content": [{"type": "text", "text": "sunny"}]},
                {"type": "tool_result", "tool_use_id": "call_2"},
                {"type": "text", "text": "And?"},
            ],
        },
    ]


async def test_empty_turns_are_left_out_and_neighbours_of_one_role_become_one(
    anthropic: FakeAnthropic, claude: Anthropic
) -> None:
    silent = {"role": "assistant", "content": ""}
    body = await sent(anthropic, claude, ask(USER, silent, {"role": "user", "content": "Still there?"}))
    (turn,) = body["messages"]
    assert [block["text"] for block in turn["content"]] == ["Hello", "Still there?"]


async def test_pictures_and_files_come_by_address_or_with_the_message(
    anthropic: FakeAnthropic, claude: Anthropic
) -> None:
    parts = [
        {"type": "text", "text": "What is this?"},
        {"type": "image_url", "image_url": {"url": f"data:image/PNG;base64,{PIXEL}", "detail": "low"}},
        {"type": "image_url", "image_url": {"url": "https://example.com/cat.jpg"}},
        {"type": "file", "file": {"filename": "a.pdf", "file_data": f"data:application/pdf;base64,{PIXEL}"}},
    ]
    body = await sent(anthropic, claude, ask({"role": "user", "content": parts}))
    assert body["messages"][0]["content"] == [
        {"type": "text", "text": "What is this?"},
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PIXEL}},
        {"type": "image", "source": {"type": "url", "url": "https://example.com/cat.jpg"}},
        {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": PIXEL}},
    ]


@pytest.mark.parametrize(
    ("messages", "options", "reason"),
    [
        ((), {"n": 2}, "n must be 1"),
        ((), {"logprobs": True}, "logprobs"),
        ((), {"functions": [{"name": "f"}]}, "offer them in place of functions"),
        ((), {"response_format": {"type": "json_object"}}, "response_format"),
        ((), {"tools": [{"type": "custom", "custom": {"name": "c"}}]}, "type custom"),
        ((), {"tools": [{"type": "function"}]}, "a function without a name"),
        ((), {"tools": 5}, "tools must be a list"),
        ((), {"tools": [{"type": "function", "function": {"name": "f", "parameters": 5}}]}, "no JSON schema"),
        ((), {"tools": [WEATHER], "tool_choice": "perhaps"}, "tool_choice"),
        ((), {"output_config": "high"}, "output_config must be an object"),
        (({"role": "function", "name": "f", "content": "x"},), {}, "role 'function'"),
        (({"role": "user", "content": [{"type": "input_audio"}]},), {}, "takes no input_audio"),
        (({"role": "user", "content": ["text"]},), {}, "not an object"),
        (({"role": "user", "content": [{"type": "image_url", "image_url": {"url": "file:///x"}}]},), {}, "data URL"),
        (
            ({"role": "system", "content": [{"type": "image_url", "image_url": "https://x/y"}]},),
            {},
            "from the user only",
        ),
        ((USER, {"role": "assistant", "tool_calls": 5}), {}, "tool_calls must be a list"),
        ((USER, {"role": "assistant", "tool_calls": [{"id": "c"}]}), {}, "without the name of a function"),
        (
            (USER, {"role": "assistant", "tool_calls": [{"id": "c", "function": {"name": "f", "arguments": "[]"}}]}),
            {},
            "not a JSON object",
        ),
    ],
)
async def test_what_has_no_counterpart_is_refused_before_it_is_sent(
    anthropic: FakeAnthropic, claude: Anthropic, messages: Sequence[Json], options: dict[str, Any], reason: str
) -> None:
    with pytest.raises(ProviderRejectedRequest, match=reason):
        await claude.complete(ask(*messages, **options))
    assert anthropic.requests == []
