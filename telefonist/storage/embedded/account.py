"""As whom do PostgreSQL's programs run?

PostgreSQL refuses to run as root, so root hands it to an unprivileged user; everybody else runs it as themselves.
"""

import os
import pwd
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from telefonist.errors import ConfigurationError

UNPRIVILEGED = ("telefonist", "nobody", "daemon")
"""Users that root may hand a new cluster to.

Other programs run as ``nobody`` too, and could read the data; a system user ``telefonist`` keeps it from them.
"""

ENVIRONMENT: Mapping[str, str] = {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"}
"""All that PostgreSQL sees of our environment: keys and tokens stay with us, and its messages come in English."""


@dataclass(frozen=True, slots=True)
class Account:
    """The user that PostgreSQL runs as; ``dropped`` when that is not the one we run as."""

    name: str
    uid: int
    gid: int
    dropped: bool

    def popen_options(self, folder: Path | str = "/") -> dict[str, Any]:
        """Give what every program of this user is started with: out of reach of the terminal's Ctrl-C, for one."""
        options: dict[str, Any] = {"cwd": folder, "env": ENVIRONMENT, "umask": 0o077, "start_new_session": True}
        if self.dropped:
            options |= {"user": self.uid, "group": self.gid, "extra_groups": []}
        return options

    def run(
        self, command: Sequence[str | Path], *, folder: Path | str = "/", stdin: str = "", timeout: float = 120.0
    ) -> subprocess.CompletedProcess[str]:
        """Run a program to its end with both outputs together in ``stdout``; raises OSError where it cannot be run."""
        return subprocess.run(  # noqa: S603  our own arguments, no shell
            command,
            input=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
            timeout=timeout,
            check=False,
            **self.popen_options(folder),
        )

    def can_enter(self, folder: Path) -> bool:
        """Tell whether this user gets into ``folder``, by trying: mode bits, ACLs and mounts all have their say."""
        try:
            return self.run(["/bin/sh", "-c", 'cd -- "$1"', "sh", folder]).returncode == 0
        except OSError as error:
            raise ConfigurationError(
                f"Root may not start a program as user '{self.name}' here ({error.strerror}), and PostgreSQL does not "
                "run as root. Start Telefonist as an ordinary user, or set DATABASE_URL."
            ) from error

    def take(self, path: Path) -> None:
        """Make this user the owner of a file or folder that we have just made."""
        if self.dropped:
            os.chown(path, self.uid, self.gid, follow_symlinks=False)


def own_account() -> Account:
    """Give the user we run as; raises ConfigurationError where the system does not know it, as PostgreSQL would."""
    return _account_of(os.geteuid(), dropped=False)


def unprivileged_account() -> Account:
    """Choose the user that root hands a new cluster to; raises ConfigurationError where there is none."""
    for name in UNPRIVILEGED:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        if entry.pw_uid != 0:
            return Account(entry.pw_name, entry.pw_uid, entry.pw_gid, dropped=True)
    raise ConfigurationError(
        "PostgreSQL does not run as root, and this system has none of the users "
        f"{', '.join(UNPRIVILEGED)} to run it as. Add one ('useradd --system telefonist'), start Telefonist as an "
        "ordinary user, or set DATABASE_URL."
    )


def owner_account(path: Path) -> Account:
    """Give root the user that a cluster belongs to, so that it goes on as whoever made it."""
    owner = path.stat().st_uid
    return _account_of(owner, dropped=True) if owner != 0 else unprivileged_account()


def _account_of(uid: int, *, dropped: bool) -> Account:
    try:
        entry = pwd.getpwuid(uid)
    except KeyError:
        raise ConfigurationError(
            f"The user id {uid} has no entry in the system's user database, and PostgreSQL does not run without one. "
            "Add the user, start Telefonist as another one, or set DATABASE_URL."
        ) from None
    return Account(entry.pw_name, uid, entry.pw_gid, dropped=dropped)
