"""Webhooks of callers with an account: whose the conversation is, who signs, and what it costs."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from standardwebhooks import Webhook

from telefonist.storage.ledger import Ledger
from telefonist.types import MICROCREDITS, KeyTerms
from tests.doors.conftest import Serve
from tests.doors.exchange import Exchange, User, open_exchange
from tests.fakes.openai_upstream import FakeOpenAI, answer, refuse, silence
from tests.fakes.receiver import Receiver


@pytest.fixture
async def exchange(serve: Serve, dsn: str, tmp_path: Path) -> AsyncIterator[Exchange]:
    async with FakeOpenAI() as upstream, open_exchange(serve, dsn, tmp_path, upstream) as exchange:
        yield exchange


async def ask(user: User, receiver: Receiver, message: str = "Hello there", **more: Any) -> httpx.Response:
    body = {"message": message, "callback_url": receiver.url, "model": "gpt-4", "conversationId": "mine", **more}
    return await user.exchange.client.post("/webhook", json=body, headers=user.headers)


async def test_the_key_s_account_pays_once_when_the_answer_is_stored(exchange: Exchange) -> None:
    user = await exchange.user()
    exchange.upstream.script(answer("Hello from far away."))
    async with Receiver() as receiver:
        assert (await ask(user, receiver)).status_code == 202
        (callback,) = await receiver.wait_for(1)
    assert callback.json["status"] == "succeeded"
    (generation,) = await user.settled()
    assert (generation["door"], generation["state"], generation["charge"]) == ("webhook", "succeeded", 6 * 200_000)
    assert await user.balance() == 1000 * MICROCREDITS - 6 * 200_000


async def test_the_callback_is_signed_with_the_account_s_own_secret(exchange: Exchange) -> None:
    user = await exchange.user()
    shown = await exchange.client.get("/me/webhook-secret", headers=await user.login())
    async with Receiver() as receiver:
        await ask(user, receiver)
        (callback,) = await receiver.wait_for(1)
    (secret,) = [value for value in str(shown.json()).split("'") if value.startswith("whsec_")]
    assert Webhook(secret).verify(callback.body, dict(callback.headers))["status"] == "succeeded"


async def test_a_conversation_belongs_to_the_account_whatever_the_callback_url(exchange: Exchange) -> None:
    ann, bob = await exchange.user(), await exchange.user()
    async with Receiver() as first, Receiver() as second:
        await ask(ann, first, "My word is lighthouse")
        await first.wait_for(1)
        await ask(ann, second, "What is my word?")
        await ask(bob, first, "What is my word?")
        await asyncio.gather(second.wait_for(1), first.wait_for(2))
    said = [[message["content"] for message in request.json["messages"]] for request in exchange.upstream.requests]
    assert sorted(len(messages) for messages in said) == [1, 1, 3]
    assert [messages[0] for messages in said if len(messages) == 3] == ["My word is lighthouse"]


async def test_with_nothing_left_a_webhook_is_refused_before_it_is_taken(exchange: Exchange) -> None:
    user = await exchange.user(credits_=0)
    async with Receiver() as receiver:
        refused = await ask(user, receiver)
        assert refused.status_code == 402
        assert refused.json()["code"] == "insufficient_credits"
        assert (await ask(user, receiver, model="free")).status_code == 202
        await receiver.wait_for(1)
    assert await exchange.value("SELECT count(*) FROM tasks") == 1


async def test_a_request_that_was_taken_may_be_repeated_when_nothing_is_left(exchange: Exchange) -> None:
    user = await exchange.user()
    user_headers = {**user.headers, "idempotency-key": "order-17"}
    async with Receiver() as receiver:
        body = {"message": "Hello", "callback_url": receiver.url, "model": "gpt-4"}
        first = await exchange.client.post("/webhook", json=body, headers=user_headers)
        await receiver.wait_for(1)
        await Ledger(exchange.house.database).change(user.id, -1000 * MICROCREDITS, "spent elsewhere", None, None)
        again = await exchange.client.post("/webhook", json=body, headers=user_headers)
        other = await exchange.client.post("/webhook", json={**body, "message": "Other"}, headers=user_headers)
    assert (again.status_code, again.json()["task_id"]) == (202, first.json()["task_id"])
    assert other.status_code == 402


async def test_with_its_budget_spent_a_key_is_refused_before_the_webhook_is_taken(exchange: Exchange) -> None:
    user = await exchange.user(terms=KeyTerms(budget=MICROCREDITS))
    async with Receiver() as receiver:
        assert (await ask(user, receiver)).status_code == 202
        await receiver.wait_for(1)
        refused = await ask(user, receiver)
    assert (refused.status_code, refused.json()["code"]) == (402, "key_budget_spent")


async def test_what_can_no_longer_be_paid_when_its_turn_comes_fails_in_words(exchange: Exchange) -> None:
    user = await exchange.user()
    go_on = asyncio.Event()

    async def slowly(request: Any) -> None:
        await go_on.wait()
        await answer("Done.")(request)

    exchange.upstream.script(slowly)
    async with Receiver() as receiver:
        assert (await ask(user, receiver, "first")).status_code == 202
        await exchange.upstream.received(1)
        assert (await ask(user, receiver, "second")).status_code == 202
        await Ledger(exchange.house.database).change(user.id, -1000 * MICROCREDITS, "spent elsewhere", None, None)
        go_on.set()
        first, second = await receiver.wait_for(2)
    assert first.json["status"] == "succeeded"
    assert (second.json["status"], second.json["error"]["code"]) == ("failed", "insufficient_credits")
    assert len(exchange.upstream.requests) == 1


async def test_a_model_that_fails_costs_nothing(exchange: Exchange) -> None:
    user = await exchange.user()
    exchange.upstream.default = refuse(401)
    async with Receiver() as receiver:
        await ask(user, receiver)
        (callback,) = await receiver.wait_for(1)
    assert callback.json["status"] == "failed"
    (generation,) = await user.settled()
    assert (generation["state"], generation["charge"]) == ("failed", 0)
    assert await user.balance() == 1000 * MICROCREDITS


async def test_a_task_cancelled_while_the_model_is_at_work_costs_nothing(exchange: Exchange) -> None:
    user = await exchange.user()
    exchange.upstream.script(silence())
    async with Receiver() as receiver:
        task_id = (await ask(user, receiver)).json()["task_id"]
        await exchange.upstream.received(1)
        cancelled = await exchange.client.delete(f"/tasks/{task_id}", headers=user.headers)
        assert cancelled.status_code == 200
        (generation,) = await user.settled()
    assert (generation["state"], generation["charge"]) == ("cancelled", 0)


async def test_a_key_for_other_models_is_refused_at_the_webhook_too(exchange: Exchange) -> None:
    user = await exchange.user(terms=KeyTerms(models=("free",)))
    async with Receiver() as receiver:
        assert (await ask(user, receiver)).status_code == 403
