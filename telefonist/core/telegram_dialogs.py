"""What an update of Telegram means: a question, a command, a pressed button, a chat that came or went.

What an update causes is stored together with counting it as done, so that nothing is lost and nothing done twice.
"""

from typing import Any, Protocol
from uuid import UUID

from telefonist.channels.telegram_messages import call
from telefonist.channels.telegram_updates import read_update
from telefonist.core.background import Background
from telefonist.core.catalog import prompt_budget
from telefonist.core.conversations import message_tokens
from telefonist.core.handoff import Handoffs
from telefonist.core.handoff_desk import Desk
from telefonist.core.mailbox import AtHand, Worker, insist
from telefonist.core.telegram_commands import Commands, Visit, command_of
from telefonist.errors import LeaseLost, TelegramFailure
from telefonist.logs import get_logger, message_text
from telefonist.storage import dialogs, remarks, telegram_chats
from telefonist.storage.telegram import TelegramUpdates, move_on
from telefonist.texts import language_of
from telefonist.types import (
    Json,
    Lease,
    NoticeKind,
    Owner,
    Role,
    TelegramEvent,
    TelegramMembership,
    TelegramMessage,
    TelegramPress,
    new_id,
)

log = get_logger(__name__)

ALBUM_WAIT = 1.0
"""Seconds that the pieces of an album get to arrive before they are answered: it has no end that could be seen."""

LONGEST_NAME = 100
"""Characters of a file's name that are kept."""


class Calls(Protocol):
    """What is asked of Telegram outside of any order."""

    async def call(self, method: str, params: Json) -> Any:
        """Call a method; raises TelegramFailure."""
        ...

    async def username(self) -> str:
        """Give the bot's own name; raises TelegramFailure."""
        ...

    @property
    def id(self) -> int:
        """The bot's own id."""
        ...


class Staff(Protocol):
    """Looks at what operators write and press before it is taken for a user's."""

    async def hear(self, desk: Desk, event: TelegramEvent) -> bool:
        """Tell whether it was theirs, and has been seen to in the desk's transaction."""
        ...


