"""Embeddings from an OpenAI-compatible upstream, passed on as they come."""

import json
from typing import Any

import pytest

from telefonist.errors import ProviderError, ProviderProtocolError, ProviderRejectedRequest
from telefonist.providers.base import Provider
from telefonist.types import EmbeddingRequest, Usage
from tests.fakes.openai_upstream import FakeOpenAI, embeddings, refuse, reply
from tests.providers.conftest import MakeProvider


def asking(given: Any = "Hello there", **options: Any) -> EmbeddingRequest:
    return EmbeddingRequest("text-embedding-3-small", given, options)


async def test_texts_become_vectors_with_their_usage(upstream: FakeOpenAI, provider: Provider) -> None:
    upstream.default = embeddings()
    got = await provider.embed(asking(["Hello there", "you"]))
    assert [len(item["embedding"]) for item in got.body["data"]] == [4, 4]
    assert got.usage == Usage(3)
    assert upstream.requests[0].path == "/v1/embeddings"


async def test_unknown_fields_pass_through_both_ways(upstream: FakeOpenAI, provider: Provider) -> None:
    upstream.default = embeddings(brand_new={"deep": [None]})
    got = await provider.embed(asking([[1, 2], [3]], dimensions=8, user="u1", odd=[1.5]))
    assert upstream.requests[0].json == {
        "model": "text-embedding-3-small",
        "input": [[1, 2], [3]],
        "dimensions": 8,
        "user": "u1",
        "odd": [1.5],
    }
    assert got.body["brand_new"] == {"deep": [None]}


async def test_vectors_in_base64_stay_as_they_are(upstream: FakeOpenAI, provider: Provider) -> None:
    upstream.default = embeddings()
    got = await provider.embed(asking(encoding_format="base64"))
    assert got.body["data"][0]["embedding"] == "AACAPwAAAAAAAAAAAAAAAA=="


@pytest.mark.parametrize(
    ("given", "tokens"), [("12345678", 2), (["1234", "12345"], 3), ([5, 6, 7], 3), ([[5, 6], [7]], 3)]
)
async def test_usage_that_is_missing_is_estimated(
    upstream: FakeOpenAI, provider: Provider, given: Any, tokens: int
) -> None:
    upstream.default = embeddings(usage=None)
    assert (await provider.embed(asking(given))).usage == Usage(tokens, estimated=True)


@pytest.mark.parametrize(
    "chat_url", ["{0}/v1/chat/completions", "{0}/v1/chat/completions?api-version=2024-10-21"], ids=["path", "query"]
)
async def test_the_address_is_found_beside_that_of_chats(
    upstream: FakeOpenAI, make_provider: MakeProvider, chat_url: str
) -> None:
    upstream.default = embeddings()
    await make_provider(base_url="", chat_url=chat_url.format(upstream.address)).embed(asking())
    assert upstream.requests[0].path == "/v1/embeddings" + chat_url.partition("completions")[2]


async def test_a_base_url_says_where_embeddings_are_although_chats_go_elsewhere(
    upstream: FakeOpenAI, make_provider: MakeProvider
) -> None:
    upstream.default = embeddings()
    await make_provider(chat_url="http://127.0.0.1:1/chat").embed(asking())
    assert upstream.requests[0].path == "/v1/embeddings"


async def test_an_address_that_tells_nothing_of_embeddings_is_refused_with_the_fix(
    upstream: FakeOpenAI, make_provider: MakeProvider
) -> None:
    provider = make_provider(base_url="", chat_url=f"{upstream.address}/v1/talk")
    with pytest.raises(ProviderRejectedRequest, match="base_url must say where embeddings are"):
        await provider.embed(asking())
    assert upstream.requests == []


@pytest.mark.parametrize(
    "body", [{}, {"data": []}, {"data": None}, {"data": [1]}, {"data": [{"embedding": None}]}, {"data": [{}]}]
)
async def test_an_answer_without_vectors_is_none(
    upstream: FakeOpenAI, provider: Provider, body: dict[str, Any]
) -> None:
    upstream.script(reply(json.dumps(body).encode()))
    with pytest.raises(ProviderProtocolError):
        await provider.embed(asking())


async def test_a_refusal_is_the_error_of_its_status(upstream: FakeOpenAI, provider: Provider) -> None:
    upstream.script(refuse(429, "Slow down", headers={"Retry-After": "3"}))
    with pytest.raises(ProviderError) as refused:
        await provider.embed(asking())
    assert (refused.value.code, refused.value.retry_after) == ("provider_rate_limited", 3)


async def test_what_json_cannot_hold_is_refused(provider: Provider) -> None:
    with pytest.raises(ProviderRejectedRequest, match="cannot be written as JSON"):
        await provider.embed(asking("half a pair: \ud800"))


async def test_a_large_batch_of_vectors_is_read(upstream: FakeOpenAI, provider: Provider) -> None:
    vector = [0.012345678901234567] * 1536
    data = [{"object": "embedding", "index": index, "embedding": vector} for index in range(600)]
    body = json.dumps({"object": "list", "data": data}).encode()
    assert len(body) > 16 * 1024 * 1024
    upstream.script(reply(body))
    assert len((await provider.embed(asking(["x"] * 600))).body["data"]) == 600
