"""Streams in a real process: many that are open, many that are dropped, and one that is there when the stop comes."""

import asyncio
import json
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import psutil
import pytest

from telefonist.core.identification import KEY_PREFIX, key_digest
from telefonist.storage.accounts import AccountStore
from telefonist.storage.api_keys import ApiKeyStore
from telefonist.storage.database import Database
from telefonist.storage.verification import discrepancies
from telefonist.types import MICROCREDITS, AccountRole, KeyTerms
from tests.doors.bare_client import BareClient, ask_barely
from tests.doors.exchange import MODELS
from tests.fakes.openai_upstream import FakeOpenAI, chunk, events
from tests.faults.database import StandalonePostgres
from tests.service import Service
from tests.storage.money import counted, purse, query
from tests.waiting import until

KEY = KEY_PREFIX + "x" * 43
START = 1_000_000 * MICROCREDITS
DONE = "data: [DONE]\n\n"
AT_ONCE = 200
"""Clients that come together."""


@dataclass
class Exchange:
    """A service, its database, and an account with a key."""

    service: Service
    upstream: FakeOpenAI
    database: Database
    account_id: UUID

    async def ask(self, model: str = "gpt-4") -> BareClient:
        return await ask_barely(self.service.url, KEY, model=model)

    async def at_rest(self) -> bool:
        """Tell whether nothing is under way, upstream, here and in the books."""
        return not self.upstream.open_connections and not await counted(self.database, "holds")

    async def files(self) -> int:
        """Wait until the clients' connections are closed in the service, and count its open files."""
        process = psutil.Process(self.service.pid)

        async def no_client() -> bool:
            port = int(self.service.url.rpartition(":")[2])
            return not any(
                each.laddr.port == port and each.status != psutil.CONN_LISTEN for each in process.net_connections("tcp")
            )

        await self.service.client.aclose()
        await until(no_client)
        return process.num_fds()


@asynccontextmanager
async def open_exchange(folder: Path, upstream: FakeOpenAI, *arguments: str) -> AsyncIterator[Exchange]:
    provider = f'[[providers]]\nname = "upstream"\nbase_url = "{upstream.base_url}"\napi_key = "{upstream.api_key}"\n'
    (folder / "telefonist.toml").write_text(f'default_model = "gpt-4"\n{provider}{MODELS}', encoding="utf-8")
    async with StandalonePostgres(folder / "data") as postgres:
        database = Database(postgres.dsn)
        try:
            service = Service(folder, "serve", *arguments, **postgres.settings)
            async with service:
                account = await AccountStore(database).create("a@example.com", "hash", AccountRole.CLIENT, start=START)
                digest = key_digest(KEY)
                await ApiKeyStore(database).create(account.id, "key", digest, "tf-…", KeyTerms(), None)
                yield Exchange(service, upstream, database, account.id)
            assert await counted(database, "holds") == 0
            assert await discrepancies(database) == []
        finally:
            await database.close()


@pytest.mark.parametrize("count", [300, pytest.param(10_000, marks=[pytest.mark.deep, pytest.mark.timeout(600)])])
async def test_dropped_streams_leave_no_connection_no_file_and_no_hold(folder: Path, count: int) -> None:
    random.seed(count)
    async with FakeOpenAI() as upstream, open_exchange(folder, upstream) as exchange:
        upstream.default = events(chunk("one "), 0.05, chunk("two"), ending="hang")
        seen = 0

        async def drop() -> None:
            nonlocal seen
            client = await exchange.ask()
            moment = random.choice([b"", b"HTTP/1.1 200", b"one ", b"two"])
            await client.until(moment)
            seen += bool(moment)
            client.leave(reset=random.random() < 0.5)

        async def drop_many(count: int) -> None:
            for start in range(0, count, AT_ONCE):
                await asyncio.gather(*(drop() for _ in range(min(AT_ONCE, count - start))))
            await until(exchange.at_rest, 30)

        await drop_many(20)
        before = await exchange.files()
        await drop_many(count)
        assert await exchange.files() <= before + 2
        rows = await query(exchange.database, "SELECT state, charge FROM generations")
        assert {row["state"] for row in rows} == {"cancelled"}
        assert seen <= len(rows) <= count + 20
        assert seen <= sum(row["charge"] > 0 for row in rows)
        spent = sum(row["charge"] for row in rows)
        assert (await purse(exchange.database, exchange.account_id))[:2] == (START - spent, 0)
        assert not [line for line in exchange.service.log if line.get("level") == "error"]


@pytest.mark.parametrize("count", [200, pytest.param(2000, marks=[pytest.mark.deep, pytest.mark.timeout(300)])])
async def test_many_streams_are_open_at_once_and_all_come_to_their_end(folder: Path, count: int) -> None:
    gate = asyncio.Event()
    async with FakeOpenAI() as upstream, open_exchange(folder, upstream) as exchange:
        upstream.default = events(chunk("one "), gate, chunk("two", finish_reason="stop"), DONE)
        clients: list[BareClient] = []
        for start in range(0, count, AT_ONCE):
            some = await asyncio.gather(*(exchange.ask() for _ in range(min(AT_ONCE, count - start))))
            await asyncio.gather(*(client.until(b"one ", 60) for client in some))
            clients += some
        assert upstream.most_under_way == count
        assert await counted(exchange.database, "holds") == count
        gate.set()
        await asyncio.gather(*(client.until(b"[DONE]", 60) for client in clients))
        for client in clients:
            assert client.read.count(b'"two"') == 1
            client.leave()
        assert await counted(exchange.database, "holds") == 0
        [row] = await query(exchange.database, "SELECT count(*) FROM generations WHERE state = 'succeeded'")
        assert row["count"] == count


async def test_a_stream_that_does_not_end_within_the_grace_of_a_stop_ends_in_an_error_and_is_paid_so_far(
    folder: Path,
) -> None:
    async with FakeOpenAI() as upstream, open_exchange(folder, upstream, "--grace", "1") as exchange:
        upstream.script(events(chunk("one two "), ending="hang"), events(chunk("short"), 0.3, DONE))
        long = await exchange.ask()
        await long.until(b"one two ")
        assert await exchange.service.stop() == 0
        rest = (await long.reader.read()).decode()
        event = next(line for line in rest.splitlines() if line.startswith("data: "))
        assert json.loads(event.removeprefix("data: "))["error"]["code"] == "shutting_down"
        assert rest.endswith("\r\n0\r\n\r\n")
        assert "[DONE]" not in rest
        long.leave()
        [row] = await query(exchange.database, "SELECT state, charge FROM generations")
        assert row["state"] == "cancelled"
        assert row["charge"] > 0
        assert await exchange.at_rest()
