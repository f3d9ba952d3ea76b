"""User, bot, two operators, a program, time-outs, repeats and crashes, in every order that hypothesis can think of."""

from collections.abc import Awaitable, Callable, Iterator

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from telefonist.types import HandoffEnd
from tests.core.handoff_stage import Stage
from tests.core.state_machines import drive

workers = st.integers(0, 1)
operators = st.integers(0, 1)
seldom = st.sampled_from((False, False, False, True))
ends = st.sampled_from((HandoffEnd.RETURNED, HandoffEnd.CLOSED))

Happening = Callable[[Stage], Awaitable[None]]

PEOPLE: st.SearchStrategy[Happening] = st.one_of(
    st.builds(lambda worker: lambda stage: stage.ask(worker), workers),
    st.builds(lambda crash: lambda stage: stage.call(crash=crash), seldom),
    st.builds(lambda who, crash: lambda stage: stage.take(who, crash=crash), operators, seldom),
    st.builds(lambda who, crash: lambda stage: stage.take(who, crash=crash), operators, seldom),
    st.builds(lambda who, crash: lambda stage: stage.reply(who, crash=crash), operators, seldom),
    st.builds(lambda who, crash: lambda stage: stage.reply(who, crash=crash), operators, seldom),
    st.builds(lambda who, crash: lambda stage: stage.pass_on(who, crash=crash), operators, seldom),
    st.builds(lambda who, end, crash: lambda stage: stage.give_back(who, end, crash=crash), operators, ends, seldom),
    st.builds(lambda crash: lambda stage: stage.give_back(None, HandoffEnd.WITHDRAWN, crash=crash), seldom),
    st.just(lambda stage: stage.time_out()),
)
"""What people do, and time."""

FINISHING: st.SearchStrategy[Happening] = st.builds(
    lambda worker, wish, twice, stalls: lambda stage: stage.finish(worker, wish=wish, told_twice=twice, stalls=stalls),
    workers,
    seldom,
    seldom,
    seldom,
)


class HandoffMachine(RuleBasedStateMachine):
    """One conversation; after every moment, what the user was told is held against who had the say."""

    def __init__(self, stage: Stage) -> None:
        super().__init__()
        self.stage = stage
        stage.run(stage.begin)

    def _let(self, *happenings: Happening) -> None:
        self.stage.run(*(lambda each=each: each(self.stage) for each in happenings))
        self.stage.run(self.stage.check)

    @rule(happening=PEOPLE)
    def somebody_does_something(self, happening: Happening) -> None:
        self._let(happening)

    @rule(first=PEOPLE, second=PEOPLE)
    def two_do_something_in_one_moment(self, first: Happening, second: Happening) -> None:
        self._let(first, second)

    @rule(worker=workers)
    def a_worker_takes_a_turn(self, worker: int) -> None:
        self._let(lambda stage: stage.claim(worker))
        self._let(lambda stage: stage.load(worker))

    @rule(finishing=FINISHING)
    def a_worker_is_done_with_it(self, finishing: Happening) -> None:
        self._let(finishing)

    @rule(finishing=FINISHING, meanwhile=PEOPLE)
    def a_worker_is_done_while_somebody_does_something(self, finishing: Happening, meanwhile: Happening) -> None:
        self._let(finishing, meanwhile)

    @rule(worker=workers)
    def a_worker_dies(self, worker: int) -> None:
        self._let(lambda stage: stage.die(worker))

    @rule(worker=workers)
    def a_worker_that_was_taken_for_dead_wakes(self, worker: int) -> None:
        self._let(lambda stage: stage.haunt(worker))

    def teardown(self) -> None:
        self.stage.run(self.stage.finish_everything)


@pytest.fixture
def stage(dsn: str) -> Iterator[Stage]:
    stage = Stage(dsn)
    yield stage
    stage.close()


@pytest.mark.timeout(600)
def test_nobody_speaks_out_of_turn_and_nothing_is_lost_or_doubled(stage: Stage) -> None:
    drive(HandoffMachine, stage, examples=30, length=30)


@pytest.mark.deep
@pytest.mark.timeout(3600)
def test_nobody_speaks_out_of_turn_in_a_long_run_either(stage: Stage) -> None:
    drive(HandoffMachine, stage, examples=300, length=80)
