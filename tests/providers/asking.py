"""How the provider tests ask, and gather what comes."""

from collections.abc import Iterable
from contextlib import aclosing
from typing import Any

from telefonist.providers.base import Provider
from telefonist.types import ChatRequest, Delta


def ask(text: str = "Hello", **options: Any) -> ChatRequest:
    return ChatRequest("gpt-4", [{"role": "user", "content": text}], options)


def conversation(*texts: str) -> list[dict[str, str]]:
    """Make the messages of a person who said these things, each of them answered."""
    messages = [{"role": "system", "content": "You are a helpful assistant."}]
    for text in texts:
        messages += [{"role": "user", "content": text}, {"role": "assistant", "content": "All right."}]
    return messages[:-1]


async def stream(provider: Provider, request: ChatRequest, into: list[Delta] | None = None) -> list[Delta]:
    """Gather a whole stream; ``into`` keeps what had arrived when it fails."""
    gathered: list[Delta] = [] if into is None else into
    async with aclosing(provider.stream(request)) as batches:
        async for batch in batches:
            gathered.extend(batch)
    return gathered


def text_of(deltas: Iterable[Delta]) -> str:
    return "".join(delta.text for delta in deltas)


def written_in(deltas: Iterable[Delta]) -> str:
    return "".join(delta.written for delta in deltas)
