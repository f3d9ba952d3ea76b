"""What an OpenAI client asks for arrives at GigaChat in the form that it takes; what has no form there is refused."""

from collections.abc import Sequence
from typing import Any

import pytest

from telefonist.errors import ProviderProtocolError, ProviderRejectedRequest
from telefonist.providers.gigachat import GigaChat
from telefonist.providers.gigachat_calls import make_id, state_in
from telefonist.types import ChatRequest, EmbeddingRequest
from tests.fakes.gigachat import STATE, FakeGigaChat, embeddings
from tests.fakes.scripted_http import reply
from tests.providers.asking import ask, stream
from tests.providers.conftest import MakeGigaChat

WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "Погода в городе",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
        "strict": True,
    },
}
CLOCK = {"type": "function", "function": {"name": "clock"}}


async def sent(gigachat: FakeGigaChat, giga: GigaChat, request: ChatRequest) -> dict[str, Any]:
    """Give the body that the request became."""
    await giga.complete(request)
    body: dict[str, Any] = gigachat.api.requests[-1].json
    return body


async def messages(gigachat: FakeGigaChat, giga: GigaChat, *given: dict[str, Any]) -> list[dict[str, Any]]:
    """Give what became of the messages."""
    body = await sent(gigachat, giga, ChatRequest("GigaChat-2", given))
    became: list[dict[str, Any]] = body["messages"]
    return became


def said(role: str, content: object = "Слово", **fields: Any) -> dict[str, Any]:
    return {"role": role, "content": content, **fields}


def called(*calls: tuple[str, str, str], content: str | None = None) -> dict[str, Any]:
    """Give an answer that calls functions, as (id, name, arguments)."""
    made = [
        {"id": id_, "type": "function", "function": {"name": name, "arguments": arguments}}
        for id_, name, arguments in calls
    ]
    return {"role": "assistant", "content": content, "tool_calls": made}


async def test_a_plain_request_says_what_it_must_and_nothing_else(gigachat: FakeGigaChat, giga: GigaChat) -> None:
    request = ChatRequest("GigaChat:latest", [said("user")])
    assert await sent(gigachat, giga, request) == {
        "model": "GigaChat:latest",
        "messages": [said("user")],
        "stream": False,
    }


async def test_a_stream_is_asked_for_without_options(gigachat: FakeGigaChat, giga: GigaChat) -> None:
    await stream(giga, ask(stream=True, stream_options={"include_usage": True}))
    body = gigachat.api.requests[0].json
    assert body["stream"] is True
    assert "stream_options" not in body


async def test_fields_of_gigachats_own_arrive_untouched(gigachat: FakeGigaChat, giga: GigaChat) -> None:
    own: dict[str, Any] = {
        "update_interval": 0.5,
        "repetition_penalty": 1.1,
        "profanity_check": True,
        "flags": ["preprocess"],
    }
    usual: dict[str, Any] = {"temperature": 0.7, "top_p": 0.5, "max_tokens": 10, "stop": ["\n"]}
    body = await sent(gigachat, giga, ask(**own, **usual))
    assert {name: body[name] for name in (*own, *usual)} == {**own, **usual}


async def test_fields_without_a_counterpart_are_left_out(gigachat: FakeGigaChat, giga: GigaChat) -> None:
    body = await sent(
        gigachat,
        giga,
        ask(
            n=1,
            user="7",
            seed=1,
            logprobs=False,
            top_logprobs=2,
            logit_bias={},
            presence_penalty=0.1,
            frequency_penalty=0.1,
            parallel_tool_calls=True,
            store=False,
            metadata={},
            service_tier="auto",
            response_format={"type": "text"},
            temperature=None,
        ),
    )
    assert body.keys() == {"model", "messages", "stream"}


async def test_the_newer_name_of_the_limit_becomes_the_older_one(gigachat: FakeGigaChat, giga: GigaChat) -> None:
    assert (await sent(gigachat, giga, ask(max_completion_tokens=7)))["max_tokens"] == 7


