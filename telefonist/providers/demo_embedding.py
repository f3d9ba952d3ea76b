"""The vectors of the built-in model: hashed words and trigrams, so that texts which share them lie close together."""

import base64
import math
import re
import struct
import zlib
from collections.abc import Iterator, Sequence

DIMENSIONS = 256
MOST_DIMENSIONS = 4096
_MOST_READ = 8192
"""Characters of a text that are looked at: a bound on the time that one takes."""


def vector_of(text: str, dimensions: int = DIMENSIONS) -> list[float]:
    """Give a text's vector of length 1, the same on every machine.

    Each feature adds 1 or takes it away at a place that its hash decides, so that texts without a common feature are
    about orthogonal (feature hashing: Weinberger et al. 2009, arXiv 0902.2206).
    """
    vector = [0.0] * dimensions
    for feature in _features(text[:_MOST_READ].casefold()):
        place, sign = divmod(zlib.crc32(feature.encode(errors="replace")), 2)
        vector[place % dimensions] += 2 * sign - 1
    length = math.hypot(*vector)
    return [value / length for value in vector] if length else [1.0] + [0.0] * (dimensions - 1)


def as_base64(vector: Sequence[float]) -> str:
    """Write a vector as OpenAI's ``encoding_format: base64`` does: 32-bit little-endian floats."""
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()


def _features(text: str) -> Iterator[str]:
    for word in re.findall(r"\w+|[^\w\s]", text):
        framed = f" {word} "
        yield framed
        yield from (framed[start : start + 3] for start in range(len(framed) - 2))
