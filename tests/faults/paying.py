"""Customers who pay for their answers, an upstream that counts them, and the books that must agree with both."""

import asyncio
import itertools
import json
import math
import random
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

import aiohttp
import asyncpg
import httpx

from telefonist.core.mailbox import insist
from telefonist.storage.database import Database
from telefonist.storage.verification import Discrepancy, discrepancies
from tests.doors.people import PASSWORD, Person, bearer, log_in, new_key, newcomer
from tests.fakes.openai_upstream import FakeOpenAI, answer
from tests.fakes.scripted_http import Exchange
from tests.service import Service, run
from tests.waiting import until

CONFIGURATION = """
default_model = "metered"
[[providers]]
name = "fake"
kind = "openai"
base_url = "{base_url}"
api_key = "{api_key}"
[[models]]
name = "metered"
provider = "fake"
upstream = "metered-1"
credits_per_1k_input = 0.001
credits_per_1k_cached_input = 0.0005
credits_per_1k_output = 0.02
"""

RICH, POOR, BUDGET = 100.0, 0.01, 0.03
"""Credits: of most accounts, of one that can soon pay no more, and what the key of another may spend."""

CLIENTS = 32


@dataclass(slots=True)
class Counted:
    """An answer in the upstream's own log."""

    marker: str
    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int
    finished: bool = False

    @property
    def charge(self) -> int:
        """Give the microcredits that it costs, by the prices above."""
        fresh = self.prompt_tokens - self.cached_tokens
        return math.ceil((1000 * fresh + 500 * self.cached_tokens + 20_000 * self.completion_tokens) / 1000)

    @property
    def usage(self) -> dict[str, Any]:
        return {
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": self.completion_tokens,
            "total_tokens": self.prompt_tokens + self.completion_tokens,
            "prompt_tokens_details": {"cached_tokens": self.cached_tokens},
        }


class CountingModel(FakeOpenAI):
    """An upstream of mixed speed that numbers its answers: the prompt of the seventh has seven tokens."""

    def __init__(self, chance: random.Random) -> None:
        super().__init__()
        self.counted: dict[int, Counted] = {}
        self.default = self._count
        self._chance = chance

    def configure(self, folder: Path) -> None:
        """Make it the only model of the services that start in ``folder``."""
        text = CONFIGURATION.format(base_url=self.base_url, api_key=self.api_key)
        (folder / "telefonist.toml").write_text(text, encoding="utf-8")

    async def _count(self, exchange: Exchange) -> None:
        number = len(self.counted) + 1
        words = self._chance.randrange(1, 12)
        marker = exchange.request.json["messages"][-1]["content"]
        counted = self.counted[number] = Counted(marker, number, self._chance.randrange(number), words)
        await asyncio.sleep(self._chance.choice((0, 0.02, 0.2, 0.5)))
        pause = self._chance.choice((0, 0, 0.01, 0.05))
        text = " ".join([str(number), *["word"] * (words - 1)])
        await answer(text, usage=counted.usage, pause=pause)(exchange)
        counted.finished = True


@dataclass(frozen=True, slots=True)
class Customer:
    """Somebody with an account and a key; ``paid_in`` are microcredits."""

    person: Person
    key_id: UUID
    key: str
    paid_in: int

    @property
    def account_id(self) -> UUID:
        return UUID(self.person.id)


async def open_accounts(folder: Path, client: httpx.AsyncClient) -> list[Customer]:
    """Register customers, and have an administrator top them up; one is poor, and one's key may not spend all."""
    made, people = await asyncio.gather(
        run(folder, "user", "create-admin", "boss@example.com", TELEFONIST_ADMIN_PASSWORD=PASSWORD),
        asyncio.gather(*(newcomer(client, f"customer-{number}@example.com") for number in range(5))),
    )
    assert made.status == 0, made.errors
    boss = bearer((await log_in(client, "boss@example.com")).json()["access_token"])
    customers = []
    for number, person in enumerate(people):
        amount = POOR if number == 0 else RICH
        path = f"/admin/users/{person.id}/balance"
        paid = await client.post(path, json={"amount": amount, "reason": "paid in"}, headers=boss)
        assert paid.status_code == 201, paid.text
        key = await new_key(client, person, **({"budget": BUDGET} if number == 1 else {}))
        customers.append(Customer(person, UUID(key["id"]), key["key"], round(amount * 1_000_000)))
    return customers


@dataclass(frozen=True, slots=True)
class Whole:
    """An answer that a client received to its end; ``usage`` where it was told any."""

    customer: Customer
    marker: str
    number: int
    usage: Mapping[str, Any] | None


