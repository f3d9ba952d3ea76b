"""What an operator reads before taking over: what was said, in short."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from telefonist.core.generation import Generator
from telefonist.core.metering import Metering
from telefonist.core.token_counting import counted_usage, estimate_prompt
from telefonist.errors import TelefonistError
from telefonist.logs import get_logger
from telefonist.texts import render
from telefonist.types import Caller, Door, GenerationState, HistoryMessage, Json, Language, Role

log = get_logger(__name__)

LAST_MESSAGES = 20
"""Messages that a summary is made of."""

SHOWN = 6
"""Messages of an excerpt, the summary that needs no model."""

LONGEST = 300
"""Characters of each."""

PATIENCE = 20.0
"""Seconds that a model has for a summary: an operator does not wait longer."""

Summariser = Callable[[Sequence[HistoryMessage], Language], Awaitable[str | None]]
"""Makes a summary, or None where it could not."""

NAMES = {
    Role.USER: "handoff_summary_user",
    Role.BOT: "handoff_summary_bot",
    Role.OPERATOR: "handoff_summary_operator",
}


def excerpt(history: Sequence[HistoryMessage], language: Language) -> str:
    """Give the last messages, each on a line and cut to a readable length."""
    told = [message for message in history if message.role in NAMES][-SHOWN:]
    return "\n".join(render(NAMES[each.role], language, {"text": _cut(each.content)}) for each in told)


class ModelSummaries:
    """Lets the default model write the summary; it is not charged to whoever has the conversation."""

    def __init__(self, generator: Generator, metering: Metering) -> None:
        self._generator = generator
        self._metering = metering

    async def __call__(self, history: Sequence[HistoryMessage], language: Language) -> str | None:
        """Write a summary within PATIENCE; None where the model failed, and the excerpt stays."""
        model = self._generator.catalog.default
        lines = [render(NAMES[each.role], language, {"text": each.content}) for each in history if each.role in NAMES]
        messages: list[Json] = [
            {"role": "system", "content": render("handoff_summarise", language)},
            {"role": "user", "content": "\n".join(lines)},
        ]
        try:
            async with asyncio.timeout(PATIENCE):
                tokens = estimate_prompt(messages, {})
                meter = await self._metering.open(Caller(None, address=""), model, Door.CONSOLE, prompt_tokens=tokens)
                answer = await self._generator.complete(model.name, messages)
                usage = answer.completion.usage
                if usage.estimated:
                    usage = await counted_usage(answer.model.upstream, messages, {}, answer.completion.written)
                await meter.settle(GenerationState.SUCCEEDED, answer.model.name, usage)
        except (TelefonistError, TimeoutError) as error:
            log.warning("summary_failed", reason=str(error))
            return None
        return answer.completion.text.replace("\x00", "").strip() or None


def _cut(text: str) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= LONGEST else flat[: LONGEST - 1] + "…"
