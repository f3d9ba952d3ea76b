"""How long a well-behaved receiver waits for its callbacks while others make trouble."""

import asyncio
import itertools
import time

import aiohttp
import psutil

from tests.fakes.receiver import Receiver
from tests.faults.conversations import open_client
from tests.service import Service

EVERY = 0.02
"""Seconds between two messages."""

_numbers = itertools.count(1)


async def ask(client: aiohttp.ClientSession, callback_url: str, message: str) -> str:
    """Send a message that opens a conversation of its own; gives its task's id."""
    body = {"message": message, "callback_url": callback_url, "conversationId": f"{message} {next(_numbers)}"}
    async with client.post("/webhook", json=body) as response:
        assert response.status == 202, await response.text()
        task_id: str = (await response.json())["task_id"]
        return task_id


async def waits(service: Service, receiver: Receiver, count: int) -> list[float]:
    """Send messages at a steady pace; give the seconds from each one's sending to its callback, the longest last."""
    asked: dict[str, float] = {}
    before = len(receiver.requests)
    async with open_client(service.url) as client, asyncio.TaskGroup() as group:
        for number in range(count):
            message = f"{before + number}"
            asked[message] = time.monotonic()
            group.create_task(ask(client, receiver.url, message))
            await asyncio.sleep(EVERY)
    answered = (await receiver.wait_for(before + count))[before:]
    return sorted(request.at - asked[request.json["generated_response"]] for request in answered)


def share(waits: list[float], part: float) -> float:
    """Give what that part of the sorted waits stays within: 0.95 for the 95th percentile."""
    return waits[int(len(waits) * part)]


def megabytes(service: Service) -> float:
    """Give the memory of the process: what it shares counts in proportion (PSS)."""
    taken: int = psutil.Process(service.pid).memory_full_info().pss
    return taken / 1e6
