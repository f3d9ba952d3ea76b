"""What operators read in their private chats with the bot: cards, what users write, and what became of conversations.

What the user writes comes to the operator's chat through its outgoing mailbox, in the transaction that counts it as
shown: nothing is lost on the way, and nothing comes twice.
"""

from collections.abc import Sequence
from typing import Any
from uuid import UUID, uuid5

from telefonist.channels.telegram_messages import Buttons, call, keyboard, messages
from telefonist.channels.telegram_text import Formatted, split
from telefonist.core.handoff import Handoffs
from telefonist.core.summaries import LAST_MESSAGES, excerpt
from telefonist.storage import dialogs, handoffs, remarks
from telefonist.storage import telegram_operators as staff
from telefonist.storage.database import Database
from telefonist.storage.dialogs import Place, Transaction
from telefonist.storage.telegram_operators import OwnDialog
from telefonist.texts import render
from telefonist.types import (
    Dialog,
    Handoff,
    HandoffReason,
    Language,
    Notice,
    NoticeKind,
    Operator,
    Outgoing,
    Owner,
    TelegramPlace,
    new_id,
)

TAKE = "op-take"
PICK = "op-pick"
"""As TAKE, below a list: it stays for the others in it."""
DECLINE = "op-pass"
SWITCH = "op-talk"

LONGEST_SUMMARY = 3000
"""Characters of a summary on a card, which is one message."""

LONGEST_BUTTON = 60
"""Characters of a button's text."""


class PrivateChat:
    """Somebody's private chat with the bot, to be told something there."""

    def __init__(self, connection: Transaction, place: Place, language: Language) -> None:
        self.connection = connection
        self.language = language
        self.place = place

    async def say(self, code: str, /, buttons: Buttons = (), **values: str) -> None:
        """Tell them something of the service's own."""
        await self.tell(render(code, self.language, values), buttons)

    async def tell(self, text: str, buttons: Buttons = (), *, message_id: UUID | None = None) -> None:
        """Tell them something in these words, known by ``message_id``."""
        here = TelegramPlace.of(self.place.callback_url)
        await self.send(messages(message_id or new_id(), here, Formatted(text), buttons))

    async def change(self, telegram_id: int, text: str, buttons: Buttons = ()) -> None:
        """Put other words, and other buttons, in the place of what they were told."""
        params: dict[str, Any] = {"message_id": telegram_id, "text": text}
        if buttons:
            params["reply_markup"] = keyboard(buttons)
        await self.send([call(new_id(), TelegramPlace.of(self.place.callback_url), "editMessageText", params)])

    async def copy(self, chat_id: int, telegram_id: int) -> None:
        """Show them a message of another chat, whatever is in it."""
        here = TelegramPlace.of(self.place.callback_url)
        await self.send([call(new_id(), here, "copyMessage", {"from_chat_id": chat_id, "message_id": telegram_id})])

    async def send(self, outgoing: Sequence[Outgoing]) -> None:
        """Put calls into the outgoing mailbox."""
        await remarks.send(self.connection, self.place, outgoing, self.place.callback_url)


class OperatorChat(PrivateChat):
    """An operator's private chat with the bot."""

    def __init__(self, connection: Transaction, place: Place, operator: Operator) -> None:
        super().__init__(connection, place, operator.language)
        self.operator = operator


