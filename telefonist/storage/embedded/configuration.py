"""How is PostgreSQL set up: in which locale, with how much memory, how durable, and what does it log?"""

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote

from telefonist.storage.embedded.placement import PORT

ROLE = DATABASE = "telefonist"
LINUX = sys.platform == "linux"

SETTINGS: Mapping[str, str] = {
    "listen_addresses": "",
    "port": str(PORT),
    "unix_socket_permissions": "0700",
    "cluster_name": "telefonist",
    "max_connections": "60",
    "shared_buffers": "32MB",
    "min_wal_size": "32MB",
    "max_wal_size": "256MB",
    "max_logical_replication_workers": "0",
    "max_parallel_workers_per_gather": "0",
    "jit": "off",
    "fsync": "on",
    "synchronous_commit": "on",
    # Queues update their rows all the time: clean up early, little at once.
    "autovacuum": "on",
    "autovacuum_naptime": "15s",
    "autovacuum_max_workers": "2",
    "autovacuum_vacuum_scale_factor": "0.05",
    "autovacuum_analyze_scale_factor": "0.05",
    # The log tells of the server. A failed statement is told to its client, and may hold a user's words.
    "logging_collector": "off",
    "log_min_messages": "log",
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
    "log_checkpoints": "off",
}


def initdb_options(major: int) -> list[str]:
    """Choose UTF-8 that sorts by code point and, where it can be had, knows upper and lower case of every alphabet."""
    locale = ["--locale=C"]
    if major >= 17:
        locale += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
    elif LINUX:
        locale += ["--lc-ctype=C.UTF-8"]
    return [f"--username={ROLE}", "--auth=trust", "--encoding=UTF8", "--no-instructions", *locale]


def sync_options(major: int) -> list[str]:
    """Have Linux bring a new cluster to the disk by one call instead of one for each of its thousand files."""
    return ["--sync-method=syncfs"] if LINUX and major >= 17 else []


def server_options(major: int, socket_dir: Path) -> list[str]:
    """Give every setting on the command line, so that a new version of ours need not edit the cluster's files."""
    quoted = str(socket_dir).replace('"', '""')
    settings = {**SETTINGS, "unix_socket_directories": f'"{quoted}"'}
    if major >= 18:
        settings["io_method"] = "sync"  # the default keeps three more processes
    if LINUX:
        settings["recovery_init_sync_method"] = "syncfs"
    return [argument for name, value in settings.items() for argument in ("-c", f"{name}={value}")]


def dsn(socket_dir: Path) -> str:
    """Write the server's address as a URL that asyncpg, libpq and SQLAlchemy read alike."""
    return f"postgresql://{ROLE}@/{DATABASE}?host={quote(os.fsencode(socket_dir), safe='/')}&port={PORT}"
