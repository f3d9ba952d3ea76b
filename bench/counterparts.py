"""Who a service under test talks to: the model, the receiver of callbacks, and those who post."""

import json
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.measure import ROOT, pinned
from bench.processes import TOOLS_CORE, Child, free_port, get

TOOLS = ROOT / "bench" / "tools"
UPSTREAM = ROOT / "bench" / "bin" / "upstream"
PATIENCE = 60.0
"""Seconds without a callback after which work counts as lost."""


@dataclass(frozen=True, slots=True)
class Run:
    """What came of posting: seconds until the last callback, and how many requests the model held back at once."""

    seconds: float
    held_back: int


class Counterparts:
    """The fake model and the receiver, one small C program each, and a process that posts for each run."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._children: list[Child] = []
        self._model, self._receiver, self._listener = free_port(), free_port(), free_port()
        self.model_url = f"http://127.0.0.1:{self._model}/v1"

    def start(self) -> None:
        """Compile and start the model and the receiver."""
        UPSTREAM.parent.mkdir(exist_ok=True)
        subprocess.run(["gcc", "-O2", "-o", UPSTREAM, TOOLS / "upstream.c"], check=True)
        for port in (self._model, self._receiver):
            self._children.append(Child([UPSTREAM, str(port)], core=TOOLS_CORE, folder=self._folder, log="tools.log"))
            self._children[-1].wait_for(port)

    def stop(self) -> None:
        """Stop both."""
        for child in self._children:
            child.stop()

    def post(self, port: int, name: str, count: int, *options: str) -> Run:
        """Post webhooks to a service and wait for every callback.

        Raises RuntimeError when one is missing or the model was not asked for each.
        """
        model, receiver = self._stats(self._model), self._stats(self._receiver)
        started = time.monotonic()
        self._run(port, self._receiver, name, count, *options)
        seen, seen_at = -1, started
        while seen < count:
            now = self._stats(self._receiver)["served"] - receiver["served"]
            if now > seen:
                seen, seen_at = now, time.monotonic()
            elif time.monotonic() - seen_at > PATIENCE:
                raise RuntimeError(f"{count - seen} of {count} callbacks never came.")
            time.sleep(0.02)
        after = self._stats(self._model)
        if after["served"] - model["served"] < count:
            raise RuntimeError(f"The model was asked {after['served'] - model['served']} times for {count} webhooks.")
        return Run(seen_at - started, after["peak"])

    def time_callbacks(self, port: int, name: str, count: int, rate: float) -> dict[str, dict[str, float]]:
        """Post at a rate and give the spread of the times until 202 and callback, in milliseconds."""
        report = self._run(port, self._listener, name, count, f"--rate={rate}", f"--listen={self._listener}")
        if report["missing"] or report["strange"]:
            raise RuntimeError(f"Callbacks are missing or strange: {report}")
        return {name: spread for name, spread in report.items() if name.endswith("_ms")}

    def _run(self, port: int, callback_port: int, name: str, count: int, *options: str) -> dict[str, Any]:
        command = [
            *(sys.executable, str(TOOLS / "webhooks.py"), f"--name={name}", f"--count={count}", *options),
            f"--url=http://127.0.0.1:{port}/webhook",
            f"--callback=http://127.0.0.1:{callback_port}/callback",
        ]
        with pinned(TOOLS_CORE):
            done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
        report: dict[str, Any] = json.loads(done.stdout)
        if report["accepted"] != count:
            raise RuntimeError(f"Not every webhook was accepted: {report}")
        return report

    def _stats(self, port: int) -> dict[str, int]:
        stats: dict[str, int] = json.loads(get(port, "/__stats") or b"{}")
        return stats
