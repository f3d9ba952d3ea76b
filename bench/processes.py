"""Processes of a benchmark: started on a core, waited for, and stopped with everything below them."""

import http.client
import os
import random
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, suppress
from pathlib import Path

import psutil

from bench.measure import pinned, tree

SERVICE_CORE, TOOLS_CORE = 0, 1
START_SECONDS = 60.0
STOP_SECONDS = 30.0
PORTS = range(19000, 20000)
INHERITED = ("PATH", "HOME", "LANG", "TMPDIR")
"""What a process gets of our environment: nothing there may change what is measured."""


class Child:
    """A process with its log in a file of ``folder``, which is also its working folder."""

    def __init__(
        self,
        command: Sequence[str | Path],
        *,
        core: int,
        folder: Path,
        log: str,
        variables: Mapping[str, str] | None = None,
    ) -> None:
        self._log = folder / log
        inherited = {name: os.environ[name] for name in INHERITED if name in os.environ}
        with pinned(core), self._log.open("ab") as file:
            self._popen = subprocess.Popen(
                command, cwd=folder, env=inherited | dict(variables or {}), stdout=file, stderr=file
            )
        self.process = psutil.Process(self._popen.pid)

    def wait_for(self, port: int, path: str | None = None) -> None:
        """Wait until the port takes connections or, with a path, answers 200 there."""
        deadline = time.monotonic() + START_SECONDS
        while not _is_up(port, path):
            if self._popen.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{self._popen.args!r} did not start:\n{self._log.read_text()[-3000:]}")
            time.sleep(0.005)

    def stop(self) -> None:
        """Ask it to end, and kill what it leaves behind."""
        everything = tree(self.process) if self._popen.poll() is None else []
        self._popen.terminate()
        with suppress(subprocess.TimeoutExpired):
            self._popen.wait(STOP_SECONDS)
        for process in everything:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        self._popen.wait()


def free_port() -> int:
    """Give a port that nobody listens on, another one at each call."""
    return next(_free_ports)


def get(port: int, path: str) -> bytes | None:
    """Fetch a path of this machine; None unless it answers 200."""
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=5)) as connection, suppress(OSError):
        connection.request("GET", path)
        response = connection.getresponse()
        if response.status == http.HTTPStatus.OK:
            return response.read()
    return None


def _is_up(port: int, path: str | None) -> bool:
    if path is not None:
        return get(port, path) is not None
    with closing(socket.socket()) as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def _find_free_ports() -> Iterator[int]:
    start = random.choice(PORTS)  # another benchmark may be looking for ports too
    for port in (*range(start, PORTS.stop), *range(PORTS.start, start)):
        with closing(socket.socket()) as attempt:
            attempt.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                attempt.bind(("127.0.0.1", port))
            except OSError:
                continue
        yield port


_free_ports = _find_free_ports()
