"""Train the detectors of ``telefonist/core/handoff_detection.py`` from the lines in ``training/handoff``.

``python scripts/train_handoff.py`` writes the models and the vocabulary that ship; ``--check`` only says whether they
are what the lines give; ``--measure`` measures by voices that were left out. It needs nothing but Telefonist itself.

The same lines give the same bytes: the order of training is fixed, and weights are stored as small integers.
"""

import argparse
import hashlib
import json
import math
import random
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from handoff_frames import FRAMES, frame_lines

from telefonist.core.detection import linear, reply, wish
from telefonist.core.detection.letters import fold
from telefonist.core.detection.reading import TOKEN
from telefonist.core.detection.words import Word

ROOT = Path(__file__).resolve().parent.parent
LINES = ROOT / "training" / "handoff"
DATA = ROOT / "telefonist" / "core" / "detection" / "data"
GIVEN = "given"
"""Lines by somebody else, which are only ever measured with."""
HELD_OUT = frozenset({"traveller", "citizen"})
"""Voices that are kept out of all choices: what ships has learned from them too, what ``--measure`` weighs has not."""
SHIFT = 0.1
"""What is added to the bias of a wish: where precision and recall meet for voices that were left out."""
MISSPELT = frozenset({"typo_or_translit", "mixed_language"})
"""Categories whose words are no vocabulary."""
SEEN_AT_LEAST = 2
"""Lines in which a feature has to appear to be weighed."""
FRAME_SHARE = 0.5
"""What a line made of a frame counts for, beside one that was written."""
ROUNDS = 4
"""Times that the telling segment of a wish is chosen anew."""
EPOCHS = 60
UNIT = 200
"""Weights are stored in this part of one."""

Row = Mapping[str, Any]
Bag = list[dict[str, float]]
"""What each segment of a message shows. A message without a wish has none in any; one with a wish, in at least one."""


@dataclass(frozen=True, slots=True)
class Task:
    """One of the two things that are learned."""

    name: str
    positive: str
    cost: float
    shift: float
    views: Callable[[Row], Iterable[tuple[Sequence[str], Sequence[Word]]]]

    def bag(self, row: Row) -> Bag:
        return [_vector(features, words) for features, words in self.views(row)] or [{}]


TASKS = (
    Task(
        "wish", "human", 1.0, SHIFT, lambda row: [(view.features, view.line.words) for view in wish.views(row["text"])]
    ),
    Task("unable", "unable", 2.0, 0.0, lambda row: [reply.view(row["question"], row["answer"])]),
)


def _vector(features: Sequence[str], words: Sequence[Word]) -> dict[str, float]:
    pieces = [piece for word in words for piece in word.pieces]
    vector: dict[str, float] = {}
    for prefix, names, loudness in (("", features, 1.0), (PIECE, pieces, linear.SPELLING)):
        share = loudness / math.sqrt(max(1, len(names)))
        for name in names:
            vector[prefix + name] = vector.get(prefix + name, 0.0) + share
    return vector


PIECE = "piece "


def voices(task: str) -> dict[str, list[Row]]:
    """Read the lines of a task, by the voice that they are written in."""
    return {
        path.stem: [json.loads(line) for line in path.read_text("utf-8").splitlines()]
        for path in sorted((LINES / task).glob("*.jsonl"))
    }


def vocabulary() -> list[str]:
    """List the words of all lines that are spelt as they should be."""
    found: set[str] = set()
    for task in TASKS:
        for voice, rows in voices(task.name).items():
            for row in rows if voice != GIVEN else ():
                if row["category"] not in MISSPELT:
                    text = fold(" ".join(row.get(key, "") for key in ("text", "question", "answer")))
                    found.update(part for token in TOKEN.findall(text) for part in (token, *token.split("-")))
    return sorted(word for word in found if word.isalpha() and len(word) > 1)


