"""Counting tokens where the provider did not."""

from collections.abc import Sequence
from typing import Any

import orjson

from telefonist.types import Json, Usage, estimate_tokens


def estimate_prompt(messages: Sequence[Json], options: Json) -> int:
    """Estimate a prompt."""
    return estimate_tokens(orjson.dumps(list(messages), default=dict).decode())


def estimate_input(texts: Any) -> int:
    """Estimate what embeddings read."""
    return estimate_tokens(orjson.dumps(texts).decode())


async def counted_usage(model: str, messages: Sequence[Json], options: Json, written: str) -> Usage:
    """Count."""
    return Usage(estimate_prompt(messages, options), estimate_tokens(written), estimated=True)