async def test_a_temperature_of_zero_becomes_the_coldest_there_is(gigachat: FakeGigaChat, giga: GigaChat) -> None:
    assert 0 < (await sent(gigachat, giga, ask(temperature=0)))["temperature"] < 0.001


async def test_system_prompts_become_one_and_come_first(gigachat: FakeGigaChat, giga: GigaChat) -> None:
    became = await messages(
        gigachat,
        giga,
        said("developer", "Будь краток."),
        said("user", "Привет"),
        said("system", [{"type": "text", "text": "Будь вежлив."}]),
        said("system", ""),
        said("user", "Как дела?"),
    )
    assert became == [
        said("system", "Будь краток.\n\nБудь вежлив."),
        said("user", "Привет"),
        said("user", "Как дела?"),
    ]


async def test_a_text_in_parts_becomes_one(gigachat: FakeGigaChat, giga: GigaChat) -> None:
    parts = [{"type": "text", "text": "раз"}, {"type": "text", "text": "два"}]
    assert await messages(gigachat, giga, said("user", parts, name="Анна")) == [said("user", "раз\nдва")]


async def test_a_file_that_was_uploaded_there_goes_along(gigachat: FakeGigaChat, giga: GigaChat) -> None:
    (message,) = await messages(gigachat, giga, said("user", attachments=["e7f0b84b"]))
    assert message["attachments"] == ["e7f0b84b"]


async def test_tools_become_functions_that_may_be_called(gigachat: FakeGigaChat, giga: GigaChat) -> None:
    body = await sent(gigachat, giga, ask(tools=[WEATHER, CLOCK]))
    parameters = WEATHER["function"]["parameters"]  # type: ignore[index]
    assert body["functions"] == [
        {"name": "weather", "description": "Погода в городе", "parameters": parameters},
        {"name": "clock", "parameters": {"type": "object", "properties": {}}},
    ]
    assert body["function_call"] == "auto"
    assert "tools" not in body


@pytest.mark.parametrize(
    ("tools", "choice", "becomes"),
    [
        ([WEATHER, CLOCK], "auto", "auto"),
        ([WEATHER, CLOCK], "none", "none"),
        ([WEATHER, CLOCK], {"type": "function", "function": {"name": "clock"}}, {"name": "clock"}),
        ([WEATHER], "required", {"name": "weather"}),
    ],
)
async def test_a_choice_of_tools_becomes_one_of_functions(
    gigachat: FakeGigaChat, giga: GigaChat, tools: Sequence[Any], choice: object, becomes: object
) -> None:
    assert (await sent(gigachat, giga, ask(tools=tools, tool_choice=choice)))["function_call"] == becomes


@pytest.mark.parametrize("choice", [None, "auto", "none", {"name": "weather"}])
async def test_functions_of_older_clients_arrive_as_functions(
    gigachat: FakeGigaChat, giga: GigaChat, choice: object
) -> None:
    asked: dict[str, Any] = {"functions": [WEATHER["function"]], **({"function_call": choice} if choice else {})}
    body = await sent(gigachat, giga, ask(**asked))
    assert body["functions"][0]["name"] == "weather"
    assert body["function_call"] == (choice or "auto")


async def test_a_function_of_gigachats_own_can_be_allowed_without_naming_any(
    gigachat: FakeGigaChat, giga: GigaChat
) -> None:
    body = await sent(gigachat, giga, ask(function_call="auto"))
    assert body["function_call"] == "auto"
    assert "functions" not in body


async def test_a_schema_for_the_answer_goes_along(gigachat: FakeGigaChat, giga: GigaChat) -> None:
    schema = {"type": "object", "properties": {"city": {"type": "string"}}}
    wanted = {"type": "json_schema", "json_schema": {"name": "city", "schema": schema, "strict": True}}
    body = await sent(gigachat, giga, ask(response_format=wanted))
    assert body["response_format"] == {"type": "json_schema", "schema": schema, "strict": True}