def train(task: Task, written: Sequence[Row]) -> linear.LinearModel:
    """Train a model; the telling segment of each wish is chosen by the model of the round before."""
    rows = [*written, *({**line, "frame": True} for line in frame_lines())] if task.name == "wish" else written
    bags = [task.bag(row) for row in rows]
    seen = Counter(name for bag in bags for name in {name for vector in bag for name in vector})
    kept = {name for name, count in seen.items() if count >= SEEN_AT_LEAST}
    bags = [[{name: value for name, value in vector.items() if name in kept} for vector in bag] for bag in bags]
    wanted = [row["label"] == task.positive for row in rows]
    chosen = [_most(bag, _first_guess) for bag in bags]
    weights: dict[str, float] = {}
    bias = 0.0
    costs = [task.cost * (FRAME_SHARE if row.get("frame") else 1.0) for row in rows]
    for _ in range(ROUNDS):
        examples = [
            (vector, 1 if want else -1, cost)
            for bag, want, place, cost in zip(bags, wanted, chosen, costs, strict=True)
            for vector in (bag[place : place + 1] if want else bag)
        ]
        weights, bias = _support_vectors(examples)
        better = [_most(bag, partial(_weight, weights)) for bag in bags]
        if better == chosen:
            break
        chosen = better
    return _rounded(weights, bias + task.shift)


def _first_guess(vector: Mapping[str, float]) -> int:
    return sum(name.startswith("t:") for name in vector)


def _weight(weights: Mapping[str, float], vector: Mapping[str, float]) -> float:
    return sum(weights.get(name, 0.0) * value for name, value in vector.items())


def _most(bag: Bag, how_much: Callable[[Mapping[str, float]], Any]) -> int:
    return max(range(len(bag)), key=lambda place: how_much(bag[place]))


def _support_vectors(examples: Sequence[tuple[dict[str, float], int, float]]) -> tuple[dict[str, float], float]:
    """Find the weights of an L2-regularised linear machine with squared hinge loss, by dual coordinate descent.

    Hsieh et al., "A Dual Coordinate Descent Method for Large-scale Linear SVM", ICML 2008, algorithm 1.
    """
    names = sorted({name for vector, _, _ in examples for name in vector})
    places = {name: place for place, name in enumerate(names)}
    rows = [
        ([places[name] for name in vector], list(vector.values()), label, 0.5 / cost)
        for vector, label, cost in examples
    ]
    weights = [0.0] * (len(names) + 1)
    alphas = [0.0] * len(rows)
    squares = [1.0 + sum(value * value for value in values) + slack for _, values, _, slack in rows]
    order = list(range(len(rows)))
    shuffler = random.Random(7)  # noqa: S311  the order of training, no secret
    for _ in range(EPOCHS):
        shuffler.shuffle(order)
        largest = 0.0
        for index in order:
            where, values, label, slack = rows[index]
            margin = weights[-1]
            for place, value in zip(where, values, strict=True):
                margin += weights[place] * value
            gradient = label * margin - 1.0 + alphas[index] * slack
            updated = max(0.0, alphas[index] - gradient / squares[index])
            step = (updated - alphas[index]) * label
            largest = max(largest, abs(step))
            if step:
                alphas[index] = updated
                weights[-1] += step
                for place, value in zip(where, values, strict=True):
                    weights[place] += step * value
        if largest < 1e-3:
            break
    return dict(zip(names, weights, strict=False)), weights[-1]


def _rounded(weights: Mapping[str, float], bias: float) -> linear.LinearModel:
    stored = {name: round(weight * UNIT) for name, weight in weights.items()}
    return linear.LinearModel(
        bias=round(bias, 3),
        weights={name: weight / UNIT for name, weight in stored.items() if weight and not name.startswith(PIECE)},
        pieces={
            name[len(PIECE) :]: weight / UNIT for name, weight in stored.items() if weight and name.startswith(PIECE)
        },
        steepness=STEEPNESS,
    )


STEEPNESS = 3.0
"""How fast a score leaves 0.5 as a margin grows; by the margins of voices that were left out."""


