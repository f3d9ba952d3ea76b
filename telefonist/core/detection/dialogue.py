"""What a message means after what was said before: consent to an offer, asking again, a dialog that goes wrong."""

import re
from collections.abc import Sequence

from telefonist.core.detection.features import Line
from telefonist.core.detection.letters import fold
from telefonist.core.detection.reading import read

LONGEST_CONSENT = 8
"""Words of a yes or a no; a longer message says what it says by itself."""
ALIKE = 0.6
"""The share of words in common by which two questions are the same one."""
SHORTEST_QUESTION = 2
"""Telling words of a question that can be recognised when it is asked again."""

_OFFER = re.compile(
    r"(?:соединить|переключить|подключить|позвать|пригласить|перевести|передать|связать|вызвать|хотите|желаете|нужн\w+|позову|переключу|соединю)"
    r"[^.!?\n]{0,60}(?:оператор|человек|специалист|менеджер|сотрудник|консультант|поддержк|кого-нибудь|коллег)[^.!?\n]{0,60}\?"
    r"|(?:would you like|do you want|shall i|should i|want me to|may i|can i|would you prefer|like me to)"
    r"[^.!?\n]{0,60}(?:human|person|operator|agent|representative|colleague|someone|somebody|team|support|specialist|staff)[^.!?\n]{0,60}\?"
)
_REJECTED = re.compile(
    r"не помог(?:ло|ает|ли|аешь|аете)|не то\b|не работает|не про то|не об этом|бесполезн\w+|не (?:по|на) вопрос\w*"
    r"|(?:that|this|it) ?(?:didnt|did not|doesnt|does not|isnt|is not|wasnt|hasnt)( \w+)? ?"
    r"(?:help|work|answer|what i|useful)|not what i (?:asked|meant)|useless answer|wrong answer|not helpful|unhelpful"
)

_PASSING = frozenset({"FUNC", "EMPTY", "POLITE", "GREET", "AGAIN"})


def is_offer(reply: str) -> bool:
    """Say whether the bot's reply offers a person."""
    return bool(reply) and _OFFER.search(fold(reply[-600:])) is not None


def consent(text: str) -> bool | None:
    """Read a short answer to an offer: yes, no, or neither."""
    lines = [Line(segment) for segment in read(text)] if len(text) <= LONGEST_CONSENT * 12 else []
    if sum(len(line.words) for line in lines) > LONGEST_CONSENT:
        return None
    if not lines:
        return True if re.fullmatch(r"\s*(?:\+|👍\S?|✅|👌\S?)+\s*", text) else None
    tags = {tag for line in lines for tag in line.present}
    if "NO" in tags or not tags.isdisjoint(("NONEED", "SELF", "!NEED", "!YES")):
        return False
    if "LATER" in tags:
        return None if "YES" in tags else False
    return True if "YES" in tags and "?" not in text else None


def insists(line: Line) -> bool:
    """Say whether a line reminds of something asked before: "well?", "still waiting", "where is he"."""
    return line.has("AGAIN", "WAIT", "WHERE", "GREET", "ASKED", "PROMISED", "PERSON", "ROLE", "NOW", "CONNECT") or (
        len(line.words) == 1 and bool(line.marks & {"?", "!"})
    )


def trouble(question: str, said: Sequence[str], answered: str) -> str | None:
    """Say how a dialog goes wrong, if it does: the last answer rejected, the same question again, or anger again."""
    if not said:
        return None
    if answered and _REJECTED.search(fold(question).replace("'", "")):
        return "answer_rejected"
    asked = _telling(question)
    if len(asked) >= SHORTEST_QUESTION and any(_alike(asked, _telling(earlier)) for earlier in said[-3:]):
        return "same_question"
    if _is_angry(question) and _is_angry(said[-1]):
        return "angry_again"
    return None


def _telling(text: str) -> frozenset[str]:
    return frozenset(
        word.stem
        for segment in read(text)
        for word in Line(segment).words
        if len(word.text) > 1 and _PASSING.isdisjoint(word.tags)
    )


def _alike(asked: frozenset[str], earlier: frozenset[str]) -> bool:
    return bool(earlier) and len(asked & earlier) / len(asked | earlier) >= ALIKE


def _is_angry(text: str) -> bool:
    lines = [Line(segment) for segment in read(text)]
    letters = [letter for letter in text if letter.isalpha()]
    shouts = len(letters) > 8 and sum(letter.isupper() for letter in letters) > 0.7 * len(letters)
    return shouts or "!!" in text or any(line.has("ANGRY") for line in lines)