async def test_a_call_and_its_result_keep_their_state(gigachat: FakeGigaChat, giga: GigaChat) -> None:
    id_ = make_id(STATE)
    became = await messages(
        gigachat,
        giga,
        said("user"),
        called((id_, "weather", '{"city": "Манжерок"}')),
        said("tool", '{"temperature": 7}', tool_call_id=id_),
    )
    assert became[1:] == [
        {
            "role": "assistant",
            "content": "",
            "function_call": {"name": "weather", "arguments": {"city": "Манжерок"}},
            "functions_state_id": STATE,
        },
        {"role": "function", "name": "weather", "content": '{"temperature": 7}'},
    ]


async def test_calls_made_at_once_become_one_after_another_each_with_its_result(
    gigachat: FakeGigaChat, giga: GigaChat
) -> None:
    became = await messages(
        gigachat,
        giga,
        said("user"),
        called(("call_a", "weather", '{"city": "Омск"}'), ("call_b", "clock", ""), content="Сейчас узнаю."),
        said("tool", "полдень", tool_call_id="call_b"),
        said("tool", [{"type": "text", "text": "[1, 2]"}], tool_call_id="call_a"),
        said("assistant", "Готово."),
    )
    assert became[1:] == [
        said("assistant", "Сейчас узнаю.", function_call={"name": "weather", "arguments": {"city": "Омск"}}),
        {"role": "function", "name": "weather", "content": '{"result":[1,2]}'},
        said("assistant", "", function_call={"name": "clock", "arguments": {}}),
        {"role": "function", "name": "clock", "content": '{"result":"полдень"}'},
        said("assistant", "Готово."),
    ]


async def test_calls_of_older_clients_keep_what_they_said(gigachat: FakeGigaChat, giga: GigaChat) -> None:
    call = {"name": "weather", "arguments": '{"city": "Омск"}'}
    became = await messages(
        gigachat,
        giga,
        said("user"),
        said("assistant", None, function_call=call, functions_state_id=STATE),
        said("function", "ясно", name="weather"),
    )
    assert became[1] == {
        "role": "assistant",
        "content": "",
        "function_call": {"name": "weather", "arguments": {"city": "Омск"}},
        "functions_state_id": STATE,
    }
    assert became[2] == {"role": "function", "name": "weather", "content": '{"result":"ясно"}'}


async def test_a_refusal_in_the_history_stays_an_answer(gigachat: FakeGigaChat, giga: GigaChat) -> None:
    became = await messages(gigachat, giga, said("user"), said("assistant", None, refusal="Не могу."), said("user"))
    assert became[1] == said("assistant", "Не могу.")


@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        (ask(n=2), "n must be 1"),
        (ask(logprobs=True, top_logprobs=2), "tells no logprobs"),
        (ask(tools=[{"type": "web_search"}]), "only tools of type function"),
        (ask(tools=[{"type": "function"}]), "a function without a name"),
        (ask(tools={"type": "function"}), "tools must be a list"),
        (ask(tools=[WEATHER, CLOCK], tool_choice="required"), "tool_choice must name one"),
        (ask(response_format={"type": "json_object"}), "text or json_schema only"),
        (
            ChatRequest("GigaChat", [said("user", [{"type": "image_url", "image_url": {"url": "https://a/b.png"}}])]),
            "GigaChat takes no image_url in a message",
        ),
        (ChatRequest("GigaChat", [said("critic")]), "no messages of role 'critic'"),
        (ChatRequest("GigaChat", [said("tool", tool_call_id="call_a")]), "does not follow its tool call"),
        (
            ChatRequest("GigaChat", [called(("call_a", "clock", "{}")), said("tool", tool_call_id="call_b")]),
            "belongs to no call before it",
        ),
        (ChatRequest("GigaChat", [called(("call_a", "clock", "[]"))]), "arguments of an earlier call of clock"),
        (ChatRequest("GigaChat", [called(("call_a", "clock", "{"))]), "arguments of an earlier call of clock"),
        (
            ChatRequest("GigaChat", [{"role": "assistant", "tool_calls": [{"id": "a", "type": "custom"}]}]),
            "no function's",
        ),
        (ask(user={1, 2}, flags={1, 2}), "cannot be written as JSON"),
    ],
)
async def test_what_has_no_counterpart_is_refused_before_it_is_sent(
    gigachat: FakeGigaChat, giga: GigaChat, request_: ChatRequest, reason: str
) -> None:
    with pytest.raises(ProviderRejectedRequest, match=reason):
        await giga.complete(request_)
    with pytest.raises(ProviderRejectedRequest, match=reason):
        await stream(giga, request_)
    assert gigachat.api.requests == gigachat.tokens.requests == []


