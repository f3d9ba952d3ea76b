"""Where does the cluster of a data folder live, with its locks, its log and its socket?

In the data folder, unless root must hand it to a user who cannot get there (below ``/root``, say): then below
``/var/lib/telefonist``. No parent's rights are ever changed.
"""

import hashlib
import os
import stat
import tempfile
from dataclasses import dataclass
from pathlib import Path

from telefonist.errors import ConfigurationError
from telefonist.storage.embedded.account import Account, own_account, owner_account, unprivileged_account

SYSTEM_DIR = Path("/var/lib/telefonist")
PORT = 5432
"""Only names the socket's file: no network port is opened."""
SOCKET = f".s.PGSQL.{PORT}"
LONGEST_SOCKET_PATH = 100
"""Bytes; ``sun_path`` holds 108 on Linux and 104 on macOS, the closing zero included."""


@dataclass(frozen=True, slots=True)
class Home:
    """A folder that holds one cluster, and the user who runs it; ``note`` says when that is not the data folder."""

    folder: Path
    account: Account
    note: str = ""

    @property
    def cluster(self) -> Path:
        return self.folder / "postgres"

    @property
    def new_cluster(self) -> Path:
        """Where a cluster is made, until it is complete."""
        return self.folder / "postgres.new"

    @property
    def log(self) -> Path:
        return self.folder / "postgres.log"


def find_home(data_dir: Path, system_dir: Path) -> Home:
    """Decide where the cluster of ``data_dir`` lives; one that is there already is never passed over.

    Raises ConfigurationError where its user cannot reach it, OSError where the folder cannot be made.
    """
    make_folder(data_dir, 0o700 if os.geteuid() != 0 else 0o711)
    if os.geteuid() != 0:
        return _own_home(data_dir)
    home = Home(data_dir, unprivileged_account())
    if home.cluster.exists():
        account = owner_account(home.cluster)
        if not account.can_enter(data_dir):
            raise ConfigurationError(
                f"The database in {home.cluster} belongs to user '{account.name}', who cannot get there. Let others "
                "pass through the folders above it (chmod o+x), or move the data folder to where that user can go."
            )
        return Home(data_dir, account)
    away = Home(system_dir / _digest(data_dir), home.account)
    if not away.cluster.exists():
        if home.account.can_enter(data_dir):
            return home
        make_folder(system_dir, 0o755)
        make_folder(away.folder, 0o755)
    account = owner_account(away.cluster) if away.cluster.exists() else home.account
    note = (
        f"The database is in {away.folder}: Telefonist runs as root, so PostgreSQL runs as user '{account.name}', who "
        f"cannot enter {data_dir}."
    )
    return Home(away.folder, account, note)


def claim_socket_folder(home: Home) -> Path:
    """Make or check the folder of the socket, whose rights are all that guards the database.

    Beside the cluster if the path is short and has no comma (which parts addresses in a client's eyes), else in a
    folder for temporary files. Raises ConfigurationError where somebody else made the folder before us.
    """
    name = f"telefonist-{_digest(home.folder)}"
    candidates = (home.folder / "socket", Path(tempfile.gettempdir(), name), Path("/tmp", name))  # noqa: S108  checked below
    for folder in candidates:
        usable = len(os.fsencode(folder / SOCKET)) < LONGEST_SOCKET_PATH and "," not in str(folder)
        if usable and home.account.can_enter(folder.parent):
            break
    else:
        raise ConfigurationError(f"No folder for the database's socket: user '{home.account.name}' cannot enter /tmp.")
    try:
        folder.mkdir(0o700)
        home.account.take(folder)
    except FileExistsError:
        found = folder.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != home.account.uid or found.st_mode & 0o077:
            raise ConfigurationError(
                f"{folder} is not a folder of user '{home.account.name}' alone (0700): somebody else may have made it. "
                "Remove it and start again."
            ) from None
    return folder


def make_folder(path: Path, mode: int) -> None:
    """Make a folder with just these rights, whatever the umask; one that is there is left as it is."""
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        path.mkdir()
    except FileExistsError:
        if not path.is_dir():
            raise NotADirectoryError(f"{path} is not a folder") from None
    else:
        path.chmod(mode)


def _own_home(data_dir: Path) -> Home:
    home = Home(data_dir, own_account())
    if home.cluster.exists() and not os.access(home.cluster, os.R_OK | os.W_OK | os.X_OK):
        raise ConfigurationError(
            f"The database in {home.cluster} belongs to user id {home.cluster.stat().st_uid}, not to "
            f"'{home.account.name}': it was made when Telefonist ran as root or as another user. Start Telefonist as "
            "before, or point TELEFONIST_DATA_DIR at a folder of your own."
        )
    if not os.access(data_dir, os.W_OK | os.X_OK):
        raise PermissionError(f"user '{home.account.name}' may not write to {data_dir}")
    return home


def _digest(path: Path) -> str:
    return hashlib.sha256(os.fsencode(path)).hexdigest()[:16]
