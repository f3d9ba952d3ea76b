"""Running a state machine of hypothesis on a stage that is set up once."""

from collections.abc import Callable
from functools import partial
from typing import TypeVar, cast

from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import RuleBasedStateMachine, run_state_machine_as_test

Stage = TypeVar("Stage")


def drive(machine: Callable[[Stage], RuleBasedStateMachine], stage: Stage, *, examples: int, length: int) -> None:
    """Let ``machine``, which is made with a stage, go through ``examples`` runs of at most ``length`` steps."""
    run_state_machine_as_test(
        cast("type[RuleBasedStateMachine]", partial(machine, stage)),  # whatever makes a machine will do
        settings=settings(
            max_examples=examples,
            stateful_step_count=length,
            deadline=None,
            report_multiple_bugs=False,
            phases=tuple(phase for phase in Phase if phase is not Phase.explain),
            suppress_health_check=list(HealthCheck),
        ),
    )
