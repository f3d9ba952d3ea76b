"""Conversations, leases and deliveries, driven in every order hypothesis can think of and held against a model.

Processes work, die without a word, freeze and wake with old leases, and lose the answers to what they asked the
database; clients ask, cancel and want callbacks again; pairs of such things happen in one moment; hours pass.
"""

import sys
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import pytest
from hypothesis import note
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from telefonist.types import DeliveryState, Lease, Side, TaskState
from tests.core import mailbox_steps as steps
from tests.core.mailbox_model import HOUR, SIDES, Conversation, Model, Request, agree
from tests.core.mailbox_stage import Process, Stage, Work
from tests.core.mailbox_steps import HOSTS, STATUS, Step
from tests.core.state_machines import drive

T = TypeVar("T")

CONVERSATIONS = ("c1", "c2", "c3")

EVERYTHING = 200

ALL_IS_DUE = 24
"""Hours after which nothing waits any more and every key is forgotten."""

ROUNDS = 10

requests = st.builds(
    Request,
    conversation=st.sampled_from(CONVERSATIONS),
    text=st.sampled_from(("hello", "and now?")),
    url=st.sampled_from(tuple(HOSTS)),
    key=st.sampled_from((None, None, None, "k1", "k2")),
    wanted=st.booleans(),
)
seldom = st.sampled_from((False, False, False, True))
attempts = st.tuples(st.sampled_from(tuple(STATUS)), st.integers(1, 3), st.integers(1, 3))
"""What a delivery comes to; hours until the next attempt, and for which later callbacks wait."""


def pick(data: st.DataObject, among: Sequence[T]) -> T:
    """Choose one, and say which when a failure is told."""
    chosen = among[data.draw(st.integers(0, len(among) - 1))]
    note(f"  {chosen}")
    return chosen


def pick_some(data: st.DataObject, among: Sequence[T]) -> list[T]:
    """Choose some, to be done at once."""
    places = data.draw(st.lists(st.integers(0, len(among) - 1), min_size=1, unique=True))
    chosen = [among[place] for place in places]
    note(f"  {chosen}")
    return chosen


