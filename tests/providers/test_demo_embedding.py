"""The built-in embeddings: offline, the same everywhere, and close together for texts that are alike."""

import base64
import math
import struct
from itertools import starmap
from operator import mul
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telefonist.errors import ProviderRejectedRequest
from telefonist.providers.demo import DemoProvider
from telefonist.providers.demo_embedding import vector_of
from telefonist.types import EmbeddingRequest, ProviderConfig, Usage


@pytest.fixture
def demo() -> DemoProvider:
    return DemoProvider(ProviderConfig("demo", "demo"))


async def vectors(demo: DemoProvider, given: Any, **options: Any) -> list[Any]:
    answer = await demo.embed(EmbeddingRequest("demo-embedding", given, options))
    assert [item["index"] for item in answer.body["data"]] == list(range(len(answer.body["data"])))
    return [item["embedding"] for item in answer.body["data"]]


def likeness(one: str, other: str) -> float:
    return math.fsum(starmap(mul, zip(vector_of(one), vector_of(other), strict=True)))


async def test_a_text_becomes_256_numbers_of_length_one_with_its_usage(demo: DemoProvider) -> None:
    answer = await demo.embed(EmbeddingRequest("demo-embedding", "Маяк у моря"))
    [item] = answer.body["data"]
    assert len(item["embedding"]) == 256
    assert math.isclose(math.hypot(*item["embedding"]), 1)
    assert answer.usage == Usage(5)
    assert answer.body["usage"] == {"prompt_tokens": 5, "total_tokens": 5}
    assert (answer.body["object"], answer.body["model"]) == ("list", "demo-embedding")


@pytest.mark.parametrize(
    ("text", "alike", "other"),
    [
        ("Где находится маяк?", "Маяк находится у моря", "Сколько стоит доставка пиццы"),
        ("How tall is the lighthouse?", "The lighthouse is tall", "My parcel has not arrived"),
        ("Доставка", "доставкой", "погода"),
    ],
)
def test_texts_that_are_alike_lie_closer_together(text: str, alike: str, other: str) -> None:
    assert likeness(text, alike) > likeness(text, other) + 0.2


def test_the_vectors_are_the_same_on_every_machine() -> None:
    assert vector_of("lighthouse", 4) == pytest.approx([1 / 3, 0, 2 / 3, 2 / 3])


@given(st.text(min_size=1), st.integers(1, 300))
def test_every_text_has_a_vector_of_length_one(text: str, dimensions: int) -> None:
    vector = vector_of(text, dimensions)
    assert len(vector) == dimensions
    assert math.isclose(math.hypot(*vector), 1)


async def test_dimensions_and_base64_are_honoured(demo: DemoProvider) -> None:
    [plain] = await vectors(demo, "lighthouse", dimensions=8, encoding_format="float")
    [packed] = await vectors(demo, "lighthouse", dimensions=8, encoding_format="base64")
    assert struct.unpack("<8f", base64.b64decode(packed)) == pytest.approx(plain)


async def test_many_texts_and_tokens_are_embedded_in_order(demo: DemoProvider) -> None:
    one, two = await vectors(demo, ["one", "two"])
    assert [[one], [two]] == [await vectors(demo, "one"), await vectors(demo, ["two"])]
    assert len(await vectors(demo, [1, 2, 3])) == 1
    assert len(await vectors(demo, [[1, 2], [3]])) == 2


@pytest.mark.parametrize(
    ("given", "options", "reason"),
    [
        ("", {}, "not empty"),
        ([], {}, "from 1 to 2048"),
        (["x"] * 2049, {}, "from 1 to 2048"),
        (["one", ""], {}, "not empty"),
        ({"text": "one"}, {}, "not empty"),
        ([1, "one"], {}, "not empty"),
        ("one", {"dimensions": 5000}, "dimensions"),
        ("one", {"dimensions": "many"}, "dimensions"),
    ],
)
async def test_what_cannot_be_embedded_is_refused(
    demo: DemoProvider, given: Any, options: dict[str, Any], reason: str
) -> None:
    with pytest.raises(ProviderRejectedRequest, match=reason) as refused:
        await vectors(demo, given, **options)
    assert refused.value.values["status"] == 400


async def test_a_chat_model_makes_no_embeddings(demo: DemoProvider) -> None:
    with pytest.raises(ProviderRejectedRequest, match="no demo model 'demo' for embeddings"):
        await demo.embed(EmbeddingRequest("demo", "one"))
