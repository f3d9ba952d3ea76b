"""What the demo model says: a pure function of the conversation, so that the same messages get the same answer."""

import ast
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction

from telefonist.providers import demo_memory
from telefonist.providers.demo_memory import NAME, Fact
from telefonist.providers.openai_text import plain_text
from telefonist.texts import language_of, render
from telefonist.types import Json, Language

_MOST_READ = 1000
"""Characters of a message that are looked at: enough for a chat, and a bound on the time that searching takes."""

_MOST_ECHOED = 160
"""Characters of a person's message that are quoted back."""

_SHORT = 5
"""Words up to which a message that greets or thanks does nothing else."""

_SMALL_TALK: Mapping[str, re.Pattern[str]] = {
    "demo_abilities": re.compile(
        r"что (?:ты |вы )?(?:умее|може)(?:шь|те)|кто (?:ты|вы)\b|ты кто|помощь|^help\W*$|what can you do|who are you"
        r"|what are you\b",
        re.IGNORECASE,
    ),
    "demo_how_are_you": re.compile(r"как (?:у тебя |у вас |твои |ваши )?(?:дела|жизнь)|how are you", re.IGNORECASE),
    "demo_thanks": re.compile(r"\b(?:спасибо|благодарю|thanks|thank you|thx)\b", re.IGNORECASE),
    "demo_goodbye": re.compile(r"\b(?:пока|до свидания|до встречи|bye|goodbye|see you)\b", re.IGNORECASE),
    "demo_greeting": re.compile(
        r"\b(?:привет\w*|здравствуй\w*|добр(?:ый|ое|ого) (?:день|дня|утро|утра|вечер|вечера)|hi|hello|hey"
        r"|good (?:morning|afternoon|evening))\b",
        re.IGNORECASE,
    ),
}
_HISTORY = re.compile(
    r"о ч[её]м мы (?:говорили|разговаривали)|что я (?:писал|говорил|спрашивал)а?\b"
    r"|what (?:did|have) i (?:say|said|write|written|ask|asked)\b|what (?:did|have) we (?:talk|discuss)(?:ed)?\b",
    re.IGNORECASE,
)

_SUM = re.compile(
    r"^(?:\W*(?:сколько будет|чему равно|посчитай|вычисли|реши|what is|what's|how much is|calculate|compute|solve)\b)?"
    r"[\s:,]*(?P<sum>[\d(−-][\d\s.,()+*/×÷:−-]*[\d)])\s*=?\s*\??\s*$",
    re.IGNORECASE,
)
_LONGEST_SUM = 100
_AS_PYTHON = str.maketrans({"×": "*", "÷": "/", ":": "/", "−": "-", ",": "."})
_OPERATORS: Mapping[type[ast.operator], Callable[[Fraction, Fraction], Fraction]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}


def reply(messages: Sequence[Json]) -> str:
    """Answer the last of a person's messages in its language, from what the messages given say.

    Only a person's own messages are read: neither the system prompt nor earlier answers are ever repeated.
    """
    said = [
        plain_text(message.get("content")).strip()[:_MOST_READ] for message in messages if message.get("role") == "user"
    ]
    language = _language(said)
    if not said or not said[-1]:
        return render("demo_nothing_said", language)
    last = said[-1]
    return (
        _from_memory(said, language)
        or _sum(last, language)
        or _small_talk(said, language)
        or _about_the_conversation(said, language)
    )


def _language(said: Sequence[str]) -> Language:
    for text in reversed(said):
        if any(map(str.isalpha, text)):
            return language_of(text)
    return "en"


def _from_memory(said: Sequence[str], language: Language) -> str | None:
    last = said[-1]
    facts = [fact for text in said for fact in demo_memory.facts_in(text)]
    if demo_memory.asks_for_name(last):
        name = _name(facts)
        return render("demo_your_name", language, {"name": name}) if name else render("demo_name_unknown", language)
    kept = [fact for fact in facts if fact.subject != NAME]
    if demo_memory.asks(last):
        found = demo_memory.recall(last, facts) or kept
        if found:
            return render("demo_recall", language, {"facts": _listed(found)})
        if demo_memory.speaks_of_memory(last):
            return render("demo_nothing_remembered", language)
    new = demo_memory.facts_in(last)
    if new:
        name = _name(new)
        if name:
            return render("demo_nice_to_meet", language, {"name": name})
        return render("demo_remembered", language, {"facts": _listed(new)})
    if demo_memory.is_question(last) and (found := demo_memory.recall(last, facts)):
        return render("demo_recall", language, {"facts": _listed(found)})
    return None


def _name(facts: Sequence[Fact]) -> str | None:
    return next((fact.value for fact in reversed(facts) if fact.subject == NAME), None)


def _listed(facts: Sequence[Fact]) -> str:
    unique = dict.fromkeys(f"{fact.subject} — {fact.value}" if fact.subject else fact.value for fact in facts)
    return "; ".join(unique)


def _sum(text: str, language: Language) -> str | None:
    match = _SUM.match(text)
    if match is None or len(match["sum"]) > _LONGEST_SUM:
        return None
    written = match["sum"].strip()
    try:
        sum_ = ast.parse(written.translate(_AS_PYTHON), mode="eval").body
        if not isinstance(sum_, ast.BinOp):
            return None
        result = _value(sum_)
    except ZeroDivisionError:
        return render("demo_division_by_zero", language)
    except (SyntaxError, ValueError):
        return None  # looked like a sum and is not one: a date, a telephone number
    shown = str(result.numerator) if result.denominator == 1 else f"{float(result):.10g}"
    return render("demo_sum", language, {"sum": written, "result": shown})


def _value(node: ast.expr) -> Fraction:
    match node:
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATORS:
            return _OPERATORS[type(op)](_value(left), _value(right))
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_value(operand)
        case ast.Constant(value=int() | float() as number):
            return Fraction(str(number))
        case _:
            raise ValueError(ast.dump(node))


def _small_talk(said: Sequence[str], language: Language) -> str | None:
    last = said[-1]
    if _HISTORY.search(last) and len(said) > 1:
        return render("demo_history", language, {"messages": "; ".join(map(_echo, said[-6:-1]))})
    if len(last.split()) > _SHORT:
        return None
    for code, pattern in _SMALL_TALK.items():
        if pattern.search(last):
            return render(code, language)
    return None


def _about_the_conversation(said: Sequence[str], language: Language) -> str:
    values = {"echo": _echo(said[-1]), "number": len(said)}
    if len(said) == 1:
        return render("demo_first_message", language, values)
    return render("demo_next_message", language, {**values, "previous": _echo(said[-2])})


def _echo(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _MOST_ECHOED else line[: _MOST_ECHOED - 1].rstrip() + "…"
