"""Operators who work in their private chat with the bot: what they write and press there.

What an operator writes goes to the user in the transaction that counts the operator's update as done, so nothing is
lost on the way and nothing comes twice.
"""

import re
from collections.abc import Sequence
from uuid import UUID

from telefonist.channels.telegram_messages import BACK_TO_BOT, RATE, call, messages
from telefonist.channels.telegram_text import Formatted
from telefonist.core import operator_invites
from telefonist.core.conversations import message_tokens
from telefonist.core.handoff import Handoffs
from telefonist.core.handoff_desk import Desk
from telefonist.core.telegram_commands import Command, command_of
from telefonist.core.telegram_dialogs import message_content
from telefonist.core.telegram_operator_chats import (
    DECLINE,
    PICK,
    SWITCH,
    TAKE,
    OperatorChat,
    PrivateChat,
    dialog_buttons,
    name_of,
)
from telefonist.core.voices import TELEGRAM, scheme_of
from telefonist.errors import NotFound, RateLimited
from telefonist.logs import get_logger
from telefonist.memory.base import RateLimiter, enforce
from telefonist.storage import dialogs, operators, remarks, telegram_chats
from telefonist.storage import telegram_operators as staff
from telefonist.storage.dialogs import Place
from telefonist.storage.telegram_operators import OwnDialog
from telefonist.types import (
    Dialog,
    HandoffEnd,
    NoticeKind,
    Operator,
    Owner,
    Role,
    TelegramEvent,
    TelegramMembership,
    TelegramMessage,
    TelegramPlace,
    TelegramPress,
    new_id,
)

log = get_logger(__name__)

CODE = re.compile(r"[A-Za-z0-9_-]{22}")
"""An invite: 16 random bytes in base64."""

TRIES = "5/day"
"""How often a Telegram user may come with an invite."""

MOST_WAITING = 20
"""Conversations that /waiting shows."""


class Seat(OperatorChat):
    """An operator who just wrote or pressed something, in the transaction of that update."""

    def __init__(self, desk: Desk, place: Place, operator: Operator, talking_in: UUID | None) -> None:
        super().__init__(desk.connection, place, operator)
        self.desk = desk
        self.talking_in = talking_in

    async def to_nobody(self) -> None:
        """Say that what they wrote went to nobody, and to whom it could go."""
        found = await staff.own_dialogs(self.connection, self.operator.id)
        await self.say("operator_choose_dialog" if found else "operator_no_dialog", dialog_buttons(SWITCH, found))

    async def not_sent(self, conversation_id: UUID) -> None:
        """Say that the conversation is not theirs any more."""
        await staff.stop_talking_in(self.connection, self.operator.id, conversation_id)
        await self.say("operator_not_sent", title=await staff.title_of(self.connection, conversation_id))

    async def gone(self, dialog: Dialog, title: str) -> None:
        """Say who has a conversation that they wanted."""
        if dialog.owner is Owner.OPERATOR:
            name = await name_of(self.connection, dialog.operator_id)
            await self.say("operator_too_late", title=title, operator=name)
        else:
            await self.say("operator_not_waiting", title=title)


