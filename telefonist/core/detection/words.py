"""Words: a token of a message brought back to what was meant by it, with what it means."""

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
LONGEST_WORD = 40


@dataclass(frozen=True, slots=True)
class Word:
    """A word as it was meant: its spelling, its tags, and the pieces of spelling that the models weigh."""

    text: str
    tags: Tags
    pieces: Tags

    @property
    def stem(self) -> str:
        return self.text[:STEM]


@lru_cache(maxsize=16_384)
def read_word(token: str, *, translit: bool) -> Word:
    """Read one token; ``translit`` says that the text around it is Russian in Latin letters."""
    word = _meant(token[:LONGEST_WORD], translit=translit)
    tags = ("NUM",) if word.isdigit() else lexicon().tags(word)
    text = "0" if word.isdigit() else word
    return Word(text, tags, _pieces(text))


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


def _pieces(word: str) -> Tags:
    padded = f"^{word}$"
    return tuple(padded[start : start + length] for length in (3, 4, 5) for start in range(len(padded) - length + 1))
