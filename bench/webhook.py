"""The webhook's figures: Telefonist beside FastAPI + Celery + Redis, in turns, medians of three rounds.

``python -m bench.webhook`` measures everything in about five minutes, prints the table and writes ``bench/results``.
"""

import argparse
import signal
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path

from bench.counterparts import Counterparts
from bench.measure import CpuMeter, environment, medians, pss_bytes, save
from bench.services import WEBHOOK_SETTINGS, Celery, Service, Telefonist
from bench.webhook_report import report

Round = dict[str, float]

CONNECTIONS = 64
"""From which as much is posted as is accepted."""
RATE = 20
"""Webhooks a second, where latency is measured."""
WARM_UP = 300
REST, SETTLE = 2.0, 0.5
"""Seconds of quiet before idling is measured, and after the last callback: what is still being written counts."""
HALF_A_SECOND = "--marker=@@d500,c0,n1@@"


@dataclass(frozen=True, slots=True)
class Plan:
    """How much a round does of each; of 0 nothing."""

    busy: int
    """Webhooks as fast as they are accepted, with a model that answers at once."""
    paced: int
    """Webhooks at ``RATE`` a second."""
    slow: int
    """Webhooks as fast as they are accepted, with a model that takes half a second."""
    idle: float
    """Seconds without work."""


def contestants(folder: Path, model_url: str) -> list[tuple[Service, Plan]]:
    """Set up what is compared, and how much each does: enough to be measured, within a minute a round."""
    places = [folder / name for name in ("telefonist", "celery-processes", "celery-threads")]
    for place in places:
        place.mkdir()
    return [
        (
            Telefonist(places[0], WEBHOOK_SETTINGS.format(model_url=model_url)),
            Plan(busy=4000, paced=200, slow=1500, idle=20),
        ),
        (
            Celery("Celery, 8 processes", places[1], model_url, ["--pool=prefork", "--concurrency=8"]),
            Plan(busy=800, paced=200, slow=48, idle=5),
        ),
        (
            Celery("Celery, 64 threads", places[2], model_url, ["--pool=threads", "--concurrency=64"]),
            Plan(busy=800, paced=0, slow=192, idle=5),
        ),
    ]


def measure(service: Service, counterparts: Counterparts, plan: Plan, label: str) -> Round:
    """Start a service on what it has stored, let it do everything, and stop it."""
    try:
        figures: Round = {"ready_seconds": service.start()}
        counterparts.post(service.port, f"{label}-warm", WARM_UP, f"--connections={CONNECTIONS}")
        if plan.idle:
            figures |= _idle(service, plan.idle)
        if plan.busy:
            figures |= _busy(service, counterparts, plan.busy, f"{label}-busy")
        if plan.paced:
            figures |= _paced(service, counterparts, plan.paced, f"{label}-paced")
        if plan.slow:
            figures |= _slow(service, counterparts, plan.slow, f"{label}-slow")
        return figures | _memory(service, "memory_after")
    finally:
        service.stop()


def _idle(service: Service, seconds: float) -> Round:
    time.sleep(REST)
    meter = CpuMeter(service.parts)
    time.sleep(seconds)
    return {"idle_percent": 100 * sum(meter.used().values()) / seconds, **_memory(service, "idle_memory")}


def _busy(service: Service, counterparts: Counterparts, count: int, label: str) -> Round:
    meter = CpuMeter(service.parts)
    run = counterparts.post(service.port, label, count, f"--connections={CONNECTIONS}")
    time.sleep(SETTLE)
    used = meter.used()
    return {
        "cpu": 1000 * sum(used.values()) / count,
        **{f"cpu {part}": 1000 * seconds / count for part, seconds in used.items()},
        "per_second": count / run.seconds,
    }


def _paced(service: Service, counterparts: Counterparts, count: int, label: str) -> Round:
    meter = CpuMeter(service.parts)
    spreads = counterparts.time_callbacks(service.port, label, count, RATE)
    figures = {f"{name}_{quantile}": value for name, spread in spreads.items() for quantile, value in spread.items()}
    return {**figures, "paced_cpu": 1000 * sum(meter.used().values()) / count}


def _slow(service: Service, counterparts: Counterparts, count: int, label: str) -> Round:
    run = counterparts.post(service.port, label, count, f"--connections={CONNECTIONS}", HALF_A_SECOND)
    return {
        "in_flight": run.held_back,
        "in_flight_each": run.held_back / service.answerers(),
        "slow_per_second": count / run.seconds,
    }


def _memory(service: Service, name: str) -> Round:
    parts = {part: pss_bytes(processes) / 1e6 for part, processes in service.parts().items()}
    return {name: sum(parts.values()), **{f"{name} {part}": megabytes for part, megabytes in parts.items()}}


def main() -> None:
    """Measure in turns, save, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--alone", action="store_true", help="measure Telefonist and nothing beside it")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that everything is stopped
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="telefonist-bench-")))
        counterparts = Counterparts(folder)
        stack.callback(counterparts.stop)
        counterparts.start()
        contest = contestants(folder, counterparts.model_url)[: 1 if options.alone else None]
        record = environment(folder, [service.prepare() for service, _ in contest])
        rounds: dict[str, list[Round]] = {service.name: [] for service, _ in contest}
        for number in range(1, options.rounds + 1):
            for service, plan in contest:
                print(f"Round {number} of {options.rounds}: {service.name}...", flush=True)
                rounds[service.name].append(measure(service, counterparts, plan, f"round-{number}"))
    summary = {name: medians(measured) for name, measured in rounds.items()}
    plans = {service.name: asdict(plan) for service, plan in contest}
    path = save("webhook", {"environment": record, "plans": plans, "medians": summary, "rounds": rounds})
    print(f"\n{report(summary)}\n\n{path}")


if __name__ == "__main__":
    main()
