"""Lines made of the frames in ``training/handoff/frames.txt``: they teach how a wish is built, whatever the trade."""

import random
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

FRAMES = Path(__file__).resolve().parent.parent / "training" / "handoff" / "frames.txt"
EACH = 6
"""Lines of a frame."""
TRIES = 40
_BRACKETS = re.compile(r"\[([^\[\]]*)\]")
_BRACES = re.compile(r"\{([^{}]*)\}")
_SPACES = re.compile(r"\s+(?=[\s,.?!:])")

Lists = dict[tuple[str, str], list[dict[str, str]]]


def frame_lines() -> list[dict[str, str]]:
    """Write out every frame a few times; the same lines each time."""
    return list(_expanded(FRAMES.read_text("utf-8").splitlines()))


def _expanded(lines: list[str]) -> Iterator[dict[str, str]]:
    lists: Lists = defaultdict(list)
    heading: list[str] = []
    cases: list[str] = []
    for line in lines:
        if line.startswith(("= ", "# ")) and len(line.split()) in (4, 5, 8):
            heading = line.split()
            cases = heading[3:]
        elif heading and heading[0] == "=" and line:
            words = line.split() if len(cases) > 1 else [line]
            lists[heading[1], heading[2]].append(
                dict(zip(cases, (word.replace("_", " ") for word in words), strict=True))
            )
        elif heading and line:
            _, label, category, language = heading
            for text in _variants(line, language, lists):
                yield {"lang": language, "text": text, "label": label, "category": category}


def _variants(frame: str, language: str, lists: Lists) -> list[str]:
    chance = random.Random(frame)  # noqa: S311  the variety of lines, no secret
    found: dict[str, None] = {}
    for _ in range(TRIES):
        if len(found) == EACH:
            break
        text = frame
        while _BRACKETS.search(text) or _BRACES.search(text):
            text = _BRACES.sub(lambda braces: _word(braces.group(1), language, lists, chance), text, count=1)
            text = _BRACKETS.sub(lambda brackets: chance.choice(brackets.group(1).split("|")), text, count=1)
        text = _SPACES.sub("", text).strip(" ,")
        if chance.random() < 1 / 2:
            text = text.lower()
        found[text.removesuffix(".")] = None
    return list(found)


def _word(choices: str, language: str, lists: Lists, chance: random.Random) -> str:
    name, _, case = chance.choice(choices.split("|")).partition(".")
    words = lists.get((name, language)) or lists[f"{name}s", language]
    return chance.choice(words)[case or "nom"]
