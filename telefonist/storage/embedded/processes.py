"""Which of PostgreSQL's processes are at work in a folder?

Asked of the system and not of ``postmaster.pid``, which outlives its server, and whose pid another program may have.
"""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

PROGRAMS = ("postgres", "initdb")

WATCH_SECONDS = 0.25
"""Between two looks at a process whose end nobody tells us."""


@dataclass(frozen=True, slots=True)
class Postmaster:
    """A live server as its ``postmaster.pid`` tells of it (PostgreSQL's ``src/include/utils/pidfile.h``)."""

    process: psutil.Process
    socket_dir: Path
    ready: bool
    """Takes connections: neither starting nor stopping."""


def read_pid_file(folder: Path) -> list[str]:
    """Give the lines of ``postmaster.pid``; fewer than eight, or none, where the server had no time to write them."""
    try:
        return (folder / "postmaster.pid").read_text(errors="surrogateescape").splitlines()
    except FileNotFoundError:
        return []


def find_postmaster(folder: Path) -> Postmaster | None:
    """Find the server of a cluster; a pid file left behind, or whose pid is another program's by now, is none."""
    match read_pid_file(folder):
        case [pid, _, _, _, socket_dir, _, _, status, *_] if (process := _process(pid)) and works_in(process, folder):
            return Postmaster(process, Path(socket_dir), status.strip() == "ready")
        case [pid, *_] if (process := _process(pid)) and works_in(process, folder):
            return Postmaster(process, folder, ready=False)
    return None


def processes_in(*folders: Path) -> Iterator[psutil.Process]:
    """Find every process of PostgreSQL that has one of these folders as its working folder, as all of them do."""
    for process in psutil.process_iter():
        if any(works_in(process, folder) for folder in folders):
            yield process


def works_in(process: psutil.Process, folder: Path) -> bool:
    """Tell whether this is a process of PostgreSQL at work in ``folder``."""
    try:
        return process.name() in PROGRAMS and Path(process.cwd()).samefile(folder)
    except (psutil.Error, OSError):
        return False  # gone meanwhile, or somebody else's


def is_alive(process: psutil.Process) -> bool:
    """Tell whether a process still runs; a zombie that nobody fetches does not."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


async def ended(process: psutil.Process, seconds: float) -> None:
    """Return as soon as a process has ended, or when the seconds are over.

    Linux tells of it (``pidfd_open(2)``, since 5.3), so that nobody wakes up to look; elsewhere returns after
    WATCH_SECONDS.
    """
    descriptor = _open(process.pid)
    if descriptor is None:
        await asyncio.sleep(min(seconds, WATCH_SECONDS))
        return
    loop, over = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(descriptor, over.set)
    try:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await over.wait()
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)


def send(signal_number: signal.Signals, *processes: psutil.Process) -> None:
    """Send a signal to those of the processes that are still there."""
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.send_signal(signal_number)


def _open(pid: int) -> int | None:
    if sys.platform == "linux":
        with contextlib.suppress(OSError):
            return os.pidfd_open(pid)
    return None


def _process(pid: str) -> psutil.Process | None:
    try:
        return psutil.Process(int(pid))
    except (ValueError, psutil.NoSuchProcess):
        return None
