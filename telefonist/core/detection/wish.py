"""A wish for a person: what each segment of a message shows of it, beside its neighbours and the whole."""

from collections.abc import Iterator
from dataclasses import dataclass

from telefonist.core.detection.features import Line, line_features
from telefonist.core.detection.reading import read

_ROLES = ("ROLE", "PERSON", "ANYBODY")
_DEMANDS = ("CONNECT", "FETCH", "GIVE", "NEED", "WANT", "TALK", "CALLBACK", "NOW")
_WHOLE = ("TASK", "LANG", "GRAMMAR", "CANCEL", "NONEED", "THANKS", "BYE", "PASTV", "SAYS", "XFER")
_AROUND = frozenset(_ROLES + _DEMANDS + _WHOLE + ("BOT", "NEG", "AGAIN", "WAIT", "ANGRY", "THIRD", "LATER"))


@dataclass(frozen=True, slots=True)
class View:
    """One segment as the model sees it."""

    line: Line
    features: tuple[str, ...]


def views(text: str) -> list[View]:
    """Read a message and say what each of its segments shows."""
    lines = [Line(segment) for segment in read(text)]
    whole = tuple(_whole_features(lines))
    seen = []
    for place, line in enumerate(lines):
        features = [*line_features(line), *whole]
        if place:
            features.extend(f"p:{tag}" for tag in _around(lines[place - 1]))
        if place + 1 < len(lines):
            features.extend(f"n:{tag}" for tag in _around(lines[place + 1]))
        seen.append(View(line, tuple(features)))
    return seen


def _around(line: Line) -> set[str]:
    return {tag for tag in line.present if tag.lstrip("!") in _AROUND}


def _whole_features(lines: list[Line]) -> Iterator[str]:
    present = {tag for line in lines for tag in line.present}
    quoted = any(line.quoted for line in lines)
    if quoted:
        yield "g:quoted"
    for tag in _WHOLE:
        if tag in present:
            yield f"g:{tag}"
            if quoted:
                yield f"g:{tag}+quoted"
    if lines and lines[0].meanings:
        yield from (f"g:first:{tag}" for tag in lines[0].meanings[0] if tag in _WHOLE)
    yield f"g:lines:{min(len(lines), 4)}"


def reason_for(view: View) -> str:
    """Name what makes a segment a wish."""
    line = view.line
    if line.has("!BOT", "STOPBOT") or (line.has("BOT") and line.has("NEG", "STOPBOT") and not line.has("CONNECT")):
        return "refuses_bot"
    if line.has("CALLBACK") and line.has("ME") and not line.has("CONNECT"):
        return "call_back"
    if line.has("AGAIN", "ASKED", "PROMISED", "WAIT"):
        return "asked_again"
    return "asks_for_person"


def reason_against(view: View) -> str:
    """Name what keeps a segment from being a wish."""
    line = view.line
    if line.has_denied(*_ROLES, *_DEMANDS) or line.has("NONEED", "CANCEL"):
        return "declines"
    if line.quoted or any(feature.startswith("g:quoted") for feature in view.features):
        return "quotes"
    return "nothing"
