"""Commits whose answer never reaches us: the connection is cut between the two."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from telefonist.core.deliveries import RetrySchedule
from telefonist.core.mailbox import Rhythm
from telefonist.errors import Unavailable
from telefonist.storage.deliveries import Deliveries
from telefonist.storage.mailboxes import Mailboxes
from telefonist.storage.turns import Turns
from telefonist.types import ChatRequest, DeliveryState, DeliveryView, TaskState
from tests.core.conftest import ScriptedModel, open_office
from tests.fakes.receiver import Receiver, reply
from tests.waiting import until

UNRECONCILED = Rhythm(heartbeat=0.05, poll=0.05, silent=0.5, reconcile=3600, retry=0.05)
"""Leaves what nobody works on where it is: what comes in time does not wait to be found."""


def lose_the_first_reply(monkeypatch: pytest.MonkeyPatch, of: type, method: str) -> asyncio.Event:
    """Let a method of the storage do its work once and then fail; the event tells that it has."""
    lost = asyncio.Event()
    whole: Callable[..., Awaitable[Any]] = getattr(of, method)

    async def cut(*arguments: Any) -> Any:
        result = await whole(*arguments)
        if lost.is_set() or result == []:
            return result
        lost.set()
        raise Unavailable(seconds=1)

    monkeypatch.setattr(of, method, cut)
    return lost


async def answers(receiver: Receiver, count: int) -> list[str]:
    return [request.json["generated_response"] for request in await receiver.wait_for(count)]


async def test_callbacks_keep_their_order_after_a_stored_answer_of_which_we_never_heard(
    dsn: str, model: ScriptedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost = lose_the_first_reply(monkeypatch, Turns, "store")
    async with open_office(dsn, model, rhythm=UNRECONCILED) as office, Receiver() as receiver:
        await office.ask("A", receiver.url)
        await lost.wait()
        await office.ask("B", receiver.url)
        assert await answers(receiver, 2) == ["re: A", "re: B"]


async def test_what_waits_behind_a_stored_answer_of_which_we_never_heard_is_taken_up_at_once(
    dsn: str, model: ScriptedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, gate = asyncio.Event(), asyncio.Event()
    echo = model.answer

    async def wait(request: ChatRequest) -> str:
        asked.set()
        await gate.wait()
        return await echo(request)

    model.answer = wait
    lose_the_first_reply(monkeypatch, Turns, "store")
    async with open_office(dsn, model, rhythm=UNRECONCILED) as office, Receiver() as receiver:
        await office.ask("A", receiver.url)
        await asked.wait()
        await office.ask("B", receiver.url)
        gate.set()
        assert await answers(receiver, 2) == ["re: A", "re: B"]


async def test_callbacks_keep_their_order_after_a_claim_of_which_we_never_heard(
    dsn: str, model: ScriptedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    schedule = RetrySchedule((0.5,), jitter=0)
    async with open_office(dsn, model, rhythm=UNRECONCILED, schedule=schedule) as office, Receiver() as receiver:
        receiver.script(reply(500))
        await office.ask("A", receiver.url)
        await receiver.wait_for(1)
        lost = lose_the_first_reply(monkeypatch, Mailboxes, "claim")
        await lost.wait()
        await office.ask("B", receiver.url)
        assert await answers(receiver, 3) == ["re: A", "re: A", "re: B"]


async def test_an_attempt_told_twice_counts_once_in_the_schedule(
    dsn: str, model: ScriptedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost = lose_the_first_reply(monkeypatch, Deliveries, "record")
    schedule = RetrySchedule((0.05, 0.05), jitter=0)
    async with open_office(dsn, model, schedule=schedule) as office, Receiver(reply(500)) as receiver:
        accepted = await office.ask("A", receiver.url)

        async def parked() -> DeliveryView | None:
            view = (await office.see(accepted)).delivery
            return view if view and view.state is DeliveryState.PARKED else None

        view = await until(parked)
        assert lost.is_set()
        assert view is not None
        assert len(view.attempts) == len(receiver.requests) == 3


async def test_a_stored_answer_is_delivered_at_once_though_its_reply_is_overtaken_by_the_next_question(
    dsn: str, model: ScriptedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored, gate = asyncio.Event(), asyncio.Event()
    store = Turns.store

    async def linger(*arguments: Any) -> Any:
        receipt = await store(*arguments)
        stored.set()
        await gate.wait()
        return receipt

    monkeypatch.setattr(Turns, "store", linger)
    async with open_office(dsn, model, rhythm=UNRECONCILED) as office, Receiver() as receiver:
        first = await office.ask("A", receiver.url)
        await stored.wait()
        model.answer = never
        await office.ask("B", receiver.url)
        assert (await office.see(first)).state is TaskState.SUCCEEDED
        gate.set()
        assert await answers(receiver, 1) == ["re: A"]

        async def the_next_is_under_way() -> bool:
            return len(model.requests) == 2

        await until(the_next_is_under_way)


async def never(_: ChatRequest) -> str:
    await asyncio.Event().wait()
    raise AssertionError("unreachable")