class TelegramDialogs:
    """Works on the updates of a chat, one after the other."""

    def __init__(
        self,
        worker: Worker,
        updates: TelegramUpdates,
        handoffs: Handoffs,
        commands: Commands,
        calls: Calls,
        *,
        system_tokens: int = 0,
        operator_group: int | None = None,
    ) -> None:
        self.staff: list[Staff] = []
        """Added while the service is built, before anything happens."""
        self._worker = worker
        self._updates = updates
        self._handoffs = handoffs
        self._commands = commands
        self._calls = calls
        self._system_tokens = system_tokens
        self._operator_group = operator_group
        self._behind = Background("answers to presses of buttons")

    async def work(self, lease: Lease, at_hand: AtHand) -> None:  # noqa: ARG002  updates are never at hand
        """See to what waits, while the lease holds."""
        current: Lease | None = lease
        while current is not None:
            if self._worker.stopping:
                await self._worker.give_back(current)
                return
            current = await self._next(current)

    async def close(self, grace: float) -> None:
        """Wait for calls that are under way, then leave them."""
        await self._behind.close(grace)

    async def _next(self, lease: Lease) -> Lease | None:
        """See to one update; one that makes us stumble is put aside, so as not to shut its chat for ever."""
        update = await insist(self._updates.load, lease)
        event = None if update is None else read_update(update)
        try:
            return await insist(self._see_to, lease, event)
        except LeaseLost:
            raise
        except Exception:
            log.exception("update_failed", update_id=None if update is None else update.get("update_id"))
            return await insist(self._see_to, lease, None)

    async def _see_to(self, lease: Lease, event: TelegramEvent | None) -> Lease | None:
        name = await self._own_name() if isinstance(event, TelegramMessage) and not event.is_private else ""
        async with self._handoffs.desk() as desk:
            rest = await move_on(desk.connection, self._worker.process_id, lease)
            if event is not None:
                await self._react(desk, lease.conversation_id, event, name)
        if isinstance(event, TelegramPress):
            self._behind.start(self._calls.call("answerCallbackQuery", {"callback_query_id": event.query_id}))
        return rest

    async def _own_name(self) -> str:
        try:
            return await self._calls.username()
        except TelegramFailure:
            return ""

    async def _react(self, desk: Desk, conversation_id: UUID, event: TelegramEvent, own_name: str) -> None:
        for each in self.staff:
            if await each.hear(desk, event):
                return
        if event.place.chat_id == self._operator_group:
            return
        match event:
            case TelegramMessage(migrated_to=int(new)):
                await telegram_chats.move_chat(desk.connection, event.place.chat_id, new)
            case TelegramMessage(is_edited=True):
                await self._edited(desk, event)
            case TelegramMessage():
                await self._written(desk, conversation_id, event, own_name)
            case TelegramPress():
                await self._pressed(desk, conversation_id, event)
            case TelegramMembership(is_member=False):
                await telegram_chats.mark_blocked(desk.connection, conversation_id)
            case _:
                pass

    async def _written(self, desk: Desk, conversation_id: UUID, message: TelegramMessage, own_name: str) -> None:
        if message.is_service or message.is_anonymous or message.sender.is_bot:
            return
        if not message.is_private and not self._is_addressed(message, own_name):
            return
        visit = await self._visit(desk, conversation_id, message, message.text, message.album)
        if visit is None:
            return
        found = command_of(message.text, own_name) if message.media is None else None
        if found is not None:
            await self._commands.carry_out(visit, found)
            return
        await self._said(visit, message)

    async def _said(self, visit: Visit, message: TelegramMessage) -> None:
        connection, chat = visit.desk.connection, visit.chat
        content = message_content(message)
        message_id, tokens = new_id(), message_tokens(content)
        place = await dialogs.enter(connection, chat.conversation_id)
        dialog = await dialogs.get(connection, chat.conversation_id)
        model = self._commands.model_of(chat)
        wordless = not message.text.strip() and dialog.owner is Owner.BOT
        if wordless:
            await remarks.append(connection, place, Role.USER, content, tokens, message_id)
            if message.album is None or message.album != chat.album:
                await visit.say("telegram_words_only", calls_person=True)
        elif tokens + self._system_tokens > prompt_budget(model):
            await visit.say("telegram_too_long")
            return
        else:
            wait = ALBUM_WAIT if message.album else 0.0
            await telegram_chats.ask(connection, place, message_id, content, tokens, model.name, wait=wait)
        await telegram_chats.remember(
            connection, chat.place, message.telegram_id, chat.conversation_id, message_id, message.media
        )
        log.info(
            "telegram_message",
            conversation_id=str(chat.conversation_id),
            kind=message.media.kind if message.media else "text",
            text=message_text(content),
        )

    async def _edited(self, desk: Desk, message: TelegramMessage) -> None:
        """Put the new words in the place of the old ones; the bot does not answer anew, a person sees them."""
        known = await telegram_chats.find_message(desk.connection, message.place.chat_id, message.telegram_id)
        if known is None:
            return
        content = message_content(message)
        await dialogs.enter(desk.connection, known.conversation_id)
        if not await telegram_chats.change_message(desk.connection, known, content, message_tokens(content)):
            return
        dialog = await dialogs.get(desk.connection, known.conversation_id)
        if dialog.owner is not Owner.BOT:
            await desk.notice(NoticeKind.MESSAGE, dialog, dialog.operator_id, changed=known.message_id)

    async def _pressed(self, desk: Desk, conversation_id: UUID, press: TelegramPress) -> None:
        if press.is_private and press.sender.id != press.place.chat_id:
            return
        visit = await self._visit(desk, conversation_id, press, "", None)
        if visit is None:
            return
        done = await self._commands.press(visit, press.data)
        if done:
            taken = call(new_id(), press.place, "editMessageReplyMarkup", {"message_id": press.telegram_id})
            await visit.send([taken])

    async def _visit(
        self, desk: Desk, conversation_id: UUID, event: TelegramMessage | TelegramPress, text: str, album: str | None
    ) -> Visit | None:
        """Enter the chat and remember who came; None for somebody who was banned."""
        spoken = event.sender.language or language_of(text)
        language, banned = await telegram_chats.see(desk.connection, event.sender, spoken)
        if banned:
            return None
        chat = await telegram_chats.enter_chat(desk.connection, conversation_id)
        user = event.sender.id if event.is_private else None
        await telegram_chats.visited(desk.connection, chat, user, album or chat.album)
        return Visit(desk, chat, language)

    def _is_addressed(self, message: TelegramMessage, own_name: str) -> bool:
        """Tell whether somebody in a group means the bot: by a command, by its name, or by answering it."""
        if message.text.startswith("/") or message.answers_person == self._calls.id:
            return True
        return bool(own_name) and f"@{own_name.lower()}" in message.text.lower()


def message_content(message: TelegramMessage) -> str:
    """Give a message in words: a file by its kind and name, then what is written below it."""
    words = message.text.replace("\x00", "").strip()
    if message.media is None:
        return words or "[…]"
    name = "".join(letter for letter in message.media.name or "" if letter.isprintable())[:LONGEST_NAME]
    return f"[{' '.join(filter(None, (message.media.kind, name)))}] {words}".strip()
