"""What a process or a client can do to the mailboxes, one call of the storage each."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from telefonist.errors import Conflict
from telefonist.storage.intake import Intake, Receipt
from telefonist.types import (
    DeliveryAttempt,
    DeliveryOutcome,
    DeliveryState,
    Failure,
    Lease,
    NewTask,
    Outgoing,
    PendingDelivery,
    Side,
    TaskState,
    Turn,
    TurnOutcome,
    TurnReceipt,
    Usage,
    new_id,
    utc_now,
)
from tests.core.mailbox_model import HOUR, SIDES, Model, Question, Request
from tests.core.mailbox_stage import MODEL, Process, Slot, Work

ACCOUNT = new_id()

HOSTS = {"https://one.example/": "one.example:443", "https://two.example/": "two.example:443"}

STATUS = {
    DeliveryState.DELIVERED: 200,
    DeliveryState.PENDING: 503,
    DeliveryState.PARKED: None,
    DeliveryState.GONE: 410,
}


def ignore(_: Any) -> None:
    """Learn nothing from a result."""


@dataclass(frozen=True, slots=True)
class Step:
    """How it is done, what the model says of the result, and what the process makes of it.

    ``locks`` names the sides of the conversation whose rows it waits for, ``uses`` what no other can use meanwhile.
    """

    name: str
    run: Callable[[], Awaitable[Any]]
    check: Callable[[Any], None]
    learn: Callable[[Any], None] = ignore
    locks: frozenset[Side] = frozenset()
    uses: tuple[object, ...] = ()

    def __repr__(self) -> str:
        return self.name

    def rivals(self, other: "Step") -> bool:
        """Tell whether both can wait for the same row at once."""
        return bool(self.locks & other.locks) and not set(self.uses) & set(other.uses)


def accept(model: Model, process: Process, requests: Sequence[Request]) -> Step:
    """Take requests in together, and start what is leased with them."""
    process_id = process.id

    def learn(receipts: list[Receipt | Conflict]) -> None:
        for receipt in receipts:
            if isinstance(receipt, Receipt) and receipt.lease is not None:
                process.start(Work(model.of(receipt.lease), receipt.lease, turn=receipt.turn))

    return Step(
        name=f"accept by {process}",
        run=lambda: asyncio.gather(*(_accept(process.slot.intake, process_id, request) for request in requests)),
        check=lambda receipts: model.saw_accept(process_id, requests, receipts),
        learn=learn,
        locks=frozenset({Side.IN}),
        uses=((process.slot, "accept"),),
    )


async def _accept(intake: Intake, process_id: UUID, request: Request) -> Receipt | Conflict:
    task = NewTask(request.text, request.url, request.conversation, MODEL, idempotency_key=request.key)
    try:
        return await intake.accept(task, ACCOUNT, 1, process_id if request.wanted else None)
    except Conflict as conflict:
        return conflict


def claim(model: Model, process: Process, side: Side, limit: int) -> Step:
    """Take conversations that have work."""
    process_id = process.id

    def learn(leases: list[Lease]) -> None:
        for lease in leases:
            process.start(Work(model.of(lease), lease))

    return Step(
        name=f"claim by {process}",
        run=lambda: process.slot.mailboxes.claim(process_id, side, limit),
        check=lambda leases: model.saw_claim(process_id, side, limit, leases),
        learn=learn,
    )


def load(model: Model, process: Process, work: Work) -> Step:
    """Read the turn to answer."""

    def learn(turn: Turn) -> None:
        work.turn = turn

    return Step(
        name=f"load {work} by {process}",
        run=lambda: process.slot.turns.load(work.lease),
        check=lambda turn: model.saw_turn(work.lease, turn),
        learn=learn,
    )


def store(model: Model, process: Process, work: Work, succeeds: bool) -> Step:
    """Answer a turn that is loaded, as core.answering does, and go on with what the receipt gives."""
    process_id, turn = process.id, work.turn
    assert turn is not None
    outcome = _outcome(turn, succeeds)

    def learn(receipt: TurnReceipt) -> None:
        process.go_on(work, receipt.next_lease)
        lease = receipt.delivery_lease
        if lease is not None and outcome.outgoing is not None:
            alone = lease.tail - lease.head == 1
            at_hand = PendingDelivery(outcome.outgoing, ACCOUNT, 0, 0, None) if alone else None
            process.start(Work(work.conversation, lease, pending=at_hand))

    return Step(
        name=f"store {work} by {process}",
        run=lambda: process.slot.turns.store(process_id, outcome),
        check=lambda receipt: model.saw_store(process_id, outcome, receipt),
        learn=learn,
        locks=frozenset(SIDES),
        uses=(work, (process.slot, "store")),
    )


def _outcome(turn: Turn, succeeds: bool) -> TurnOutcome:
    if turn.state is not TaskState.QUEUED:
        return TurnOutcome(turn, None, 0, None, None, None, None)
    return TurnOutcome(
        turn=turn,
        answer=f"re: {turn.history[-1].content}" if succeeds else None,
        answer_tokens=1,
        model=MODEL,
        usage=Usage(1, 1) if succeeds else None,
        failure=None if succeeds else Failure("upstream_failed", "The model did not answer."),
        outgoing=Outgoing(new_id(), turn.callback_url, b"{}"),
        host=HOSTS[turn.callback_url],
    )


def look(model: Model, process: Process, work: Work) -> Step:
    """Read the callback to send."""

    def learn(pending: PendingDelivery | None) -> None:
        work.pending, work.nothing_due = pending, pending is None

    return Step(
        name=f"look {work} by {process}",
        run=lambda: process.slot.deliveries.next(work.lease),
        check=lambda pending: model.saw_next(work.lease, pending),
        learn=learn,
    )


def record(model: Model, process: Process, work: Work, state: DeliveryState, retry: int, hold: int) -> Step:
    """Send a callback, with what comes of it, and write that down."""
    process_id, pending = process.id, work.pending
    assert pending is not None
    outcome = DeliveryOutcome(
        lease=work.lease,
        message_id=pending.outgoing.message_id,
        attempt=DeliveryAttempt(utc_now(), 1, STATUS[state]),
        state=state,
        retry_in=float(retry * HOUR) if state is DeliveryState.PENDING else 0.0,
        hold_back=float(hold * HOUR),
    )
    was_pending = model.callback(outcome).pending

    def check(lease: Lease | None) -> None:
        if outcome.attempt.succeeded:
            model.arrived(outcome)
        model.saw_record(process_id, outcome, retry, hold, was_pending, lease)

    return Step(
        name=f"record {work} {state} by {process}",
        run=lambda: process.slot.deliveries.record(process_id, outcome),
        check=check,
        learn=lambda lease: process.go_on(work, lease),
        locks=frozenset({Side.OUT}),
        uses=(work, (process.slot, "record")),
    )


def rest(model: Model, process: Process, work: Work) -> Step:
    """Let go of a mailbox in which nothing can be sent now."""
    process_id = process.id
    return Step(
        name=f"rest {work} by {process}",
        run=lambda: process.slot.deliveries.rest(process_id, work.lease),
        check=lambda lease: model.saw_rest(process_id, work.lease, lease),
        learn=lambda lease: process.go_on(work, lease),
        locks=frozenset({Side.OUT}),
        uses=(work, (process.slot, "retries")),
    )


def let_go(model: Model, process: Process, leases: Sequence[Lease], hours: int = 0) -> Step:
    """Give leases of one side back, their work undone."""
    process_id = process.id

    def check(_: None) -> None:
        for lease in leases:
            model.saw_let_go(process_id, lease, hours)

    def learn(_: None) -> None:
        for key, work in list(process.works.items()):
            if work.lease in leases:
                del process.works[key]

    return Step(
        name=f"let go {leases} by {process}",
        run=lambda: process.slot.mailboxes.let_go(process_id, leases, float(hours * HOUR)),
        check=check,
        learn=learn,
        locks=frozenset(lease.side for lease in leases),
        uses=((process.slot, "claim"), *(work for work in process.works.values() if work.lease in leases)),
    )


def cancel(model: Model, slot: Slot, question: Question) -> Step:
    """Cancel a task or withdraw its callback."""
    return Step(
        name=f"cancel {question}",
        run=lambda: slot.tasks.cancel(question.task_id),
        check=lambda cancelled: model.saw_cancel(question, cancelled),
        locks=frozenset({Side.OUT}),
    )


def redeliver(model: Model, slot: Slot, question: Question) -> Step:
    """Send a task's callback again."""
    return Step(
        name=f"redeliver {question}",
        run=lambda: slot.tasks.redeliver(question.task_id),
        check=lambda done: model.saw_redeliver([question], int(done)),
        locks=frozenset({Side.OUT}),
    )


def redeliver_host(model: Model, slot: Slot, url: str) -> Step:
    """Send again everything that is parked for a host."""

    def check(count: int) -> None:
        parked = [
            question
            for question in model.questions
            if question.request.url == url
            and question.callback is not None
            and question.callback.state is DeliveryState.PARKED
        ]
        model.saw_redeliver(parked, count)

    return Step(name=f"redeliver {HOSTS[url]}", run=lambda: slot.tasks.redeliver_host(HOSTS[url]), check=check)