class PrivateDesk:
    """Understands what operators write and press in their private chats."""

    def __init__(self, handoffs: Handoffs, limiter: RateLimiter) -> None:
        self._handoffs = handoffs
        self._limiter = limiter

    async def hear(self, desk: Desk, event: TelegramEvent) -> bool:
        """Tell whether it was an operator's, or was to make one, and has been seen to in the desk's transaction."""
        if not event.is_private or event.place.thread_id or event.sender.id != event.place.chat_id:
            return False
        known = await staff.by_telegram(desk.connection, event.sender.id)
        if isinstance(event, TelegramMessage) and not event.is_edited:
            command = command_of(event.text) if event.media is None else None
            code = _code(command)
            if code is not None:
                await self._become(desk, event, code)
                return True
            if known is not None and not event.is_service:
                seat = await _seat(desk, *known)
                await (self._obey(seat, command) if command is not None else self._written(seat, event))
                return True
        if known is None:
            return False
        match event:
            case TelegramPress():
                return await self._pressed(await _seat(desk, *known), event)
            case TelegramMessage(is_edited=True):
                return await self._edited(await _seat(desk, *known), event)
            case TelegramMembership(is_member=False):  # blocked: nothing that is offered would reach them
                await staff.set_online(desk.connection, known[0].id, online=False)
                return False
            case _:
                return False

    async def _become(self, desk: Desk, message: TelegramMessage, code: str) -> None:
        connection, person = desk.connection, message.sender
        language, banned = await telegram_chats.see(connection, person, person.language or "ru")
        if banned:
            return
        place = await staff.chat_of(connection, person.id)
        chat = PrivateChat(connection, place, language)
        try:
            await enforce(self._limiter, TRIES, "operator_invite", str(person.id))
        except RateLimited:
            await chat.say("operator_invite_too_often")
            return
        digest, capacity = operator_invites.code_digest(code), self._handoffs.rules.capacity
        operator = await operators.redeem(connection, digest, person.id, person.name, capacity, language)
        if operator is None:
            await chat.say("operator_invite_not_good")
            return
        log.info("operator_registered", operator=str(operator.id))
        await desk.give_back(place.conversation_id, HandoffEnd.WITHDRAWN)
        await chat.say("operator_welcome")

    async def _obey(self, seat: Seat, command: Command) -> None:
        connection, operator = seat.connection, seat.operator
        match command.name:
            case "online" | "offline":
                online = command.name == "online"
                await staff.set_online(connection, operator.id, online=online)
                await seat.say("operator_is_online" if online else "operator_is_offline")
            case "switch" | "dialogs":
                await self._list(seat, SWITCH, await staff.own_dialogs(connection, operator.id))
            case "waiting":
                await self._list(seat, PICK, await staff.waiting_dialogs(connection, MOST_WAITING))
            case "done" | "tobot":
                end = HandoffEnd.CLOSED if command.name == "done" else HandoffEnd.RETURNED
                await self._end(seat, end)
            case "note":
                await self._note(seat, command.rest)
            case "invite" if operator.may_invite:
                code = await operator_invites.invite(self._handoffs.staff, operator.id)
                await seat.say("operator_invited", code=code)
            case "invite":
                await seat.say("operator_may_not_invite")
            case "start" | "help":
                await seat.say("operator_help")
            case _:
                await seat.say("telegram_unknown_command")

    async def _list(self, seat: Seat, button: str, found: Sequence[OwnDialog]) -> None:
        full, none = {
            SWITCH: ("operator_your_dialogs", "operator_no_dialogs"),
            PICK: ("operator_waiting_dialogs", "operator_nobody_waits"),
        }[button]
        await seat.say(full if found else none, dialog_buttons(button, found))

    async def _end(self, seat: Seat, end: HandoffEnd) -> None:
        """End the conversation that the operator writes to; that it is over they hear as operators do."""
        conversation_id = seat.talking_in
        if conversation_id is None:
            await seat.to_nobody()
        elif await seat.desk.give_back(conversation_id, end, seat.operator) is None:
            await seat.not_sent(conversation_id)

    async def _note(self, seat: Seat, words: str) -> None:
        if not words:
            await seat.say("operator_note_what")
        elif seat.talking_in is None:
            await seat.to_nobody()
        else:
            await seat.desk.note(seat.talking_in, seat.operator, words)
            await seat.say("operator_noted")

    async def _written(self, seat: Seat, message: TelegramMessage) -> None:
        conversation_id = seat.talking_in
        if message.answers is not None:
            meant = await staff.copied_from(seat.connection, message.place.chat_id, message.answers)
            conversation_id = meant or conversation_id
        if conversation_id is None:
            await seat.to_nobody()
            return
        place = await dialogs.enter(seat.connection, conversation_id)
        words = message.text.replace("\x00", "")
        is_text = message.media is None and bool(words.strip())
        if not is_text and scheme_of(place.callback_url) != TELEGRAM:
            await seat.say("operator_no_files", title=await staff.title_of(seat.connection, conversation_id))
            return
        if is_text:
            message_id = await seat.desk.reply(conversation_id, seat.operator, words)
        else:
            message_id = await self._copied(seat, place, message)
        if message_id is None:
            await seat.not_sent(conversation_id)
            return
        await telegram_chats.remember(
            seat.connection, message.place, message.telegram_id, conversation_id, message_id, kind="reply"
        )

    async def _copied(self, seat: Seat, place: Place, message: TelegramMessage) -> UUID | None:
        """Send the user a file, or whatever else is no text; gives its id, None where the dialog is not theirs."""
        dialog = await dialogs.operator_wrote(seat.connection, place, seat.operator.id)
        if dialog is None:
            return None
        message_id, content = new_id(), message_content(message)
        origin = {"from_chat_id": message.place.chat_id, "message_id": message.telegram_id}
        copied = call(message_id, TelegramPlace.of(place.callback_url), "copyMessage", origin)
        tokens = message_tokens(content)
        await remarks.append(seat.connection, place, Role.OPERATOR, content, tokens, message_id)
        await remarks.send(seat.connection, place, [copied], place.callback_url)
        await seat.desk.notice(NoticeKind.MESSAGE, dialog, seat.operator.id)
        return message_id

    async def _edited(self, seat: Seat, message: TelegramMessage) -> bool:
        """Let the user see the new words where their channel can, while the conversation is the operator's."""
        known = await telegram_chats.find_message(seat.connection, message.place.chat_id, message.telegram_id)
        if known is None or known.kind != "reply":
            return False
        words = message.text.replace("\x00", "")
        place = await dialogs.enter(seat.connection, known.conversation_id)
        dialog = await dialogs.get(seat.connection, known.conversation_id)
        sent = await staff.sent_as(seat.connection, known.conversation_id, known.message_id)
        is_theirs = dialog.owner is Owner.OPERATOR and dialog.operator_id == seat.operator.id
        parts = messages(new_id(), message.place, Formatted(words))
        if sent is None or not is_theirs or len(parts) != 1 or message.media is not None:
            await seat.say("operator_not_edited")
            return True
        if await telegram_chats.change_message(seat.connection, known, words, message_tokens(words)):
            chat_id, telegram_id = sent
            changed = call(
                new_id(), TelegramPlace(chat_id), "editMessageText", {"message_id": telegram_id, "text": words}
            )
            await remarks.send(seat.connection, place, [changed], place.callback_url)
        return True

    async def _pressed(self, seat: Seat, press: TelegramPress) -> bool:
        """Do what a button of an operator's stands for, after another look at how things are now."""
        kind, _, rest = press.data.partition(":")
        if kind not in (TAKE, PICK, DECLINE, SWITCH):
            return kind not in (RATE, BACK_TO_BOT)
        try:
            conversation_id = UUID(rest)
            title = await staff.title_of(seat.connection, conversation_id)
            if kind in (TAKE, PICK):
                await self._take(seat, conversation_id, title)
            elif kind == DECLINE:
                await self._decline(seat, conversation_id, title)
            else:
                await self._switch(seat, conversation_id, title)
        except (ValueError, NotFound):
            log.warning("operator_button_refused", operator=str(seat.operator.id))
            return True
        if kind == TAKE:
            bare = call(new_id(), press.place, "editMessageReplyMarkup", {"message_id": press.telegram_id})
            await seat.send([bare])
        return True

    async def _take(self, seat: Seat, conversation_id: UUID, title: str) -> None:
        """Give them the conversation if it still waits: an old card is no reason to interrupt the bot."""
        await dialogs.enter(seat.connection, conversation_id)
        before = await dialogs.get(seat.connection, conversation_id)
        is_theirs = before.owner is Owner.OPERATOR and before.operator_id == seat.operator.id
        if before.owner is Owner.WAITING:
            await seat.desk.take(conversation_id, seat.operator)
        elif is_theirs:
            await self._switch(seat, conversation_id, title)
        else:
            await seat.gone(before, title)

    async def _decline(self, seat: Seat, conversation_id: UUID, title: str) -> None:
        await staff.decline_in_turn(seat.connection)
        if await seat.desk.decline(conversation_id, seat.operator):
            await seat.say("operator_declined")
            return
        dialog = await dialogs.get(seat.connection, conversation_id)
        if dialog.owner is Owner.WAITING:
            await seat.say("operator_declined")
        elif dialog.operator_id != seat.operator.id:
            await seat.gone(dialog, title)

    async def _switch(self, seat: Seat, conversation_id: UUID, title: str) -> None:
        await dialogs.enter(seat.connection, conversation_id)
        dialog = await dialogs.get(seat.connection, conversation_id)
        if dialog.owner is not Owner.OPERATOR or dialog.operator_id != seat.operator.id:
            await seat.gone(dialog, title)
            return
        await staff.talk_in(seat.connection, seat.operator.id, conversation_id)
        await seat.say("operator_writes_to", title=title)


async def _seat(desk: Desk, operator: Operator, talking_in: UUID | None) -> Seat:
    assert operator.telegram_id is not None, "they were found by it"  # noqa: S101
    return Seat(desk, await staff.chat_of(desk.connection, operator.telegram_id), operator, talking_in)


def _code(command: Command | None) -> str | None:
    """Give the invite that somebody came with; links of other kinds begin with /start too."""
    if command is None or command.name not in ("start", "operator_invite") or not CODE.fullmatch(command.rest):
        return None
    return command.rest
