"""Where the machine of handoffs plays: workers, operators, a program, and one conversation on a real database."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from uuid import UUID

import orjson
from sqlalchemy import text

from telefonist.core.handoff import Handoffs
from telefonist.core.handoff_desk import Desk
from telefonist.core.voices import Voices, callback_voices
from telefonist.memory.local import open_local_memory
from telefonist.storage.database import Database
from telefonist.storage.dialogs import Dialogs
from telefonist.storage.handoffs import HandoffStore
from telefonist.storage.intake import Intake
from telefonist.storage.mailboxes import Mailboxes
from telefonist.storage.operators import Operators
from telefonist.storage.processes import Processes
from telefonist.storage.turns import Turns
from telefonist.texts import render
from telefonist.types import (
    HandoffEnd,
    HandoffReason,
    Lease,
    NewTask,
    Operator,
    Owner,
    Said,
    Side,
    TaskState,
    Turn,
    TurnOutcome,
    new_id,
)
from tests.core.people import hire

MODEL = "demo"
ACCOUNT = new_id()
URL = "https://example.com/callback"

TABLES = (
    "mailboxes",
    "messages",
    "tasks",
    "deliveries",
    "idempotency_keys",
    "conversations",
    "processes",
    "handoff_decisions",
    "handoffs",
    "dialogs",
    "operators",
)

CALLED = {render(code, "en") for code in ("handoff_transferring", "handoff_nobody_online")}
JOINED = render("handoff_operator_joined", "en")
BACK = {render(f"handoff_{code}", "en") for code in ("returned", "closed", "silent", "nobody_came", "withdrawn")}


REPLIES = "SELECT content FROM messages WHERE role = 'operator' ORDER BY turn, part"


class Crash(Exception):
    """A process died in the middle of a transaction."""


class Worker:
    """One worker as it sees itself, which may be wrong."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.processes = Processes(database, "worker")
        self.mailboxes = Mailboxes(database)
        self.turns = Turns(database, {MODEL: 1_000_000})
        self.intake = Intake(database)
        self.works: dict[Lease, Turn | None] = {}
        self.ghosts: list[tuple[UUID, TurnOutcome]] = []
        """What it wanted to store when it was taken for dead: it may still try."""


