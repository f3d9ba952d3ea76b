"""The whole service before a fake Telegram and a fake OpenAI.

async with open_service(serve, dsn, tmp_path) as service:
    anna = service.telegram.person("Анна")
    await anna.writes("Привет")
    await anna.reads(1)
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from telefonist.storage.database import Database
from telefonist.types import Operator
from tests.core.people import hire
from tests.doors.conftest import Serve
from tests.doors.exchange import Exchange, open_exchange
from tests.fakes.openai_upstream import FakeOpenAI
from tests.fakes.telegram import TOKEN, FakeTelegram

SECRET = "telegram-secret-0123456789"


@dataclass(slots=True)
class Service:
    """A service with a bot."""

    exchange: Exchange
    telegram: FakeTelegram
    upstream: FakeOpenAI

    @property
    def database(self) -> Database:
        return self.exchange.house.database

    async def operator(self, *, online: bool = True) -> Operator:
        return await hire(self.database, online=online)

    def asked(self, number: int = -1) -> list[tuple[str, str]]:
        """Give what the model was asked: roles and texts."""
        return [(each["role"], each["content"]) for each in self.upstream.requests[number].json["messages"]]


@asynccontextmanager
async def open_service(
    serve: Serve, dsn: str, folder: Path, *, webhook: bool = False, **environ: str
) -> AsyncIterator[Service]:
    """Start everything; with ``webhook`` Telegram sends updates, else the service asks for them."""
    environ = {"TELEGRAM_BOT_TOKEN": TOKEN, **({"TELEGRAM_WEBHOOK_SECRET": SECRET} if webhook else {}), **environ}
    async with (
        FakeOpenAI() as upstream,
        FakeTelegram() as telegram,
        open_exchange(serve, dsn, folder, upstream, TELEGRAM_API_BASE=telegram.base_url, **environ) as exchange,
    ):
        if webhook:
            telegram.webhook.url = f"{exchange.url}/telegram/webhook"
            telegram.webhook.secret = SECRET
        yield Service(exchange, telegram, upstream)
