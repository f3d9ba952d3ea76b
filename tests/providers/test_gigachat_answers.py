"""What GigaChat answers arrives as an OpenAI client expects it, whole and streamed."""

import json
from typing import Any

import pytest
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from telefonist.errors import (
    ProviderCredentialsRefused,
    ProviderError,
    ProviderFailed,
    ProviderOutOfFunds,
    ProviderProtocolError,
    ProviderRateLimited,
    ProviderRejectedRequest,
    ProviderTimeout,
)
from telefonist.providers.gigachat import GigaChat
from telefonist.providers.gigachat_calls import state_in
from telefonist.types import Delta
from tests.fakes.gigachat import MODEL, STATE, FakeGigaChat, answer, chunk, refuse, stream_of
from tests.fakes.scripted_http import reply, silence
from tests.providers.asking import ask, stream, text_of, written_in
from tests.providers.conftest import MakeGigaChat
from tests.providers.test_gigachat_requests import WEATHER

CALL = {"name": "weather", "arguments": {"city": "Манжерок", "days": 10}}
DONE = "data: [DONE]\n\n"


async def test_a_plain_answer_is_one_of_openais(gigachat: FakeGigaChat, giga: GigaChat) -> None:
    gigachat.api.script(answer("Здравствуйте!", cached=30))
    made = await giga.complete(ask("Привет"))
    assert (made.text, made.model, made.finish_reason) == ("Здравствуйте!", MODEL, "stop")
    assert made.body["object"] == "chat.completion"
    assert made.body["id"].startswith("chatcmpl-")
    assert made.body["choices"][0]["message"] == {"content": "Здравствуйте!", "role": "assistant"}


@pytest.mark.parametrize("options", [{}, {"tools": [WEATHER]}, {"functions": [WEATHER["function"]]}])
@pytest.mark.parametrize("call", [None, CALL])
async def test_openais_own_client_understands_every_answer(
    gigachat: FakeGigaChat, giga: GigaChat, options: dict[str, Any], call: dict[str, Any] | None
) -> None:
    gigachat.api.default = answer(call=call, cached=3)
    ChatCompletion.model_validate((await giga.complete(ask(**options))).body, strict=True)
    for delta in await stream(giga, ask(**options)):
        ChatCompletionChunk.model_validate(delta.chunk, strict=True)


async def test_what_was_cached_counts_as_part_of_the_prompt(gigachat: FakeGigaChat, giga: GigaChat) -> None:
    gigachat.api.script(answer("раз два", cached=30), answer("раз два", cached=30))
    plain = await giga.complete(ask("один два три"))
    usage = plain.usage
    assert (usage.prompt_tokens, usage.cached_tokens, usage.completion_tokens) == (33, 30, 2)
    assert plain.body["usage"]["total_tokens"] == 35
    assert plain.body["usage"]["prompt_tokens_details"] == {"cached_tokens": 30}
    deltas = await stream(giga, ask("один два три"))
    assert deltas[-1].usage == usage
    assert deltas[-1].chunk["usage"] == plain.body["usage"]


async def test_a_stream_is_one_of_openais(gigachat: FakeGigaChat, giga: GigaChat) -> None:
    gigachat.api.script(answer("раз два три"))
    deltas = await stream(giga, ask())
    assert text_of(deltas) == written_in(deltas) == "раз два три"
    assert len(deltas) == 4
    assert [json.loads(delta.data) for delta in deltas] == [delta.chunk for delta in deltas]
    assert {delta.chunk["object"] for delta in deltas} == {"chat.completion.chunk"}
    assert len({delta.chunk["id"] for delta in deltas}) == 1
    assert [delta.chunk["choices"][0]["finish_reason"] for delta in deltas] == [None, None, None, "stop"]
    assert deltas[0].chunk["choices"][0]["delta"]["role"] == "assistant"
    assert deltas[-1].finish_reason == "stop"


@pytest.mark.parametrize("streamed", [False, True])
async def test_what_is_censored_ends_in_a_content_filter(
    gigachat: FakeGigaChat, giga: GigaChat, streamed: bool
) -> None:
    gigachat.api.script(answer("Не люблю менять тему разговора.", finish_reason="blacklist"))
    ended = (await stream(giga, ask()))[-1] if streamed else await giga.complete(ask())
    assert ended.finish_reason == "content_filter"


