"""Many conversations sent to a service under fire, and what its receiver must have seen in the end."""

import asyncio
import itertools
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from tests.fakes.openai_upstream import FakeOpenAI, answer
from tests.fakes.receiver import Received, Receiver
from tests.fakes.scripted_http import Exchange
from tests.service import Service
from tests.waiting import until

CONFIGURATION = """
default_model = "echo"
[[providers]]
name = "fake"
kind = "openai"
base_url = "{base_url}"
api_key = "{api_key}"
[[models]]
name = "echo"
provider = "fake"
upstream = "echo-1"
[doors.webhook]
rate_limit = "1000000/second"
"""


@dataclass(frozen=True, slots=True)
class Load:
    """How much is sent, and how long the model takes over each message."""

    conversations: int
    messages: int
    model_seconds: float


class EchoingModel(FakeOpenAI):
    """An upstream that takes its time and repeats the last message, with ``mark`` behind it."""

    def __init__(self, seconds: float = 0.0, mark: str = "") -> None:
        super().__init__()
        self.seconds = seconds
        self.mark = mark
        self.gate: asyncio.Event | None = None
        """Answers wait for it where there is one."""
        self.pending: set[str] = set()
        """The messages that it has not answered yet."""
        self.default = self._echo

    def configure(self, folder: Path) -> None:
        """Make it the only model of the services that start in ``folder``."""
        folder.mkdir(exist_ok=True)
        text = CONFIGURATION.format(base_url=self.base_url, api_key=self.api_key)
        (folder / "telefonist.toml").write_text(text, encoding="utf-8")

    @property
    def asked(self) -> list[str]:
        """The last message of every request, in the order in which they came."""
        return [request.json["messages"][-1]["content"] for request in self.requests]

    async def _echo(self, exchange: Exchange) -> None:
        message = exchange.request.json["messages"][-1]["content"]
        self.pending.add(message)
        try:
            await asyncio.sleep(self.seconds)
            if self.gate is not None:
                await self.gate.wait()
        finally:
            self.pending.discard(message)
        await answer(message + self.mark)(exchange)


class Traffic:
    """Numbered messages of numbered conversations, which of them were accepted and what came back."""

    def __init__(self, receiver: Receiver, model: EchoingModel, load: Load) -> None:
        self._receiver = receiver
        self._model = model
        self.load = load
        self._looked_at = 0
        self._told: dict[str, Received] = {}
        self.accepted: dict[str, tuple[str, int]] = {}

    @property
    def total(self) -> int:
        return self.load.conversations * self.load.messages

    @property
    def told(self) -> dict[str, Received]:
        """The first callback of each task, in the order in which they came."""
        while self._looked_at < len(self._receiver.requests):
            request = self._receiver.requests[self._looked_at]
            self._told.setdefault(request.json["task_id"], request)
            self._looked_at += 1
        return self._told

    async def send(self, url: str) -> None:
        """Send everything, all conversations at once, each twice as fast as it is answered; what failed is sent again.

        The Idempotency-Key makes that safe, whether the failed one was accepted or not.
        """
        async with open_client(url) as client:
            await asyncio.gather(*(self._send(client, f"c{number}") for number in range(self.load.conversations)))

    @asynccontextmanager
    async def flowing(self, url: str) -> AsyncIterator[None]:
        """Send everything; the block begins in the middle of all that, and after it all must end as promised."""
        sending = asyncio.create_task(self.send(url))
        try:
            await until(self._in_the_middle, 30)
            yield
            await sending
        finally:
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)
        await self.finished()

    async def all_accepted(self) -> None:
        """Wait until everything has been answered 202."""

        async def all_answered() -> bool:
            return len(self.accepted) == self.total

        await until(all_answered, 60)

    async def finished(self, timeout: float = 60.0) -> None:
        """Wait until every accepted task has had a callback, then check all that was promised."""

        async def all_told() -> bool:
            return self.told.keys() >= self.accepted.keys()

        await until(all_told, timeout)
        self.check()

    def check(self) -> None:
        """Nothing lost, nothing answered twice, each conversation in order, a repetition under the same id."""
        assert len(self.accepted) == self.total
        told = self.told
        assert told.keys() == self.accepted.keys()
        for request in self._receiver.requests:
            first = told[request.json["task_id"]]
            assert request.headers["webhook-id"] == first.headers["webhook-id"]
            assert request.body == first.body
        order: defaultdict[str, list[int]] = defaultdict(list)
        for task_id, request in told.items():
            conversation, number = self.accepted[task_id]
            assert request.json["status"] == "succeeded", request.json
            assert request.json["conversation_id"] == conversation
            assert request.json["generated_response"] == f"{conversation} {number}"
            order[conversation].append(number)
        assert all(numbers == list(range(self.load.messages)) for numbers in order.values())

    async def _in_the_middle(self) -> bool:
        return len(self.told) >= self.total // 20 and len(self._model.pending) >= self.load.conversations // 10

    async def _send(self, client: aiohttp.ClientSession, conversation: str) -> None:
        for number in range(self.load.messages):
            body = {
                "message": f"{conversation} {number}",
                "callback_url": self._receiver.url,
                "conversationId": conversation,
            }
            for attempt in itertools.count():
                headers = {"Idempotency-Key": f"{conversation}-{number}"}
                try:
                    async with client.post("/webhook", json=body, headers=headers) as response:
                        answered = await response.json()
                except (aiohttp.ClientError, TimeoutError):
                    pass
                else:
                    if response.status == 202:
                        self.accepted[answered["task_id"]] = (conversation, number)
                        break
                    assert response.status == 503, answered
                assert attempt < 300, "never accepted"
                await asyncio.sleep(0.1)
            await asyncio.sleep(self.load.model_seconds / 2)


@asynccontextmanager
async def together(*services: Service) -> AsyncIterator[None]:
    """Start processes side by side, and have them all ready."""
    async with AsyncExitStack() as stack:
        for service in services:
            await service.start()
            stack.push_async_exit(service)
        for service in services:
            await service.ready()
        yield


async def is_refused(service: Service) -> bool:
    """Send a message to nobody; where it is not taken, see that it is refused as it should be."""
    body = {"message": "hello", "callback_url": "http://127.0.0.1:9/", "conversationId": "nobody"}
    response = await service.client.post("/webhook", json=body)
    if response.status_code == 202:
        return False
    assert response.status_code == 503, response.text
    assert int(response.headers["retry-after"]) >= 1
    assert response.headers["content-type"] == "application/json"
    assert response.json()["code"] == "storage_unavailable"
    assert response.json()["detail"]
    return True


def open_client(url: str) -> aiohttp.ClientSession:
    """Make a client for many requests at once, which httpx is slow at."""
    connector = aiohttp.TCPConnector(limit=50)
    return aiohttp.ClientSession(url, connector=connector, timeout=aiohttp.ClientTimeout(total=10))
