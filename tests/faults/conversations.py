"""Many conversations sent to a service under fire, and what its receiver must have seen in the end."""

import asyncio
import itertools
from collections import defaultdict
from pathlib import Path

import httpx

from tests.fakes.openai_upstream import FakeOpenAI, answer
from tests.fakes.receiver import Received, Receiver
from tests.fakes.scripted_http import Exchange
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


class EchoingModel(FakeOpenAI):
    """An upstream that takes its time and repeats the last message."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.seconds = seconds
        self.default = self._echo

    def configure(self, folder: Path) -> None:
        """Make it the only model of the services that start in ``folder``."""
        text = CONFIGURATION.format(base_url=self.base_url, api_key=self.api_key)
        (folder / "telefonist.toml").write_text(text, encoding="utf-8")

    async def _echo(self, exchange: Exchange) -> None:
        await asyncio.sleep(self.seconds)
        await answer(exchange.request.json["messages"][-1]["content"])(exchange)


class Traffic:
    """Numbered messages of numbered conversations, and which of them were accepted."""

    def __init__(self, receiver: Receiver, conversations: int, messages: int) -> None:
        self._receiver = receiver
        self._conversations = conversations
        self._messages = messages
        self.accepted: dict[str, tuple[str, int]] = {}

    async def send(self, url: str) -> None:
        """Send everything, each conversation in its order and all at once; a request that failed is sent again.

        The Idempotency-Key makes that safe, whether the failed one was accepted or not.
        """
        limits = httpx.Limits(max_connections=50)
        async with httpx.AsyncClient(base_url=url, timeout=10, limits=limits, trust_env=False) as client:
            await asyncio.gather(*(self._send(client, f"c{number}") for number in range(self._conversations)))

    async def finished(self, timeout: float = 60.0) -> None:
        """Wait until every accepted task has had a callback, then check all that was promised."""

        async def all_told() -> bool:
            return {request.json["task_id"] for request in self._receiver.requests} >= set(self.accepted)

        await until(all_told, timeout)
        self.check()

    def check(self) -> None:
        """Nothing lost, nothing answered twice, each conversation in order, a repetition under the same id."""
        assert len(self.accepted) == self._conversations * self._messages
        first_of_each: dict[str, Received] = {}
        for request in self._receiver.requests:
            known = first_of_each.setdefault(request.json["task_id"], request)
            assert known.headers["webhook-id"] == request.headers["webhook-id"]
            assert known.body == request.body
        assert set(first_of_each) == set(self.accepted)
        order: defaultdict[str, list[int]] = defaultdict(list)
        for task_id, request in first_of_each.items():
            conversation, number = self.accepted[task_id]
            assert request.json["status"] == "succeeded", request.json
            assert request.json["conversation_id"] == conversation
            assert request.json["generated_response"] == f"{conversation} {number}"
            order[conversation].append(number)
        assert all(numbers == list(range(self._messages)) for numbers in order.values())

    async def _send(self, client: httpx.AsyncClient, conversation: str) -> None:
        for number in range(self._messages):
            body = {
                "message": f"{conversation} {number}",
                "callback_url": self._receiver.url,
                "conversationId": conversation,
            }
            for attempt in itertools.count():
                headers = {"Idempotency-Key": f"{conversation}-{number}"}
                try:
                    response = await client.post("/webhook", json=body, headers=headers)
                except httpx.TransportError:
                    response = None
                if response is not None and response.status_code == 202:
                    self.accepted[response.json()["task_id"]] = (conversation, number)
                    break
                assert response is None or response.status_code == 503, response.text
                assert attempt < 300, "never accepted"
                await asyncio.sleep(0.1)
