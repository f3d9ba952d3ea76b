"""``telefonist telegram set-webhook | delete-webhook | info | ban | unban``: how updates come, and who is answered."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from telefonist.app import open_house
from telefonist.channels.telegram_updates import WANTED
from telefonist.commands.terminal import say, terminal_language
from telefonist.core.telegram_commands import announce
from telefonist.doors.telegram import PATH
from telefonist.errors import ConfigurationError
from telefonist.logs import configure_logging
from telefonist.settings import Settings
from telefonist.storage.telegram_chats import set_banned
from telefonist.texts import render

if TYPE_CHECKING:
    from telefonist.channels.telegram import TelegramBot

CONNECTIONS = 40
"""Updates that Telegram may send at once."""


async def set_webhook(settings: Settings) -> None:
    """Tell Telegram where to send updates, with which secret and of which kinds, and what commands there are.

    Raises ConfigurationError for what is not set, and TelegramFailure.
    """
    configure_logging("warning")
    if settings.telegram.webhook_secret is None or settings.public_url is None:
        raise ConfigurationError(
            "A webhook needs TELEFONIST_PUBLIC_URL, where Telegram reaches this service by HTTPS, and "
            "TELEGRAM_WEBHOOK_SECRET, which 'openssl rand -hex 32' makes. Without them the service asks Telegram for "
            "updates by itself."
        )
    url = f"{settings.public_url}{PATH}"
    async with _bot(settings) as bot:
        await bot.call(
            "setWebhook",
            {
                "url": url,
                "secret_token": settings.telegram.webhook_secret,
                "allowed_updates": list(WANTED),
                "max_connections": CONNECTIONS,
            },
        )
        await announce(bot)
    say(render("telegram_webhook_set", terminal_language(), {"url": url}))


async def delete_webhook(settings: Settings) -> None:
    """Let Telegram keep updates until it is asked for them; raises TelegramFailure."""
    configure_logging("warning")
    async with _bot(settings) as bot:
        await bot.call("deleteWebhook", {})
        await announce(bot)
    say(render("telegram_webhook_deleted", terminal_language()))


async def info(settings: Settings) -> None:
    """Say which bot it is, how updates come, and what Telegram last failed at; raises TelegramFailure."""
    configure_logging("warning")
    language = terminal_language()
    async with _bot(settings) as bot:
        me, webhook = await bot.call("getMe", {}), await bot.call("getWebhookInfo", {})
    none = render("telegram_none", language)
    values = {
        "username": me.get("username"),
        "id": me["id"],
        "url": webhook.get("url") or none,
        "pending": webhook.get("pending_update_count", 0),
        "error": webhook.get("last_error_message") or none,
    }
    say(render("telegram_info", language, values))


async def ban(settings: Settings, user_id: int, *, banned: bool) -> None:
    """Answer a user no more, or again."""
    configure_logging("warning")
    async with open_house(settings, "command") as house, house.database.begin() as connection:
        known = await set_banned(connection, user_id, banned=banned)
    code = "telegram_user_unknown" if not known else "telegram_user_banned" if banned else "telegram_user_unbanned"
    say(render(code, terminal_language(), {"user": user_id}))


@asynccontextmanager
async def _bot(settings: Settings) -> "AsyncIterator[TelegramBot]":
    if settings.telegram.bot_token is None:
        raise ConfigurationError(
            "TELEGRAM_BOT_TOKEN is not set: write /newbot to @BotFather in Telegram, and put the token it gives into "
            ".env."
        )
    from telefonist.channels.telegram import open_telegram  # aiogram takes two seconds to import

    async with open_telegram(settings.telegram.bot_token, settings.telegram.api_base) as bot:
        yield bot
