"""Who a gateway under test talks to: the fake upstream, and whoever asks it for answers."""

import json
import subprocess
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.gateways import Gateway
from bench.measure import ROOT, pinned
from bench.processes import TOOLS_CORE, Child, free_port, get

TOOLS, BINARIES = ROOT / "bench" / "tools", ROOT / "bench" / "bin"
LONGEST = 300
"""Seconds that a run may take."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How the upstream answers: milliseconds until the first byte and between chunks, and how many chunks."""

    delay: int = 0
    between: int = 0
    chunks: int = 50

    def __str__(self) -> str:
        return f"@@d{self.delay},c{self.between},n{self.chunks}@@"


class Load:
    """The upstream, and runs of requests for answers; both are small C programs, so that neither is the limit."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._upstream: Child | None = None
        self.port = free_port()
        self.model_url = f"http://127.0.0.1:{self.port}/v1"

    def start(self) -> None:
        """Compile both, and start the upstream."""
        BINARIES.mkdir(exist_ok=True)
        for tool in ("upstream", "loadgen"):
            subprocess.run(["gcc", "-O2", "-w", "-o", BINARIES / tool, TOOLS / f"{tool}.c", "-lm"], check=True)
        command: list[str | Path] = [BINARIES / "upstream", str(self.port)]
        self._upstream = Child(command, core=TOOLS_CORE, folder=self._folder, log="tools.log")
        self._upstream.wait_for(self.port)

    def stop(self) -> None:
        """Stop the upstream."""
        if self._upstream is not None:
            self._upstream.stop()

    def run(
        self, gateway: Gateway, count: int, *, connections: int, pace: Pace | None = None, rate: float = 0
    ) -> dict[str, Any]:
        """Ask ``count`` times, as fast as answers come or ``rate`` times a second; streamed where a pace is given.

        Gives what the generator prints: times in milliseconds. Raises RuntimeError unless all are answered whole.
        """
        body = self._folder / f"{gateway.model}.json"
        body.write_text(json.dumps(_body(gateway.model, pace)))
        command: list[str | Path] = [
            *(BINARIES / "loadgen", "-u", f"http://127.0.0.1:{gateway.port}/v1/chat/completions", "-b", body),
            *("-c", str(connections), "-n", str(count), "-d", str(LONGEST)),
            *(("-r", str(rate)) if rate else ()),
            *(("-K", gateway.keys) if gateway.keys else ()),
        ]
        with pinned(TOOLS_CORE):
            done = subprocess.run(command, stdout=subprocess.PIPE, check=True, timeout=2 * LONGEST)
        report: dict[str, Any] = json.loads(done.stdout)
        if report["ok"] != count or report["no_done"]:
            raise RuntimeError(f"{gateway.name}: not all of {count} answers came whole: {report}")
        return report

    def while_open(self, gateway: Gateway, count: int, pace: Pace, look: Callable[[], None]) -> None:
        """Open ``count`` streams and call ``look`` while all of them are."""
        with ThreadPoolExecutor() as pool:
            running = pool.submit(self.run, gateway, count, connections=count, pace=pace)
            while self.open_streams() < count and not running.done():
                time.sleep(0.05)
            look()
            running.result()

    def open_streams(self) -> int:
        """Count the answers that the upstream is in the middle of."""
        return int(json.loads(get(self.port, "/__stats") or b"{}").get("waiting", 0))


def _body(model: str, pace: Pace | None) -> dict[str, Any]:
    question = "Say something about foxes." + (f" {pace}" if pace else "")
    body: dict[str, Any] = {
        "model": model,
        "messages": [
            {"role": "system", "content": "You are a terse assistant."},
            {"role": "user", "content": question},
        ],
        "temperature": 0.7,
        "max_tokens": 256,
    }
    return {**body, "stream": True} if pace else body