def test_the_id_of_a_call_holds_its_state_and_is_never_the_same() -> None:
    ids = {make_id(STATE) for _ in range(100)}
    assert len(ids) == 100
    assert {state_in(id_) for id_ in ids} == {STATE}
    assert max(map(len, ids)) <= 40


@pytest.mark.parametrize("state", [None, "", "not a uuid", 7])
def test_a_state_that_is_no_uuid_is_not_kept(state: object) -> None:
    assert state_in(make_id(state)) is None


@pytest.mark.parametrize("id_", ["", "call_1", "giga_", "giga_short", "giga_" + "é" * 34, "giga_" + "!" * 34])
def test_an_id_that_is_not_ours_holds_no_state(id_: str) -> None:
    assert state_in(id_) is None


async def test_texts_become_vectors(gigachat: FakeGigaChat, giga: GigaChat) -> None:
    gigachat.api.default = embeddings()
    made = await giga.embed(EmbeddingRequest("Embeddings", ["раз два", "три"], {"user": "7"}))
    assert gigachat.api.requests[0].json == {"model": "Embeddings", "input": ["раз два", "три"]}
    assert made.body == {
        "object": "list",
        "data": [{"object": "embedding", "index": index, "embedding": [1.0, 0.5, -0.25, 0.0]} for index in (0, 1)],
        "model": "Embeddings",
        "usage": {"prompt_tokens": 3, "total_tokens": 3},
    }
    assert (made.usage.prompt_tokens, made.usage.estimated) == (3, False)


async def test_vectors_come_in_base64_for_whoever_asks(gigachat: FakeGigaChat, giga: GigaChat) -> None:
    gigachat.api.default = embeddings()
    made = await giga.embed(EmbeddingRequest("Embeddings", "раз", {"encoding_format": "base64"}))
    assert made.body["data"][0]["embedding"] == "AACAPwAAAD8AAIC+AAAAAA=="


@pytest.mark.parametrize("vector", [b'["x"]', b"[null]", b"[1" + b"0" * 400 + b"]", b"7"])
async def test_what_is_no_vector_is_not_put_into_base64(gigachat: FakeGigaChat, giga: GigaChat, vector: bytes) -> None:
    gigachat.api.default = reply(b'{"data": [{"embedding": %b, "index": 0}]}' % vector)
    with pytest.raises(ProviderProtocolError):
        await giga.embed(EmbeddingRequest("Embeddings", "раз", {"encoding_format": "base64"}))


@pytest.mark.parametrize(
    ("given", "options", "reason"),
    [
        ([1, 2], {}, "embeddings of texts"),
        ([[1], [2]], {}, "embeddings of texts"),
        ([], {}, "embeddings of texts"),
        ("раз", {"dimensions": 2}, "leave out dimensions"),
    ],
)
async def test_vectors_that_cannot_be_made_are_refused(
    gigachat: FakeGigaChat, giga: GigaChat, given: object, options: dict[str, Any], reason: str
) -> None:
    with pytest.raises(ProviderRejectedRequest, match=reason):
        await giga.embed(EmbeddingRequest("Embeddings", given, options))
    assert gigachat.api.requests == []


async def test_vectors_need_an_address_that_can_be_told(make_gigachat: MakeGigaChat) -> None:
    with pytest.raises(ProviderRejectedRequest, match="base_url must say"):
        await make_gigachat(chat_url="https://localhost:1/custom").embed(EmbeddingRequest("Embeddings", "раз"))
