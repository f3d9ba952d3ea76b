"""Where the state machine plays: the storage of several processes, a clock to turn, and a look at every table."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import asyncpg

from telefonist.storage.database import Database
from telefonist.storage.deliveries import Deliveries
from telefonist.storage.intake import Intake
from telefonist.storage.mailboxes import Mailboxes
from telefonist.storage.processes import Processes
from telefonist.storage.tasks import Tasks
from telefonist.storage.turns import Turns
from telefonist.types import Lease, PendingDelivery, Side, TaskState, Turn
from tests.core.mailbox_model import HOUR, Conversation, Model, agree

MODEL = "demo"

TABLES = (
    "mailboxes",
    "messages",
    "tasks",
    "deliveries",
    "delivery_attempts",
    "idempotency_keys",
    "conversations",
    "processes",
)

BOXES = f"""
SELECT c.external_id, c.id, m.side, m.head, m.tail, m.epoch, m.leased_by,
    round(extract(epoch FROM m.due_at - clock_timestamp()) / {HOUR})::int AS due_in
FROM conversations c JOIN mailboxes m ON m.conversation_id = c.id
"""

QUESTIONS = """
SELECT c.external_id, q.turn, t.id, t.state, t.error IS NOT NULL, q.content, q.visible,
    (SELECT array_agg(a.content) FROM messages a
     WHERE a.conversation_id = q.conversation_id AND a.turn = q.turn AND a.part > 0),
    (SELECT array_agg(d.id) FROM deliveries d WHERE d.task_id = t.id)
FROM messages q
JOIN conversations c ON c.id = q.conversation_id
LEFT JOIN tasks t ON t.conversation_id = q.conversation_id AND t.turn = q.turn
WHERE q.part = 0 ORDER BY q.turn
"""

CALLBACKS = f"""
SELECT c.external_id, d.id, d.state, d.tries,
    CASE WHEN d.state = 'pending' THEN round(extract(epoch FROM d.due_at - clock_timestamp()) / {HOUR})::int END,
    CASE WHEN d.state = 'pending' THEN round(extract(epoch FROM d.held_until - clock_timestamp()) / {HOUR})::int END,
    (SELECT array_agg(a.status ORDER BY a.started_at) FROM delivery_attempts a WHERE a.delivery_id = d.id)
