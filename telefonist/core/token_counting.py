"""Counting tokens where the provider did not."""

import asyncio
from collections.abc import Sequence

from telefonist.core.tokenizers import PIECE, count_tokens, is_loaded, vocabulary_of
from telefonist.providers.openai_text import estimate_input, estimate_prompt, read_prompt
from telefonist.types import Json, Usage

__all__ = ["counted_usage", "estimate_input", "estimate_prompt"]


async def counted_usage(model: str, messages: Sequence[Json], options: Json, written: str) -> Usage:
    """Count a prompt and what a model wrote (all choices), for an answer without usage; marked ``estimated``.

    By the model's tokenizer, with OpenAI's frame around each message; a picture, a sound and a file count as a fixed
    number each (``openai_text.PART_TOKENS``). Long texts, and loading the tokenizer the first time, are a thread's
    work: the event loop goes on.
    """
    texts, other_tokens = read_prompt(messages, options)
    vocabulary = vocabulary_of(model)
    if is_loaded(vocabulary) and sum(map(len, texts)) + len(written) <= PIECE:
        prompt, completion = _count(texts, written, vocabulary)
    else:
        prompt, completion = await asyncio.to_thread(_count, texts, written, vocabulary)
    return Usage(prompt + other_tokens, completion, estimated=True)


def _count(texts: Sequence[str], written: str, vocabulary: str) -> tuple[int, int]:
    return sum(count_tokens(text, vocabulary) for text in texts), count_tokens(written, vocabulary)
