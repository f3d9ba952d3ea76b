"""What Telegram sends: which updates are asked for, and what they say (https://core.telegram.org/bots/api#update)."""

from collections.abc import Mapping
from typing import Any

from telefonist.types import (
    Language,
    TelegramEvent,
    TelegramMedia,
    TelegramMembership,
    TelegramMessage,
    TelegramPerson,
    TelegramPlace,
    TelegramPress,
)

WANTED = ("message", "edited_message", "callback_query", "my_chat_member")
"""Kinds of updates. Telegram keeps the choice made last, so that it must always be told."""

MEDIA = (
    "photo",
    "voice",
    "document",
    "audio",
    "video",
    "video_note",
    "animation",
    "sticker",
)
SAID = (*MEDIA, "text", "location", "contact", "poll", "dice", "venue")
"""What a person can send; a message without any of it is Telegram's own."""

ANONYMOUS = 1087968824
"""Who writes in the name of a group (@GroupAnonymousBot)."""


def place_of(update: Mapping[str, Any]) -> TelegramPlace | None:
    """Tell in whose turn an update is to be worked on: its chat's; None for one that has none."""
    event = read_update(update)
    return None if event is None else event.place


def read_update(update: Mapping[str, Any]) -> TelegramEvent | None:
    """Read an update; None for what was not asked for, or cannot be understood."""
    try:
        match update:
            case {"message": message}:
                return _message(message, is_edited=False)
            case {"edited_message": message}:
                return _message(message, is_edited=True)
            case {"callback_query": {"message": message} as query}:
                return TelegramPress(
                    place=_place(message),
                    query_id=str(query["id"]),
                    sender=_person(query["from"]),
                    telegram_id=int(message["message_id"]),
                    data=str(query.get("data", "")),
                    is_private=_is_private(message),
                )
            case {"my_chat_member": changed}:
                return TelegramMembership(
                    place=TelegramPlace(int(changed["chat"]["id"])),
                    sender=_person(changed["from"]),
                    is_member=changed["new_chat_member"]["status"] not in ("left", "kicked"),
                    is_private=_is_private(changed),
                )
            case _:
                return None
    except (KeyError, TypeError, ValueError):
        return None


def _message(message: Mapping[str, Any], *, is_edited: bool) -> TelegramMessage:
    replied = message.get("reply_to_message") or {}
    sender = message.get("from") or {"id": 0, "first_name": ""}
    return TelegramMessage(
        place=_place(message),
        telegram_id=int(message["message_id"]),
        is_private=_is_private(message),
        sender=_person(sender),
        text=str(message.get("text") or message.get("caption") or ""),
        media=_media(message),
        album=message.get("media_group_id"),
        answers=replied.get("message_id"),
        answers_person=(replied.get("from") or {}).get("id"),
        is_anonymous=sender["id"] in (0, ANONYMOUS) or "sender_chat" in message,
        is_edited=is_edited,
        migrated_to=message.get("migrate_to_chat_id"),
        is_service=not any(name in message for name in SAID),
    )


def _place(message: Mapping[str, Any]) -> TelegramPlace:
    """Give the chat, and the topic where there are topics: replies carry a thread without being in one."""
    thread = message.get("message_thread_id", 0) if message.get("is_topic_message") else 0
    return TelegramPlace(int(message["chat"]["id"]), int(thread))


def _is_private(message: Mapping[str, Any]) -> bool:
    return bool(message["chat"]["type"] == "private")


def _person(user: Mapping[str, Any]) -> TelegramPerson:
    name = " ".join(str(user[part]) for part in ("first_name", "last_name") if user.get(part))
    spoken = user.get("language_code")
    language: Language | None = None
    if spoken:
        language = "ru" if str(spoken).lower().split("-")[0] == "ru" else "en"
    return TelegramPerson(int(user["id"]), name, user.get("username"), language, bool(user.get("is_bot")))


def _media(message: Mapping[str, Any]) -> TelegramMedia | None:
    for kind in MEDIA:
        if kind in message:
            found = message[kind][-1] if kind == "photo" else message[kind]  # the last size is the largest
            return TelegramMedia(kind, str(found["file_id"]), found.get("file_name"), found.get("file_size"))
    return None
