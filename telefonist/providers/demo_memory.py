"""What the demo model remembers: facts a person asked it to keep, found in their own words in Russian and English."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

NAME = "name"
"""The subject of the person's own name, whatever language it was told in."""

_MOST_CHARACTERS = 200
"""A fact longer than this is cut: the demo model quotes, it does not archive."""

_FLAGS = re.IGNORECASE | re.VERBOSE

_COMMAND = re.compile(
    r"""\b(?: запомнить | запомни(?:те)? | запиши(?:те)? | не\s+забудь(?:те)? | имей(?:те)?\s+в\s+виду
        | remember | memori[sz]e | (?:keep|bear)\s+(?:it\s+)?in\s+mind | don['’]?t\s+forget )\b""",
    _FLAGS,
)
_OPENING = r"^(?:\W|(?:а|и|ну|так|привет|теперь|пожалуйста|please|so|and|now|ok|okay|well|hi|hello|hey)\b)*"
_STARTS_WITH_COMMAND = re.compile(_OPENING + _COMMAND.pattern, _FLAGS)
_QUESTION = re.compile(
    _OPENING
    + r"""(?: what | what['’]s | whats | which | who | where | when | how | do\s+you | did
            | (?:can|could)\s+you\s+(?:tell|say|recall) | tell\s+me | remind | repeat
            | что | чего | как | как(?:ое|ой|ая|ие|ую|ого) | кто | кого | где | куда | когда | сколько | чей | чья | чьё
            | (?:ты|вы)\s+(?:ещё\s+)?помни(?:шь|те) | помни(?:шь|те)
            | напомни(?:те)? | назови(?:те)? | повтори(?:те)? | скажи(?:те)? )\b
        | \b(?: просил[аи]? | сказал[аи]? | говорил[аи]? | назвал[аи]? | помнишь | помните
            | (?:i|we)\s+(?:just\s+)?(?:told|asked|said|gave) | (?:were|was)\s+(?:told|asked)
            | did\s+i | do\s+you\s+(?:still\s+)?remember )\b""",
    _FLAGS,
)
_MEMORY = re.compile(
    r"""\b(?: (?:за|на|вс)?помн\w* | просил[аи]? | remember\w* | remind\w* | recall | memor\w+
        | (?:i|we)\s+(?:just\s+)?(?:told|asked|gave) )\b""",
    _FLAGS,
)
_THING = r"""(?: слов[оауе] | числ[оауе] | номер\w* | код\w* | парол\w* | фраз\w* | имя | цвет\w* | город\w*
    | words? | numbers? | codes? | passwords? | phrase | name | colou?r | city )"""
_NAMES_A_THING = re.compile(rf"\b{_THING}\b", _FLAGS)
_ONLY_A_THING = re.compile(rf"^(?:\w+\s+){{0,3}}?{_THING}$", _FLAGS)
_THING_AND_VALUE = re.compile(rf"^(?:\w+\s+){{0,3}}?(?P<subject>(?:{_THING}\s+)*{_THING})\s+(?P<value>\S.*)$", _FLAGS)
_SUBJECT_AND_VALUE = re.compile(
    r"""^(?P<subject>[^:=]{1,80}?)
        (?: \s*(?:(?<!\d):(?!//)|:(?!\d|//)|=)\s* | \s+[—–-]\s+ | \s+(?:is|are|это)\s+ )
        (?P<value>\S.*)$""",
    _FLAGS,
)
_FILLER = re.compile(
    r"""^(?:[\s,:;—–-] | (?: пожалуйста | please | for\s+me | для\s+меня | ещё | также | also | down
        | что | that | the\s+following | следующее )\b)+""",
    _FLAGS,
)
_TRAILING = re.compile(r"[\s,]+(?: please | пожалуйста | for\s+me | для\s+меня | и | and )$", _FLAGS)
_DETERMINER = re.compile(
    r"""^(?:(?: это | этот | эту | эта | моё | мое | мой | мою | моя | мои
        | this | these | the | my | our | a | an )\s+)+""",
    _FLAGS,
)
_PRONOUN = re.compile(
    r"^(?: его | её | ее | их | это | меня | нас | всё | все | it | this | that | them | me | us | everything )$",
    _FLAGS,
)
_NAME = re.compile(
    r"""\b(?: меня\s+зовут | мо[её]\s+имя(?:\s+[—–-]|\s+это)? | (?:зови(?:те)?|называй(?:те)?)\s+меня
        | my\s+name(?:\s+is|['’]s) | i(?:['’]m|\s+am)\s+called | call\s+me )
        \s*[:—–-]?\s* (?P<name>[^\W\d_][\w'’-]* (?:\s+(?-i:[A-ZА-ЯЁ])[\w'’-]*)?)""",
    _FLAGS,
)
_INTRODUCTION = re.compile(r"(?:^|[,!]\s*)(?:I['’]m|I\s+am|[Яя](?:\s+[—–-])?)\s+(?P<name>[A-ZА-ЯЁ][\w'’-]+)\s*$")
_NAME_QUESTION = re.compile(
    r"""\b(?: меня\s+(?:\w+\s+)?зовут | зовут\s+меня | мо[её]\s+имя | кто\s+я
        | my\s+name | who\s+am\s+i | am\s+i\s+called )\b""",
    _FLAGS,
)
_TELLS_NOTHING = re.compile(
    r"""что | чего | как | как(?:ое|ой|ая|ие|ую) | кто | где | когда | сколько | было? | была
        | эт(?:о|от|а) | мо(?:й|я|е|и) | мен[яе] | мне | теб[яе] | вас | вам
        | просил[аи]? | сказал[аи]? | говорил[аи]? | (?:за|на)?помни\w* | назови | повтори | скажи
        | what | which | who | where | when | how | the | this | that | and | for | about | one
        | did | does | are | was | were | have | has | can | could | please | you | your
        | remember | remind | recall | tell | told | ask(?:ed)? | said""",
    _FLAGS,
)
"""Words of a question that say nothing about what it asks for; lower-case, ё written as е."""