@dataclass(slots=True)
class Load:
    """Clients that ask and ask again, each time as another customer, and note what they received whole."""

    customers: Sequence[Customer]
    chance: random.Random
    whole: list[Whole] = field(default_factory=list)
    under_way: set[str] = field(default_factory=set)
    """Markers of the requests that have not ended yet."""
    cut: set[str] = field(default_factory=set)
    """Markers of those that were under way when something was killed."""
    statuses: Counter[int] = field(default_factory=Counter)
    _markers: "itertools.count[int]" = field(default_factory=itertools.count)
    _ending: bool = False

    @asynccontextmanager
    async def flowing(self, *urls: str) -> AsyncIterator[None]:
        """Ask while the block lasts; what was asked by then is answered."""
        timeout = aiohttp.ClientTimeout(total=60)
        async with (
            aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), timeout=timeout) as session,
            asyncio.TaskGroup() as group,
        ):
            for number in range(CLIENTS):
                group.create_task(self._ask_on(session, urls[number % len(urls)]))
            try:
                yield
            finally:
                self._ending = True

    async def answered(self, count: int) -> None:
        """Wait until so many more answers have come."""
        wanted = len(self.whole) + count

        async def came() -> bool:
            return len(self.whole) >= wanted

        await until(came, 60)

    def cut_all(self) -> None:
        """Note what is under way, as something is about to be killed."""
        self.cut |= self.under_way

    async def _ask_on(self, session: aiohttp.ClientSession, url: str) -> None:
        while not self._ending:
            customer, marker = self.chance.choice(self.customers), f"request {next(self._markers)}"
            self.under_way.add(marker)
            try:
                await self._ask(session, url, customer, marker)
            except (aiohttp.ClientError, ConnectionError):
                await asyncio.sleep(0.05)
            finally:
                self.under_way.discard(marker)

    async def _ask(self, session: aiohttp.ClientSession, url: str, customer: Customer, marker: str) -> None:
        body: dict[str, Any] = {"model": "metered", "messages": [{"role": "user", "content": marker}]}
        if streamed := self.chance.random() < 0.6:
            body |= {"stream": True, "stream_options": {"include_usage": self.chance.random() < 0.5}}
        headers = bearer(customer.key)
        async with session.post(f"{url}/v1/chat/completions", json=body, headers=headers) as response:
            self.statuses[response.status] += 1
            if response.status != 200:
                assert response.status in (402, 503), await response.text()
                await asyncio.sleep(0.02)
                return
            text, usage = await (_read_stream(response) if streamed else _read_plain(response))
        if text:
            self.whole.append(Whole(customer, marker, int(text.split()[0]), usage))


async def _read_plain(response: aiohttp.ClientResponse) -> tuple[str, Mapping[str, Any] | None]:
    body = await response.json()
    return body["choices"][0]["message"]["content"], body["usage"]


async def _read_stream(response: aiohttp.ClientResponse) -> tuple[str, Mapping[str, Any] | None]:
    """Give what was streamed; no text where it ended in an error, or before [DONE]."""
    text, usage = "", None
    async for line in response.content:
        data = line.removeprefix(b"data: ").strip()
        if data == b"[DONE]":
            return text, usage
        if data:
            chunk = json.loads(data)
            usage = chunk.get("usage") or usage
            text += "".join(choice["delta"].get("content") or "" for choice in chunk.get("choices", ()))
    return "", None


class Books:
    """What the database has on record; asks again where the database was away."""

    def __init__(self, dsn: str) -> None:
        self._database = Database(dsn)

    async def rows(self, statement: str, *values: object) -> list[asyncpg.Record]:
        line = self._database.line("test")
        rows: list[asyncpg.Record] = await insist(line.run, lambda connection: connection.fetch(statement, *values))
        return rows

    async def differences(self) -> list[Discrepancy]:
        return await insist(discrepancies, self._database)

    async def process_of(self, service: Service) -> UUID:
        """Give the id under which a process holds what it holds."""
        [row] = await self.rows("SELECT id FROM processes WHERE pid = $1", service.pid)
        process_id: UUID = row["id"]
        return process_id

    async def given_back(self, process_id: UUID, within: float) -> list[UUID]:
        """Wait until a dead process holds nothing; gives the generations for which it did until then.

        A settlement that it had sent before it died may still be stored in the first moments: those do not count.
        """
        left: list[UUID] = []

        async def nothing_held() -> bool:
            rows = await self.rows("SELECT generation_id FROM holds WHERE process_id = $1", process_id)
            left[:] = [row["generation_id"] for row in rows] or left
            return not rows

        await until(nothing_held, within)
        return left

    async def close(self) -> None:
        await self._database.close()
