"""Our own receiver of callbacks, for trying things out."""

from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from telefonist.doors import callback_probe
from telefonist.doors.errors import install_error_handlers
from telefonist.doors.local_access import AccessPolicy
from telefonist.doors.middleware import RequestMiddleware
from telefonist.memory.local import LocalRateLimiter
from tests.doors.conftest import Serve

LOCAL = AccessPolicy("auto", listens_on_loopback=True)
FULL = {
    "task_id": "01980c2e-6d3c-7f1e-9a55-0d8f4a1b2c3d",
    "message_id": "01980c2e-6f00-7a44-8e0b-5c6d7e8f9a0b",
    "conversation_id": "first",
    "status": "succeeded",
    "final": True,
    "generated_response": "Запомнил: маяк.",
    "author": "bot",
    "model": "demo",
    "usage": {"prompt_tokens": 12, "completion_tokens": 4, "total_tokens": 16},
    "error": None,
    "metadata": {"big": 12345678901234567890123},
    "created_at": "2026-01-31T12:00:00Z",
}


async def probe(serve: Serve, policy: AccessPolicy = LOCAL, rate_limit: str = "1000/minute") -> httpx.AsyncClient:
    app = FastAPI(openapi_url=None)
    install_error_handlers(app)
    app.include_router(callback_probe.router(policy, LocalRateLimiter(), rate_limit))
    return httpx.AsyncClient(base_url=await serve(RequestMiddleware(app, body_limit=300_000)))


async def items(client: httpx.AsyncClient) -> list[dict[str, Any]]:
    response = await client.get("/callback")
    assert response.status_code == 200
    received: list[dict[str, Any]] = response.json()["items"]
    return received


async def test_the_bare_and_the_full_callback_are_taken_and_shown_newest_first(serve: Serve) -> None:
    async with await probe(serve) as client:
        assert await items(client) == []
        first = await client.post("/callback", json={"generated_response": "text"})
        signing = {"webhook-id": "m-1", "webhook-timestamp": "1769860801", "webhook-signature": "v1,abc="}
        second = await client.post("/callback", json=FULL, headers={**signing, "x-other": "not shown"})
        shown = await items(client)
    assert (first.status_code, first.json()) == (200, {"status": "received"})
    assert second.status_code == 200
    assert [entry["body"] for entry in shown] == [FULL, {"generated_response": "text"}]
    assert [entry["headers"] for entry in shown] == [signing, {}]
    assert [entry["truncated"] for entry in shown] == [False, False]
    assert shown[0]["received_at"] >= shown[1]["received_at"]


async def test_a_failed_task_has_no_text(serve: Serve) -> None:
    async with await probe(serve) as client:
        failed = FULL | {"status": "failed", "generated_response": None, "error": {"code": "provider_timeout"}}
        assert (await client.post("/callback", json=failed)).status_code == 200
        assert (await items(client))[0]["body"] == failed


@pytest.mark.parametrize(
    ("content", "loc"),
    [
        (b"{}", ["body", "generated_response"]),
        (b'{"generated_response": 5}', ["body", "generated_response"]),
        (b"[]", ["body"]),
        (b"{", ["body", 1]),
        (b'{"generated_response": "x", "metadata": NaN}', ["body", 40]),
        (rb'{"generated_response": "\ud800"}', ["body", 24]),
        (b"\xff", ["body", 0]),
    ],
)
async def test_what_is_not_a_callback_is_refused(serve: Serve, content: bytes, loc: list[str | int]) -> None:
    async with await probe(serve) as client:
        response = await client.post("/callback", content=content, headers={"content-type": "application/json"})
        assert response.status_code == 422
        assert response.json()["detail"][0]["loc"] == loc
        assert await items(client) == []


async def test_only_the_last_fifty_are_remembered(serve: Serve) -> None:
    async with await probe(serve) as client:
        for number in range(53):
            assert (await client.post("/callback", json={"generated_response": str(number)})).status_code == 200
        shown = await items(client)
    assert [entry["body"]["generated_response"] for entry in shown] == [str(number) for number in range(52, 2, -1)]


async def test_of_a_large_callback_only_the_beginning_of_the_text_is_remembered(serve: Serve) -> None:
    async with await probe(serve) as client:
        whole = {"generated_response": "я" * 4000, "metadata": "x" * 50_000}
        large = {"generated_response": "я" * 5000, "metadata": "x" * 200_000}
        headers = {"webhook-id": "m" * 5000}
        assert (await client.post("/callback", json=whole)).status_code == 200
        assert (await client.post("/callback", json=large, headers=headers)).status_code == 200
        assert (await client.post("/callback", json=large | {"generated_response": None})).status_code == 200
        empty, cut, kept = await items(client)
    assert (kept["body"], kept["truncated"]) == (whole, False)
    assert (cut["body"], cut["truncated"]) == ({"generated_response": "я" * 4096}, True)
    assert len(cut["headers"]["webhook-id"]) == 4096
    assert (empty["body"], empty["truncated"]) == ({"generated_response": None}, True)


async def test_each_method_has_a_limit_of_its_own(serve: Serve) -> None:
    async with await probe(serve, rate_limit="2/minute") as client:
        posts = [await client.post("/callback", json={"generated_response": "x"}) for _ in range(3)]
        gets = [await client.get("/callback") for _ in range(3)]
    assert [response.status_code for response in posts] == [200, 200, 429]
    assert [response.status_code for response in gets] == [200, 200, 429]
    assert 1 <= int(posts[2].headers["retry-after"]) <= 60
    assert posts[2].json()["code"] == "rate_limited"


@pytest.mark.parametrize(
    "policy",
    [
        AccessPolicy("on", listens_on_loopback=False),
        AccessPolicy("auto", listens_on_loopback=True, public_url="https://example.com"),
    ],
)
async def test_it_does_not_exist_where_others_can_reach_it(serve: Serve, policy: AccessPolicy) -> None:
    async with await probe(serve, policy) as client:
        responses = [await client.get("/callback"), await client.post("/callback", content=b"{")]
    for response in responses:
        assert response.status_code == 404
        assert response.json()["code"] == "only_on_loopback"


async def test_a_proxy_or_a_web_page_cannot_read_it(serve: Serve) -> None:
    async with await probe(serve) as client:
        forwarded = await client.get("/callback", headers={"x-forwarded-for": "192.0.2.1"})
        rebound = await client.get("/callback", headers={"host": "rebound.example"})
    assert (forwarded.status_code, rebound.status_code) == (401, 401)


async def test_callbacks_arrive_even_where_anonymous_callers_are_not_taken(serve: Serve) -> None:
    async with await probe(serve, AccessPolicy("off", listens_on_loopback=True)) as client:
        assert (await client.post("/callback", json={"generated_response": "text"})).status_code == 200
