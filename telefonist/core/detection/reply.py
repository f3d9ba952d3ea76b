"""A bot's reply, judged in the light of the question: what it shows of having helped."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import pairwise

from telefonist.core.detection.letters import fold
from telefonist.core.detection.lexicon import Lexicon, Tags, read_data
from telefonist.core.detection.reading import TOKEN
from telefonist.core.detection.words import LONGEST_WORD, Word

NEAR = 5
NEGATED = 3
LONGEST = 1_200
"""Characters of a reply or a question that are read: what a reply is, it shows at its beginning."""
_HELPLESS = frozenset({"KNOW", "ACCESS", "CANT", "ERROR", "REPHRASE", "CONTACT", "ASKDATA", "OPTION", "REFUSE"})
_CORRECTING = frozenset({"нет", "неа", "no", "nope", "not", "none", "да"})
_EMPTY_ALONE = frozenset({"SORRY", "PLEASE"})


@dataclass(frozen=True, slots=True)
class Sentence:
    """A sentence of a reply: its words, what they mean, and how it ends."""

    words: tuple[Word, ...]
    tags: tuple[Tags, ...]
    end: str

    @property
    def present(self) -> frozenset[str]:
        return frozenset(tag for tags in self.tags for tag in tags)


@cache
def _lexicon() -> Lexicon:
    return Lexicon(read_data("reply_words.txt"), ())


@lru_cache(maxsize=16_384)
def read_reply_word(token: str) -> Word:
    word = token.replace("'", "")[:LONGEST_WORD]
    return Word.of("0", ("NUM",)) if word.isdigit() else Word.of(word, _lexicon().tags(word))


def sentences(text: str) -> list[Sentence]:
    """Cut a text into sentences; a negation reaches a few words on, and marks what they mean."""
    found: list[Sentence] = []
    words: list[Word] = []
    tags: list[Tags] = []
    reach = 0
    for token in [*TOKEN.findall(fold(text[:LONGEST])), "."]:
        if token[0].isalnum():
            word = read_reply_word(token)
            words.append(word)
            tags.append(word.negated if reach else word.telling)
            reach = NEGATED if "NEG" in word.tags else max(0, reach - 1)
        elif token[0] in ".!?…\n:;,":
            reach = 0
            if token[0] in ".!?…\n" and words:
                found.append(Sentence(tuple(words), tuple(tags), token[0]))
                words, tags = [], []
    return found


def view(question: str, answer: str) -> tuple[tuple[str, ...], list[Word]]:
    """Say what a reply shows, and name its words."""
    asked, said = sentences(question), sentences(answer)
    features = [*_answer_features(said), *_between(asked, said, question, answer)]
    return tuple(features), [word for sentence in said for word in sentence.words]


def _answer_features(said: list[Sentence]) -> Iterator[str]:
    found: set[str] = set()
    for place, sentence in enumerate(said):
        stems = ["^", *(word.stem for word in sentence.words), "$"]
        found.update(f"w:{stem}" for stem in stems[1:-1])
        found.update(f"b:{first}_{second}" for first, second in pairwise(stems))
        found.update(f"t:{tag}" for tag in sentence.present)
        found.update(f"s:{pair}" for pair in _pairs(sentence.tags))
        if place == 0:
            found.update(f"first:{tag}" for tag in sentence.present)
        if place == len(said) - 1:
            found.update(f"last:{tag}" for tag in sentence.present)
    useful = sum(_is_useful(sentence) for sentence in said)
    found.add(f"useful:{min(useful, 3)}of{min(len(said), 3)}")
    found.add(f"helpless:{''.join(sorted(_shapes(said))) or 'no'}")
    found.add(f"asks:{sum(sentence.end == '?' for sentence in said)}of{min(len(said), 3)}")
    found.add(f"length:{min(sum(len(sentence.words) for sentence in said) // 4, 8)}")
    return iter(sorted(found))


def _shapes(said: list[Sentence]) -> set[str]:
    """Say which shapes of helplessness a reply has, each by one letter."""
    present = frozenset(tag for sentence in said for tag in sentence.present)
    shapes = {
        "a": "!ACCESS" in present,
        "c": "!CANT" in present,
        "e": "ERROR" in present,
        "k": "!KNOW" in present,
        "o": "OPTION" in present,
        "r": bool(present & {"REPHRASE", "!REPHRASE"}),
        "s": any({"CONTACT", "SUPPORT"} <= sentence.present for sentence in said),
    }
    return {letter for letter, shown in shapes.items() if shown}


def _is_useful(sentence: Sentence) -> bool:
    present = sentence.present
    if sentence.end == "?" or present & {"CONTACT", "OPTION", "REPHRASE", "ERROR"}:
        return False
    denies = {f"!{tag}" for tag in _HELPLESS}
    return not present & denies and not present <= _EMPTY_ALONE and len(sentence.words) > 1


def _between(asked: list[Sentence], said: list[Sentence], question: str, answer: str) -> Iterator[str]:
    wanted = frozenset(tag for sentence in asked for tag in sentence.present)
    shown = frozenset(tag for sentence in said for tag in sentence.present)
    for tag in ("HARM", "ALREADY", "WRONG", "ACT", "STATUS", "NUM", "NEG", "!WRONG", "ARTICLE"):
        if tag in wanted:
            yield f"Q:{tag}"
            yield from (
                f"Q:{tag}>{other}"
                for other in (
                    "REFUSE",
                    "ASKDATA",
                    "REPHRASE",
                    "OPTION",
                    "ARTICLE",
                    "DONE",
                    "!CANT",
                    "!REFUSE",
                    "!HELP",
                    "KNOW",
                )
                if other in shown
            )
            if "?" in answer:
                yield f"Q:{tag}>?"
    if "?" not in question:
        yield "Q:tells"
    helpless = "".join(sorted(_shapes(said)))
    complains = not wanted.isdisjoint(("ALREADY", "!ALREADY", "WRONG", "!WRONG")) or _corrects(asked) or "!" in question
    yield f"shape:{helpless or 'no'}:{'asks' if '?' in answer else 'says'}:{'complains' if complains else ''}"
    yield from ("complains",) if complains else ()
    yield f"harm:{'HARM' in wanted}:{'c' in helpless or not shown.isdisjoint(('REFUSE', '!REFUSE'))}"
    theirs = {word.text[:5] for sentence in asked for word in sentence.words if len(word.text) > 3}
    ours = {word.text[:5] for sentence in said for word in sentence.words if len(word.text) > 3}
    yield f"shared:{min(len(theirs & ours), 3)}"
    if any(letter.isdigit() for letter in question) and "ASKDATA" in shown:
        yield "asks-what-was-said"


def _corrects(asked: list[Sentence]) -> bool:
    """Say whether a question begins by denying something, as one does who was not understood."""
    return bool(asked) and asked[0].words[0].text in _CORRECTING


def _pairs(meanings: tuple[Tags, ...]) -> set[str]:
    return {
        f"{first}>{second}"
        for place, tags in enumerate(meanings)
        for other in meanings[place + 1 : place + 1 + NEAR]
        for first in tags
        for second in other
    }


def reason(answer: str) -> str:
    """Name how a reply fails to help."""
    said = sentences(answer)
    present = frozenset(tag for sentence in said for tag in sentence.present)
    if "ERROR" in present and not present & {"!ACCESS", "!KNOW"}:
        return "failed"
    if "REPHRASE" in present or "!REPHRASE" in present or "OPTION" in present or said[-1].end == "?":
        return "repeats"
    if "!ACCESS" in present:
        return "no_access"
    if "!KNOW" in present:
        return "no_knowledge"
    if "CONTACT" in present and "SUPPORT" in present:
        return "sends_elsewhere"
    return "cannot_act"
