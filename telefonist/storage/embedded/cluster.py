"""One cluster on disk and the processes at work in it: how it is made, started, adopted and stopped.

Everything here blocks, and is called under the start lock of ``supervisor``.
"""

import os
import shutil
import signal
import socket
import subprocess
import threading
from collections.abc import Sequence
from pathlib import Path

import psutil

from telefonist.errors import ConfigurationError
from telefonist.storage.embedded.binaries import Binaries, find_binaries
from telefonist.storage.embedded.configuration import DATABASE, initdb_options, server_options, sync_options
from telefonist.storage.embedded.locks import Patience, open_shared_file
from telefonist.storage.embedded.placement import SOCKET, Home, claim_socket_folder
from telefonist.storage.embedded.processes import (
    Postmaster,
    find_postmaster,
    is_alive,
    processes_in,
    read_pid_file,
    send,
)

MARKER = "made-by-telefonist"
"""A file in every cluster that was made to its end here; no other folder is ever started or replaced."""

READY_SECONDS = 120.0
"""For a start, recovery after a crash included."""
ORPHAN_SECONDS = 2.0
"""For what a dead server left behind: its processes notice by themselves, unless they are busy."""
STOP_SECONDS = 10.0
LOG_LIMIT = 4_000_000
"""Bytes; past it the log starts anew and the last one is kept beside it."""
LOG_TAIL_LINES = 15


