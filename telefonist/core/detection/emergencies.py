"""Emergencies: somebody's life may depend on it, so a person is wanted whatever the words for it are.

This is a rule and not learned: it must not depend on what the lines to learn from happened to hold. It rather calls a
person in vain than misses one who needs help. Naming an ambulance as a topic (what a policy covers) is no emergency.
"""

import re
from functools import cache

from telefonist.core.detection.condensing import condensed
from telefonist.core.detection.lexicon import read_data

_NOT_MEANT = "[not meant]"


def is_emergency(text: str) -> bool:
    """Say whether a message tells of danger to somebody's life or health, the writer's own or another's."""
    meant, not_meant = _patterns()
    folded = condensed(text).replace("'", "")
    return meant.search(folded) is not None and not_meant.search(folded) is None


@cache
def _patterns() -> tuple[re.Pattern[str], re.Pattern[str]]:
    lines = [line for line in read_data("emergencies.txt") if not line.startswith("#")]
    border = lines.index(_NOT_MEANT)
    return _any(lines[:border]), _any(lines[border:])


def _any(lines: list[str]) -> re.Pattern[str]:
    return re.compile("|".join(f"(?:{line})" for line in lines if not line.startswith("[")))
