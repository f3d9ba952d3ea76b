"""Whatever a client sends is either refused with a reason or is a request that GigaChat takes, and nothing breaks."""

from typing import Any

import orjson
from hypothesis import given
from hypothesis import strategies as st

from telefonist.errors import ProviderRejectedRequest
from telefonist.providers.gigachat_answers import GigaChatDialect
from telefonist.providers.gigachat_calls import make_id
from telefonist.providers.gigachat_requests import request_body
from telefonist.types import ChatRequest
from tests.fakes.gigachat import STATE, chat_problem

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=5), inner, max_size=2),
    max_leaves=5,
)
PARTS = st.fixed_dictionaries({"type": st.sampled_from(["text", "image_url"]), "text": st.text(max_size=5)})
CONTENTS = st.none() | st.text(max_size=5) | st.lists(PARTS | JSON, max_size=2)
IDS = st.sampled_from(["call_a", "call_b", make_id(STATE)])
ARGUMENTS = st.sampled_from(["", "{}", '{"city": "Омск"}', "[]", "{", None]) | JSON
FUNCTIONS = st.fixed_dictionaries({"name": st.sampled_from(["weather", "clock"]), "arguments": ARGUMENTS})
CALLS = st.fixed_dictionaries({"id": IDS, "type": st.just("function"), "function": FUNCTIONS | JSON})
MESSAGES = st.one_of(
    st.fixed_dictionaries({"role": st.sampled_from(["system", "developer", "user"]), "content": CONTENTS}),
    st.fixed_dictionaries(
        {"role": st.just("assistant"), "content": CONTENTS},
        optional={"tool_calls": st.lists(CALLS, max_size=2), "refusal": CONTENTS},
    ),
    st.fixed_dictionaries({"role": st.just("tool"), "content": CONTENTS, "tool_call_id": IDS | JSON}),
)
OFFERED = st.fixed_dictionaries(
    {"name": st.sampled_from(["weather", "clock"])},
    optional={"parameters": st.just({"type": "object"}) | JSON, "strict": st.booleans()},
)
TOOLS = st.fixed_dictionaries({"type": st.sampled_from(["function", "custom"]), "function": OFFERED | JSON})
OPTIONS = st.fixed_dictionaries(
    {},
    optional={
        "tools": st.lists(TOOLS, max_size=2) | JSON,
        "tool_choice": st.sampled_from(["auto", "none", "required"]) | JSON,
        "functions": st.lists(OFFERED, max_size=2),
        "response_format": st.fixed_dictionaries({"type": st.sampled_from(["text", "json_object", "json_schema"])}),
        "temperature": st.sampled_from([None, 0, 0.5, 2]),
        "n": st.sampled_from([None, 1, 2]),
        "max_completion_tokens": st.sampled_from([None, 7]),
        "stream_options": st.just({"include_usage": True}),
        "seed": st.integers(),
    },
)
NONSENSE = (
    "messages must not be empty",
    "function_call names no function",
    "functions.parameters.properties is missing",
)
"""What a client may get wrong about its own prompt and functions, and GigaChat tells best."""


@given(st.lists(MESSAGES, min_size=1, max_size=6), OPTIONS, st.booleans())
def test_a_request_is_refused_or_taken(messages: list[dict[str, Any]], options: dict[str, Any], stream: bool) -> None:
    try:
        body = request_body("fake", ChatRequest("GigaChat-2", messages, options), stream=stream)
    except ProviderRejectedRequest:
        return
    assert chat_problem(orjson.loads(orjson.dumps(body))) in {None, *NONSENSE}


CHOICES = st.fixed_dictionaries(
    {},
    optional={
        "index": st.just(0),
        "message": st.fixed_dictionaries({}, optional={"content": JSON, "function_call": JSON, "role": JSON}) | JSON,
        "delta": st.fixed_dictionaries({}, optional={"content": JSON, "function_call": JSON, "role": JSON}) | JSON,
        "finish_reason": st.sampled_from([None, "stop", "function_call", "blacklist", "error"]) | JSON,
    },
)
USAGE = st.fixed_dictionaries({}, optional={"prompt_tokens": JSON, "precached_prompt_tokens": JSON})
ANSWERS = st.fixed_dictionaries({}, optional={"choices": st.lists(CHOICES | JSON, max_size=2) | JSON, "usage": USAGE})


@given(ANSWERS, st.booleans())
def test_an_odd_answer_breaks_nothing(body: dict[str, Any], speaks_tools: bool) -> None:
    request = ChatRequest("GigaChat-2", [], {"tools": [{}]} if speaks_tools else {})
    orjson.dumps(GigaChatDialect(request).whole(body))
    orjson.dumps(GigaChatDialect(request).chunk(body))
