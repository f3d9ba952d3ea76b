"""The usual chunk is read by a short way; it must say what the long way says."""

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from telefonist.errors import ProviderError
from telefonist.providers import openai_wire
from telefonist.providers.openai_wire import ChunkReader

TEXTS = st.sampled_from(["", "Hi", " there", None, 7])
DELTAS = st.one_of(
    st.none(),
    st.fixed_dictionaries(
        {},
        optional={
            "role": st.just("assistant"),
            "content": TEXTS,
            "refusal": TEXTS,
            "reasoning": TEXTS,
            "tool_calls": st.sampled_from([None, [], [{"index": 0, "function": {"arguments": "{"}}]]),
        },
    ),
)
CHOICES = st.fixed_dictionaries(
    {},
    optional={
        "index": st.sampled_from([0, 1, None, "0"]),
        "delta": DELTAS,
        "finish_reason": st.sampled_from([None, "stop", "", "error"]),
    },
)
CHUNKS = st.fixed_dictionaries(
    {},
    optional={
        "choices": st.lists(CHOICES, max_size=2) | st.none(),
        "usage": st.sampled_from([None, {}, {"prompt_tokens": 1, "completion_tokens": 2}]),
    },
)


@given(st.lists(CHUNKS, max_size=4))
def test_the_short_way_says_what_the_long_way_says(chunks: list[dict[str, Any]]) -> None:
    short, long = ChunkReader("fake"), ChunkReader("fake")
    for chunk in chunks:
        data = orjson.dumps(chunk)
        assert outcome(short, data) == outcome_of_the_long_way(long, data)
    assert short.finished == long.finished


def outcome(reader: ChunkReader, data: bytes) -> object:
    try:
        return reader.read(data, orjson.loads(data))
    except ProviderError as error:
        return str(error)


def outcome_of_the_long_way(reader: ChunkReader, data: bytes) -> object:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(openai_wire, "_only_text", lambda _: None)
        return outcome(reader, data)
