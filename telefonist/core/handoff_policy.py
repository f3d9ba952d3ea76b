"""When a person is called, or offered: what the detectors' scores mean for this service."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from telefonist.core.handoff_detection import Dialogue, Signal, cannot_help, wants_person
from telefonist.texts import language_of
from telefonist.types import HandoffReason, HistoryMessage, Role, WorkingHours

REASONS = {
    "emergency": HandoffReason.EMERGENCY,
    "offer_accepted": HandoffReason.ACCEPTED_OFFER,
}


ALWAYS = WorkingHours.parse("")


@dataclass(frozen=True, slots=True)
class HandoffRules:
    """What the owner of the service decided; times are seconds, thresholds scores from 0 to 1."""

    transfer_above: float = 0.5
    """A wish for a person that scores higher is granted."""
    offer_above: float = 0.5
    """An answer that scores higher as no help comes with the offer of a person."""
    patience: float = 60.0
    """How long one operator has to take a conversation before it is offered to the next."""
    silence: float = 1800.0
    """How long nobody writes before an operator's conversation goes back to the bot."""
    wait: float = 86_400.0
    """How long a conversation waits for an operator before it goes back to the bot."""
    capacity: int = 5
    """Conversations that a new operator is given at once."""
    hours: WorkingHours = ALWAYS
    tool: bool = True
    """Whether models are offered the tool by which they call a person themselves."""


class Move(StrEnum):
    """What is done about a message or an answer."""

    TRANSFER = "transfer"
    OFFER = "offer"
    NOTHING = "nothing"


@dataclass(frozen=True, slots=True)
class Decision:
    """What is done, and the signal that decided."""

    move: Move
    signal: Signal

    @property
    def reason(self) -> HandoffReason:
        return REASONS.get(self.signal.reason, HandoffReason.WISH)


def on_message(history: Sequence[HistoryMessage], rules: HandoffRules, *, offered: bool) -> Decision:
    """Decide about the last message of a history before a model sees it: transfer, or nothing."""
    text, before = _dialogue(history, offered=offered)
    signal = wants_person(text, before)
    return Decision(Move.TRANSFER if signal.score > rules.transfer_above else Move.NOTHING, signal)


def on_answer(history: Sequence[HistoryMessage], answer: str, rules: HandoffRules, *, offered: bool) -> Decision:
    """Decide about a model's answer to the last message before it goes out: offer a person, or nothing."""
    text, before = _dialogue(history, offered=offered)
    signal = cannot_help(text, answer, before)
    return Decision(Move.OFFER if signal.score > rules.offer_above else Move.NOTHING, signal)


def _dialogue(history: Sequence[HistoryMessage], *, offered: bool) -> tuple[str, Dialogue]:
    """Give the last message and what came before it since a person last had the conversation."""
    *before, last = history
    since = len(before)
    while since and before[since - 1].role in (Role.USER, Role.BOT):
        since -= 1
    recent = before[since:]
    said = tuple(message.content for message in recent if message.role is Role.USER)
    answered = next((message.content for message in reversed(recent) if message.role is Role.BOT), "")
    return last.content, Dialogue(said, answered, offered, language_of(last.content))