FROM deliveries d JOIN conversations c ON c.id = d.conversation_id ORDER BY d.position
"""

WAITING = """
SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'
"""


class Slot:
    """Room for one process: its own storage, over connections of its own."""

    def __init__(self, dsn: str, name: str) -> None:
        self.name = name
        self.database = Database(dsn)
        self.intake = Intake(self.database)
        self.mailboxes = Mailboxes(self.database)
        self.turns = Turns(self.database, {MODEL: 1_000_000})
        self.deliveries = Deliveries(self.database)
        self.tasks = Tasks(self.database)
        self.processes = Processes(self.database, "worker")


@dataclass(eq=False, slots=True)
class Work:
    """What a process has in hand under a lease: a turn to answer, or a callback to send."""

    conversation: Conversation
    lease: Lease
    turn: Turn | None = None
    pending: PendingDelivery | None = None
    nothing_due: bool = False

    def __repr__(self) -> str:
        return f"{self.conversation} {self.lease.side}"


@dataclass(eq=False, slots=True)
class Process:
    """One process as it sees itself, which may be wrong."""

    slot: Slot
    awake: bool = True
    works: dict[tuple[str, Side], Work] = field(default_factory=dict)

    def __repr__(self) -> str:
        return self.slot.name

    @property
    def id(self) -> UUID:
        return self.slot.processes.id

    def start(self, work: Work) -> None:
        """Begin to work, unless that is under way."""
        key = work.conversation.name, work.lease.side
        known = self.works.get(key)
        if known is None or known.lease.epoch < work.lease.epoch:
            self.works[key] = work

    def go_on(self, work: Work, lease: Lease | None) -> None:
        """Keep what is left of a work, or drop it."""
        key = work.conversation.name, work.lease.side
        if self.works.get(key) is not work:
            return
        if lease is None:
            del self.works[key]
        else:
            self.works[key] = Work(work.conversation, lease)


class Stage:
    """One database with three slots; ``run`` drives it from code that is not asynchronous."""

    def __init__(self, dsn: str) -> None:
        self._runner = asyncio.Runner()
        self._dsn = dsn
        self.slots = [Slot(dsn, name) for name in ("p1", "p2", "p3")]
        self._eye, self._hand = self.run(self._connect())
        self._epochs: dict[tuple[str, str], int] = {}

    def run(self, work: Awaitable[Any]) -> Any:
        async def result() -> Any:
            return await work

        return self._runner.run(result())

    async def _connect(self) -> tuple[asyncpg.Connection, asyncpg.Connection]:
        eye, hand = await asyncpg.connect(self._dsn), await asyncpg.connect(self._dsn)
        await hand.execute(
            f"ALTER DATABASE {await hand.fetchval('SELECT current_database()')} SET synchronous_commit = off"
        )
        return eye, hand

    def close(self) -> None:
        """Close every connection and the loop."""

        async def close() -> None:
            await asyncio.gather(*(slot.database.close() for slot in self.slots))
            await self._eye.close()
            await self._hand.close()

        self.run(close())
        self._runner.close()

    def wipe(self) -> None:
        """Empty every table; deleting few rows is a hundred times quicker than TRUNCATE."""
        self.run(self._hand.execute(";".join(f"DELETE FROM {table}" for table in TABLES)))
        self._epochs.clear()

    def turn_clock(self, hours: int, beating: Iterable[UUID]) -> None:
        """Let time pass by moving everything into the past, except the heartbeats of those who live."""
        step = f"interval '{hours} hours'"
        alive = ", ".join(f"'{process_id}'" for process_id in beating) or "NULL"
        moves = (
            f"UPDATE mailboxes SET due_at = due_at - {step}, held_until = held_until - {step}",
            f"UPDATE deliveries SET due_at = due_at - {step}, held_until = held_until - {step}",
            f"UPDATE idempotency_keys SET created_at = created_at - {step}",
            f"UPDATE processes SET heartbeat_at = heartbeat_at - {step} WHERE (id IN ({alive})) IS NOT TRUE",
        )
        self.run(self._hand.execute(";".join(moves)))

    def at_once(self, runs: Iterable[Callable[[], Awaitable[Any]]]) -> list[Any]:
        """Do several things in the same moment, so that what can be grouped is."""

        async def together() -> list[Any]:
            return await asyncio.gather(*(run() for run in runs))

        return list(self.run(together()))

    def race(
        self, box: tuple[UUID, Side], first: Callable[[], Awaitable[Any]], second: Callable[[], Awaitable[Any]]
    ) -> list[tuple[int, Any]]:
        """Start two things while a mailbox is locked, so that the second has seen nothing of what the first does.

        Gives places and results in the order in which the two took effect: what needed no lock came first.
        """
        return list(self.run(self._race(box, first, second)))

    async def _race(self, box: tuple[UUID, Side], *runs: Callable[[], Awaitable[Any]]) -> list[tuple[int, Any]]:
        tasks: list[asyncio.Future[Any]] = []
        async with asyncio.timeout(10):
            async with self._hand.transaction():
                await self._hand.execute(
                    "SELECT FROM mailboxes WHERE conversation_id = $1 AND side = $2 FOR UPDATE", *box
                )
                for run in runs:
                    tasks.append(asyncio.ensure_future(run()))
                    await self._blocked(tasks)
                order = sorted(range(len(tasks)), key=lambda place: not tasks[place].done())
            await asyncio.wait(tasks)
        return [(place, tasks[place].result()) for place in order]

    async def _blocked(self, tasks: Sequence["asyncio.Future[Any]"]) -> None:
        """Wait until everything that is not done waits for a lock; asking is what lets it go on meanwhile."""
        while sum(not task.done() for task in tasks) > await self._eye.fetchval(WAITING):
            pass

    def inspect(self, model: Model) -> None:
        """Hold everything stored against the model."""
        boxes, questions, callbacks = self.run(self._look())
        for name, conversation_id, *_ in boxes:
            conversation = model.conversations[name]
            conversation.id = conversation.id or conversation_id
        for row in boxes:
            self._inspect_box(model, row)
        model.rested.clear()
        for conversation in model.conversations.values():
            name = conversation.name
            agree(
                [tuple(row[1:]) for row in questions if row[0] == name],
                [
                    (
                        turn,
                        question.task_id,
                        question.state,
                        question.state is TaskState.FAILED,
                        question.request.text,
                        question.state is not TaskState.CANCELLED,
                        None if question.answer is None else [question.answer],
                        None if question.callback is None else [question.callback.message_id],
                    )
                    for turn, question in enumerate(conversation.questions, 1)
                ],
                f"the questions of {name}",
            )
            agree(
                [tuple(row[1:]) for row in callbacks if row[0] == name],
                [
                    (
                        callback.message_id,
                        callback.state,
                        callback.tries,
                        callback.due - model.now if callback.pending else None,
                        callback.held_until - model.now
                        if callback.pending and callback.held_until is not None
                        else None,
                        [status for _, status in sorted(callback.attempts.items())] or None,
                    )
                    for callback in conversation.callbacks
                ],
                f"the callbacks of {name}",
            )

    def _inspect_box(self, model: Model, row: asyncpg.Record) -> None:
        name, conversation_id, side, head, tail, epoch, holder, due_in = row
        conversation = model.conversations[name]
        agree(conversation_id, conversation.id, f"the id of {name}")
        box = conversation.boxes[Side(side)]
        what = f"{name} {side}"
        agree((head, tail, holder), (box.head, box.tail, box.holder), f"head, tail and holder of {what}")
        agree(head <= tail, True, f"the counters of {what}")
        left = len(conversation.questions) - head if side == Side.IN else len(conversation.pending)
        agree(tail - head, left, f"what is left of {what}")
        last = self._epochs.get((name, side), 0)
        agree(epoch >= max(last, box.epoch), True, f"epoch {epoch} of {what} after {last}, {box.epoch} was given out")
        agree(holder is None or epoch == box.epoch, True, f"epoch {epoch} of {what} is that of its lease")
        self._epochs[name, side] = epoch
        wake_at = conversation.wake_at(Side(side), model.now)
        agree(due_in is None, wake_at is None, f"{what} rests for good")
        if wake_at is not None and holder is None:
            looked_at_in = max(0, due_in)  # put to rest after its time had come, it is due at once
            early = looked_at_in < wake_at - model.now and conversation not in model.rested
            agree(looked_at_in, looked_at_in if early else wake_at - model.now, f"hours until {what} is looked at")

    async def _look(self) -> tuple[list[asyncpg.Record], list[asyncpg.Record], list[asyncpg.Record]]:
        return (
            await self._eye.fetch(BOXES),
            await self._eye.fetch(QUESTIONS),
            await self._eye.fetch(CALLBACKS),
        )
