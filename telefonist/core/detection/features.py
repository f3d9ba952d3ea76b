"""What a segment of a message shows: the features that the models weigh."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise

from telefonist.core.detection.reading import Segment, Token
from telefonist.core.detection.words import Word

NEAR = 6
"""Words within which two meanings are seen together."""
NEGATED = 3
"""Words after a negation that it reaches, up to the end of the clause; small words are not counted."""
SILENT = frozenset({"FUNC", "SPELL", "EN_RU", "WORLD", "COUNT", "SERVICE", "EMPTY"})
"""Tags that say nothing beside others."""
_BREAKS = frozenset({",", "—", "–", "-", ":", "(", ")", ";"})
_TURNS = frozenset({"а", "но", "but", "just", "only", "просто", "лучше"})
_ASKING = frozenset({"ROLE", "PERSON", "ANYBODY", "POLITE", "EMPTY", "GREET", "NOW", "AGAIN", "ONLINE"})

Tagged = tuple[str, ...]


class Line:
    """The words of a segment with their tags, negation and quotation applied."""

    def __init__(self, segment: Segment) -> None:
        self.words: list[Word] = []
        self.tags: list[Tagged] = []
        self.quoted: set[str] = set()
        self.marks: set[str] = set()
        reach = 0
        for token in segment.tokens:
            if token.word is None:
                self.marks.add(token.mark[0])
                if token.mark in _BREAKS or token.mark[0] in ".!?…\n":
                    reach = 0
                continue
            if token.quoted:
                self.quoted.update(token.word.tags)
                continue
            reach = self._add(token, reach)

    def _add(self, token: Token, reach: int) -> int:
        word = token.word
        assert word is not None  # noqa: S101  marks and quotations were left out above
        if word.text in _TURNS:
            reach = 0
        tags = tuple(f"!{tag}" for tag in word.tags) if reach else word.tags
        self.words.append(word)
        self.tags.append(tags)
        if "NEG" in word.tags:
            return NEGATED
        return reach if "FUNC" in word.tags else max(0, reach - 1)

    def has(self, *tags: str) -> bool:
        return any(tag in found for found in self.tags for tag in tags)


def telling(tags: Iterable[str]) -> Iterator[str]:
    return (tag for tag in tags if tag.lstrip("!") not in SILENT)


def line_features(line: Line) -> Iterator[str]:
    """Say what a line shows by itself: words, neighbours, meanings and how they follow each other."""
    stems = ["^", *(word.stem for word in line.words), "$"]
    yield from {f"w:{stem}" for stem in stems[1:-1]}
    yield from {f"b:{first}_{second}" for first, second in pairwise(stems)}
    meanings = [tuple(telling(tags)) for tags in line.tags]
    yield from {f"t:{tag}" for tags in meanings for tag in tags}
    yield from {f"s:{pair}" for pair in _pairs(meanings)}
    yield from (f"q:{tag}" for tag in telling(line.quoted))
    yield from (f"m:{mark}" for mark in line.marks if mark in "?!:")
    yield from (f"first:{tag}" for tag in meanings[0] if meanings) if meanings else ()
    yield from (f"last:{tag}" for tag in meanings[-1]) if meanings else ()
    yield f"words:{min(len(line.words), 12) // 2}"
    if line.words and all(_ASKING.intersection(tags) for tags in line.tags):
        yield "only"


def _pairs(meanings: Sequence[Tagged]) -> set[str]:
    found = set()
    for place, tags in enumerate(meanings):
        for other in meanings[place + 1 : place + 1 + NEAR]:
            for first in tags:
                for second in other:
                    found.add(f"{first}>{second}")
    return found


def pieces(line: Line) -> Iterator[str]:
    """Yield the pieces of spelling of a line's words."""
    for word in line.words:
        yield from word.pieces
