"""The model API's figures: Telefonist beside a bare gateway, in turns, medians of three rounds.

``python -m bench.api`` measures everything in some minutes, prints the tables and writes ``bench/results``.
"""

import argparse
import resource
import signal
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path

from bench.api_load import Load, Pace
from bench.api_report import report
from bench.gateways import Direct, Free, Gateway, LiteLLM, OwnGateway, Reference
from bench.measure import CpuMeter, environment, medians, pss_bytes, save

Round = dict[str, float]

CONNECTIONS = 128
SETTLE = 0.5
"""Seconds of quiet after a run, before what it cost is read: what is still being written counts."""

RATE = 50
"""Streams begun in a second where their first token is timed."""

TIMED = Pace(delay=20, between=5, chunks=20)
ONE_BY_ONE = Pace(between=20, chunks=100)
"""Slow enough that each chunk is read, and sent on, alone."""

FLOOD = Pace(between=1, chunks=200)
"""More than any gateway can pass on with one core."""

HELD_OPEN = Pace(between=1000, chunks=15)


@dataclass(frozen=True, slots=True)
class Plan:
    """How much a round does of each; of 0 nothing."""

    warm_up: int = 1000
    plain: int = 10_000
    timed: int = 400
    """Streams whose first token is timed."""
    one_by_one: int = 384
    flood: int = 256
    held_open: int = 0
    """Streams open at once when memory is read."""


FULL = Plan(held_open=2000)
SLOW = Plan(warm_up=100, plain=500, one_by_one=128, flood=32)
"""For what needs several milliseconds for a request."""


def measure(gateway: Gateway, load: Load, plan: Plan) -> Round:
    """Let a gateway that runs do everything once."""
    figures: Round = {}
    if plan.warm_up:
        load.run(gateway, plan.warm_up, connections=CONNECTIONS)
    if plan.plain:
        figures |= _plain(gateway, load, plan.plain)
    if plan.timed:
        timed = load.run(gateway, plan.timed, connections=CONNECTIONS, pace=TIMED, rate=RATE)
        figures |= {"first_token_ms": timed["ttft_p50"], "first_token_ms_p99": timed["ttft_p99"]}
    if plan.one_by_one:
        figures |= _chunks(gateway, load, plan.one_by_one, ONE_BY_ONE, "one_by_one")
    if plan.flood:
        figures |= _chunks(gateway, load, plan.flood, FLOOD, "flood")
    if plan.held_open:
        figures |= _memory(gateway, load, plan.held_open)
    return figures


def _plain(gateway: Gateway, load: Load, count: int) -> Round:
    meter = CpuMeter(gateway.parts)
    seen = load.run(gateway, count, connections=CONNECTIONS)
    time.sleep(SETTLE)
    used = {f"cpu {part}": 1000 * seconds / count for part, seconds in meter.used().items()}
    return {**used, "per_second": seen["rps"], "p50_ms": seen["p50"], "p99_ms": seen["p99"]}


def _chunks(gateway: Gateway, load: Load, count: int, pace: Pace, name: str) -> Round:
    meter = CpuMeter(gateway.parts)
    seen = load.run(gateway, count, connections=CONNECTIONS, pace=pace)
    time.sleep(SETTLE)
    web = meter.used()["web"]
    return {f"{name} per_second": seen["chunks_s"], f"{name} per_cpu_second": seen["chunks"] / web}


def _memory(gateway: Gateway, load: Load, count: int) -> Round:
    before = _megabytes(gateway)
    opened: Round = {}
    load.while_open(gateway, count, HELD_OPEN, lambda: opened.update(_megabytes(gateway)))
    more = {f"streams_memory {part}": opened[part] - megabytes for part, megabytes in before.items()}
    return {"memory": sum(before.values()), "streams_memory": sum(more.values()), **more}


def _megabytes(gateway: Gateway) -> Round:
    return {part: pss_bytes(processes) / 1e6 for part, processes in gateway.parts().items()}


def contestants(folder: Path, load: Load, *, litellm: bool) -> Mapping[Gateway, Plan]:
    """Set up what is compared, and how much each does."""
    own = OwnGateway(folder / "telefonist", load.model_url)
    plans: dict[Gateway, Plan] = {
        own: FULL,
        Free(own): Plan(),
        Reference("aiohttp", folder / "aiohttp", load.model_url): FULL,
        Reference("pyreqwest", folder / "pyreqwest", load.model_url): FULL,
        Direct(load.port): Plan(warm_up=0, plain=0, one_by_one=0, flood=0),
    }
    if litellm:
        plans[LiteLLM(folder / "litellm", load.model_url)] = SLOW
    return plans


def main() -> None:
    """Measure in turns, save, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--with", dest="beside", choices=["litellm"], help="measure this too, which is installed")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that everything is stopped
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # each stream is four open files
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="telefonist-bench-")))
        load = Load(folder)
        stack.callback(load.stop)
        load.start()
        plans = contestants(folder, load, litellm=options.beside == "litellm")
        versions = []
        for gateway in plans:
            stack.callback(gateway.stop)
            versions.append(gateway.prepare())
        record = environment(folder, versions)
        rounds: dict[str, list[Round]] = {gateway.name: [] for gateway in plans}
        for number in range(1, options.rounds + 1):
            for gateway, plan in plans.items():
                print(f"Round {number} of {options.rounds}: {gateway.name}...", flush=True)
                rounds[gateway.name].append(measure(gateway, load, plan))
    summary = {name: medians(measured) for name, measured in rounds.items()}
    used = {gateway.name: asdict(plan) for gateway, plan in plans.items()}
    path = save("api", {"environment": record, "plans": used, "medians": summary, "rounds": rounds})
    print(f"\n{report(summary)}\n\n{path}")


if __name__ == "__main__":
    main()