@pytest.mark.parametrize("streamed", [False, True])
async def test_arguments_that_came_out_wrong_are_a_failure(
    gigachat: FakeGigaChat, giga: GigaChat, streamed: bool
) -> None:
    gigachat.api.script(answer("", finish_reason="error"))
    with pytest.raises(ProviderFailed, match='"error"'):
        await (stream(giga, ask()) if streamed else giga.complete(ask()))


async def test_a_call_becomes_a_tool_call(gigachat: FakeGigaChat, giga: GigaChat) -> None:
    gigachat.api.script(answer(call=CALL))
    made = await giga.complete(ask(tools=[WEATHER]))
    message = made.body["choices"][0]["message"]
    (call,) = message["tool_calls"]
    assert made.finish_reason == made.body["choices"][0]["finish_reason"] == "tool_calls"
    assert message["content"] is None
    assert "function_call" not in message
    assert (call["type"], call["function"]["name"]) == ("function", "weather")
    assert json.loads(call["function"]["arguments"]) == CALL["arguments"]
    assert state_in(call["id"]) == STATE
    assert "Манжерок" in made.written


async def test_a_streamed_call_becomes_a_tool_call(gigachat: FakeGigaChat, giga: GigaChat) -> None:
    gigachat.api.script(answer(call=CALL))
    deltas = await stream(giga, ask(tools=[WEATHER]))
    (call,) = deltas[0].chunk["choices"][0]["delta"]["tool_calls"]
    assert (call["index"], call["type"], call["function"]["name"]) == (0, "function", "weather")
    assert json.loads(call["function"]["arguments"]) == CALL["arguments"]
    assert state_in(call["id"]) == STATE
    assert deltas[-1].finish_reason == deltas[-1].chunk["choices"][0]["finish_reason"] == "tool_calls"
    assert "Манжерок" in written_in(deltas)


async def test_the_state_may_come_before_the_call(gigachat: FakeGigaChat, giga: GigaChat) -> None:
    gigachat.api.script(
        stream_of(
            chunk(role="assistant", functions_state_id=STATE),
            chunk(function_call=CALL),
            chunk(finish_reason="function_call"),
            DONE,
        )
    )
    deltas = await stream(giga, ask(tools=[WEATHER]))
    assert state_in(deltas[1].chunk["choices"][0]["delta"]["tool_calls"][0]["id"]) == STATE


async def test_a_call_that_has_been_answered_goes_on(gigachat: FakeGigaChat, giga: GigaChat) -> None:
    gigachat.api.script(answer(call=CALL), answer("Ясно."))
    first = await giga.complete(ask(tools=[WEATHER]))
    message = first.body["choices"][0]["message"]
    result = {"role": "tool", "tool_call_id": message["tool_calls"][0]["id"], "content": '{"sky": "clear"}'}
    request = ask("Погода?", tools=[WEATHER])
    history = [*request.messages, message, result]
    second = await giga.complete(type(request)(request.model, history, request.options))
    assert second.text == "Ясно."
    told = gigachat.api.requests[-1].json["messages"]
    assert (told[1]["function_call"], told[1]["functions_state_id"]) == (CALL, STATE)
    assert told[2] == {"role": "function", "name": "weather", "content": '{"sky": "clear"}'}


@pytest.mark.parametrize("streamed", [False, True])
async def test_older_clients_get_a_function_call(gigachat: FakeGigaChat, giga: GigaChat, streamed: bool) -> None:
    gigachat.api.script(answer(call=CALL))
    request = ask(functions=[WEATHER["function"]])
    if streamed:
        deltas = await stream(giga, request)
        message, reason = deltas[0].chunk["choices"][0]["delta"], deltas[-1].finish_reason
    else:
        made = await giga.complete(request)
        message, reason = made.body["choices"][0]["message"], made.finish_reason
    assert reason == "function_call"
    assert message["function_call"]["name"] == "weather"
    assert json.loads(message["function_call"]["arguments"]) == CALL["arguments"]
    assert message["functions_state_id"] == STATE
    assert "tool_calls" not in message


async def test_a_function_of_gigachats_own_ends_like_any_answer(gigachat: FakeGigaChat, giga: GigaChat) -> None:
    gigachat.api.script(
        stream_of(
            chunk("Рисую: 10 секунд", role="function_in_progress", name="text2image"),
            chunk("<img src='a'/>", role="assistant"),
            chunk(finish_reason="function_call"),
            DONE,
        )
    )
    deltas = await stream(giga, ask(function_call="auto"))
    assert text_of(deltas) == "<img src='a'/>"
    assert deltas[-1].finish_reason == "stop"