def inputs(task: str) -> str:
    """Fingerprint what a model is made of, so that a test can tell in no time that it is out of date."""
    words = DATA / ("words.txt" if task == "wish" else "reply_words.txt")
    paths = [*sorted((LINES / task).glob("*.jsonl")), words, *([FRAMES] if task == "wish" else [])]
    contents = b"".join(path.read_bytes() for path in paths if path.stem != GIVEN)
    return hashlib.sha256(contents).hexdigest()


def stored(task: Task, model: linear.LinearModel) -> str:
    """Write a model as it ships."""
    whole = {
        "bias": model.bias,
        "inputs": inputs(task.name),
        "pieces": {name: round(weight * UNIT) for name, weight in sorted(model.pieces.items())},
        "steepness": model.steepness,
        "unit": UNIT,
        "weights": {name: round(weight * UNIT) for name, weight in sorted(model.weights.items())},
    }
    return json.dumps(whole, ensure_ascii=False, indent=0, separators=(",", ":")) + "\n"


def margin(model: linear.LinearModel, task: Task, row: Row) -> float:
    """Weigh a row as the detectors do: by its most telling segment."""
    return max((model.margin(features, words) for features, words in task.views(row)), default=model.bias)


def measure() -> None:
    """Leave out each voice in turn, then measure the held-out ones by a model of all the others; then by category."""
    for task in TASKS:
        spoken = voices(task.name)
        measured = HELD_OUT | {GIVEN}
        training = {voice: rows for voice, rows in spoken.items() if voice not in measured}
        every: list[tuple[Row, bool]] = []
        for voice, rows in training.items():
            model = train(task, [row for other, lines in training.items() if other != voice for row in lines])
            found = [(row, margin(model, task, row) > 0) for row in rows]
            every += found
            _say(task, voice, found)
        _say(task, "all of these, left out in turn", every)
        _say_categories(task, every)
        model = train(task, [row for rows in training.values() for row in rows])
        unseen: list[tuple[Row, bool]] = []
        for voice in sorted(measured & set(spoken)):
            found = [(row, margin(model, task, row) > 0) for row in spoken[voice]]
            unseen += found
            _say(task, f"{voice}, held out", found)
        _say(task, "all held out", unseen)
        _say_categories(task, unseen)


def _say(task: Task, name: str, found: Sequence[tuple[Row, bool]]) -> None:
    hits = sum(positive and row["label"] == task.positive for row, positive in found)
    precision = hits / max(1, sum(positive for _, positive in found))
    recall = hits / max(1, sum(row["label"] == task.positive for row, _ in found))
    f1 = 2 * precision * recall / max(1e-9, precision + recall)
    sys.stdout.write(f"{task.name:7} {name:32} {len(found):5} lines  P {precision:.3f}  R {recall:.3f}  F1 {f1:.3f}\n")


def _say_categories(task: Task, found: Sequence[tuple[Row, bool]]) -> None:
    right: dict[str, list[bool]] = {}
    for row, positive in found:
        right.setdefault(row["category"], []).append(positive == (row["label"] == task.positive))
    for name, answers in sorted(right.items()):
        sys.stdout.write(f"        {name:32} {len(answers):5} lines  recall {sum(answers) / len(answers):.2f}\n")


def main() -> None:
    """Train, check or measure, as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing; status 1 if what ships is out of date")
    parser.add_argument("--measure", action="store_true", help="measure by voices that were left out; write nothing")
    options = parser.parse_args()
    if options.measure:
        measure()
        return
    made = {"known.txt": "".join(f"{word}\n" for word in vocabulary())}
    for name, content in made.items():
        _put(DATA / name, content, check=options.check)
    for task in TASKS:
        rows = [row for voice, lines in voices(task.name).items() if voice != GIVEN for row in lines]
        _put(DATA / f"{task.name}.json", stored(task, train(task, rows)), check=options.check)


def _put(path: Path, content: str, *, check: bool) -> None:
    if not check:
        path.write_text(content, "utf-8")
    elif path.read_text("utf-8") != content:
        sys.exit(f"{path.name} is not what the lines give: run python scripts/train_handoff.py")


if __name__ == "__main__":
    main()
