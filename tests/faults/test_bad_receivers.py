"""Receivers that misbehave in every way, all at once, beside one that does not."""

from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from tests.fakes.receiver import (
    Behaviour,
    Exchange,
    Receiver,
    endless_body,
    endless_headers,
    endless_interim_replies,
    gzip_bomb,
    hang,
    redirect,
    reset,
    say,
    trickle,
)
from tests.faults.conversations import EchoingModel, open_client
from tests.faults.promptness import ask, megabytes, share, waits
from tests.service import Service

OF_EACH = 10
"""Callbacks for each misbehaving receiver."""

PROMPT = 1.0
"""Seconds within which 95 of 100 callbacks reach a good receiver."""

MORE_MEMORY = 50.0
"""Megabytes that the service may take in addition, whatever its receivers do."""

A_LITTLE = 16_000_000
"""Bytes of an endless reply that leave its sender: what the service reads, and what fills the buffers in between."""

METADATA = "http://169.254.169.254/latest/meta-data/"

HTTP_200 = b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n"


class TenGigabytes:
    """Announces 10 GB and sends as much of them as is taken."""

    def __init__(self) -> None:
        self.taken: list[int] = []

    async def __call__(self, exchange: Exchange) -> None:
        self.taken.append(0)
        number = len(self.taken) - 1
        await exchange.write(b"HTTP/1.1 200 OK\r\nContent-Length: 10000000000\r\n\r\n")
        while self.taken[number] < 10_000_000_000:
            await exchange.write(bytes(65536))
            self.taken[number] += 65536


async def test_receivers_that_misbehave_slow_nobody_down_and_take_no_memory(folder: Path, receiver: Receiver) -> None:
    ten_gigabytes = TenGigabytes()
    async with AsyncExitStack() as stack:
        trap = await stack.enter_async_context(Receiver())
        behaviours: dict[str, Behaviour] = {
            "response timeout": hang(),
            "response timeout, byte by byte": trickle(),
            "response timeout, hint by hint": endless_interim_replies(),
            "connection lost": reset(),
            "connection closed": say(b""),
            "not an HTTP answer": say(b"220 mail.example ESMTP\r\n"),
            "not an HTTP answer, without end": endless_headers(),
            f"redirect to {METADATA}": redirect(METADATA),
            f"redirect to {trap.url}": redirect(trap.url, 307),
            "200 and bytes, one by one": trickle(head=HTTP_200),
            "200 and a reset": reset(after=HTTP_200),
            "200 and 10 GB": ten_gigabytes,
            "200 and no end": endless_body(chunked=True),
            "200 and a bomb": gzip_bomb(64 << 20),
        }
        model = await stack.enter_async_context(EchoingModel())
        model.configure(folder)
        urls = {
            name: (await stack.enter_async_context(Receiver(behaviour))).url for name, behaviour in behaviours.items()
        }
        service = await stack.enter_async_context(
            Service(
                folder,
                TELEFONIST_DELIVERY_CONNECT_TIMEOUT="1",
                TELEFONIST_DELIVERY_TOTAL_TIMEOUT="1",
                TELEFONIST_DELIVERY_RETRY_SCHEDULE="0.5",
            )
        )
        client = await stack.enter_async_context(open_client(service.url))
        await waits(service, receiver, 50)
        before = megabytes(service)
        tasks = {await ask(client, url, "hello"): name for _ in range(OF_EACH) for name, url in urls.items()}
        waited: list[float] = []
        most = before
        open_tasks = set(tasks)
        while open_tasks:
            waited += await waits(service, receiver, 50)
            most = max(most, megabytes(service))
            for task_id in list(open_tasks):
                task = await (await client.get(f"/tasks/{task_id}")).json()
                if task["delivery"]["state"] != "pending":
                    see_attempts(tasks[task_id], task)
                    open_tasks.remove(task_id)
        assert share(sorted(waited), 0.95) < PROMPT
        assert most - before < MORE_MEMORY
        assert max(ten_gigabytes.taken) < A_LITTLE
        assert trap.connections == 0


def see_attempts(name: str, task: dict[str, Any]) -> None:
    """A receiver's name is what its attempts lead to."""
    attempts = task["attempts"]
    if name.startswith("200"):
        assert task["delivery"]["state"] == "delivered"
        assert [attempt["status"] for attempt in attempts] == [200]
    else:
        assert task["delivery"]["state"] == "parked"
        assert len(attempts) == 2
        assert all(attempt["error"].startswith(name.partition(",")[0]) for attempt in attempts)
    assert all(len(attempt["response"]) <= 1024 for attempt in attempts)