class Cluster:
    """The PostgreSQL cluster of one home."""

    def __init__(self, home: Home, log_path: Path, system_dir: Path) -> None:
        self.home = home
        self.notes = [home.note] if home.note else []
        self._folder = home.cluster
        self._log_path = log_path
        self._system_dir = system_dir

    def ensure_running(self, patience: Patience) -> Postmaster:
        """Adopt the server that runs here, else end what a dead one left and start it, making the cluster first.

        Raises ConfigurationError that says what to do, OSError for what the file system refuses.
        """
        while True:
            if ready := self._await_ready(patience):
                return ready
            if not self._end_orphans(patience):
                break
        if not (self._folder / MARKER).exists():
            binaries = self._find_binaries()
            self._make(binaries)
        else:
            binaries = self._find_binaries(self.major)
        return self._start(binaries, patience)

    def stop(self) -> None:
        """Stop the server in order, in a hurry after 10 s; recovery at the next start then makes it whole."""
        if postmaster := find_postmaster(self._folder):
            send(signal.SIGINT, postmaster.process)
            if not Patience().wait_for(lambda: not is_alive(postmaster.process), STOP_SECONDS):
                self._end(list(processes_in(self._folder)))

    @property
    def major(self) -> int:
        """The major version of PostgreSQL that made the cluster."""
        major = (self._folder / "PG_VERSION").read_text().strip().partition(".")[0]
        if not major.isdecimal():
            raise ConfigurationError(f"The database in {self._folder} is damaged: PG_VERSION holds no version.")
        return int(major)

    def trim_log(self) -> None:
        """Keep the log from growing for ever: what is in it moves aside, and its open file starts anew."""
        with os.fdopen(open_shared_file(self._log_path, os.O_RDWR), "r+b") as log:
            if os.fstat(log.fileno()).st_size <= LOG_LIMIT:
                return
            aside = self._log_path.with_name(f"{self._log_path.name}.1")
            with os.fdopen(open_shared_file(aside, os.O_WRONLY | os.O_TRUNC), "wb") as kept:
                shutil.copyfileobj(log, kept)
            log.truncate(0)

    def _await_ready(self, patience: Patience) -> Postmaster | None:
        """Wait for the server that is there to be ready or gone."""
        postmaster: Postmaster | None = None

        def settled() -> bool:
            nonlocal postmaster
            postmaster = find_postmaster(self._folder)
            return postmaster is None or postmaster.ready

        if not patience.wait_for(settled, READY_SECONDS):
            raise ConfigurationError(
                f"The database in {self._folder} has been neither ready nor stopped for {READY_SECONDS:.0f} s. "
                f"Its log {self._log_path} ends with:\n{self._log_tail()}"
            )
        return postmaster

    def _end_orphans(self, patience: Patience) -> bool:
        """End what works here without a server; True where there was anything, for a server may have come up of it."""
        orphans = list(processes_in(self._folder, self.home.new_cluster))
        if not orphans:
            return False

        def settled() -> bool:
            return find_postmaster(self._folder) is not None or not any(map(is_alive, orphans))

        if not patience.wait_for(settled, ORPHAN_SECONDS):
            self._end(orphans)
        return True

    def _end(self, processes: list[psutil.Process]) -> None:
        for strong in (signal.SIGQUIT, signal.SIGKILL):
            send(strong, *processes)
            if Patience().wait_for(lambda: not any(map(is_alive, processes)), ORPHAN_SECONDS):
                return
        left = ", ".join(str(process.pid) for process in processes if is_alive(process))
        raise ConfigurationError(
            f"Processes of an earlier PostgreSQL in {self._folder} cannot be ended: {left}. "
            "End them by hand, or restart the machine if they hang on its disk."
        )

    def _find_binaries(self, major: int | None = None) -> Binaries:
        binaries = find_binaries(self.home.account, self._system_dir, major)
        if binaries.note and binaries.note not in self.notes:
            self.notes.append(binaries.note)
        return binaries

    def _make(self, binaries: Binaries) -> None:
        """Make a cluster beside its place and move it there whole, so that no half of one is ever started."""
        if self._folder.exists() and any(self._folder.iterdir()):
            raise ConfigurationError(
                f"{self._folder} holds files that Telefonist did not put there. Move them away or point "
                "TELEFONIST_DATA_DIR at another folder; to use a PostgreSQL of your own, set DATABASE_URL."
            )
        new = self.home.new_cluster
        if new.exists():
            shutil.rmtree(new)
        new.mkdir(0o700)
        try:
            self.home.account.take(new)
            initdb, postgres = binaries.folder / "initdb", binaries.folder / "postgres"
            self._run([initdb, "-D", new, "--no-sync", *initdb_options(binaries.major)], new)
            rename = f"ALTER DATABASE postgres RENAME TO {DATABASE}\n"  # a fifth quicker than to make one more
            self._run([postgres, "--single", "-F", "-D", new, "template1"], new, stdin=rename)
            self._run(["touch", new / MARKER], new)
            self._run([initdb, "-D", new, "--sync-only", *sync_options(binaries.major)], new)
            new.rename(self._folder)
        except BaseException:
            shutil.rmtree(new, ignore_errors=True)
            raise
        sync_folder(self.home.folder)

    def _run(self, command: Sequence[str | Path], folder: Path, stdin: str = "") -> None:
        try:
            done = self.home.account.run(command, folder=folder, stdin=stdin)
        except subprocess.TimeoutExpired as slow:
            raise ConfigurationError(f"Making the database in {folder} took over {slow.timeout:.0f} s.") from slow
        if done.returncode != 0 or "ERROR:" in done.stdout:
            raise ConfigurationError(
                f"The database in {self.home.folder} could not be made{remedy(done.stdout)}. "
                f"PostgreSQL says:\n{last_lines(done.stdout)}"
            )

    def _start(self, binaries: Binaries, patience: Patience) -> Postmaster:
        self._refuse_unseen_server()
        socket_dir = claim_socket_folder(self.home)
        for stale in (self._folder / "postmaster.pid", socket_dir / SOCKET, socket_dir / f"{SOCKET}.lock"):
            stale.unlink(missing_ok=True)
        self.trim_log()
        log = open_shared_file(self._log_path, os.O_WRONLY | os.O_APPEND)
        try:
            beginning = os.fstat(log).st_size
            process = subprocess.Popen(  # noqa: S603  our own arguments, no shell
                [binaries.folder / "postgres", "-D", self._folder, *server_options(binaries.major, socket_dir)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                **self.home.account.popen_options(self._folder),
            )
        finally:
            os.close(log)
        threading.Thread(target=process.wait, name="reap postgres", daemon=True).start()

        def ready() -> Postmaster | None:
            postmaster = find_postmaster(self._folder)
            return postmaster if postmaster and postmaster.ready else None

        try:
            patience.wait_for(lambda: ready() or process.returncode is not None, READY_SECONDS)
            if postmaster := ready():
                return postmaster
            tail = self._log_tail(beginning)
            how = "is not ready" if process.returncode is None else "ended at once"
            raise ConfigurationError(
                f"The database in {self._folder} {how}{remedy(tail)}. Its log {self._log_path} ends with:\n{tail}"
            )
        except BaseException:
            self._end(list(processes_in(self._folder)))
            raise

    def _refuse_unseen_server(self) -> None:
        """Keep off a cluster whose server answers though its process cannot be seen: two servers would destroy it."""
        try:
            socket_dir = read_pid_file(self._folder)[4]
            with socket.socket(socket.AF_UNIX) as client:
                client.connect(str(Path(socket_dir, SOCKET)))
        except (OSError, IndexError):
            return
        raise ConfigurationError(
            f"A PostgreSQL that this process cannot see, in another container perhaps, runs on {self._folder}. "
            "Stop it first; for several containers, run PostgreSQL by itself and set DATABASE_URL."
        )

    def _log_tail(self, beginning: int = 0) -> str:
        try:
            with self._log_path.open("rb") as log:
                log.seek(beginning)
                return last_lines(log.read().decode(errors="replace"))
        except FileNotFoundError:
            return "(no log)"


def sync_folder(folder: Path) -> None:
    """Make a rename in ``folder`` outlast a power failure."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remedy(output: str) -> str:
    """Say in a few words what PostgreSQL's output means for whoever runs the machine, where we know."""
    if "No space left on device" in output:
        return ": the disk is full, free some space and start again"
    if "Read-only file system" in output:
        return ": the disk can only be read"
    if "has wrong ownership" in output:
        return ": its files belong to another user than PostgreSQL runs as (chown -R)"
    return ""


def last_lines(text: str) -> str:
    return "\n".join(text.strip().splitlines()[-LOG_TAIL_LINES:])
