"""What the model gets to read: the system prompt and the part of the history that fits its window."""

from collections.abc import Sequence

from telefonist.providers.openai_text import MESSAGE_TOKENS
from telefonist.types import HistoryMessage, Json, Role, estimate_tokens

WIRE_ROLES = {Role.USER: "user", Role.BOT: "assistant", Role.OPERATOR: "assistant", Role.SYSTEM: "system"}


def message_tokens(text: str) -> int:
    """Tokens that a message takes of a window, its frame included."""
    return estimate_tokens(text) + MESSAGE_TOKENS


def prompt(system_prompt: str, history: Sequence[HistoryMessage]) -> list[Json]:
    """Put the messages for the model together, oldest first."""
    messages: list[Json] = [{"role": "system", "content": system_prompt}] if system_prompt else []
    messages.extend({"role": WIRE_ROLES[message.role], "content": message.content} for message in history)
    return messages


def fit(messages: Sequence[Json], budget: int) -> Sequence[Json]:
    """Drop the oldest messages until the rest fits ``budget`` tokens; the system prompt and the last message stay."""
    counts = [message_tokens(str(message.get("content") or "")) for message in messages]
    excess = sum(counts) - budget
    kept: list[Json] = []
    for position, message in enumerate(messages):
        if excess > 0 and message["role"] != "system" and position < len(messages) - 1:
            excess -= counts[position]
        else:
            kept.append(message)
    return kept
