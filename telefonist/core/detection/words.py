"""Words: a token of a message brought back to what was meant by it, with what it means."""

import re
from dataclasses import dataclass
from functools import lru_cache

from telefonist.core.detection.letters import (
    as_cyrillic_keys,
    as_latin_keys,
    has_cyrillic,
    has_latin,
    look_alikes,
    unstretched,
)
from telefonist.core.detection.lexicon import Tags, lexicon

STEM = 6
"""Letters that stand for a word, whatever its ending."""
SILENT = frozenset({"FUNC", "SPELL", "EN_RU", "WORLD", "COUNT", "SERVICE", "EMPTY"})
"""Tags that say nothing beside others."""
LONGEST_WORD = 40
SHORTEST_TRADE = 6
_TRADE = re.compile(
    r"(?:тор|тель|тел|лог|ист|ник|щик|чик|граф|вед|инг|лер|мен|нер|ктор|арь|тер)(?:а|я|у|ю|ом|ем|ой|ы|и|е|ша|ше|шу|шей)?$"
    r"|(?:er|or|ist|ian|eer|ant|ent|yst|man|ee)s?$"
)


@dataclass(frozen=True, slots=True)
class Word:
    """A word as it was meant: its spelling, its tags, and the pieces of spelling that the models weigh.

    ``telling`` are the tags that say something beside others, ``negated`` the same under a negation.
    """

    text: str
    stem: str
    tags: Tags
    telling: Tags
    negated: Tags
    pieces: Tags

    @classmethod
    def of(cls, text: str, tags: Tags) -> "Word":
        telling = tuple(tag for tag in tags if tag not in SILENT)
        return cls(text, text[:STEM], tags, telling, tuple(f"!{tag}" for tag in telling), _pieces(text))


@lru_cache(maxsize=16_384)
def read_word(token: str, *, translit: bool) -> Word:
    """Read one token; ``translit`` says that the text around it is Russian in Latin letters."""
    word = _meant(token[:LONGEST_WORD], translit=translit)
    tags = ("NUM",) if word.isdigit() else lexicon().tags(word) or _trade(word)
    return Word.of("0" if word.isdigit() else word, tags)


def is_word(token: str) -> bool:
    """Say whether a token is spelt as it was meant, so that nothing else need be read into it."""
    return lexicon().knows(token)


@lru_cache(maxsize=16_384)
def typed_on_other_layout(chunk: str) -> str | None:
    """Read what was typed with the keyboard on the other language, if that makes a word and the chunk is none."""
    core = chunk.strip('!?"()«»…')
    if len(core) < 2 or is_word(core.strip(".,;:'`[]")):
        return None
    if has_latin(core) and not has_cyrillic(core):
        reading = as_cyrillic_keys(core)
    elif has_cyrillic(core) and not has_latin(core):
        reading = as_latin_keys(core)
    else:
        return None
    if is_word(reading):
        return reading
    for mark in ".,;:":
        bare = core.rstrip(mark)
        reading = as_cyrillic_keys(bare) if has_latin(bare) else as_latin_keys(bare)
        if bare != core and is_word(reading):
            return reading + mark
    return None


@lru_cache(maxsize=16_384)
def is_transliterated(token: str) -> bool:
    """Tell whether a token is a Russian word of the lexicon in Latin letters, and surely no English one."""
    return (
        len(token) >= 5
        and has_latin(token)
        and not has_cyrillic(token)
        and not is_word(token)
        and lexicon().transliterated(token, short=False) is not None
    )


def _meant(token: str, *, translit: bool) -> str:
    words = lexicon()
    if token.isdigit() or words.knows(token):
        return token
    bare = token.replace("'", "")
    if bare != token and words.knows(bare):
        return bare
    disguised = not token.isalpha() or (has_cyrillic(token) and has_latin(token))
    for reading in (*unstretched(token), *(look_alikes(token) if disguised else ())):
        if words.knows(reading):
            return reading
    for reading in unstretched(token):
        if (meant := words.misspelt(reading)) is not None:
            return meant
    if has_cyrillic(token) and has_latin(token):
        token = next(iter(look_alikes(token)), token)
    elif has_latin(token) and (translit or len(token) >= 5) and (meant := words.transliterated(token, short=translit)):
        return meant
    return words.misspelt(bare) or token


def _trade(word: str) -> Tags:
    """Guess a trade that the lexicon does not name from how such words end."""
    return ("TRADE",) if len(word) >= SHORTEST_TRADE and _TRADE.search(word) else ()


def _pieces(word: str) -> Tags:
    padded = f"^{word}$"
    return tuple(padded[start : start + length] for length in (3, 4, 5) for start in range(len(padded) - length + 1))
