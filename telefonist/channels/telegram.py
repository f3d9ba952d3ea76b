"""The Bot API of Telegram: calls, and messages on their way to a chat.

The token stands in every URL that is called; so an error here says what went wrong in words of its own, or Telegram's,
and never with an URL.
"""

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Protocol
from uuid import UUID

import orjson
from aiogram import Bot, exceptions, methods
from aiogram.client.session.aiohttp import AiohttpSession
from aiogram.client.telegram import TelegramAPIServer
from aiogram.types import TelegramObject

from telefonist.errors import TelegramFailure
from telefonist.types import DeliveryAttempt, Outgoing, utc_now

TIMEOUT = 30.0
"""Seconds that a call may take."""

OFFICIAL = "https://api.telegram.org"

BLOCKED = 403
"""The bot may not write there: it was blocked, or removed from the group."""

REFUSED = 400
"""Telegram will not take this message, now or later."""

Ready = Callable[[], Awaitable[None]]


class TelegramBot:
    """One bot, as the Bot API knows it by its token."""

    def __init__(self, bot: Bot) -> None:
        self._bot = bot
        self._username: str | None = None

    @property
    def id(self) -> int:
        """The bot's own id, which its token begins with."""
        return self._bot.id

    async def call(self, method: str, params: Mapping[str, Any], timeout: float = TIMEOUT) -> Any:
        """Call a method by its name in the Bot API; gives its result as JSON holds it, or raises TelegramFailure."""
        kind = getattr(methods, method[0].upper() + method[1:])
        try:
            result = await self._bot(kind.model_validate(params), request_timeout=round(timeout))
        except exceptions.AiogramError as error:
            raise _failure(error) from None
        return _plain(result)

    async def username(self) -> str:
        """Give the bot's name, without the @; raises TelegramFailure."""
        if self._username is None:
            self._username = str((await self.call("getMe", {}))["username"])
        return self._username

    async def download(self, file_id: str) -> bytes:
        """Fetch a file that somebody sent, of at most 20 MB; raises TelegramFailure."""
        file = await self.call("getFile", {"file_id": file_id})
        url = self._bot.session.api.file_url(self._bot.token, file["file_path"])
        try:
            pieces = [piece async for piece in self._bot.session.stream_content(url, timeout=round(TIMEOUT))]
        except Exception as error:  # noqa: BLE001  whatever aiohttp says of it would hold the URL, and so the token
            raise TelegramFailure(None, f"the file was not fetched: {type(error).__name__}") from None
        return b"".join(pieces)


@asynccontextmanager
async def open_telegram(token: str, base_url: str = OFFICIAL) -> AsyncIterator[TelegramBot]:
    """Open the client of a bot; ``base_url`` is another Bot API server's, where one of one's own is used."""
    session = AiohttpSession(api=TelegramAPIServer.from_base(base_url), timeout=TIMEOUT)
    try:
        yield TelegramBot(Bot(token, session=session))
    finally:
        await session.close()


class Sent(Protocol):
    """Remembers under which ids messages went out."""

    async def __call__(self, message_id: UUID, chat_id: int, telegram_id: int) -> None: ...


class Moved(Protocol):
    """Hears that a group has another id now."""

    async def __call__(self, old: int, new: int) -> None: ...


@dataclass(frozen=True, slots=True)
class TelegramChannel:
    """Sends what stands in the outgoing mailbox: bodies are ``{"method": ..., "params": {...}}``."""

    bot: TelegramBot
    sent: Sent
    moved: Moved

    async def send(self, outgoing: Outgoing, ready: Ready | None = None) -> DeliveryAttempt:
        """Make one attempt; whatever Telegram says becomes a DeliveryAttempt.

        What it does not take for its form, it gets once more in the plainest: a text without entities, and outside of a
        topic that is gone; a group that moved, under its new id.
        """
        if ready is not None:
            await ready()
        started_at, started = utc_now(), time.perf_counter()
        wanted = orjson.loads(outgoing.body)
        method, params = wanted["method"], dict(wanted["params"])
        while True:
            try:
                result = await self.bot.call(method, params)
            except TelegramFailure as failure:
                other = await self._otherwise(params, failure)
                if other is None:
                    return DeliveryAttempt(
                        started_at,
                        _milliseconds_since(started),
                        failure.upstream,
                        error=failure.reason[:300],
                        retry_after=failure.retry_after,
                    )
                params = other
            else:
                break
        if isinstance(result, dict) and "message_id" in result and method.startswith(("send", "copy")):
            await self.sent(outgoing.message_id, int(params["chat_id"]), int(result["message_id"]))
        told = orjson.dumps({"message_id": result["message_id"]}).decode() if isinstance(result, dict) else ""
        return DeliveryAttempt(started_at, _milliseconds_since(started), 200, response=told)

    async def _otherwise(self, params: Mapping[str, Any], failure: TelegramFailure) -> dict[str, Any] | None:
        """Give what to try at once in place of what was refused; None where nothing would help."""
        if failure.migrated_to is not None:
            await self.moved(int(params["chat_id"]), failure.migrated_to)
            return {**params, "chat_id": failure.migrated_to}
        if failure.upstream != REFUSED:
            return None
        why = failure.reason.lower()
        if "entit" in why and ("entities" in params or "caption_entities" in params):
            return {name: value for name, value in params.items() if not name.endswith("entities")}
        if "thread not found" in why and "message_thread_id" in params:
            return {name: value for name, value in params.items() if name != "message_thread_id"}
        if "replied not found" in why and "reply_parameters" in params:
            return {name: value for name, value in params.items() if name != "reply_parameters"}
        return None


def _failure(error: exceptions.AiogramError) -> TelegramFailure:
    match error:
        case exceptions.TelegramRetryAfter():
            return TelegramFailure(429, error.message, retry_after=float(error.retry_after))
        case exceptions.TelegramMigrateToChat():
            return TelegramFailure(REFUSED, error.message, migrated_to=error.migrate_to_chat_id)
        case exceptions.TelegramBadRequest():
            return TelegramFailure(REFUSED, error.message)
        case exceptions.TelegramUnauthorizedError():
            return TelegramFailure(401, error.message)
        case exceptions.TelegramForbiddenError():
            return TelegramFailure(BLOCKED, error.message)
        case exceptions.TelegramNotFound():
            return TelegramFailure(404, error.message)
        case exceptions.TelegramConflictError():
            return TelegramFailure(409, error.message)
        case exceptions.TelegramEntityTooLarge():
            return TelegramFailure(413, error.message)
        case exceptions.TelegramServerError():
            return TelegramFailure(502, error.message)
        case exceptions.TelegramNetworkError():
            cause = error.__cause__
            return TelegramFailure(None, f"no answer: {type(cause or error).__name__}")
        case _:
            return TelegramFailure(None, f"not an answer of Telegram's: {type(error).__name__}")


def _plain(result: Any) -> Any:
    if isinstance(result, TelegramObject):
        return result.model_dump(mode="json", by_alias=True, exclude_unset=True)
    if isinstance(result, list):
        return [_plain(each) for each in result]
    return result


def _milliseconds_since(started: float) -> int:
    return round((time.perf_counter() - started) * 1000)
