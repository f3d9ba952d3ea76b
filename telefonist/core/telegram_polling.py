"""Asking Telegram for updates, where it cannot send them: one process of many asks, and stores before it confirms."""

import asyncio
from contextlib import suppress
from typing import Any, Protocol

from telefonist.channels.telegram_updates import WANTED, place_of
from telefonist.core.telegram_commands import announce
from telefonist.errors import TelegramFailure, Unavailable
from telefonist.logs import get_logger
from telefonist.storage.leadership import Leadership
from telefonist.storage.telegram import TelegramUpdates
from telefonist.types import Json

log = get_logger(__name__)

PATIENCE = 25
"""Seconds that Telegram waits for an update before it answers that there is none."""

MOST = 100
"""Updates in one answer."""

PAUSES = (1.0, 2.0, 5.0, 15.0, 30.0)
"""Seconds between tries, while Telegram does not answer."""


class Calls(Protocol):
    """What is asked of Telegram."""

    async def call(self, method: str, params: Json, timeout: float = ...) -> Any:
        """Call a method; raises TelegramFailure."""
        ...


class Poller:
    """Fetches updates while no other process does."""

    def __init__(self, calls: Calls, updates: TelegramUpdates, leadership: Leadership) -> None:
        self._calls = calls
        self._updates = updates
        self._leadership = leadership

    async def run(self) -> None:
        """Fetch updates for as long as it is ours to do so; gives up at once where another process does.

        An update counts as fetched for Telegram only when the next ones are asked for, and by then it is stored.
        """
        async with self._leadership.take() as lost:
            if lost is None:
                return
            fetching = asyncio.create_task(self._fetch())
            losing = asyncio.create_task(lost.wait())
            try:
                await asyncio.wait({fetching, losing}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for task in (fetching, losing):
                    task.cancel()
                await asyncio.gather(fetching, losing, return_exceptions=True)

    async def _fetch(self) -> None:
        with suppress(TelegramFailure):  # a list of commands is a convenience
            await announce(self._calls)
        offset, failures, told = 0, 0, ""
        while True:
            wanted: dict[str, Any] = {"timeout": PATIENCE, "limit": MOST, "allowed_updates": list(WANTED)}
            if offset:
                wanted["offset"] = offset
            try:
                found = await self._calls.call("getUpdates", wanted, PATIENCE + 10.0)
            except TelegramFailure as failure:
                if failure.reason != told:
                    told = failure.reason
                    log.error(  # noqa: TRY400  Telegram says it all
                        "telegram_updates_not_fetched", reason=failure.reason, hint=_hint(failure)
                    )
                pause = max(failure.retry_after or 0.0, PAUSES[min(failures, len(PAUSES) - 1)])
                failures += 1
                await asyncio.sleep(pause)
                continue
            failures, told = 0, ""
            if found:
                await self._store(found)
                offset = max(update["update_id"] for update in found) + 1

    async def _store(self, found: list[dict[str, Any]]) -> None:
        placed = [(place, update) for update in found if (place := place_of(update)) is not None]
        while placed:
            with suppress(Unavailable):
                await self._updates.accept(placed)
                return
            await asyncio.sleep(PAUSES[0])


def _hint(failure: TelegramFailure) -> str | None:
    match failure.upstream:
        case 401 | 404:
            return "TELEGRAM_BOT_TOKEN is not the token of a bot: ask @BotFather"
        case 409 if "webhook" in failure.reason:
            return "a webhook is set: run 'telefonist telegram delete-webhook', or set TELEGRAM_WEBHOOK_SECRET"
        case 409:
            return "somebody else fetches this bot's updates: stop that, one bot has one service"
        case _:
            return None
