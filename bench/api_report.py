"""The model API's figures as a table, and what they are beside their targets."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from bench.measure import table

Figures = Mapping[str, float]
Medians = Mapping[str, Figures]
"""What was measured of each gateway, by its name."""

CHARGED, FREE, REFERENCE, DIRECT = "Telefonist, charged", "Telefonist, free", "reference, aiohttp", "no gateway"
"""The reference is the one with our HTTP client."""

ROWS = (
    ("CPU seconds for 1000 requests", "cpu web", 3),
    ("– in PostgreSQL", "cpu database", 3),
    ("requests a second", "per_second", 0),
    ("p50 of 128 at once, ms", "p50_ms", 1),
    ("p99 of 128 at once, ms", "p99_ms", 1),
    ("first token p50 at 50 streams a second, ms", "first_token_ms", 2),
    ("first token p99 at 50 streams a second, ms", "first_token_ms_p99", 2),
    ("chunks for a CPU second, one by one", "one_by_one per_cpu_second", 0),
    ("chunks for a CPU second, in a flood", "flood per_cpu_second", 0),
    ("chunks a second, in a flood", "flood per_second", 0),
    ("memory before, MB (PSS)", "memory", 0),
    ("2000 open streams, MB more", "streams_memory", 0),
    ("– in PostgreSQL", "streams_memory database", 0),
)


@dataclass(frozen=True, slots=True)
class Target:
    """Something that was asked for."""

    title: str
    value: Callable[[Medians], float]
    limit: float
    at_least: bool = False

    def row(self, medians: Medians) -> list[str]:
        value = self.value(medians)
        met = value >= self.limit if self.at_least else value <= self.limit
        sign = "≥" if self.at_least else "≤"
        return [self.title, f"{value:.3g}", f"{sign} {self.limit:g}", "met" if met else "not met"]


def _of_reference(name: str, figure: str) -> Callable[[Medians], float]:
    return lambda medians: medians[name][figure] / medians[REFERENCE][figure]


TARGETS = (
    Target("our CPU, charged, as a multiple of the reference's", _of_reference(CHARGED, "cpu web"), 2.0),
    Target("PostgreSQL's CPU seconds for 1000 charged", lambda medians: medians[CHARGED]["cpu database"], 0.06),
    Target("our CPU, free, as a multiple of the reference's", _of_reference(FREE, "cpu web"), 1.6),
    Target(
        "time added to the first token, charged, ms",
        lambda medians: medians[CHARGED]["first_token_ms"] - medians[DIRECT]["first_token_ms"],
        1.0,
    ),
    Target(
        "time added to the first token, free, ms",
        lambda medians: medians[FREE]["first_token_ms"] - medians[DIRECT]["first_token_ms"],
        1.0,
    ),
    Target(
        "chunks a second in a flood, as a share of the reference's",
        _of_reference(CHARGED, "flood per_second"),
        0.75,
        at_least=True,
    ),
    Target(
        "chunks for a CPU second one by one, as a share of the reference's",
        _of_reference(CHARGED, "one_by_one per_cpu_second"),
        0.75,
        at_least=True,
    ),
    Target("2000 open streams, MB more", lambda medians: medians[CHARGED]["streams_memory"], 150),
)


def report(medians: Medians) -> str:
    """Write both tables: the targets, and everything that was measured."""
    rows = [["", *medians]]
    for title, name, digits in ROWS:
        values = [figures.get(name) for figures in medians.values()]
        rows.append([title, *("" if value is None else f"{value:.{digits}f}" for value in values)])
    targets = [["", "measured", "target", ""], *(target.row(medians) for target in TARGETS)]
    return f"{table(targets)}\n\n{table(rows)}"