class MailboxMachine(RuleBasedStateMachine):
    """Up to three processes work, die, sleep and wake; clients ask, cancel and ask again; time passes by the hour."""

    def __init__(self, stage: Stage) -> None:
        super().__init__()
        self.stage = stage
        self.model = Model()
        self.processes: list[Process] = []
        stage.wipe()
        self._enter()
        self._enter()

    # What can be chosen from

    @property
    def awake(self) -> list[Process]:
        return [process for process in self.processes if process.awake]

    def works(self, side: Side, ready: Callable[[Work], bool]) -> list[tuple[Process, Work]]:
        return [
            (process, work)
            for process in self.awake
            for _, work in sorted(process.works.items())
            if work.lease.side is side and ready(work)
        ]

    def unread(self) -> list[tuple[Process, Work]]:
        return self.works(Side.IN, lambda work: work.turn is None)

    def read(self) -> list[tuple[Process, Work]]:
        return self.works(Side.IN, lambda work: work.turn is not None)

    def looking(self) -> list[tuple[Process, Work]]:
        return self.works(Side.OUT, lambda work: work.pending is None and not work.nothing_due)

    def sending(self) -> list[tuple[Process, Work]]:
        return self.works(Side.OUT, lambda work: work.pending is not None)

    def resting(self) -> list[tuple[Process, Work]]:
        return self.works(Side.OUT, lambda work: work.nothing_due)

    def held(self) -> list[tuple[Process, Work]]:
        return [(process, work) for process in self.awake for _, work in sorted(process.works.items())]

    # How it is done

    def perform(self, chosen: Sequence[Step], *, repeated: bool = False, heard: bool = True) -> None:
        """Do steps at once: ``repeated`` when an answer is lost and asked for again, not ``heard`` when it is not."""
        for _ in range(2 if repeated else 1):
            results = self.stage.at_once(step.run for step in chosen)
            for step, result in zip(chosen, results, strict=True):
                step.check(result)
        if heard:
            for step, result in zip(chosen, results, strict=True):
                step.learn(result)

    def _enter(self) -> None:
        slot = next(slot for slot in self.stage.slots if all(process.slot is not slot for process in self.processes))
        self.stage.run(slot.processes.register(same_machine=False))
        self.model.beats[slot.processes.id] = self.model.now
        self.processes.append(Process(slot))

    def _beat(self, process: Process) -> None:
        known = process.id in self.model.beats
        agree(self.stage.run(process.slot.processes.beat()), known, "a heartbeat")
        if not known:
            process.works.clear()
            self.stage.run(process.slot.processes.register(same_machine=False))
        self.model.beats[process.id] = self.model.now

    # Clients

    @initialize(asked=st.lists(requests, min_size=1, max_size=6))
    def first(self, asked: list[Request]) -> None:
        self.perform([steps.accept(self.model, self.awake[0], asked)])

    @rule(data=st.data(), asked=st.lists(requests, min_size=1, max_size=4), lost=seldom)
    def accept(self, data: st.DataObject, asked: list[Request], lost: bool) -> None:
        self.perform([steps.accept(self.model, pick(data, self.awake), asked)], heard=not lost)

    @rule(data=st.data())
    def change_mind(self, data: st.DataObject) -> None:
        """Cancel a question, or have its callback sent again."""
        model, slot = self.model, self.stage.slots[0]
        possible = [how(model, slot, each) for each in model.questions for how in (steps.cancel, steps.redeliver)]
        if any(callback.state is DeliveryState.PARKED for callback in model.callbacks):
            possible += [steps.redeliver_host(model, slot, url) for url in HOSTS]
        self.perform([pick(data, possible)])

    # Work

    @rule(data=st.data(), limit=st.sampled_from((EVERYTHING, 1)), lost=seldom)
    def claim(self, data: st.DataObject, limit: int, lost: bool) -> None:
        process, side = pick(data, self.awake), pick(data, SIDES)
        self.perform([steps.claim(self.model, process, side, limit)], heard=not lost)

    @precondition(lambda self: self.unread() or self.read())
    @rule(data=st.data(), repeated=seldom)
    def answer(self, data: st.DataObject, repeated: bool) -> None:
        """Read the turns at hand, or store an answer or a failure."""
        if self.unread():
            self.perform([steps.load(self.model, *each) for each in self.unread()])
        else:
            chosen = [(*each, data.draw(st.booleans())) for each in pick_some(data, self.read())]
            self.perform([steps.store(self.model, *each) for each in chosen], repeated=repeated)

    @precondition(lambda self: self.looking() or self.sending() or self.resting())
    @rule(data=st.data(), repeated=seldom)
    def deliver(self, data: st.DataObject, repeated: bool) -> None:
        """Look for what to send, or send it, or rest."""
        if self.looking():
            self.perform([steps.look(self.model, *each) for each in self.looking()])
        elif self.resting():
            self.perform([steps.rest(self.model, *each) for each in self.resting()], repeated=repeated)
        else:
            chosen = [(*each, *data.draw(attempts)) for each in pick_some(data, self.sending())]
            self.perform([steps.record(self.model, *each) for each in chosen], repeated=repeated)

    @precondition(lambda self: self.held())
    @rule(data=st.data(), hours=st.integers(0, 2))
    def let_go(self, data: st.DataObject, hours: int) -> None:
        process, work = pick(data, self.held())
        self.perform([steps.let_go(self.model, process, [work.lease], hours)])

    @precondition(lambda self: self.held() and self.model.conversations)
    @rule(data=st.data())
    def race(self, data: st.DataObject) -> None:
        """Two things happen to a conversation in the same moment."""
        _, work = pick(data, self.held())
        possible = self.steps_for(work.conversation)
        first = pick(data, [step for step in possible if any(map(step.rivals, possible))])
        second = pick(data, [step for step in possible if step.rivals(first)])
        pair = first, second
        side = Side.OUT if Side.OUT in first.locks & second.locks else Side.IN
        results = self.stage.race((work.lease.conversation_id, side), first.run, second.run)
        for place, result in results:
            pair[place].check(result)
        for place, result in results:
            pair[place].learn(result)
        self.model.rested.clear()

    def steps_for(self, conversation: Conversation) -> list[Step]:
        """Everything that somebody could do to a conversation now."""
        model, slot = self.model, self.stage.slots[0]
        found = []
        for process, work in self.held():
            if work.conversation is conversation:
                found.append(steps.let_go(model, process, [work.lease]))
                if work.turn is not None:
                    found.append(steps.store(model, process, work, succeeds=True))
                if work.nothing_due:
                    found.append(steps.rest(model, process, work))
                if work.pending is not None:
                    found.extend(steps.record(model, process, work, state, 1, 2) for state in STATUS)
        for process in self.awake:
            for key in (None, "k1"):
                request = Request(conversation.name, "hello", next(iter(HOSTS)), key, wanted=key is None)
                found.append(steps.accept(model, process, [request]))
        for question in conversation.questions:
            found += [steps.cancel(model, slot, question), steps.redeliver(model, slot, question)]
        return found

    # Life and death

    @rule(hours=st.sampled_from((1, 2, 3, ALL_IS_DUE)))
    def time_passes(self, hours: int) -> None:
        beating = [process.id for process in self.awake if process.id in self.model.beats]
        self.stage.turn_clock(hours, beating)
        self.model.pass_time(hours, beating)

    @rule(data=st.data())
    def look_around(self, data: st.DataObject) -> None:
        """What every process does now and then: show that it lives, strike off who does not, find forgotten leases."""
        process = pick(data, self.awake)
        self._beat(process)
        self.model.saw_reap(self.stage.run(process.slot.processes.reap(HOUR / 2)))
        leases: list[Lease] = self.stage.run(process.slot.mailboxes.held(process.id))
        agree(len(leases), sum(box.holder == process.id for box in self.model.boxes), "leases that a process holds")
        known = {(work.lease.conversation_id, work.lease.side, work.lease.epoch) for work in process.works.values()}
        forgotten = [lease for lease in leases if (lease.conversation_id, lease.side, lease.epoch) not in known]
        self._give_back(process, forgotten)

    @rule(data=st.data())
    def live_and_die(self, data: st.DataObject) -> None:
        """A process crashes, falls asleep or stops in order while another lives; one wakes, or a new one comes."""
        asleep = [process for process in self.processes if not process.awake]
        fates: list[tuple[Callable[[Process], None], Process]] = [(self._thaw, process) for process in asleep]
        if len(self.awake) > 1:
            fates += [(fate, process) for process in self.awake for fate in (self._crash, self._freeze, self._leave)]
        if len(self.processes) < len(self.stage.slots):
            self._enter()
        else:
            fate, process = pick(data, fates)
            fate(process)

    def _crash(self, process: Process) -> None:
        self.processes.remove(process)

    def _freeze(self, process: Process) -> None:
        process.awake = False

    def _thaw(self, process: Process) -> None:
        """It goes on where it was, with leases that may have been given to others."""
        process.awake = True

    def _leave(self, process: Process) -> None:
        self._give_back(process, [work.lease for work in process.works.values()])
        self.stage.run(process.slot.processes.leave())
        self.model.beats.pop(process.id, None)
        self.processes.remove(process)

    def _give_back(self, process: Process, leases: Sequence[Lease]) -> None:
        for side in SIDES:
            self.perform([steps.let_go(self.model, process, [lease for lease in leases if lease.side is side])])

    # What always holds

    @invariant()
    def everything_is_as_promised(self) -> None:
        self.stage.inspect(self.model)

    def teardown(self) -> None:
        """After everybody has died, one process that lives brings everything to its end."""
        if sys.exc_info()[0] is not None:
            return
        self.processes.clear()
        self._enter()
        process = self.processes[0]
        for _ in range(ROUNDS):
            self.time_passes(ALL_IS_DUE)
            self.model.saw_reap(self.stage.run(process.slot.processes.reap(HOUR / 2)))
            if all(box.idle for box in self.model.boxes):
                break
            for side in SIDES:
                self.perform([steps.claim(self.model, process, side, EVERYTHING)])
            while process.works:
                self.perform([steps.load(self.model, *each) for each in self.unread()])
                self.perform([steps.store(self.model, *each, succeeds=True) for each in self.read()])
                self.perform([steps.look(self.model, *each) for each in self.looking()])
                self.perform(
                    [steps.record(self.model, *each, DeliveryState.DELIVERED, 0, 0) for each in self.sending()]
                )
                self.perform([steps.rest(self.model, *each) for each in self.resting()])
            self.stage.inspect(self.model)
        agree([box for box in self.model.boxes if not box.idle], [], "mailboxes with something left")
        for question in self.model.questions:
            cancelled = question.state is TaskState.CANCELLED
            agree(question.state is TaskState.QUEUED, False, f"{question} waits")
            agree(question.callback is None, cancelled, f"{question} was followed by a callback")
        self.stage.inspect(self.model)


@pytest.fixture
def stage(dsn: str) -> Iterator[Stage]:
    stage = Stage(dsn)
    yield stage
    stage.close()


@pytest.mark.timeout(900)
def test_whatever_happens_nothing_is_lost_or_doubled_and_every_order_is_kept(stage: Stage) -> None:
    drive(MailboxMachine, stage, examples=60, length=40)


@pytest.mark.deep
@pytest.mark.timeout(3600)
def test_nothing_is_lost_in_a_long_run_either(stage: Stage) -> None:
    drive(MailboxMachine, stage, examples=300, length=100)
