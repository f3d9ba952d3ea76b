"""The secret that the service makes for itself when nobody gave it one."""

import os
import secrets
from pathlib import Path

from telefonist.errors import ConfigurationError

FILE_NAME = "secret"


def read_or_make_secret(data_dir: Path) -> str:
    """Give the secret of the data folder, made at the first start and the same ever after.

    The file is complete from the moment it has its name and is readable by its owner only; of several processes that
    start at once, one makes it and all read the same. Raises ConfigurationError where the folder cannot be written or
    the file is empty or unreadable: a new secret in its place would make everything unreadable that the old one sealed.
    """
    path = data_dir / FILE_NAME
    try:
        if not path.exists():
            data_dir.mkdir(parents=True, exist_ok=True)
            _make(path)
        secret = path.read_text(encoding="ascii").strip()
    except UnicodeDecodeError:
        secret = ""
    except OSError as error:
        raise ConfigurationError(
            f"The secret of this service cannot be kept in {path} ({error.strerror}): make the data folder writable, "
            "choose another with TELEFONIST_DATA_DIR, or set TELEFONIST_SECRET."
        ) from error
    if not secret:
        raise ConfigurationError(
            f"{path} holds no secret: bring it back from a backup; or delete it, and a new one is made, with which "
            "tokens and stored secrets of the old one are no longer valid."
        )
    return secret


def _make(path: Path) -> None:
    draft = path.with_name(f".{FILE_NAME}.{os.getpid()}.{secrets.token_hex(8)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(secrets.token_hex(32) + "\n")
            file.flush()
            os.fsync(file.fileno())
        _give_name(draft, path)
    finally:
        draft.unlink()
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _give_name(draft: Path, path: Path) -> None:
    """Link instead of rename: it fails where another process was first, whose secret then holds."""
    try:
        path.hardlink_to(draft)
    except FileExistsError:
        return
