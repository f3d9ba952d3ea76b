"""A process that uses a server until its input ends, as a service or a command does, perhaps as another user.

Prints one line of JSON: what it joined, or how it failed.
"""

import asyncio
import concurrent.futures.thread  # noqa: F401  imported late, and out of reach once we are another user
import json
import os
import resource
import sys
from pathlib import Path

from telefonist.errors import TelefonistError
from telefonist.storage.embedded import EmbeddedPostgres


async def use(folder: Path, system_dir: Path) -> None:
    async with EmbeddedPostgres(folder, system_dir=system_dir) as server:
        assert server.info
        print(json.dumps({"pid": server.info.pid, "dsn": server.info.dsn}), flush=True)
        await asyncio.to_thread(sys.stdin.readline)


def main(folder: str, system_dir: str, wheel: str, uid: str, largest_file: str) -> None:
    if uid:
        sys.path.insert(0, wheel)  # the one we were started with may be out of reach
        os.setgroups([])
        os.setgid(int(uid))
        os.setuid(int(uid))
    if largest_file:
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(largest_file), int(largest_file)))
    try:
        asyncio.run(use(Path(folder), Path(system_dir)))
    except TelefonistError as error:
        print(json.dumps({"error": type(error).__name__, "text": str(error)}), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