class Stage:
    """Everything that can happen, one method each, and what may be believed of it afterwards."""

    def __init__(self, dsn: str) -> None:
        self._loop = asyncio.new_event_loop()
        self.workers = [Worker(Database(dsn)) for _ in range(2)]
        self.database = Database(dsn)
        self.voices = Voices(callback_voices())
        self.asked: list[str] = []
        self.replied: list[str] = []
        self.answered: list[str] = []
        self.operators: list[Operator] = []
        self._log: list[str] = []

    def run(self, *happening: Callable[[], Awaitable[None]]) -> None:
        """Let things happen in one moment."""

        async def together() -> None:
            await asyncio.gather(*(each() for each in happening))

        self._loop.run_until_complete(together())

    async def begin(self) -> None:
        """Start anew."""
        async with self.database.begin() as connection:
            await connection.execute(text(f"TRUNCATE {', '.join(TABLES)}"))
        self.asked, self.replied, self.answered, self._log = [], [], [], []
        self.operators = [await hire(self.database, name) for name in ("Olga", "Igor")]
        for worker in self.workers:
            worker.works.clear()
            worker.ghosts.clear()
            await worker.processes.register(same_machine=False)
        await self.ask(0)

    def close(self) -> None:
        for database in (self.database, *(worker.database for worker in self.workers)):
            self._loop.run_until_complete(database.close())
        self._loop.close()

    @asynccontextmanager
    async def desk(self, *, crash: bool = False) -> AsyncIterator[Desk]:
        async with open_local_memory() as memory:
            handoffs = Handoffs(
                Dialogs(self.database),
                HandoffStore(self.database),
                Operators(self.database),
                self.voices,
                memory.events,
                memory.statuses,
            )
            try:
                async with handoffs.desk() as desk:
                    yield desk
                    if crash:
                        raise Crash
            except Crash:
                return

    # What users, programs and operators do

    async def ask(self, worker: int) -> None:
        """Send a message, and once more as a client does that did not hear the receipt."""
        said = f"message {len(self.asked)}"
        self.asked.append(said)
        task = NewTask(said, URL, "c", MODEL, idempotency_key=said)
        for _ in range(2):
            await self.workers[worker].intake.accept(task, ACCOUNT, 5, None)

    async def conversation(self) -> UUID:
        found = await Dialogs(self.database).find(ACCOUNT, URL, "c")
        assert found is not None
        return found

    async def call(self, *, crash: bool = False) -> None:
        async with self.desk(crash=crash) as desk:
            await desk.request(await self.conversation(), HandoffReason.PROGRAM)

    async def take(self, who: int, *, crash: bool = False) -> None:
        async with self.desk(crash=crash) as desk:
            await desk.take(await self.conversation(), self.operators[who])

    async def reply(self, who: int, *, crash: bool = False) -> None:
        said = f"{self.operators[who].name} {new_id().hex[-6:]}"
        async with self.desk(crash=crash) as desk:
            sent = await desk.reply(await self.conversation(), self.operators[who], said)
        if sent and not crash:
            self.replied.append(said)

    async def pass_on(self, who: int, *, crash: bool = False) -> None:
        async with self.desk(crash=crash) as desk:
            await desk.pass_on(await self.conversation(), self.operators[who], self.operators[1 - who])

    async def give_back(self, who: int | None, end: HandoffEnd, *, crash: bool = False) -> None:
        async with self.desk(crash=crash) as desk:
            await desk.give_back(await self.conversation(), end, None if who is None else self.operators[who])

    async def time_out(self) -> None:
        """Let so much time pass that everything is overdue, and look after it."""
        moments = ("changed_at", "offered_at", "user_wrote_at", "operator_wrote_at")
        changes = ", ".join(f"{moment} = {moment} - interval '2 days'" for moment in moments)
        async with self.database.begin() as connection:
            await connection.execute(text(f"UPDATE dialogs SET {changes}"))
        async with open_local_memory() as memory:
            await Handoffs(
                Dialogs(self.database),
                HandoffStore(self.database),
                Operators(self.database),
                self.voices,
                memory.events,
                memory.statuses,
            ).look_after()

    # What workers do

    async def claim(self, worker: int) -> None:
        me = self.workers[worker]
        for lease in await me.mailboxes.claim(me.processes.id, Side.IN, 10):
            me.works[lease] = None

    async def load(self, worker: int) -> None:
        me = self.workers[worker]
        for lease, turn in list(me.works.items()):
            if turn is None:
                me.works[lease] = await me.turns.load(lease)

    async def finish(self, worker: int, *, wish: bool, told_twice: bool = False, stalls: bool = False) -> None:
        """Do what core.answering does with a turn that was read: answer it, hand it over, or leave it.

        One that ``stalls`` has called a person and not stored yet that it did.
        """
        me = self.workers[worker]
        for lease, turn in list(me.works.items()):
            if turn is None:
                continue
            outcome = await self._outcome(turn, wish=wish)
            if stalls:
                continue
            del me.works[lease]
            receipt = await me.turns.store(me.processes.id, outcome)
            if receipt.stored and outcome.answer:
                self.answered.append(outcome.answer)
            if told_twice:
                again = await me.turns.store(me.processes.id, outcome)
                assert not again.stored
            if receipt.overtaken:
                me.works[lease] = None
            elif receipt.next_lease is not None:
                me.works[receipt.next_lease] = None

    async def die(self, worker: int) -> None:
        """Be struck off by the other one; what was in hand is tried to be stored later on."""
        me, other = self.workers[worker], self.workers[1 - worker]
        ghosts = [turn for turn in me.works.values() if turn is not None]
        me.ghosts.extend([(me.processes.id, await self._outcome(turn, wish=False)) for turn in ghosts])
        me.works.clear()
        await me.processes.leave()
        await other.processes.reap(3600)
        await me.processes.register(same_machine=False)

    async def haunt(self, worker: int) -> None:
        """Store what was in hand when we died, which must change nothing."""
        me = self.workers[worker]
        while me.ghosts:
            process_id, outcome = me.ghosts.pop()
            receipt = await me.turns.store(process_id, outcome)
            assert not receipt.stored
            assert not receipt.overtaken

    async def _outcome(self, turn: Turn, *, wish: bool) -> TurnOutcome:
        nothing = TurnOutcome(turn, None, 0, None, None, None, None)
        if turn.state is not TaskState.QUEUED:
            return nothing
        if turn.owner is not Owner.BOT:
            said = self._said(turn, None, "waiting_for_operator")
            return replace(nothing, outgoing=self.voices.say(said)[0], host="example.com:443", left_to_person=True)
        if wish:
            async with self.desk() as desk:
                await desk.request(turn.lease.conversation_id, HandoffReason.WISH)
            return nothing
        answer = f"answer to {turn.history[-1].content}"
        said = self._said(turn, answer, "succeeded")
        return replace(
            nothing, answer=answer, answer_tokens=5, outgoing=self.voices.say(said)[0], host="example.com:443"
        )

    def _said(self, turn: Turn, words: str | None, status: str) -> Said:
        return Said(
            message_id=new_id(),
            conversation_id=turn.lease.conversation_id,
            external_id=turn.external_id,
            callback_url=turn.callback_url,
            text=words,
            status=status,  # type: ignore[arg-type]
            task_id=turn.task_id,
        )

    # What must be true

    async def check(self) -> None:
        """At any time: the fence is where the dialog is, and the user read everything from whoever had the say."""
        async with self.database.begin() as connection:
            rows = (
                await connection.execute(
                    text(
                        "SELECT d.owner, d.operator_id, d.handoff_id, d.epoch, m.dialog_epoch "
                        "FROM dialogs d JOIN mailboxes m USING (conversation_id) WHERE m.side = 'in'"
                    )
                )
            ).all()
            open_handoffs = await connection.scalar(text("SELECT count(*) FROM handoffs WHERE ended_at IS NULL"))
            bodies = (await connection.scalars(text("SELECT body FROM deliveries ORDER BY position"))).all()
            written = (await connection.scalars(text(REPLIES))).all()
        for row in rows:
            assert row.epoch == row.dialog_epoch
            assert (row.operator_id is not None) == (row.owner == Owner.OPERATOR)
            assert open_handoffs == (row.owner != Owner.BOT)
        log = [orjson.loads(body) for body in bodies]
        owner = Owner.BOT
        for entry in log:
            owner = self._follow(owner, entry)
        assert owner == (rows[0].owner if rows else Owner.BOT)
        told = [entry["generated_response"] for entry in log]
        replies = [entry["generated_response"] for entry in log if entry["author"] == "operator"]
        assert Counter(replies) == Counter(self.replied)
        assert replies == written, "the user and the history have them in the same order"
        assert list(bodies[: len(self._log)]) == self._log, "what was said before stays before"
        self._log = list(bodies)
        assert Counter(each for each in told if each and each.startswith("answer")) == Counter(self.answered)

    def _follow(self, owner: Owner, entry: dict[str, object]) -> Owner:
        words = entry["generated_response"]
        if entry["author"] == "operator":
            assert owner is Owner.OPERATOR, "an operator wrote who had no say"
        elif words in CALLED:
            assert owner is Owner.BOT, "a person was called twice"
            return Owner.WAITING
        elif words == JOINED:
            assert owner is not Owner.OPERATOR, "two operators took it"
            return Owner.OPERATOR
        elif words in BACK:
            assert owner is not Owner.BOT, "it was given back twice"
            return Owner.BOT
        elif words is None:
            assert owner is not Owner.BOT, "a message was left to nobody"
        else:
            assert owner is Owner.BOT, "the bot spoke after a claim"
        return owner

    async def finish_everything(self) -> None:
        """Let the workers come to an end of it, and look whether every message came to exactly one."""
        for worker in (0, 1):
            await self.die(worker)
        for _ in range(len(self.asked) + 1):
            await self.claim(0)
            await self.load(0)
            await self.finish(0, wish=False)
        await self.check()
        async with self.database.begin() as connection:
            asked = await connection.execute(
                text(
                    "SELECT m.content, t.state, (SELECT count(*) FROM deliveries d WHERE d.task_id = t.id) AS told "
                    "FROM messages m JOIN tasks t USING (conversation_id, turn) WHERE m.part = 0 ORDER BY m.turn"
                )
            )
            rows = asked.all()
            left = await connection.scalar(text("SELECT count(*) FROM mailboxes WHERE side = 'in' AND head < tail"))
        assert sorted(row.content for row in rows) == sorted(self.asked)
        assert {row.state for row in rows} <= {TaskState.SUCCEEDED, TaskState.WAITING_FOR_OPERATOR}
        assert [row.told for row in rows] == [1] * len(rows)
        assert left == 0
