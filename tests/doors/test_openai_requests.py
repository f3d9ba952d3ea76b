"""Whatever a client sends is read, or refused as its mistake: never is it ours."""

from contextlib import suppress
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from telefonist.doors.openai_requests import ROLES, read_chat_call, read_embedding_call
from telefonist.errors import InvalidInput

ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers(-(1 << 63), 1 << 63) | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
MESSAGES = st.lists(
    st.fixed_dictionaries({"role": st.sampled_from(sorted(ROLES)) | ANYTHING, "content": ANYTHING}) | ANYTHING,
    max_size=3,
)
CHAT = st.fixed_dictionaries(
    {"model": st.just("gpt-4") | ANYTHING, "messages": MESSAGES | ANYTHING},
    optional=dict.fromkeys(("stream", "stream_options", "n", "max_tokens", "max_completion_tokens"), ANYTHING),
)
EMBEDDINGS = st.fixed_dictionaries({"model": st.just("vectors"), "input": ANYTHING})


@given(CHAT)
def test_a_request_for_a_chat_is_understood_or_refused(asked: dict[str, Any]) -> None:
    try:
        call = read_chat_call(orjson.dumps(asked))
    except InvalidInput:
        return
    assert call.model
    assert 1 <= call.choices <= 128
    assert all(message["role"] in ROLES for message in call.messages)


@given(EMBEDDINGS)
def test_a_request_for_embeddings_is_understood_or_refused(asked: dict[str, Any]) -> None:
    with suppress(InvalidInput):
        assert read_embedding_call(orjson.dumps(asked)).texts


@pytest.mark.parametrize("role", [["user"], {"role": "user"}, 1, None, "robot"])
def test_a_role_that_is_none_is_refused_by_its_place(role: object) -> None:
    asked = {"model": "gpt-4", "messages": [{"role": "user"}, {"role": role, "content": "x"}]}
    with pytest.raises(InvalidInput) as refused:
        read_chat_call(orjson.dumps(asked))
    assert refused.value.problems[0].loc == ("body", "messages", "1", "role")


def test_the_newer_name_of_the_limit_of_output_goes_before_the_older() -> None:
    messages = [{"role": "user", "content": "x"}]
    asked = {"model": "gpt-4", "messages": messages, "max_completion_tokens": 5, "max_tokens": 9, "x": {"y": 1}}
    call = read_chat_call(orjson.dumps(asked))
    assert call.expected_output == 5
    assert call.options == {"max_completion_tokens": 5, "max_tokens": 9, "x": {"y": 1}}
