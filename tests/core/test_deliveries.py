"""What receivers see: retries, order, and that one bad receiver troubles nobody else."""

import asyncio
from datetime import UTC, datetime

import pytest

from telefonist.core import deliveries
from telefonist.core.deliveries import RetrySchedule
from telefonist.core.mailbox import Rhythm
from telefonist.errors import Conflict
from telefonist.storage.database import Database
from telefonist.types import AcceptedTask, DeliveryAttempt, DeliveryState, DeliveryView, Side
from tests.core.conftest import CALLER, SECRET, Office, ScriptedModel, open_office
from tests.fakes.receiver import Exchange, Receiver, hang, redirect, reply, reset, unused_port
from tests.waiting import until


async def delivery_of(office: Office, accepted: AcceptedTask, *states: DeliveryState) -> DeliveryView:
    async def reached() -> DeliveryView | None:
        view = (await office.see(accepted)).delivery
        return view if view and view.state in states else None

    view = await until(reached)
    assert view is not None
    return view


def attempt(status: int | None, retry_after: float | None = None) -> DeliveryAttempt:
    return DeliveryAttempt(datetime(2026, 1, 1, tzinfo=UTC), 1, status, retry_after=retry_after)


@pytest.mark.parametrize("status", [200, 202, 204, 299])
def test_any_2xx_is_a_success(status: int) -> None:
    assert RetrySchedule().after(attempt(status), 0)[0] is DeliveryState.DELIVERED


@pytest.mark.parametrize("status", [None, 100, 301, 302, 400, 404, 409, 429, 500, 503])
def test_anything_else_is_tried_again(status: int | None) -> None:
    assert RetrySchedule().after(attempt(status), 0)[0] is DeliveryState.PENDING


def test_410_stops_the_delivery_for_good() -> None:
    assert RetrySchedule().after(attempt(410), 0)[0] is DeliveryState.GONE


def test_retries_follow_the_documented_schedule_within_20_percent() -> None:
    schedule = RetrySchedule()
    for tries, expected in enumerate([5, 60, 300, 1800, 7200, 18000, 36000]):
        waits = [schedule.after(attempt(500), tries)[1] for _ in range(200)]
        assert expected * 0.8 <= min(waits) < expected < max(waits) <= expected * 1.2
    assert schedule.after(attempt(500), 7)[0] is DeliveryState.PARKED


def test_retry_after_is_honoured_up_to_a_bound_and_never_shortens_the_schedule() -> None:
    schedule = RetrySchedule(jitter=0.0, retry_after_cap=100)
    assert schedule.after(attempt(503, retry_after=42), 0)[1] == 42
    assert schedule.after(attempt(503, retry_after=10**9), 0)[1] == 100
    assert schedule.after(attempt(429, retry_after=1), 1)[1] == 60


async def test_a_receiver_that_fails_gets_the_same_message_again_under_the_same_id(office: Office) -> None:
    async with Receiver() as receiver:
        receiver.script(reply(500, "later, please", keep_alive=False), reset())
        accepted = await office.ask("hello", receiver.url)
        first, second, third = await receiver.wait_for(3)
        assert first.body == second.body == third.body
        assert first.headers["webhook-id"] == second.headers["webhook-id"] == third.headers["webhook-id"]
        view = await delivery_of(office, accepted, DeliveryState.DELIVERED)
        assert [(a.status, a.response) for a in view.attempts] == [(500, "later, please"), (None, ""), (200, "ok")]
        assert view.attempts[1].error is not None


async def test_callbacks_are_signed_so_that_the_public_library_verifies_them(office: Office) -> None:
    from standardwebhooks.webhooks import Webhook

    async with Receiver() as receiver:
        await office.ask("hello", receiver.url)
        (callback,) = await receiver.wait_for(1)
        body = Webhook(SECRET).verify(callback.body, dict(callback.headers))
        assert body["generated_response"] == "re: hello"


async def test_after_the_last_attempt_a_message_is_parked_and_can_be_sent_by_hand(office: Office) -> None:
    async with Receiver(reply(500)) as receiver:
        accepted = await office.ask("hello", receiver.url)
        view = await delivery_of(office, accepted, DeliveryState.PARKED)
        assert len(view.attempts) == 3
        receiver.behaviour = reply(200)
        await office.tasks.redeliver(accepted.task_id, CALLER)
        view = await delivery_of(office, accepted, DeliveryState.DELIVERED)
        assert [a.status for a in view.attempts] == [500, 500, 500, 200]
        assert len({request.headers["webhook-id"] for request in receiver.requests}) == 1


async def test_everything_parked_for_a_host_can_be_sent_again_at_once(office: Office) -> None:
    async with Receiver(reply(500)) as receiver:
        tasks = [await office.ask("hello", receiver.url, f"c{number}") for number in range(5)]
        for accepted in tasks:
            await delivery_of(office, accepted, DeliveryState.PARKED)
        receiver.behaviour = reply(200)
        assert await office.tasks.redeliver_host(f"127.0.0.1:{receiver.port}") == 5
        for accepted in tasks:
            await delivery_of(office, accepted, DeliveryState.DELIVERED)


