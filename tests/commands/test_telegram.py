"""``telefonist telegram``: where updates come from, who the bot is, and who is answered."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from telefonist.commands import telegram as commands
from telefonist.errors import ConfigurationError, TelegramFailure
from telefonist.settings import Settings, load_settings
from telefonist.storage.database import Database
from telefonist.storage.telegram_chats import see
from telefonist.types import TelegramPerson
from tests.fakes.telegram import TOKEN, FakeTelegram

SECRET = "telegram-secret-0123456789"


@pytest.fixture
async def telegram() -> AsyncIterator[FakeTelegram]:
    async with FakeTelegram() as telegram:
        yield telegram


def settings_of(telegram: FakeTelegram, dsn: str, folder: Path, **environ: str) -> Settings:
    return load_settings(
        {
            "DATABASE_URL": dsn,
            "TELEFONIST_SECRET": "s" * 32,
            "TELEGRAM_BOT_TOKEN": TOKEN,
            "TELEGRAM_API_BASE": telegram.base_url,
            **environ,
        },
        folder,
    )


async def test_the_webhook_is_set_with_its_secret_and_the_kinds_of_updates(
    telegram: FakeTelegram, dsn: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = settings_of(
        telegram, dsn, folder, TELEGRAM_WEBHOOK_SECRET=SECRET, TELEFONIST_PUBLIC_URL="https://bot.example.com/"
    )
    await commands.set_webhook(settings)
    assert telegram.webhook.url == "https://bot.example.com/telegram/webhook"
    assert telegram.webhook.secret == SECRET
    assert telegram.webhook.allowed == ("message", "edited_message", "callback_query", "my_chat_member")
    assert "https://bot.example.com/telegram/webhook" in capsys.readouterr().out
    russian = {command["command"]: command["description"] for command in telegram.commands["ru"]}
    assert russian["operator"] == "Позвать человека"
    assert set(russian) == {command["command"] for command in telegram.commands[""]}

    await commands.info(settings)
    told = capsys.readouterr().out
    assert "@fake_bot" in told
    assert "https://bot.example.com/telegram/webhook" in told

    await commands.delete_webhook(settings)
    assert telegram.webhook.url == ""


async def test_a_webhook_without_a_secret_or_an_address_is_not_set(
    telegram: FakeTelegram, dsn: str, folder: Path
) -> None:
    for environ in ({"TELEGRAM_WEBHOOK_SECRET": SECRET}, {"TELEFONIST_PUBLIC_URL": "https://bot.example.com"}):
        with pytest.raises(ConfigurationError, match="A webhook needs TELEFONIST_PUBLIC_URL"):
            await commands.set_webhook(settings_of(telegram, dsn, folder, **environ))
    assert telegram.calls == []


async def test_a_wrong_token_is_told_of_without_showing_it(telegram: FakeTelegram, dsn: str, folder: Path) -> None:
    other = "123456:AAAnotherAnotherAnotherAnother00"
    with pytest.raises(TelegramFailure) as failure:
        await commands.info(settings_of(telegram, dsn, folder, TELEGRAM_BOT_TOKEN=other))
    assert "Unauthorized" in str(failure.value)
    assert other not in str(failure.value)


async def test_without_a_token_it_is_said_where_one_comes_from(settings: Settings) -> None:
    with pytest.raises(ConfigurationError, match="@BotFather"):
        await commands.info(settings)


async def test_a_user_is_banned_and_let_in_again(
    settings: Settings, database: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    anna = TelegramPerson(5_000_000_000, "Анна")
    async with database.begin() as connection:
        assert await see(connection, anna, "ru") == ("ru", False)
    for banned in (True, False):
        await commands.ban(settings, anna.id, banned=banned)
        async with database.begin() as connection:
            assert await see(connection, anna, "ru") == ("ru", banned)
    await commands.ban(settings, 77, banned=True)
    assert "77" in capsys.readouterr().out.splitlines()[-1]
