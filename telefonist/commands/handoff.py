"""``telefonist handoff-eval``: how well the detectors judge labelled lines."""

import json
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from telefonist.core.handoff_detection import BORDER, Signal, cannot_help, wants_person
from telefonist.errors import FieldProblem, InvalidInput

PIPE_WIDTH = 160
"""Columns where there is no terminal whose width could be asked."""
LABELS = {"human": True, "bot": False, "unable": True, "able": False}
"""What a label says: whether a person is wanted, or should be offered."""


@dataclass(frozen=True, slots=True)
class Judged:
    """A labelled line, and what the detector says to it."""

    line: dict[str, Any]
    signal: Signal

    @property
    def wanted(self) -> bool:
        return LABELS[self.line["label"]]

    @property
    def found(self) -> bool:
        return self.signal.score > BORDER


@dataclass(slots=True)
class Figures:
    """Right and wrong answers, counted."""

    hits: int = 0
    misses: int = 0
    false_alarms: int = 0
    rightly_quiet: int = 0
    labels: set[str] = field(default_factory=set)

    def count(self, judged: Judged) -> None:
        self.labels.add(judged.line["label"])
        match judged.wanted, judged.found:
            case True, True:
                self.hits += 1
            case True, False:
                self.misses += 1
            case False, True:
                self.false_alarms += 1
            case _:
                self.rightly_quiet += 1

    @property
    def lines(self) -> int:
        return self.hits + self.misses + self.false_alarms + self.rightly_quiet

    @property
    def precision(self) -> float:
        return _share(self.hits, self.hits + self.false_alarms)

    @property
    def recall(self) -> float:
        return _share(self.hits, self.hits + self.misses)

    @property
    def f1(self) -> float:
        return _share(2 * self.hits, 2 * self.hits + self.misses + self.false_alarms)

    @property
    def right(self) -> float:
        return _share(self.hits + self.rightly_quiet, self.lines)


def evaluate(path: Path, *, as_json: bool) -> None:
    """Judge a file of labelled lines and print the figures, as a table or as JSON and nothing else.

    Lines with a ``text`` go to the detector of a wish, lines with a ``question`` and an ``answer`` to the other.
    Raises InvalidInput for a line that is neither.
    """
    judged = [Judged(line, _judge(line)) for line in _lines(path)]
    if as_json:
        sys.stdout.write(json.dumps(_report(judged), ensure_ascii=False, indent=2) + "\n")
    else:
        _print(judged)


def _judge(line: dict[str, Any]) -> Signal:
    if "text" in line:
        return wants_person(line["text"])
    return cannot_help(line["question"], line["answer"])


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    try:
        content = path.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise _unreadable(path, 0, str(error)) from error
    for number, written in enumerate(content.splitlines(), 1):
        if not written.strip():
            continue
        try:
            line = json.loads(written)
        except ValueError as error:
            raise _unreadable(path, number, f"no JSON: {error}") from error
        problem = _problem(line)
        if problem:
            raise _unreadable(path, number, problem)
        yield line


def _problem(line: Any) -> str | None:
    if not isinstance(line, dict):
        return "no JSON object"
    if not isinstance(line.get("text"), str) and not all(
        isinstance(line.get(key), str) for key in ("question", "answer")
    ):
        return 'has neither "text", nor "question" and "answer"'
    known = ("human", "bot") if "text" in line else ("unable", "able")
    return None if line.get("label") in known else f'"label" is neither "{known[0]}" nor "{known[1]}"'


def _unreadable(path: Path, number: int, problem: str) -> InvalidInput:
    return InvalidInput([FieldProblem("value_error", (path.name, number) if number else (path.name,), problem)])


def _grouped(judged: Iterable[Judged], key: str) -> dict[str, Figures]:
    groups: defaultdict[str, Figures] = defaultdict(Figures)
    for each in judged:
        groups[str(each.line.get(key) or "?")].count(each)
    return dict(sorted(groups.items()))


def _whole(judged: Iterable[Judged]) -> Figures:
    figures = Figures()
    for each in judged:
        figures.count(each)
    return figures


def _report(judged: Sequence[Judged]) -> dict[str, Any]:
    return {
        **_rates(_whole(judged)),
        "by_language": {name: _rates(figures) for name, figures in _grouped(judged, "lang").items()},
        "by_category": {
            name: {"label": "/".join(sorted(figures.labels)), "lines": figures.lines, "recall": round(figures.right, 4)}
            for name, figures in _grouped(judged, "category").items()
        },
        "misses": [
            {**each.line, "score": round(each.signal.score, 4), "reason": each.signal.reason}
            for each in judged
            if each.found != each.wanted
        ],
    }


def _rates(figures: Figures) -> dict[str, Any]:
    return {
        "lines": figures.lines,
        "precision": round(figures.precision, 4),
        "recall": round(figures.recall, 4),
        "f1": round(figures.f1, 4),
    }


def _print(judged: Sequence[Judged]) -> None:
    console = Console(width=None if sys.stdout.isatty() else PIPE_WIDTH, highlight=False, soft_wrap=True)
    table = Table("", "lines", "precision", "recall", "F1")
    for name, figures in {"all": _whole(judged), **_grouped(judged, "lang")}.items():
        table.add_row(
            name, str(figures.lines), *(f"{rate:.3f}" for rate in (figures.precision, figures.recall, figures.f1))
        )
    console.print(table)
    categories = Table("category", "label", "lines", "recall")
    for name, figures in _grouped(judged, "category").items():
        categories.add_row(name, "/".join(sorted(figures.labels)), str(figures.lines), f"{figures.right:.3f}")
    console.print(categories)
    wrong = [each for each in judged if each.found != each.wanted]
    console.print(f"misses: {len(wrong)}")
    for each in wrong:
        console.print(_told(each), markup=False)


def _told(judged: Judged) -> str:
    line = judged.line
    text = line["text"] if "text" in line else f"{line['question']} => {line['answer']}"
    place = f"{line.get('id', '?')} {line['label']}/{line.get('category', '?')}"
    return f"{place} {judged.signal.score:.2f} {judged.signal.reason}: {' '.join(text.split())}"


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0