async def test_sending_again_what_is_parked_ends_although_all_of_it_is_parked_anew(
    dsn: str, model: ScriptedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("telefonist.storage.tasks.REOPEN_LIMIT", 1)
    async with open_office(dsn, model, schedule=RetrySchedule(())) as office, Receiver(reply(500)) as receiver:
        for accepted in [await office.ask("hello", receiver.url, f"c{number}") for number in range(10)]:
            await delivery_of(office, accepted, DeliveryState.PARKED)
        async with asyncio.timeout(5):
            assert await office.tasks.redeliver_host(f"127.0.0.1:{receiver.port}") == 10
        await receiver.wait_for(20)


async def test_a_delivered_answer_can_be_asked_for_again(office: Office) -> None:
    async with Receiver() as receiver:
        accepted = await office.ask("hello", receiver.url)
        await delivery_of(office, accepted, DeliveryState.DELIVERED)
        await office.tasks.redeliver(accepted.task_id, CALLER)
        first, again = await receiver.wait_for(2)
        assert first.headers["webhook-id"] == again.headers["webhook-id"]
        await delivery_of(office, accepted, DeliveryState.DELIVERED)


async def test_a_task_without_an_answer_cannot_be_sent_again(office: Office) -> None:
    gate = asyncio.Event()

    async def wait(_: object) -> str:
        await gate.wait()
        return "done"

    office.model.answer = wait
    async with Receiver() as receiver:
        accepted = await office.ask("hello", receiver.url)
        with pytest.raises(Conflict):
            await office.tasks.redeliver(accepted.task_id, CALLER)
        gate.set()
        await receiver.wait_for(1)


async def test_gone_means_no_more_attempts(office: Office) -> None:
    async with Receiver(reply(410)) as receiver:
        accepted = await office.ask("hello", receiver.url)
        view = await delivery_of(office, accepted, DeliveryState.GONE)
        assert len(view.attempts) == 1
        await office.ask("another", receiver.url)
        await receiver.wait_for(2)


async def test_a_redirect_counts_as_a_failure(office: Office) -> None:
    async with Receiver() as receiver, Receiver() as elsewhere:
        receiver.script(redirect(elsewhere.url))
        accepted = await office.ask("hello", receiver.url)
        view = await delivery_of(office, accepted, DeliveryState.DELIVERED)
        assert [a.status for a in view.attempts] == [302, 200]
        assert elsewhere.requests == []


async def test_a_message_that_waits_for_its_retry_holds_back_only_its_own_conversation(
    dsn: str, model: ScriptedModel
) -> None:
    schedule = RetrySchedule((0.4,), jitter=0, hold_back=60)
    async with open_office(dsn, model, schedule=schedule) as office, Receiver() as receiver:
        receiver.script(reply(500))
        await office.ask("first", receiver.url, "held")
        await receiver.wait_for(1)
        await office.ask("second", receiver.url, "held")
        await office.ask("other", receiver.url, "free")
        callbacks = await receiver.wait_for(4)
        order = [callback.json["generated_response"] for callback in callbacks]
        assert order == ["re: first", "re: other", "re: first", "re: second"]


async def test_later_messages_pass_once_the_hold_is_over(dsn: str, model: ScriptedModel) -> None:
    schedule = RetrySchedule((60,), jitter=0, hold_back=0.3)
    async with open_office(dsn, model, schedule=schedule) as office, Receiver() as receiver:
        receiver.script(reply(500))
        stuck = await office.ask("stuck", receiver.url)
        await receiver.wait_for(1)
        await office.ask("two", receiver.url)
        await office.ask("three", receiver.url)
        callbacks = await receiver.wait_for(3)
        assert [callback.json["generated_response"] for callback in callbacks] == ["re: stuck", "re: two", "re: three"]
        assert callbacks[1].at - callbacks[0].at >= 0.25
        await office.ask("four", receiver.url)
        await receiver.wait_for(4)
        await delivery_of(office, stuck, DeliveryState.PENDING)
        await office.tasks.redeliver(stuck.task_id, CALLER)
        callbacks = await receiver.wait_for(5)
        assert callbacks[4].json["generated_response"] == "re: stuck"
        await delivery_of(office, stuck, DeliveryState.DELIVERED)


async def test_an_undelivered_answer_can_be_withdrawn(dsn: str, model: ScriptedModel) -> None:
    schedule = RetrySchedule((60,), jitter=0)
    async with open_office(dsn, model, schedule=schedule) as office, Receiver() as receiver:
        receiver.script(reply(500))
        stuck = await office.ask("stuck", receiver.url)
        await receiver.wait_for(1)
        await office.ask("next", receiver.url)
        await delivery_of(office, stuck, DeliveryState.PENDING)

        async def failed_once() -> bool:
            view = (await office.see(stuck)).delivery
            return view is not None and len(view.attempts) == 1

        await until(failed_once)
        await office.tasks.cancel(stuck.task_id, CALLER)
        await delivery_of(office, stuck, DeliveryState.CANCELLED)
        _, callback = await receiver.wait_for(2)
        assert callback.json["generated_response"] == "re: next"
        with pytest.raises(Conflict):
            await office.tasks.cancel(stuck.task_id, CALLER)


async def test_after_a_withdrawal_nothing_holds_the_next_answer_back_whoever_delivers_it(
    dsn: str, model: ScriptedModel
) -> None:
    async with Receiver() as receiver:
        async with open_office(dsn, model, schedule=RetrySchedule((60,), jitter=0, hold_back=600)) as dying:
            receiver.script(reply(500), hang())
            stuck = await dying.ask("stuck", receiver.url)
            await receiver.wait_for(1)

            async def rests() -> bool:
                return not dying.worker.in_flight[Side.OUT]

            await until(rests)
            await dying.tasks.cancel(stuck.task_id, CALLER)
            await dying.ask("next", receiver.url)
            await receiver.wait_for(2)
            await dying.freeze()
            async with open_office(dsn, model):
                _, cut_off, again = await receiver.wait_for(3)
        assert cut_off.json["generated_response"] == again.json["generated_response"] == "re: next"


async def test_the_attempts_of_a_sleeper_and_of_the_worker_that_took_over_are_both_shown(dsn: str) -> None:
    never = Rhythm(heartbeat=3600, poll=0.05, silent=60, reconcile=3600, retry=0.05)
    gate = asyncio.Event()

    async def late(exchange: Exchange) -> None:
        await gate.wait()
        await reply(503)(exchange)

    async with Receiver() as receiver, open_office(dsn, ScriptedModel(), rhythm=never) as sleeper:
        receiver.script(late)
        accepted = await sleeper.ask("hello", receiver.url)
        await receiver.wait_for(1)
        async with open_office(dsn, ScriptedModel()) as awake:
            await delivery_of(awake, accepted, DeliveryState.DELIVERED)
            gate.set()

            async def both() -> DeliveryView | None:
                view = (await awake.see(accepted)).delivery
                return view if view and len(view.attempts) == 2 else None

            view = await until(both)
            assert view is not None
            assert view.state is DeliveryState.DELIVERED
            assert view.attempts[0].status == 200


async def test_many_conversations_with_a_receiver_that_hangs_do_not_slow_one_with_another_nor_its_retries(
    dsn: str, model: ScriptedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deliveries, "CROWDED_WAIT", 0.2)
    await slow_down_the_disk(dsn)
    async with (
        open_office(dsn, model, places_per_host=1, in_flight=1000, schedule=RetrySchedule((0.05,), jitter=0)) as office,
        Receiver(hang()) as stuck,
        Receiver() as good,
    ):
        await asyncio.gather(*(office.ask("hello", stuck.url, f"s{number}") for number in range(100)))

        async def crowded() -> bool:
            async with office.database.begin() as connection:
                waiting = "SELECT 1 FROM mailboxes WHERE side = 'out' AND leased_by IS NULL AND due_at > now()"
                return (await connection.exec_driver_sql(waiting)).first() is not None

        await until(crowded)
        async with asyncio.timeout(5):
            for number in range(4):
                good.script(reply(500))
                await office.ask(f"{number}", good.url, "ongoing")
                await good.wait_for(2 * number + 2)
        assert [r.json["generated_response"] for r in good.requests] == [f"re: {n}" for n in range(4) for _ in "12"]


async def slow_down_the_disk(dsn: str) -> None:
    """Let every commit take 20 ms longer, so that each one that is needless shows."""
    database = Database(dsn)
    async with database.begin() as connection:
        name = (await connection.exec_driver_sql("SELECT current_database()")).scalar()
        await connection.exec_driver_sql(f"ALTER DATABASE {name} SET commit_delay = 20000")
        await connection.exec_driver_sql(f"ALTER DATABASE {name} SET commit_siblings = 0")
    await database.close()


async def test_a_receiver_that_hangs_does_not_slow_the_others(dsn: str, model: ScriptedModel) -> None:
    async with (
        open_office(dsn, model, places_per_host=2, in_flight=50) as office,
        Receiver(hang()) as stuck,
        Receiver() as good,
    ):
        for number in range(30):
            await office.ask("hello", stuck.url, f"s{number}")
        for number in range(20):
            await office.ask("hello", good.url, f"g{number}")
        await good.wait_for(20, timeout=2)
        assert len(stuck.requests) <= 4


async def test_nobody_listening_is_a_failed_attempt_with_a_reason(office: Office) -> None:
    accepted = await office.ask("hello", f"http://127.0.0.1:{unused_port()}/")
    view = await delivery_of(office, accepted, DeliveryState.PARKED)
    assert {a.status for a in view.attempts} == {None}
    assert "connect" in (view.attempts[0].error or "")


async def test_an_address_that_became_private_is_refused_at_delivery(dsn: str, model: ScriptedModel) -> None:
    async with open_office(dsn, model, loopback=False) as office, Receiver() as receiver:
        accepted = await office.ask("hello", receiver.url)
        view = await delivery_of(office, accepted, DeliveryState.PARKED)
        assert all("address refused" in (a.error or "") for a in view.attempts)
        assert receiver.connections == 0