async def test_an_answer_in_one_piece_to_a_stream_is_taken(gigachat: FakeGigaChat, giga: GigaChat) -> None:
    message = {"role": "assistant", "content": "", "function_call": CALL, "functions_state_id": STATE}
    body = {"choices": [{"message": message, "index": 0, "finish_reason": "function_call"}], "model": MODEL}
    gigachat.api.script(reply(json.dumps(body).encode()))
    (delta,) = await stream(giga, ask(tools=[WEATHER]))
    assert delta.chunk["choices"][0]["delta"]["tool_calls"][0]["function"]["name"] == "weather"
    assert delta.finish_reason == "tool_calls"


async def test_usage_that_makes_no_sense_is_estimated(gigachat: FakeGigaChat, giga: GigaChat) -> None:
    choice = {"message": {"role": "assistant", "content": "Да"}, "index": 0, "finish_reason": "stop"}
    gigachat.api.script(reply(json.dumps({"choices": [choice], "usage": {"prompt_tokens": "много"}}).encode()))
    assert (await giga.complete(ask())).usage.estimated


@pytest.mark.parametrize(
    ("status", "message", "error"),
    [
        (400, "Bad request", ProviderRejectedRequest),
        (402, "Payment Required", ProviderOutOfFunds),
        (403, "Permission denied", ProviderCredentialsRefused),
        (404, "No such model", ProviderRejectedRequest),
        (413, "Payload too large", ProviderRejectedRequest),
        (422, "Invalid params: repetition_penalty must be in range (0, +inf)", ProviderRejectedRequest),
        (429, "Too many requests", ProviderRateLimited),
        (500, "Internal Server Error", ProviderFailed),
    ],
)
async def test_a_refusal_says_whose_it_is(
    gigachat: FakeGigaChat, giga: GigaChat, status: int, message: str, error: type[ProviderError]
) -> None:
    gigachat.api.script(refuse(status, message), refuse(status, message))
    for streamed in (False, True):
        with pytest.raises(ProviderError) as refused:
            await (stream(giga, ask()) if streamed else giga.complete(ask()))
        assert type(refused.value) is error
        assert refused.value.values["reason"] == message
    assert len(gigachat.api.requests) == 2


async def test_a_crowded_api_says_when_to_come_back(gigachat: FakeGigaChat, giga: GigaChat) -> None:
    gigachat.api.script(refuse(429, "Too many requests", headers={"Retry-After": "3"}))
    with pytest.raises(ProviderRateLimited) as refused:
        await giga.complete(ask())
    assert refused.value.retry_after == 3


async def test_a_stream_that_is_cut_does_not_look_complete(gigachat: FakeGigaChat, giga: GigaChat) -> None:
    gigachat.api.script(stream_of(chunk("Полови"), ending="end"), stream_of(chunk("Полови"), ending="cut"))
    for _ in range(2):
        got: list[Delta] = []
        with pytest.raises(ProviderProtocolError):
            await stream(giga, ask(), into=got)
        assert text_of(got) == "Полови"


async def test_silence_between_two_chunks_is_noticed(gigachat: FakeGigaChat, make_gigachat: MakeGigaChat) -> None:
    gigachat.api.script(stream_of(chunk("Полови"), ending="hang"), silence())
    with pytest.raises(ProviderTimeout):
        await stream(make_gigachat(chunk_timeout=0.1), ask())
    with pytest.raises(ProviderTimeout):
        await make_gigachat(header_timeout=0.5).complete(ask())


@pytest.mark.parametrize("body", [b"<html>", b"[]", b"{}", b'{"choices": []}', b'{"choices": [7]}'])
async def test_garbage_is_no_answer(gigachat: FakeGigaChat, giga: GigaChat, body: bytes) -> None:
    gigachat.api.script(reply(body))
    with pytest.raises(ProviderProtocolError):
        await giga.complete(ask())


@pytest.mark.parametrize("piece", ["data: {\n\n", 'data: {"choices": [7]}\n\n', 'data: {"choices": 7}\n\n'])
async def test_garbage_is_no_stream(gigachat: FakeGigaChat, giga: GigaChat, piece: Any) -> None:
    gigachat.api.script(stream_of(piece, DONE))
    with pytest.raises(ProviderProtocolError):
        await stream(giga, ask())