class OperatorChats:
    """Tells operators in their private chats what happens in conversations."""

    async def write(self, connection: Transaction, notice: Notice) -> None:
        """Put what one operator is to be told into their chat's outgoing mailbox; the conversation was entered."""
        dialog = await dialogs.get(connection, notice.conversation_id)
        match notice.kind:
            case NoticeKind.WAITING:
                await staff.shown_so_far(connection, notice.conversation_id)
            case NoticeKind.OFFERED:
                await self._offered(connection, notice)
            case NoticeKind.TAKEN:
                await self._taken(connection, notice, dialog)
            case NoticeKind.PASSED:
                await self._passed(connection, notice, dialog)
            case NoticeKind.RETURNED:
                await self._returned(connection, notice)
            case NoticeKind.SUMMARISED:
                await self._summarised(connection, notice, dialog)
            case NoticeKind.MESSAGE:
                await show(connection, dialog)
                if notice.changed is not None:
                    await self._changed(connection, dialog, notice.changed)

    async def _offered(self, connection: Transaction, notice: Notice) -> None:
        chat = await chat_of(connection, notice.operator_id)
        if chat is None or notice.handoff_id is None:
            return
        if not await staff.first_card(connection, notice.handoff_id, chat.operator.id):
            return
        handoff = await staff.handoff(connection, notice.handoff_id)
        if handoff is None:
            return
        title = await staff.title_of(connection, notice.conversation_id)
        buttons = _card_buttons(notice.conversation_id, chat.language)
        card_id = _copy_id(handoff.id, chat.operator.id)
        await chat.tell(_card(handoff, title, chat.language), buttons, message_id=card_id)

    async def _summarised(self, connection: Transaction, notice: Notice, dialog: Dialog) -> None:
        """Put the summary into the cards that were shown, while somebody has use for it."""
        handoff = None if notice.handoff_id is None else await staff.handoff(connection, notice.handoff_id)
        if handoff is None or dialog.owner is Owner.BOT:
            return
        title = await staff.title_of(connection, notice.conversation_id)
        for operator_id in await staff.shown_cards(connection, handoff.id):
            chat = await chat_of(connection, operator_id)
            telegram_id = await staff.sent_in(connection, _copy_id(handoff.id, operator_id))
            if chat is None or telegram_id is None or dialog.operator_id not in (None, operator_id):
                continue
            is_open = dialog.owner is Owner.WAITING
            buttons = _card_buttons(notice.conversation_id, chat.language) if is_open else ()
            await chat.change(telegram_id, _card(handoff, title, chat.language), buttons)

    async def _taken(self, connection: Transaction, notice: Notice, dialog: Dialog) -> None:
        handoff = None if notice.handoff_id is None else await staff.handoff(connection, notice.handoff_id)
        stepped_in = handoff is not None and handoff.reason is HandoffReason.STEPPED_IN
        if stepped_in:
            await staff.shown_so_far(connection, notice.conversation_id)
        chat = await chat_of(connection, notice.operator_id)
        if chat is not None:
            await staff.talk_in(connection, chat.operator.id, notice.conversation_id)
            title = await staff.title_of(connection, notice.conversation_id)
            await chat.say("operator_took", title=title)
            if stepped_in and handoff is not None and handoff.summary:
                await chat.tell(handoff.summary)
        await show(connection, dialog, queued=True)

    async def _passed(self, connection: Transaction, notice: Notice, dialog: Dialog) -> None:
        title = await staff.title_of(connection, notice.conversation_id)
        before = await chat_of(connection, notice.operator_id)
        if before is not None:
            await staff.stop_talking_in(connection, before.operator.id, notice.conversation_id)
        await staff.shown_so_far(connection, notice.conversation_id)
        after = await chat_of(connection, dialog.operator_id)
        if after is not None:
            await staff.talk_in(connection, after.operator.id, notice.conversation_id)
            history = await handoffs.last_messages(connection, notice.conversation_id, LAST_MESSAGES)
            await after.say("operator_card_passed", title=title, summary=excerpt(history, after.language))
        if before is not None:
            name = after.operator.name if after is not None else await name_of(connection, dialog.operator_id)
            await before.say("operator_dialog_passed", title=title, operator=name)

    async def _returned(self, connection: Transaction, notice: Notice) -> None:
        chat = await chat_of(connection, notice.operator_id)
        if chat is None:
            return
        await staff.stop_talking_in(connection, chat.operator.id, notice.conversation_id)
        title = await staff.title_of(connection, notice.conversation_id)
        rest = await staff.own_dialogs(connection, chat.operator.id)
        await chat.say("operator_dialog_over", dialog_buttons(SWITCH, rest), title=title)

    async def _changed(self, connection: Transaction, dialog: Dialog, message_id: UUID) -> None:
        """Let the operator see what the user made of a message; one that is on its way is followed by another."""
        chat = None if dialog.owner is not Owner.OPERATOR else await chat_of(connection, dialog.operator_id)
        if chat is None:
            return
        copy_id = _copy_id(message_id, chat.operator.id)
        copy = await staff.copy_of(connection, dialog.conversation_id, message_id, copy_id)
        if copy is None:
            return
        text = f"{await staff.title_of(connection, dialog.conversation_id)}: {copy.content}"
        if copy.telegram_id is None or len(split(Formatted(text))) != 1:
            await chat.tell(text)
        else:
            await chat.change(copy.telegram_id, text)


