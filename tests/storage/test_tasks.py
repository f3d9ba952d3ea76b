"""Webhook tasks as their owners see them."""

from uuid import UUID

import pytest

from telefonist.storage.database import Database
from telefonist.storage.deliveries import Deliveries
from telefonist.storage.intake import Intake
from telefonist.storage.tasks import Tasks
from telefonist.storage.turns import Turns
from telefonist.types import DeliveryAttempt, DeliveryOutcome, DeliveryState, NewTask, TaskView, new_id, utc_now
from tests.storage.turns import URL, answered, take


async def accept(intake: Intake, account: UUID | None, *messages: str, conversation: str = "c") -> None:
    for message in messages:
        await intake.accept(NewTask(message, URL, conversation, "demo"), account, 1, None)


def said(views: list[TaskView]) -> list[str]:
    return [view.message for view in views]


async def test_tasks_of_a_conversation_are_listed_newest_first_and_by_the_page(database: Database) -> None:
    tasks, me = Tasks(database), new_id()
    await accept(Intake(database), me, "one", "two", "three", "four", "five")
    pages, before = [], None
    while page := await tasks.of_conversation(me, "c", before, 2):
        pages.append(said(page))
        before = page[-1].task_id
    assert pages == [["five", "four"], ["three", "two"], ["one"]]


async def test_nobody_lists_the_conversation_of_another_or_another_conversation(database: Database) -> None:
    intake, tasks, me, other = Intake(database), Tasks(database), new_id(), new_id()
    await accept(intake, me, "mine")
    await accept(intake, me, "elsewhere", conversation="d")
    await accept(intake, other, "theirs", "and more of theirs")
    await accept(intake, None, "nobody's")
    assert said(await tasks.of_conversation(me, "c", None, 10)) == ["mine"]
    assert said(await tasks.of_conversation(other, "c", None, 10)) == ["and more of theirs", "theirs"]
    assert await tasks.of_conversation(new_id(), "c", None, 10) == []
    assert await tasks.of_conversation(me, "unheard of", None, 10) == []


async def test_a_listed_task_shows_every_attempt_to_deliver_its_answer(database: Database) -> None:
    intake, me, worker = Intake(database), new_id(), new_id()
    outcome = answered(await take(intake, worker, account=me))
    lease = (await Turns(database, {"demo": 1000}).store(worker, outcome)).delivery_lease
    for status, state in ((500, DeliveryState.PENDING), (200, DeliveryState.DELIVERED)):
        assert lease is not None
        assert outcome.outgoing is not None
        attempt = DeliveryAttempt(utc_now(), 7, status, None, "as it said")
        lease = await Deliveries(database).record(
            worker, DeliveryOutcome(lease, outcome.outgoing.message_id, attempt, state)
        )
    await accept(intake, me, "not answered yet")
    waiting, done = await Tasks(database).of_conversation(me, "c", None, 10)
    assert waiting.delivery is None
    assert done.answer == "hi"
    assert done.delivery is not None
    assert done.delivery.state is DeliveryState.DELIVERED
    assert [(attempt.status, attempt.response) for attempt in done.delivery.attempts] == [
        (500, "as it said"), (200, "as it said"),
    ]  # fmt: skip


@pytest.mark.parametrize("account", [None, new_id()])
async def test_a_withdrawn_answer_leaves_no_hold_behind(database: Database, account: UUID | None) -> None:
    worker = new_id()
    turn = await take(Intake(database), worker, account=account)
    outcome = answered(turn)
    lease = (await Turns(database, {"demo": 1000}).store(worker, outcome)).delivery_lease
    assert lease is not None
    assert outcome.outgoing is not None
    failed = DeliveryAttempt(utc_now(), 1, 500)
    pending = DeliveryOutcome(lease, outcome.outgoing.message_id, failed, DeliveryState.PENDING, 60.0, 600.0)
    deliveries = Deliveries(database)
    kept = await deliveries.record(worker, pending)
    assert kept is not None
    assert await deliveries.rest(worker, kept) is None
    assert await Tasks(database).cancel(turn.task_id)
    async with database.begin() as connection:
        row = (await connection.exec_driver_sql("SELECT held_until, due_at FROM mailboxes WHERE side = 'out'")).one()
        assert tuple(row) == (None, None)
