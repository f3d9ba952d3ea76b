"""How providers have been answering, as administrators see it."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from telefonist.types import AccountRole
from tests.doors.conftest import Serve
from tests.doors.exchange import Exchange, open_exchange
from tests.fakes.openai_upstream import FakeOpenAI, answer, refuse

HELLO = [{"role": "user", "content": "Hello"}]


@pytest.fixture
async def exchange(serve: Serve, dsn: str, tmp_path: Path) -> AsyncIterator[Exchange]:
    async with (
        FakeOpenAI() as upstream,
        open_exchange(serve, dsn, tmp_path, upstream, TELEFONIST_PROVIDER_RETRIES="0") as exchange,
    ):
        yield exchange


@pytest.fixture
async def admin(exchange: Exchange) -> dict[str, str]:
    """Give the headers of an administrator who has logged in."""
    return await (await exchange.user(role=AccountRole.ADMIN)).login()


async def ask(exchange: Exchange, model: str = "free", **more: Any) -> int:
    body = {"model": model, "messages": HELLO, **more}
    return (await exchange.client.post("/v1/chat/completions", json=body)).status_code


async def seen(exchange: Exchange, admin: dict[str, str], model: str) -> dict[str, Any]:
    response = await exchange.client.get("/admin/providers", headers=admin)
    assert response.status_code == 200, response.text
    models = [entry for provider in response.json()["providers"] for entry in provider["models"]]
    (found,) = [entry for entry in models if entry["model"] == model]
    return dict(found)


async def test_every_provider_and_model_is_listed_before_it_was_asked(
    exchange: Exchange, admin: dict[str, str]
) -> None:
    providers = (await exchange.client.get("/admin/providers", headers=admin)).json()["providers"]
    assert [(provider["provider"], provider["kind"]) for provider in providers] == [
        ("upstream", "openai"),
        ("demo", "demo"),
    ]
    assert [model["model"] for model in providers[0]["models"]] == ["gpt-4", "gpt-3.5-turbo", "free", "dear", "vectors"]
    assert await seen(exchange, admin, "gpt-4") == {
        "model": "gpt-4",
        "state": "closed",
        "since": None,
        "probe_in_seconds": 0,
        "answers": 0,
        "errors": {},
        "last_error": None,
        "whole_ms": None,
        "first_piece_ms": None,
    }


async def test_answers_are_counted_and_timed(exchange: Exchange, admin: dict[str, str]) -> None:
    exchange.upstream.default = answer("Hi", pause=0.02)
    await ask(exchange)
    await ask(exchange, stream=True)
    model = await seen(exchange, admin, "free")
    assert model["answers"] == 2
    assert (model["whole_ms"]["count"], model["first_piece_ms"]["count"]) == (1, 1)
    assert 0 <= model["whole_ms"]["median"] <= model["whole_ms"]["p95"]


async def test_a_model_that_keeps_failing_is_shown_and_its_fallback_takes_over(
    exchange: Exchange, admin: dict[str, str]
) -> None:
    user = await exchange.user()
    for _ in range(5):
        exchange.upstream.script(refuse(500, "Overloaded."), answer("I stand in."))
        completion = await user.openai.chat.completions.create(model="gpt-4", messages=HELLO)  # type: ignore[arg-type]
        assert completion.choices[0].message.content == "I stand in."
    model = await seen(exchange, admin, "gpt-4")
    assert (model["state"], model["errors"], model["answers"]) == ("open", {"provider_failed": 5}, 0)
    assert 0 < model["probe_in_seconds"] <= 10
    assert model["since"] is not None
    assert model["last_error"]["code"] == "provider_failed"
    assert model["last_error"]["text"] == "Provider 'upstream' failed with status 500: Overloaded."
    asked = len(exchange.upstream.requests)
    await user.openai.chat.completions.create(model="gpt-4", messages=HELLO)  # type: ignore[arg-type]
    assert [request.json["model"] for request in exchange.upstream.requests[asked:]] == ["gpt-3.5-turbo"]


async def test_nobody_but_administrators_sees_it(exchange: Exchange) -> None:
    client = await exchange.user()
    for headers in ({}, client.headers, await client.login()):
        refused = await exchange.client.get("/admin/providers", headers=headers)
        assert refused.status_code in (401, 403)
        assert "upstream" not in refused.text


async def test_circuits_can_be_switched_off(serve: Serve, dsn: str, tmp_path: Path) -> None:
    off = {"TELEFONIST_PROVIDER_RETRIES": "0", "TELEFONIST_PROVIDER_CIRCUIT": "false"}
    async with FakeOpenAI() as upstream, open_exchange(serve, dsn, tmp_path, upstream, **off) as exchange:
        upstream.default = refuse(500)
        for _ in range(6):
            assert await ask(exchange) == 502
        admin = await (await exchange.user(role=AccountRole.ADMIN)).login()
        model = await seen(exchange, admin, "free")
        assert (model["state"], model["errors"]) == ("closed", {"provider_failed": 6})
