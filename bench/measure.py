"""What a service costs: CPU seconds and memory of its whole process trees; what a figure was measured on; the tables.

CPU is counted rather than requests in a second, because a busy machine disturbs it least. It includes children, also
those that have ended and were waited for by their parent. Memory is PSS: pages that processes share are counted once,
in equal parts; pages shared with strangers (the C library) only by that part. Linux only.
"""

import importlib.metadata
import json
import os
import platform
import statistics
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import psutil

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "bench" / "results"
LIBRARIES = ("aiohttp", "asyncpg", "fastapi", "orjson", "pydantic", "uvicorn", "uvloop")
"""Those of ours on which speed depends most."""

Parts = Mapping[str, Sequence[psutil.Process]]
"""The processes of a service, by what they are to it."""

T = TypeVar("T")


def tree(root: psutil.Process) -> list[psutil.Process]:
    """Give a process with everything below it."""
    return [root, *root.children(recursive=True)]


def cpu_seconds(processes: Iterable[psutil.Process]) -> float:
    """CPU seconds, user and system, of processes and of their children that have ended.

    The kernel rounds each process's times down to 10 ms.
    """
    return sum(sum(times) for times in _each(processes, _cpu_times))


def pss_bytes(processes: Iterable[psutil.Process]) -> int:
    """Memory in bytes, shared pages in equal parts."""
    return sum(_each(processes, lambda process: int(process.memory_full_info().pss)))


def _cpu_times(process: psutil.Process) -> tuple[float, float, float, float]:
    times = process.cpu_times()
    return times.user, times.system, times.children_user, times.children_system


def _each(processes: Iterable[psutil.Process], look: Callable[[psutil.Process], T]) -> Iterator[T]:
    for process in processes:
        with suppress(psutil.NoSuchProcess):  # it ended meanwhile: its parent has its times
            yield look(process)


class CpuMeter:
    """Counts what the parts of a service use from the moment at which it is made."""

    def __init__(self, parts: Callable[[], Parts]) -> None:
        self._parts = parts
        self._before = self._read()

    def used(self) -> dict[str, float]:
        """CPU seconds since the beginning, by part."""
        return {name: seconds - self._before.get(name, 0.0) for name, seconds in self._read().items()}

    def _read(self) -> dict[str, float]:
        return {name: cpu_seconds(processes) for name, processes in self._parts().items()}


@contextmanager
def pinned(core: int) -> Iterator[None]:
    """Let what is started inside the block, and all that it starts, run on one core."""
    everywhere = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, everywhere)


def environment(folder: Path, parts: Iterable[Mapping[str, str]]) -> dict[str, Any]:
    """Record what figures depend on: ``folder`` is where data is kept, ``parts`` the versions of what is not ours."""
    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": _git("describe", "--always", "--dirty", "--abbrev=12"),
        "cpu": _cpu_model(),
        "cores": os.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "disk_flush_ms": _flush_milliseconds(folder),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "versions": {name: importlib.metadata.version(name) for name in LIBRARIES},
        "other_versions": [dict(versions) for versions in parts],
        "load_before": round(os.getloadavg()[0], 2),
    }


def save(name: str, results: Mapping[str, Any]) -> Path:
    """Write results as JSON; the newest is also there without its time in the name."""
    RESULTS.mkdir(exist_ok=True)
    text = json.dumps(results, indent=2, ensure_ascii=False) + "\n"
    path = RESULTS / f"{name}-{datetime.now(UTC):%Y%m%d-%H%M%S}.json"
    for each in (path, RESULTS / f"{name}.json"):
        each.write_text(text)
    return path


def medians(rounds: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Give the median of each figure over the rounds, all of which have the same figures."""
    return {name: statistics.median(figures[name] for figures in rounds) for name in rounds[0]}


def table(rows: Sequence[Sequence[str]]) -> str:
    """Set rows, the first being the head, as a Markdown table that can also be read as it is."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |" for row in rows
    ]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines)


def _cpu_model() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def _flush_milliseconds(folder: Path) -> float:
    """Time a write that has to reach the disk, which every 202 of ours waits for."""
    times = []
    with (folder / "flush").open("wb", buffering=0) as file:
        for _ in range(50):
            started = time.perf_counter()
            file.write(b"\0" * 8192)
            os.fdatasync(file.fileno())
            times.append(time.perf_counter() - started)
    return round(1000 * statistics.median(times), 2)


def _git(*arguments: str) -> str:
    done = subprocess.run(
        ["git", "-c", "safe.directory=*", *arguments], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return done.stdout.strip() or "unknown"
