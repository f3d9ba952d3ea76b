"""The webhook's figures as a table, each beside its target."""

from collections.abc import Mapping
from dataclasses import dataclass

from bench.measure import table

Medians = Mapping[str, Mapping[str, float]]
"""What was measured of each service, by its name; Telefonist comes first."""

OF_CELERY = 0.15
"""The share of the Celery stack's CPU seconds that we may use."""


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the table; ``at_most`` or ``at_least`` is its target."""

    title: str
    name: str
    digits: int
    at_most: float | None = None
    at_least: float | None = None

    def target(self) -> str:
        if self.at_most is not None:
            return f"≤ {self.at_most:g}"
        return "" if self.at_least is None else f"≥ {self.at_least:g}"

    def verdict(self, value: float) -> str:
        if self.at_most is not None:
            return _verdict(value <= self.at_most)
        return "" if self.at_least is None else _verdict(value >= self.at_least)


FIGURES = (
    Figure("CPU seconds for 1000 webhooks, the model answering at once", "cpu", 2),
    Figure("– web (and, of Telefonist, worker)", "cpu web", 2),
    Figure("– workers", "cpu workers", 2),
    Figure("– PostgreSQL or Redis", "cpu database", 2),
    Figure("webhooks a second on one core", "per_second", 0),
    Figure("CPU seconds for 1000 webhooks at 20 a second", "paced_cpu", 2),
    Figure("accept p50 at 20 a second, ms", "accept_ms_p50", 1, at_most=3),
    Figure("accept p99 at 20 a second, ms", "accept_ms_p99", 1),
    Figure("accept to callback p50 at 20 a second, ms", "accept_to_callback_ms_p50", 1, at_most=6),
    Figure("accept to callback p99 at 20 a second, ms", "accept_to_callback_ms_p99", 1),
    Figure("in flight in one worker process, the model taking 500 ms", "in_flight_each", 0, at_least=500),
    Figure("in flight in all", "in_flight", 0),
    Figure("webhooks a second, the model taking 500 ms", "slow_per_second", 0),
    Figure("memory when idle, MB (PSS)", "idle_memory", 0, at_most=120),
    Figure("– PostgreSQL or Redis", "idle_memory database", 0),
    Figure("memory after the load, MB (PSS)", "memory_after", 0),
    Figure("CPU when idle, % of a core", "idle_percent", 2, at_most=1),
    Figure("ready on an existing data folder, s", "ready_seconds", 2, at_most=3),
)


def report(medians: Medians) -> str:
    """Write the table: ours, its target, and what the others need."""
    ours, *others = medians
    rows = [["", ours, "target", "", *others]]
    for figure in FIGURES:
        values = [medians[name].get(figure.name) for name in medians]
        if all(value is None for value in values):
            continue
        cells = ["" if value is None else f"{value:.{figure.digits}f}" for value in values]
        verdict = "" if values[0] is None else figure.verdict(values[0])
        rows.append([figure.title, cells[0], figure.target(), verdict, *cells[1:]])
        if figure.name == "cpu" and others:
            shares = [medians[ours]["cpu"] / medians[name]["cpu"] for name in others]
            cells = [f"{share:.2f}: {_verdict(share <= OF_CELERY)}" for share in shares]
            rows.append(["– ours as a share of that", "", f"≤ {OF_CELERY}", "", *cells])
    return table(rows)


def _verdict(met: bool) -> str:
    return "met" if met else "not met"
