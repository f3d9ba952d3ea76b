"""The whole service before a fake OpenAI: its doors on a real socket, accounts made straight from storage.

async with open_exchange(serve, dsn, tmp_path, upstream) as exchange:
    user = await exchange.user(credits_=10)
    await user.openai.chat.completions.create(model="gpt-4", messages=[...])
    assert await user.balance() == 9_980_000
"""

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import httpx
import openai

from telefonist.app import House, open_house
from telefonist.core.access_tokens import AccessTokens
from telefonist.core.identification import KEY_PREFIX, key_digest
from telefonist.settings import load_settings
from telefonist.storage.accounts import AccountStore
from telefonist.storage.api_keys import ApiKeyStore
from telefonist.storage.sessions import SessionStore
from telefonist.storage.verification import discrepancies
from telefonist.types import MICROCREDITS, AccountRole, KeyTerms, new_id
from telefonist.web import build_web
from tests.doors.conftest import Serve
from tests.fakes.openai_upstream import FakeOpenAI
from tests.waiting import until

MODELS = """
[[models]]
name = "gpt-4"
provider = "upstream"
context_window = 8192
credits_per_1k_input = 200
credits_per_1k_output = 200
credits_per_1k_cached_input = 50
aliases = ["gpt-4-latest"]
fallbacks = ["gpt-3.5-turbo"]

[[models]]
name = "gpt-3.5-turbo"
provider = "upstream"
credits_per_1k_input = 1
credits_per_1k_output = 1

[[models]]
name = "free"
provider = "upstream"

[[models]]
name = "dear"
provider = "upstream"
credits_per_1k_output = 1000

[[models]]
name = "vectors"
provider = "upstream"
kind = "embedding"
credits_per_1k_input = 100
"""
"""gpt-4: 100 tokens are 20 credits."""


@dataclass(slots=True)
class User:
    """Somebody with an account and a key."""

    id: UUID
    key: str
    exchange: "Exchange"
    openai: openai.AsyncOpenAI

    @property
    def headers(self) -> dict[str, str]:
        return {"authorization": f"Bearer {self.key}"}

    async def login(self) -> dict[str, str]:
        """Log in; gives the headers that show it."""
        master = self.exchange.house.settings.secret or ""
        session = await SessionStore(self.exchange.house.database).open(self.id, "hash", secrets.token_bytes(32))
        assert session is not None
        return {"authorization": f"Bearer {AccessTokens(master).issue(self.id, session)}"}

    async def balance(self) -> int:
        return int(await self.exchange.value("SELECT balance FROM balances WHERE account_id = $1", self.id))

    async def held(self) -> int:
        return int(await self.exchange.value("SELECT held FROM balances WHERE account_id = $1", self.id))

    async def generations(self) -> list[asyncpg.Record]:
        """Give the account's finished generations, the oldest first."""
        return await self.exchange.rows("SELECT * FROM generations WHERE account_id = $1 ORDER BY id", self.id)

    async def settled(self, count: int = 1) -> list[asyncpg.Record]:
        """Wait until so many generations are finished and nothing is held."""

        async def seen() -> list[asyncpg.Record]:
            found = await self.generations()
            return found if len(found) >= count and await self.held() == 0 else []

        return await until(seen)


@dataclass(slots=True)
class Exchange:
    """A service at work."""

    house: House
    url: str
    upstream: FakeOpenAI
    client: httpx.AsyncClient
    stack: AsyncExitStack
    connection: asyncpg.Connection
    users: list[User] = field(default_factory=list)

    async def user(
        self,
        credits_: float = 1000,
        terms: KeyTerms | None = None,
        role: AccountRole = AccountRole.CLIENT,
        **options: Any,
    ) -> User:
        """Make an account with a balance and a key, and a client of OpenAI's that shows it."""
        store = AccountStore(self.house.database)
        start = round(credits_ * MICROCREDITS)
        account = await store.create(f"{new_id().hex}@example.com", "hash", role, start=start)
        key = KEY_PREFIX + secrets.token_urlsafe(32)
        await ApiKeyStore(self.house.database).create(
            account.id, "key", key_digest(key), "tf-…", terms or KeyTerms(), None
        )
        client = openai.AsyncOpenAI(api_key=key, base_url=f"{self.url}/v1", **{"max_retries": 0, **options})
        self.stack.push_async_callback(client.close)
        user = User(account.id, key, self, client)
        self.users.append(user)
        return user

    async def value(self, statement: str, *given: Any) -> Any:
        return await self.connection.fetchval(statement, *given)

    async def rows(self, statement: str, *given: Any) -> list[asyncpg.Record]:
        return list(await self.connection.fetch(statement, *given))


@asynccontextmanager
async def open_exchange(
    serve: Serve,
    dsn: str,
    folder: Path,
    upstream: FakeOpenAI,
    *,
    models: str = MODELS,
    provider: str = "",
    **environ: str,
) -> AsyncIterator[Exchange]:
    """Start the service; in the end nothing may be held, and the books must agree."""
    (folder / "telefonist.toml").write_text(
        f"""
default_model = "gpt-4"
[[providers]]
name = "upstream"
base_url = "{upstream.base_url}"
api_key = "{upstream.api_key}"
{provider}
{models}
""",
        encoding="utf-8",
    )
    settings = load_settings(
        {
            "DATABASE_URL": dsn,
            "TELEFONIST_SECRET": "s" * 32,
            "TELEFONIST_DATA_DIR": str(folder),
            "TELEFONIST_API_RATE_LIMIT": "1000/minute",
            **environ,
        },
        folder,
    )
    async with AsyncExitStack() as stack:
        house = await stack.enter_async_context(open_house(settings, "serve"))
        assert house.worker is not None
        working = asyncio.create_task(house.worker.run())
        stack.push_async_callback(_stop, house, working)
        url = await serve(build_web(house))
        client = await stack.enter_async_context(httpx.AsyncClient(base_url=url, trust_env=False))
        connection = await asyncpg.connect(dsn)
        stack.push_async_callback(connection.close)
        yield Exchange(house, url, upstream, client, stack, connection)

        async def nothing_held() -> bool:
            return not await connection.fetchval("SELECT count(*) FROM holds")

        await until(nothing_held)
        assert await discrepancies(house.database) == []


async def _stop(house: House, working: "asyncio.Task[None]") -> None:
    assert house.worker is not None
    await house.worker.stop(5)
    working.cancel()
    await asyncio.gather(working, return_exceptions=True)
