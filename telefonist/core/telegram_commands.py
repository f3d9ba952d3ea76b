"""What users can ask of the bot besides questions: commands, and the buttons that stand for them."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol
from uuid import UUID

from telefonist.channels.telegram_messages import (
    BACK_TO_BOT,
    CALL_PERSON,
    CHOOSE_MODEL,
    LONGEST_DATA,
    RATE,
    Buttons,
    call_person,
    messages,
)
from telefonist.channels.telegram_text import Formatted
from telefonist.core.catalog import Catalog
from telefonist.core.handoff_desk import Desk
from telefonist.errors import NotFound
from telefonist.storage import dialogs, remarks, telegram_chats
from telefonist.storage.telegram_chats import TelegramChat
from telefonist.texts import LANGUAGES, render
from telefonist.types import HandoffEnd, HandoffReason, Json, Language, Model, Outgoing, Owner, new_id

COMMAND = re.compile(r"/([a-z0-9_]{1,32})(?:@(\w+))?(?:\s+(.*))?", re.IGNORECASE | re.DOTALL)

NAMES = ("start", "help", "operator", "bot", "reset", "model")
"""The commands, in the order in which Telegram shows them."""

MOST_MODELS = 50
"""Buttons below the list of models."""


@dataclass(frozen=True, slots=True)
class Command:
    """A command as it was written, without its slash."""

    name: str
    rest: str


@dataclass(frozen=True, slots=True)
class Visit:
    """Somebody in a chat, in the transaction of the update that brought them."""

    desk: Desk
    chat: TelegramChat
    language: Language

    async def say(self, code: str, /, *, calls_person: bool = False, **values: str) -> None:
        """Tell them something of the service's own; it is no part of the conversation's history."""
        buttons = call_person(self.language) if calls_person else ()
        await self.tell(render(code, self.language, values), buttons)

    async def tell(self, text: str, buttons: Buttons = ()) -> None:
        """Tell them something in these words."""
        await self.send(messages(new_id(), self.chat.place, Formatted(text), buttons))

    async def send(self, outgoing: Sequence[Outgoing]) -> None:
        """Put calls into the outgoing mailbox."""
        place = await dialogs.enter(self.desk.connection, self.chat.conversation_id)
        await remarks.send(self.desk.connection, place, outgoing, self.chat.place.url)


class Commands:
    """Carries out what users ask for.

    ``own_texts`` replaces the service's own ``welcome`` and ``help``, by code and language.
    """

    def __init__(self, catalog: Catalog, own_texts: Mapping[tuple[str, Language], str]) -> None:
        self._catalog = catalog
        self._own_texts = own_texts
        self._models = [model for model in catalog.models if model.kind == "chat"]

    async def carry_out(self, visit: Visit, command: Command) -> None:
        """Do what a command asks for."""
        match command.name:
            case "start":
                await visit.tell(self._own_text("welcome", visit.language), call_person(visit.language))
            case "help":
                await visit.tell(self._own_text("help", visit.language), call_person(visit.language))
            case "operator":
                await _call_person(visit)
            case "bot":
                await _back_to_bot(visit)
            case "reset":
                await _forget(visit)
            case "model" if command.rest:
                await self._choose(visit, command.rest)
            case "model":
                await self._offer_models(visit)
            case _:
                await visit.say("telegram_unknown_command")

    async def press(self, visit: Visit, data: str) -> bool:
        """Do what a button stands for; tells whether its message needs it no longer."""
        kind, _, rest = data.partition(":")
        match kind:
            case _ if kind == CALL_PERSON:
                await _call_person(visit)
            case _ if kind == BACK_TO_BOT:
                await _back_to_bot(visit)
            case _ if kind == CHOOSE_MODEL:
                await self._choose(visit, rest)
            case _ if kind == RATE:
                return await _rate(visit, rest)
            case _:
                return False
        return kind != CALL_PERSON

    def model_of(self, chat: TelegramChat) -> Model:
        """Give the model that answers in a chat: the one chosen there, while there is one of that name."""
        try:
            return self._catalog.known(chat.model) if chat.model else self._catalog.default
        except NotFound:
            return self._catalog.default

    def _own_text(self, code: str, language: Language) -> str:
        return self._own_texts.get((code, language)) or render(f"telegram_{code}", language)

    async def _offer_models(self, visit: Visit) -> None:
        now = self.model_of(visit.chat).name
        others = [model.name for model in self._models if model.name != now]
        data = [(name, f"{CHOOSE_MODEL}:{name}") for name in others[:MOST_MODELS]]
        buttons = [[(name, sent)] for name, sent in data if len(sent.encode()) <= LONGEST_DATA]
        code = "telegram_model_now" if others else "telegram_model_only"
        await visit.tell(render(code, visit.language, {"model": now}), buttons)

    async def _choose(self, visit: Visit, wanted: str) -> None:
        try:
            model = self._catalog.find(wanted.strip())
        except NotFound:
            model = None
        if model is None or model.kind != "chat":
            await visit.say("telegram_model_unknown", model=wanted.strip()[:100])
            return
        await telegram_chats.choose_model(visit.desk.connection, visit.chat.conversation_id, model.name)
        await visit.say("telegram_model_chosen", model=model.name)


class Calls(Protocol):
    """What is asked of Telegram."""

    async def call(self, method: str, params: Json) -> Any:
        """Call a method; raises TelegramFailure."""
        ...


async def announce(calls: Calls) -> None:
    """Tell Telegram which commands there are, in every language; English is for the rest of the world."""
    for language in LANGUAGES:
        commands = [{"command": name, "description": render(f"telegram_command_{name}", language)} for name in NAMES]
        where = {} if language == "en" else {"language_code": language}
        await calls.call("setMyCommands", {"commands": commands, **where})


def command_of(text: str, own_name: str = "") -> Command | None:
    """Read a command; None for anything else, and for one that names another bot."""
    found = COMMAND.fullmatch(text.strip())
    if found is None or (found[2] and own_name and found[2].lower() != own_name.lower()):
        return None
    return Command(found[1].lower(), (found[3] or "").strip())


async def _call_person(visit: Visit) -> None:
    conversation_id = visit.chat.conversation_id
    if await visit.desk.request(conversation_id, HandoffReason.COMMAND, language=visit.language) is not None:
        return
    dialog = await dialogs.get(visit.desk.connection, conversation_id)
    await visit.say("telegram_person_here" if dialog.owner is Owner.OPERATOR else "telegram_person_called")


async def _back_to_bot(visit: Visit) -> None:
    if await visit.desk.give_back(visit.chat.conversation_id, HandoffEnd.WITHDRAWN) is None:
        await visit.say("telegram_bot_here")


async def _forget(visit: Visit) -> None:
    place = await dialogs.enter(visit.desk.connection, visit.chat.conversation_id)
    await telegram_chats.forget_history(visit.desk.connection, place)
    await visit.say("telegram_reset")


async def _rate(visit: Visit, data: str) -> bool:
    """Write down a rating; what is no rating, or comes twice, does nothing."""
    handoff, _, rating = data.partition(":")
    try:
        handoff_id = UUID(handoff)
    except ValueError:
        return False
    if rating not in ("0", "1"):
        return False
    connection, conversation_id = visit.desk.connection, visit.chat.conversation_id
    if await telegram_chats.rate_handoff(connection, conversation_id, handoff_id, int(rating)):
        await visit.say("telegram_rated")
    return True
