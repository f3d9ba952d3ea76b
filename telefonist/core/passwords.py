"""Passwords: hashed with argon2id, off the event loop, and no faster for a user who does not exist.

Source: OWASP Password Storage Cheat Sheet (argon2id with 19 MiB, two passes, one lane) and NIST SP 800-63B, section
5.1.1.2 (what is typed is normalised, so that it is the same from every keyboard).
"""

import asyncio
import unicodedata
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher

from telefonist.errors import Unavailable

SHORTEST = 8
LONGEST = 256
"""Characters."""

HASHER = Argon2Hasher(time_cost=2, memory_cost=19_456, parallelism=1)

NOBODYS = "$argon2id$v=19$m=19456,t=2,p=1$Wk5ilJ1CSGyIY3z781PioA$3Xpdpqyg4TC3GFb2Tp1Df87t4piULIs3qn0yce29zAQ"
"""What the password of a user who does not exist is compared with: it costs the same and matches nothing."""

THREADS = 2
"""Passwords hashed at once; each takes 19 MiB and 20 to 60 ms of a core."""

LONGEST_QUEUE = 100
"""Passwords that may wait, a few seconds' work; more are refused rather than kept waiting."""

RETRY_AFTER = 2
"""Seconds that a caller is told to wait then."""

Result = TypeVar("Result")


class Passwords:
    """Hashes and compares passwords in a few threads of its own."""

    def __init__(self) -> None:
        self._hash = PasswordHash((HASHER,))
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="passwords")
        self._waiting = 0

    async def hash(self, password: str) -> str:
        """Give what is to be stored of a password; raises Unavailable while too many wait."""
        return await self._run(lambda: self._hash.hash(_normal(password)))

    async def matches(self, password: str, stored: str | None) -> bool:
        """Compare a password with a stored hash; with None it takes as long and is false. Raises Unavailable."""
        matches = await self._run(lambda: self._hash.verify(_normal(password), stored or NOBODYS))
        return matches and stored is not None

    def close(self) -> None:
        """Take no more; what is being hashed is finished."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _run(self, work: Callable[[], Result]) -> Result:
        if self._waiting >= LONGEST_QUEUE:
            raise Unavailable("passwords_busy", seconds=RETRY_AFTER)
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        finally:
            self._waiting -= 1


def _normal(password: str) -> str:
    return unicodedata.normalize("NFKC", password)
