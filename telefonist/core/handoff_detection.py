"""Two detectors: does the user want a person now, and could the bot not help?

Both are pure: no network, no clock, no randomness; the same text gives the same signal. How they work, what they were
measured with and what they get wrong is in ``docs/handoff.md``.
"""

from dataclasses import dataclass

from telefonist.core.detection import dialogue, emergencies, reply, wish
from telefonist.core.detection.linear import load_model
from telefonist.types import Language

BORDER = 0.5
"""Scores above it say yes. What is lost by a miss and by a false alarm is for the owner to weigh, in the settings."""
SURE = 0.98
UNSURE = 0.35
"""How little of a wish is enough where the dialog says the rest."""
SHORT = 5
"""Words of a reminder ("well, where is he?") that needs no wish of its own."""
RECENT = 3
"""Earlier messages that a reminder can be about."""
TROUBLE = 0.7
"""The score of a dialog that goes wrong, whatever its last reply looks like."""


@dataclass(frozen=True, slots=True)
class Signal:
    """What a detector makes of a text: a score from 0 to 1, and the reason in a word that is stored beside it."""

    score: float
    reason: str


@dataclass(frozen=True, slots=True)
class Dialogue:
    """What came before a message, since the dialog began or a person last gave it back; all of it may be left out.

    ``said`` are the user's earlier messages, oldest first; ``answered`` is the bot's last reply; ``offered`` says that
    the bot has just offered a person. Wishes from before a transfer do not belong here: they were granted.
    """

    said: tuple[str, ...] = ()
    answered: str = ""
    offered: bool = False
    language: Language | None = None


NOTHING_BEFORE = Dialogue()


def wants_person(text: str, context: Dialogue = NOTHING_BEFORE) -> Signal:
    """Judge whether the user wants a person with this message, or refuses to go on with the bot.

    Reasons for: ``emergency``, ``offer_accepted``, ``asked_again``, ``refuses_bot``, ``call_back``,
    ``asks_for_person``. Against: ``offer_declined``, ``declines``, ``quotes``, ``nothing``.
    """
    if emergencies.is_emergency(text):
        return Signal(SURE, "emergency")
    if context.offered or dialogue.is_offer(context.answered):
        consent = dialogue.consent(text)
        if consent is not None:
            return Signal(SURE, "offer_accepted") if consent else Signal(1 - SURE, "offer_declined")
    model = load_model("wish")
    seen = wish.views(text)
    if not seen:
        return Signal(0.0, "nothing")
    margins = [model.margin(view.features, view.line.words) for view in seen]
    best = max(range(len(seen)), key=margins.__getitem__)
    score = model.score(margins[best])
    if score <= BORDER:
        if _asks_again(seen[best], score, context):
            return Signal(1 - (1 - score) / 2, "asked_again")
        return Signal(score, wish.reason_against(seen[best]))
    return Signal(score, wish.reason_for(seen[best]))


def cannot_help(question: str, answer: str, context: Dialogue = NOTHING_BEFORE) -> Signal:
    """Judge whether the bot's answer shows that it could not deal with the question, so that a person be offered.

    Reasons for: ``no_answer``, ``no_knowledge``, ``no_access``, ``cannot_act``, ``failed``, ``sends_elsewhere``,
    ``repeats``, and from the dialog ``same_question``, ``answer_rejected``, ``angry_again``. Against: ``helps``.
    """
    if not answer.strip():
        return Signal(SURE, "no_answer")
    model = load_model("unable")
    features, words = reply.view(question, answer)
    score = model.score(model.margin(features, words))
    if score > BORDER:
        return Signal(score, reply.reason(answer))
    trouble = dialogue.trouble(question, context.said, context.answered)
    return Signal(TROUBLE, trouble) if trouble else Signal(score, "helps")


def _asks_again(seen: wish.View, score: float, context: Dialogue) -> bool:
    if score <= UNSURE and len(seen.line.words) > SHORT:
        return False
    return dialogue.insists(seen.line) and any(wants_person(said).score > BORDER for said in context.said[-RECENT:])
