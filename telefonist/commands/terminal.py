"""The terminal: its language, and printing to it."""

import os
import sys
from contextlib import suppress

from telefonist.types import Language


def terminal_language() -> Language:
    """Choose the language of a terminal by ``LC_ALL``, ``LC_MESSAGES`` or ``LANG`` (POSIX, section 8.2)."""
    for name in ("LC_ALL", "LC_MESSAGES", "LANG"):
        value = os.environ.get(name)
        if value:
            return "ru" if value.lower().startswith("ru") else "en"
    return "en"


def say(text: str) -> None:
    """Print a line to standard output at once, also into a pipe; a pipe that was closed is nobody's loss."""
    with suppress(BrokenPipeError):
        sys.stdout.write(text + "\n")
        sys.stdout.flush()
