"""What ships: made of the lines that are in the repository, and as good on those it never saw as the documents say."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from telefonist.cli import app
from telefonist.errors import InvalidInput

ROOT = Path(__file__).resolve().parents[2]
LINES = ROOT / "training" / "handoff"
DATA = ROOT / "telefonist" / "core" / "detection" / "data"


def run(path: Path, *options: str) -> Result:
    return CliRunner().invoke(app, ["handoff-eval", str(path), *options])


def report(path: Path) -> dict[str, Any]:
    result = run(path, "--json")
    assert result.exit_code == 0
    parsed: dict[str, Any] = json.loads(result.stdout)
    return parsed


@pytest.mark.parametrize(("task", "words"), [("wish", "words.txt"), ("unable", "reply_words.txt")])
def test_the_models_are_made_of_the_lines_and_words_that_are_here(task: str, words: str) -> None:
    paths = [path for path in sorted((LINES / task).glob("*.jsonl")) if path.stem != "given"]
    paths += [DATA / words, *([LINES / "frames.txt"] if task == "wish" else [])]
    inputs = hashlib.sha256(b"".join(path.read_bytes() for path in paths)).hexdigest()
    assert json.loads((DATA / f"{task}.json").read_text("utf-8"))["inputs"] == inputs, (
        "run python scripts/train_handoff.py"
    )


@pytest.mark.parametrize(("task", "least"), [("wish", 0.95), ("unable", 0.95)])
def test_lines_that_were_never_trained_on_are_judged_well(task: str, least: float) -> None:
    figures = report(LINES / task / "given.jsonl")
    assert figures["f1"] >= least
    assert all(figures["by_language"][language]["f1"] >= least - 0.02 for language in ("ru", "en"))


def test_the_report_counts_what_it_lists(tmp_path: Path) -> None:
    path = tmp_path / "lines.jsonl"
    lines = [
        {"id": "a", "lang": "ru", "text": "позовите оператора", "label": "human", "category": "direct"},
        {"id": "b", "lang": "ru", "text": "где мой заказ", "label": "bot", "category": "ordinary"},
        {"id": "c", "lang": "en", "text": "where is my order", "label": "human", "category": "direct"},
    ]
    path.write_text("\n".join(json.dumps(line) for line in lines) + "\n\n", "utf-8")
    figures = report(path)
    assert (figures["precision"], figures["recall"]) == (1.0, 0.5)
    assert figures["by_category"]["direct"] == {"label": "human", "lines": 2, "recall": 0.5}
    assert [miss["id"] for miss in figures["misses"]] == ["c"]
    told = run(path)
    assert "misses: 1" in told.stdout
    assert "c human/direct" in told.stdout


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("{", "no JSON"),
        ("[]", "no JSON object"),
        ('{"text": "a", "label": "able"}', "label"),
        ('{"question": "a", "label": "able"}', "answer"),
    ],
)
def test_a_line_that_cannot_be_judged_is_named(tmp_path: Path, content: str, problem: str) -> None:
    path = tmp_path / "lines.jsonl"
    path.write_text('{"text": "a", "label": "bot"}\n' + content, "utf-8")
    result = run(path)
    assert isinstance(result.exception, InvalidInput)
    assert problem in str(result.exception)
    assert "lines.jsonl.2" in str(result.exception)
    assert not result.stdout
