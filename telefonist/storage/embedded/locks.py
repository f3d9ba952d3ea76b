"""How do processes that share a data folder keep out of each other's way?

By ``flock``, which the kernel lets go of however a process ends.
"""

import fcntl
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Self, TypeVar

from telefonist.errors import ConfigurationError

T = TypeVar("T")

POLL_SECONDS = 0.01


class Abandoned(Exception):
    """Nobody wants the result of this wait any more."""


class Patience:
    """Waits that end at once when their caller has gone: a thread cannot be cancelled, but it can be told."""

    def __init__(self) -> None:
        self._lost = threading.Event()

    def lose(self) -> None:
        """Make the wait under way, and every later one, raise ``Abandoned``."""
        self._lost.set()

    def wait_for(self, condition: Callable[[], T | None], seconds: float) -> T | None:
        """Give what ``condition`` gives as soon as that is true, or None after ``seconds``."""
        deadline = time.monotonic() + seconds
        while not (result := condition()):
            if time.monotonic() >= deadline:
                return None
            if self._lost.wait(POLL_SECONDS):
                raise Abandoned
        return result


class FileLock:
    """One open lock file; raises OSError where the file system has no locks."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor = open_shared_file(path, os.O_RDWR)

    def share(self, patience: Patience, seconds: float) -> None:
        """Take the lock beside others who share it; raises ConfigurationError when it stays taken."""
        self._take(fcntl.LOCK_SH, patience, seconds)

    def take_alone(self, patience: Patience, seconds: float) -> None:
        """Take the lock when nobody else has it; raises ConfigurationError when it stays taken."""
        self._take(fcntl.LOCK_EX, patience, seconds)

    def became_ours_alone(self) -> bool:
        """Take the lock alone if nobody shares it; if somebody does, our own share may be gone after it (flock(2))."""
        return self._try(fcntl.LOCK_EX)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._descriptor)

    def _take(self, operation: int, patience: Patience, seconds: float) -> None:
        if not patience.wait_for(lambda: self._try(operation), seconds):
            raise ConfigurationError(
                f"Another Telefonist has been starting or stopping the database for {seconds:.0f} s: it holds "
                f"{self._path}. Look at what it does, end it, and start again."
            )

    def _try(self, operation: int) -> bool:
        try:
            fcntl.flock(self._descriptor, operation | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


def open_shared_file(path: Path, flags: int) -> int:
    """Open or make a file; one that root makes belongs to its folder's owner, who may be the next to need it."""
    flags |= os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        descriptor = os.open(path, flags | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return os.open(path, flags)
    if os.geteuid() == 0:
        folder = path.parent.stat()
        os.fchown(descriptor, folder.st_uid, folder.st_gid)
    return descriptor
