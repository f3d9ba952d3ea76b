"""Waiting for what is about to happen, without guessing how long it takes."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")


async def until(look: Callable[[], Awaitable[T]], timeout: float = 10.0) -> T:
    """Look again and again until what is seen is true; fails with the last thing seen."""
    deadline = time.monotonic() + timeout
    while True:
        seen = await look()
        if seen:
            return seen
        if time.monotonic() > deadline:
            raise AssertionError(f"did not happen within {timeout} s; last seen: {seen!r}")
        await asyncio.sleep(0.01)
