"""Values: ids, times, tokens and money.

Times are aware UTC, ids are UUIDv7 (RFC 9562), money is integers in millionths of a credit.
"""

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal
from uuid import UUID

Json = Mapping[str, Any]
Language = Literal["ru", "en"]
Catalogue = Mapping[str, Mapping[Language, str]]
"""Texts by their code, each in every language."""

MICROCREDITS = 1_000_000
"""Millionths in one credit: every amount of money in the code counts these."""


def new_id() -> UUID:
    """Make a UUIDv7 with 74 random bits, so that an id cannot be guessed although it sorts by time.

    Source: RFC 9562, section 5.7 (``unix_ts_ms``, then ``rand_a`` and ``rand_b`` without a counter).
    """
    milliseconds = time.time_ns() // 1_000_000
    value = (milliseconds & 0xFFFF_FFFF_FFFF) << 80 | int.from_bytes(os.urandom(10), "big")
    value = value & ~(0xF << 76) | 0x7 << 76
    value = value & ~(0x3 << 62) | 0x2 << 62
    return UUID(int=value)


def utc_now() -> datetime:
    """Tell the time as an aware UTC value, the only kind the house stores."""
    return datetime.now(UTC)


def estimate_tokens(text: str) -> int:
    """Estimate the tokens of a text where nobody counted them: a quarter of its UTF-8 bytes, rounded up.

    Close for English (about four letters to a token) and, two bytes to a Cyrillic letter, fair for Russian.
    """
    return -(-len(text.encode(errors="surrogatepass")) // 4)


def format_credits(microcredits: int) -> str:
    """Write an amount as credits, exactly and without needless zeros: ``-0.5``, ``12``, ``0.000001``."""
    whole, rest = divmod(abs(microcredits), MICROCREDITS)
    fraction = f".{rest:06d}".rstrip("0") if rest else ""
    return f"{'-' if microcredits < 0 else ''}{whole}{fraction}"


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one generation, as the provider counted them or, marked ``estimated``, as we did."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    estimated: bool = False

    @property
    def total_tokens(self) -> int:
        return self.prompt_tokens + self.completion_tokens