@dataclass(frozen=True, slots=True)
class Fact:
    """Something to be remembered: of what (empty where nothing was said), and what."""

    subject: str
    value: str


def facts_in(text: str) -> list[Fact]:
    """Find what a message asks to remember, and the name a person gives."""
    facts: list[Fact] = []
    before = ""
    for sentence in sentences(text):
        facts.extend(_facts(sentence, before))
        before = sentence
    return facts


def asks(text: str) -> bool:
    """Tell whether a message asks for something said before."""
    return any(_asks_for_memory(sentence) or _asks_for_name(sentence) for sentence in sentences(text))


def asks_for_name(text: str) -> bool:
    """Tell whether a message asks for the person's own name."""
    return any(map(_asks_for_name, sentences(text)))


def speaks_of_memory(text: str) -> bool:
    """Tell whether a message mentions remembering."""
    return _MEMORY.search(text) is not None


def is_question(text: str) -> bool:
    return "?" in text or bool(_QUESTION.search(text))


def recall(question: str, facts: Sequence[Fact]) -> list[Fact]:
    """Give the facts that a question is about, newest telling first to win; none where nothing fits."""
    latest = list({(fact.subject.lower() or fact.value.lower()): fact for fact in facts}.values())
    words = [word for word in _words(question) if not _TELLS_NOTHING.fullmatch(word)]
    scored = [(_likeness(words, fact), fact) for fact in latest if fact.subject != NAME]
    best = max((score for score, _ in scored), default=0)
    return [fact for score, fact in scored if score == best] if best else []


def sentences(text: str) -> Iterator[str]:
    """Cut a text at the ends of its sentences and lines, keeping the marks."""
    joined = re.sub(r":\s*\n\s*", ": ", text)
    return (sentence for part in re.split(r"(?<=[.!?…])\s+|\n+", joined) if (sentence := part.strip()))


def _facts(sentence: str, before: str) -> Iterator[Fact]:
    command = _COMMAND.search(sentence)
    asked = _QUESTION.search(sentence) and not _STARTS_WITH_COMMAND.search(sentence)
    if asked:
        return
    statement = sentence.rstrip(" .!…")
    named = _NAME.search(statement) or _INTRODUCTION.search(statement)
    if named:
        yield Fact(NAME, named["name"])
    elif command:
        told = _clean(_FILLER.sub("", sentence[command.end() :]))
        if not told or _PRONOUN.match(told):
            told = _clean(sentence[: command.start()]) or _clean(before)
        if told and not _ONLY_A_THING.match(told):
            yield _fact(told)


def _fact(told: str) -> Fact:
    match = _SUBJECT_AND_VALUE.match(told) or _THING_AND_VALUE.match(told)
    if match is None:
        return Fact("", told)
    value = match["value"]
    subject = _DETERMINER.sub("", match["subject"]).strip()
    if re.search(r"(?:слово|word)$", subject, re.IGNORECASE):
        value = re.split(r"[,;]\s", value)[0]
    return Fact(subject, _clean(value))


def _asks_for_memory(sentence: str) -> bool:
    if any(_facts(sentence, "")):
        return False
    return is_question(sentence) and bool(_MEMORY.search(sentence) or _NAMES_A_THING.search(sentence))


def _asks_for_name(sentence: str) -> bool:
    return bool(_NAME_QUESTION.search(sentence)) and not any(_facts(sentence, ""))


def _clean(text: str) -> str:
    text = _TRAILING.sub("", text.strip(" \t,;:.!?…—–-"))
    return text.strip(" \t,;:—–-\"'«»“”„`*_")[:_MOST_CHARACTERS]


def _words(text: str) -> Iterable[str]:
    return (word for word in re.findall(r"[^\W_]{3,}", text.lower().replace("ё", "е")))


def _likeness(words: Sequence[str], fact: Fact) -> int:
    """Count the words of a question that occur in a fact, endings aside; its subject counts double."""
    return sum(2 * _occurs(word, fact.subject) + _occurs(word, fact.value) for word in words)


def _occurs(word: str, text: str) -> bool:
    return any(_same_stem(word, other) for other in _words(text))


def _same_stem(one: str, other: str) -> bool:
    shortest = min(len(one), len(other))
    needed = max(3, shortest - 1 - (shortest > 6))
    return abs(len(one) - len(other)) <= 3 and one[:needed] == other[:needed]
