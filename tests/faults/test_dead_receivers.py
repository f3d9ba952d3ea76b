"""A thousand dead hosts beside one that lives."""

import asyncio
import socket
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import psutil
import pytest

from telefonist.app import OUTGOING_PER_WORKER
from tests.fakes.receiver import Receiver, unused_port
from tests.faults.conversations import EchoingModel, open_client
from tests.faults.promptness import ask, share, waits
from tests.service import Service

HOSTS = 1000

PROMPT = 1.0
"""Seconds within which 95 of 100 callbacks reach the host that lives."""

NEVER_BEHIND_A_DEAD_ONE = 5.0
"""Seconds within which all of them do; a callback to a silent host is given up after 30."""

FOR_EACH = (
    pytest.param(1, id="1000"),
    pytest.param(15, id="15000", marks=pytest.mark.deep),
)
"""Callbacks for each dead host; 15000 are more than a worker has under way at once, though it has them in hand."""


@pytest.fixture
def silent() -> Iterator[list[socket.socket]]:
    """Hosts to which connections can be made, and where nobody ever reads or writes."""
    with ExitStack() as stack:
        hosts = [f"127.1.{number // 250}.{number % 250}" for number in range(HOSTS // 2)]
        yield [
            stack.enter_context(socket.create_server((host if sys.platform == "linux" else "127.0.0.1", 0)))
            for host in hosts
        ]


@pytest.mark.parametrize("for_each", FOR_EACH)
async def test_a_thousand_dead_hosts_do_not_hold_up_the_one_that_lives(
    folder: Path, receiver: Receiver, silent: list[socket.socket], for_each: int
) -> None:
    dead = [f"http://{host}:{port}/" for host, port in (listener.getsockname() for listener in silent)]
    dead += [f"http://127.0.0.1:{unused_port()}/" for _ in range(HOSTS // 2)]
    async with EchoingModel() as model:
        model.configure(folder)
        async with Service(folder, "serve", "--grace", "1", TELEFONIST_DELIVERY_RETRY_SCHEDULE="1,5,60") as service:
            async with open_client(service.url) as client:
                for _ in range(for_each):
                    await asyncio.gather(*(ask(client, url, "hello") for url in dead))
            waited = await waits(service, receiver, 150)
            assert psutil.Process(service.pid).num_fds() < OUTGOING_PER_WORKER + HOSTS
            assert share(waited, 0.95) < PROMPT
            assert waited[-1] < NEVER_BEHIND_A_DEAD_ONE
            assert all(is_being_tried(listener) for listener in silent)
            refused = [line for line in service.log if line.get("error") == "connect failed: connection refused"]
            assert len(refused) > 0.9 * HOSTS * for_each


def is_being_tried(listener: socket.socket) -> bool:
    """Tell whether somebody has connected who was never answered."""
    listener.setblocking(False)
    try:
        connection, _ = listener.accept()
    except BlockingIOError:
        return False
    connection.close()
    return True
