"""What words mean: the lexicon that is shipped as data, looked up by form, by stem, and by likeness."""

from collections.abc import Iterable
from functools import cache
from importlib.resources import files

from telefonist.core.detection.letters import spoken_key, translit_key

LONGEST_ENDING = 7
"""Letters that may follow a stem: beyond that it is another word."""
SHORTEST_MISSPELT = 5
"""Letters of a word that is found by likeness; shorter ones are too like each other."""

LONGEST_SWAPPED = 6
"""Letters of a word that is looked up with two neighbours swapped; longer ones are found by likeness."""

Tags = tuple[str, ...]


class Lexicon:
    """The words of ``words.txt`` and the vocabulary of ``known.txt``.

    The vocabulary holds ordinary words: what is in it is spelt as it was meant, and never taken for a misspelling.
    """

    def __init__(self, lines: Iterable[str], known: Iterable[str]) -> None:
        tags: dict[str, list[str]] = {}
        exact_only: set[str] = set()
        for line in lines:
            tag, _, words = line.partition(" ")
            for word in words.split() if tag != "#" else ():
                entry = word.removeprefix("~")
                if entry != word:
                    exact_only.add(entry)
                if tag not in tags.setdefault(entry, []):
                    tags[entry].append(tag)
        self._forms = {word: tuple(found) for word, found in tags.items() if not word.endswith("*")}
        self._stems = {word[:-1]: tuple(found) for word, found in tags.items() if word.endswith("*")}
        self._known = frozenset(known)
        self._shortest = min(map(len, self._stems), default=1)
        self._longest = max(map(len, self._stems), default=0)
        self._alike: dict[str, list[tuple[str, bool, str]]] = {}
        self._translit: dict[str, tuple[str, bool]] = {}
        for word in tags:
            if word not in exact_only:
                self._index(word.rstrip("*"), is_stem=word.endswith("*"))

    def tags(self, word: str) -> Tags:
        """Look a word up by its form, else by its longest stem."""
        found = self._forms.get(word)
        if found is not None:
            return found
        for length in range(min(len(word), self._longest), self._shortest - 1, -1):
            found = self._stems.get(word[:length])
            if found is not None and len(word) - length <= LONGEST_ENDING:
                return found
        return ()

    def knows(self, word: str) -> bool:
        """Say whether this is a word as it should be spelt."""
        return word in self._known or bool(self.tags(word))

    def misspelt(self, word: str) -> str | None:
        """Find the word of the lexicon that was meant: one slip away in spelling, after folding what sounds alike."""
        for place in range(len(word) - 1) if len(word) <= LONGEST_SWAPPED else ():
            swapped = word[:place] + word[place + 1] + word[place] + word[place + 2 :]
            if swapped in self._forms:
                return swapped
        key = spoken_key(word)
        best: tuple[bool, int, str] | None = None
        for length in range(SHORTEST_MISSPELT - 1, min(len(key), 12) + 1):
            start = key[:length]
            for variant in (start, *(start[:i] + start[i + 1 :] for i in range(length))):
                for entry, is_stem, meant in self._alike.get(variant, ()):
                    whole = key if not is_stem else start
                    if is_stem and len(key) - length > LONGEST_ENDING:
                        continue
                    likeness = (whole == entry, len(entry), meant)
                    if (best is None or likeness > best) and _one_slip(whole, entry):
                        best = likeness
        return best[2] if best else None

    def transliterated(self, word: str, *, short: bool) -> str | None:
        """Find the Russian word that was written in Latin letters; short ones only where the text is known to be so."""
        for key in translit_key(word):
            for length in range(len(key), 0, -1):
                found = self._translit.get(key[:length])
                if found is None:
                    continue
                meant, is_stem = found
                whole = length == len(key)
                if (length >= 4 or (short and whole)) and (whole or (is_stem and len(key) - length <= LONGEST_ENDING)):
                    return meant
        return None

    def _index(self, word: str, *, is_stem: bool) -> None:
        if any("а" <= letter <= "я" for letter in word):
            for key in translit_key(word):
                self._translit.setdefault(key, (word, is_stem))
        key = spoken_key(word)
        if len(word) < SHORTEST_MISSPELT or len(key) < SHORTEST_MISSPELT - 1:
            return
        for variant in {key, *(key[:i] + key[i + 1 :] for i in range(len(key)))}:
            self._alike.setdefault(variant, []).append((key, is_stem, word))


def _one_slip(word: str, meant: str) -> bool:
    """Tell whether one letter was added, left out, changed, or swapped with its neighbour."""
    if word == meant:
        return True
    if abs(len(word) - len(meant)) > 1:
        return False
    start = 0
    while start < min(len(word), len(meant)) and word[start] == meant[start]:
        start += 1
    rest, wanted = word[start:], meant[start:]
    if rest[1:] == wanted or rest == wanted[1:] or rest[1:] == wanted[1:]:
        return True
    return (
        len(rest) > 1 and len(wanted) > 1 and rest[0] == wanted[1] and rest[1] == wanted[0] and rest[2:] == wanted[2:]
    )


def read_data(name: str) -> list[str]:
    """Read the lines of a shipped data file."""
    return (files("telefonist.core.detection") / "data" / name).read_text("utf-8").splitlines()


@cache
def lexicon() -> Lexicon:
    """Load the shipped lexicon, once."""
    return Lexicon(read_data("words.txt"), read_data("known.txt"))