class CatchUp:
    """Shows operators what a process that died in between left unshstaff."""

    def __init__(self, database: Database, handoffs: Handoffs) -> None:
        self._database = database
        self._handoffs = handoffs

    async def look(self) -> None:
        """Look once; raises Unavailable."""
        for conversation_id in await staff.dialogs_behind(self._database):
            async with self._handoffs.store.begin() as connection:
                await dialogs.enter(connection, conversation_id)
                await show(connection, await dialogs.get(connection, conversation_id))


async def show(connection: Transaction, dialog: Dialog, *, queued: bool = False) -> None:
    """Show the operator of a conversation what its user wrote; without a chat it is left for another channel."""
    if dialog.owner is not Owner.OPERATOR:
        return
    chat = await chat_of(connection, dialog.operator_id)
    written = await staff.show(connection, dialog.conversation_id, queued=queued)
    if chat is None or not written:
        return
    title = await staff.title_of(connection, dialog.conversation_id)
    for each in written:
        copy_id = _copy_id(each.message_id, chat.operator.id)
        await chat.tell(f"{title}: {each.content}", message_id=copy_id)
        await staff.copied(connection, copy_id, dialog.conversation_id)
        if each.chat_id is not None and each.telegram_id is not None:
            await chat.copy(each.chat_id, each.telegram_id)


async def chat_of(connection: Transaction, operator_id: UUID | None) -> OperatorChat | None:
    """Give an operator's chat; None for one who does not work in Telegram."""
    operator = None if operator_id is None else await staff.by_id(connection, operator_id)
    if operator is None or operator.telegram_id is None:
        return None
    return OperatorChat(connection, await staff.chat_of(connection, operator.telegram_id), operator)


def dialog_buttons(kind: str, found: Sequence[OwnDialog]) -> Buttons:
    """Give a button for each conversation."""
    return [[(each.title[:LONGEST_BUTTON], f"{kind}:{each.conversation_id}")] for each in found]


def _copy_id(message_id: UUID, operator_id: UUID) -> UUID:
    """Name the copy of a message that an operator gets, for it to be found again."""
    return uuid5(operator_id, str(message_id))


async def name_of(connection: Transaction, operator_id: UUID | None) -> str:
    """Say how an operator is called."""
    operator = None if operator_id is None else await staff.by_id(connection, operator_id)
    return "" if operator is None else operator.name


def _card_buttons(conversation_id: UUID, language: Language) -> Buttons:
    return [
        [
            (render("operator_button_take", language), f"{TAKE}:{conversation_id}"),
            (render("operator_button_decline", language), f"{DECLINE}:{conversation_id}"),
        ]
    ]


def _card(handoff: Handoff, title: str, language: Language) -> str:
    values = {"title": title, "reason": _why(handoff, language), "summary": (handoff.summary or "")[:LONGEST_SUMMARY]}
    return render("operator_card", language, values)


def _why(handoff: Handoff, language: Language) -> str:
    """Say why a person was called, in the program's own words where there are any."""
    why = render(f"reason_{handoff.reason.value}", language)
    return f"{why} ({handoff.detail})" if handoff.detail and handoff.reason is HandoffReason.PROGRAM else why
