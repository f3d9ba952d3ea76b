"""The texts in OpenAI's messages, and about how many tokens they are; pure functions, no I/O."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import orjson

from telefonist.types import Json, estimate_tokens

MESSAGE_TOKENS = 4
"""What a message takes beside its text: role and separators.

Source: OpenAI Cookbook, "How to count tokens with tiktoken"; ``REPLY_TOKENS`` too."""

REPLY_TOKENS = 3
"""What opens the answer, once for each prompt."""

PART_TOKENS: Mapping[str, int] = {"image_url": 765, "input_audio": 600, "file": 1500}
"""What a part that is no text counts as, whatever its size: a picture of 1024 x 1024 pixels in high detail (OpenAI,
"Images and vision": 85 + 4 x 170), a minute of sound (one token for 100 ms), a file of about two pages."""

_PLAIN_FIELDS = frozenset({"role", "content"})
"""Of a message that is nothing but a text."""

_READ_OPTIONS = ("tools", "functions", "response_format")
"""Options that the model reads: they become a part of its prompt."""


class Prompt(NamedTuple):
    """What there is to count of a prompt: its texts, and the tokens of everything else."""

    texts: list[str]
    other_tokens: int


def read_prompt(messages: Sequence[Json], options: Json) -> Prompt:
    """Take a prompt apart; a definition of tools counts as the JSON it is."""
    texts = [written(message) for message in messages]
    texts += [orjson.dumps(options[name], default=dict).decode() for name in _READ_OPTIONS if options.get(name)]
    tokens = REPLY_TOKENS + MESSAGE_TOKENS * len(messages)
    for message in messages:
        if name := plain_text(message.get("name")):
            texts.append(name)
            tokens += 1
        content = message.get("content")
        if isinstance(content, list):
            tokens += sum(PART_TOKENS.get(str(part.get("type")), 0) for part in content if isinstance(part, Mapping))
    return Prompt(texts, tokens)


def estimate_prompt(messages: Sequence[Json], options: Json) -> int:
    """Estimate the tokens of a prompt, four bytes of its texts to one."""
    texts, other_tokens = read_prompt(messages, options)
    return sum(map(estimate_tokens, texts)) + other_tokens


def estimate_input(given: object) -> int:
    """Estimate the tokens of what is to be embedded: a text, tokens, or a list of either."""
    items = given if isinstance(given, list) else [given]
    return sum(
        estimate_tokens(item) if isinstance(item, str) else len(item) if isinstance(item, list) else 1 for item in items
    )


def plain_text(content: object) -> str:
    """Flatten a message's content, which is a string, null or a list of parts, to its text."""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return ""
    return "".join(part["text"] for part in content if isinstance(part, Mapping) and isinstance(part.get("text"), str))


def written(message: object) -> str:
    """Give everything in a message, or in what a chunk adds to one, that a model wrote (or reads) as text.

    Of a call that is its name and arguments. Reasoning goes by two names; where both are sent they say the same.
    """
    if not isinstance(message, Mapping):
        return ""
    text = plain_text(message.get("content"))
    if message.keys() <= _PLAIN_FIELDS:
        return text
    calls = message.get("tool_calls")
    return "".join(
        (
            plain_text(message.get("reasoning_content") or message.get("reasoning")),
            text,
            plain_text(message.get("refusal")),
            *map(_call, calls if isinstance(calls, list) else ()),
            _call({"function": message.get("function_call")}),
        )
    )


def _call(call: object) -> str:
    said = (call.get("function") or call.get("custom")) if isinstance(call, Mapping) else None
    if not isinstance(said, Mapping):
        return ""
    return "".join([plain_text(said.get(key)) for key in ("name", "arguments", "input")])
