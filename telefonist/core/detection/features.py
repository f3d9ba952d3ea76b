"""What a segment of a message shows: the features that the models weigh."""

from collections.abc import Iterator, Sequence
from itertools import pairwise

from telefonist.core.detection.lexicon import Tags
from telefonist.core.detection.reading import Segment
from telefonist.core.detection.words import Word

NEAR = 6
"""Words within which two meanings are seen together."""
NEGATED = 3
"""Words after a negation that it reaches, up to the end of the clause; small words are not counted."""
_QUOTING = ("TYPES", "AGAIN", "ASKED", "TASK", "LANG", "SAYS", "YOU", "COUNT")
"""What tells by which way of speaking a word is quoted: "I typed", "translate", "the sign says"."""
_BREAKS = frozenset(",—–-:();.!?…\n")
_TURNS = frozenset({"а", "но", "but", "just", "only", "просто", "лучше"})
_ASKING = frozenset({"ROLE", "PERSON", "ANYBODY", "POLITE", "EMPTY", "GREET", "NOW", "AGAIN", "ONLINE"})


class Line:
    """The words of a segment with what they mean, negation and quotation applied.

    A tag with a "!" is negated. Quoted words are not among ``words``: only their tags are kept, in ``quoted``.
    """

    def __init__(self, segment: Segment) -> None:
        self.words: list[Word] = []
        self.meanings: list[Tags] = []
        self.quoted: set[str] = set()
        self.marks: set[str] = set()
        self.present: set[str] = set()
        reach = 0
        for token in segment.tokens:
            word = token.word
            if word is None:
                self.marks.add(token.mark[0])
                if token.mark[0] in _BREAKS:
                    reach = 0
            elif token.quoted:
                self.quoted.update(word.telling)
            else:
                if word.text in _TURNS:
                    reach = 0
                self.words.append(word)
                self.meanings.append(word.negated if reach else word.telling)
                self.present.update(word.negated if reach else word.tags)
                if "NEG" in word.tags:
                    reach = NEGATED
                elif reach and "FUNC" not in word.tags:
                    reach -= 1

    def has(self, *tags: str) -> bool:
        return not self.present.isdisjoint(tags)

    def has_denied(self, *tags: str) -> bool:
        return any(f"!{tag}" in self.present for tag in tags)


def line_features(line: Line) -> Iterator[str]:
    """Say what a line shows by itself: words, neighbours, meanings and how they follow each other."""
    stems = ["^", *(word.stem for word in line.words), "$"]
    meanings = line.meanings
    found = {f"w:{stem}" for stem in stems[1:-1]}
    found.update([f"b:{first}_{second}" for first, second in pairwise(stems)])
    tags = {tag for tags in meanings for tag in tags}
    found.update([f"t:{tag}" for tag in tags])
    found.update(_pairs(meanings))
    found.update(_runs([tags for tags in meanings if tags]))
    if "?" in line.marks:
        found.update([f"?:{tag}" for tag in tags])
    if meanings:
        found.update([f"first:{tag}" for tag in meanings[0]])
        found.update([f"last:{tag}" for tag in meanings[-1]])
    yield from found
    yield from (f"q:{tag}" for tag in line.quoted)
    if line.quoted:
        yield from (f"q:{tag}&{other}" for tag in line.quoted for other in _QUOTING if other in line.present)
    yield from (f"m:{mark}" for mark in line.marks if mark in "?!:")
    yield f"words:{min(len(line.words), 12) // 2}"
    if line.words and all(not _ASKING.isdisjoint(word.tags) for word in line.words):
        yield "only"


def _runs(meanings: Sequence[Tags]) -> list[str]:
    """Say which meanings follow each other at once, once words without one are left out."""
    ends = [("^",), *meanings, ("$",)]
    found = [f"2:{a}>{b}" for first, second in pairwise(ends) for a in first for b in second]
    for one, two, three in zip(ends, ends[1:], ends[2:], strict=False):
        found += [f"3:{a}>{b}>{c}" for a in one for b in two for c in three]
    return found


def _pairs(meanings: Sequence[Tags]) -> list[str]:
    return [
        f"s:{first}>{second}"
        for place, tags in enumerate(meanings)
        if tags
        for other in meanings[place + 1 : place + 1 + NEAR]
        for first in tags
        for second in other
    ]
