"""While a model writes, a chat of Telegram shows it: the typing status, and in private chats the text so far.

All of it is for the eye: a call that fails is left at that.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any, Protocol

from telefonist.channels.telegram_text import from_markdown, split
from telefonist.core.background import Background
from telefonist.core.watched import Show
from telefonist.errors import TelegramFailure
from telefonist.types import Json, TelegramPlace, Turn

TYPING_LASTS = 4.0
"""Seconds after which the status is shown anew; Telegram takes it away after 5."""

BETWEEN_DRAFTS = 1.0
"""Seconds between two previews: a chat bears about one call a second."""

PARTING = 2.0
"""Seconds that a call under way gets to end, for no preview to come after the answer."""

GIVING_UP = (400, 401, 403, 404)


class Calls(Protocol):
    """What is asked of Telegram outside of any order."""

    async def call(self, method: str, params: Json) -> Any:
        """Call a method; raises TelegramFailure."""
        ...


class TelegramPresence:
    """Shows whoever waits that an answer is being written."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls
        self._behind = Background("previews in Telegram")

    @asynccontextmanager
    async def attend(self, turn: Turn) -> AsyncIterator[Show | None]:
        """Show it until the block ends; gives what takes the text so far, None where no preview can be shown."""
        place = TelegramPlace.of(turn.callback_url)
        preview = _Preview(self._calls, place, turn.number)
        showing = self._behind.start(preview.run())
        try:
            yield preview.show if preview.is_possible else None
        finally:
            preview.end()
            await asyncio.wait({showing}, timeout=PARTING)
            showing.cancel()


class _Preview:
    def __init__(self, calls: Calls, place: TelegramPlace, number: int) -> None:
        self.is_possible = place.chat_id > 0
        """Only private chats, whose ids are those of users, take drafts."""
        self._calls = calls
        self._place = place
        self._number = number
        self._text = ""
        self._changed = asyncio.Event()
        self._ended = False

    def show(self, text: str) -> None:
        """Take the whole text so far."""
        self._text = text
        self._changed.set()

    def end(self) -> None:
        self._ended = True
        self._changed.set()

    async def run(self) -> None:
        """Show typing until there is a text, then the text as it grows."""
        typed_at, shown = 0.0, ""
        while not self._ended:
            self._changed.clear()
            try:
                if self._text != shown:
                    shown = self._text
                    await self._draft(shown)
                elif not shown and time.monotonic() - typed_at >= TYPING_LASTS:
                    typed_at = time.monotonic()
                    await self._call("sendChatAction", {"action": "typing"})
            except TelegramFailure as failure:
                if failure.upstream in GIVING_UP:
                    return
                await self._rest(failure.retry_after or TYPING_LASTS, unless_changed=False)
            await self._rest(BETWEEN_DRAFTS, unless_changed=not shown)
            if self._text == shown:
                await self._rest(TYPING_LASTS, unless_changed=True)

    async def _draft(self, text: str) -> None:
        parts = split(from_markdown(text))
        if len(parts) != 1:  # nothing to show yet, or more than a draft can hold
            return
        entities = [entity.as_json() for entity in parts[0].entities]
        await self._call("sendMessageDraft", {"draft_id": self._number, "text": parts[0].text, "entities": entities})

    async def _call(self, method: str, params: Json) -> None:
        where = {"chat_id": self._place.chat_id}
        thread = {"message_thread_id": self._place.thread_id} if self._place.thread_id else {}
        await self._calls.call(method, {**where, **thread, **params})

    async def _rest(self, seconds: float, *, unless_changed: bool) -> None:
        """Wait; in any case no longer than until the end, and no longer than until a change where that matters."""
        until = time.monotonic() + seconds
        while not self._ended and (left := until - time.monotonic()) > 0:
            self._changed.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(left):
                    await self._changed.wait()
            if unless_changed:
                return
