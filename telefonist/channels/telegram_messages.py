"""What is said in a chat of Telegram: messages with their buttons, ready for the outgoing mailbox."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import orjson

from telefonist.channels.telegram_text import Formatted, from_markdown, split
from telefonist.texts import render
from telefonist.types import Json, Language, Outgoing, Said, TelegramPlace, new_id

CALL_PERSON = "operator"
BACK_TO_BOT = "bot"
RATE = "rate"
CHOOSE_MODEL = "model"

LONGEST_DATA = 64
"""Bytes that a button may send back."""

Buttons = Sequence[Sequence[tuple[str, str]]]
"""Rows of buttons, each with its text and what it sends back."""


class TelegramVoice:
    """Speaks in chats: a model's Markdown with entities, what people and the service say as it is."""

    def say(self, said: Said) -> Sequence[Outgoing]:
        """Write the messages; none where there is nothing to read."""
        text = said.text or (said.failure.message if said.failure else "")
        formatted = from_markdown(text) if said.author == "bot" and said.model else Formatted(text)
        return messages(said.message_id, TelegramPlace.of(said.callback_url), formatted, buttons_for(said))

    def host(self, callback_url: str) -> str:
        """Name the chat: a chat that takes nothing is kept apart from the others."""
        return callback_url


def messages(
    message_id: UUID, place: TelegramPlace, formatted: Formatted, buttons: Buttons = ()
) -> tuple[Outgoing, ...]:
    """Write a text as one message or several; the buttons stand below the last."""
    parts = split(formatted)
    written = []
    for number, part in enumerate(parts):
        params: dict[str, Any] = {"text": part.text, "link_preview_options": {"is_disabled": True}}
        if part.entities:
            params["entities"] = [entity.as_json() for entity in part.entities]
        if buttons and number == len(parts) - 1:
            params["reply_markup"] = keyboard(buttons)
        written.append(call(message_id if number == 0 else new_id(), place, "sendMessage", params))
    return tuple(written)


def call(message_id: UUID, place: TelegramPlace, method: str, params: Json) -> Outgoing:
    """Write a call for the outgoing mailbox: it is made in its turn, and again until it succeeds."""
    where: dict[str, Any] = {"chat_id": place.chat_id}
    if place.thread_id and method.startswith(("send", "copy")):
        where["message_thread_id"] = place.thread_id
    return Outgoing(message_id, place.url, orjson.dumps({"method": method, "params": {**where, **params}}))


def keyboard(buttons: Buttons) -> Json:
    """Give buttons as the Bot API wants them."""
    return {
        "inline_keyboard": [[{"text": text, "callback_data": data} for text, data in row] for row in buttons if row]
    }


def buttons_for(said: Said) -> Buttons:
    """Give the buttons by which the user can answer."""
    match said.buttons:
        case "offer":
            return call_person(said.language)
        case "back_to_bot":
            return [[(render("telegram_button_bot", said.language), BACK_TO_BOT)]]
        case "rating":
            rated = f"{RATE}:{said.handoff_id}"
            return [
                [
                    (render("telegram_button_good", said.language), f"{rated}:1"),
                    (render("telegram_button_bad", said.language), f"{rated}:0"),
                ]
            ]
        case None:
            return ()


def call_person(language: Language) -> Buttons:
    """Give the button that calls a person."""
    return [[(render("telegram_button_operator", language), CALL_PERSON)]]
