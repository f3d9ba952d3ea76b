"""What the Bot API demands of a request: how parameters are written, how long texts may be, where entities may lie.

Everything is as https://core.telegram.org/bots/api says; where Telegram repairs silently what a bot sends (entities
that overlap, parameters that do not exist), this refuses, for the mistake to show.
"""

import json
from collections.abc import Mapping
from email import message_from_bytes
from email.policy import HTTP
from typing import Any
from urllib.parse import parse_qsl

LONGEST_TEXT = 4096
LONGEST_CAPTION = 1024
LONGEST_DATA = 64
LONGEST_TOPIC = 128
LONGEST_ANSWER = 200

ENTITIES = frozenset(
    {
        "mention", "hashtag", "cashtag", "bot_command", "url", "email", "phone_number", "bold", "italic", "underline",
        "strikethrough", "spoiler", "blockquote", "expandable_blockquote", "code", "pre", "text_link", "text_mention",
        "custom_emoji",
    }
)  # fmt: skip
ALONE = frozenset({"code", "pre"})
"""Entities that hold no others and lie in none but a quotation."""

JSON_PARAMETERS = frozenset(
    {"entities", "caption_entities", "reply_markup", "reply_parameters", "allowed_updates", "commands", "scope",
     "link_preview_options", "message_ids"}
)  # fmt: skip


class Refused(Exception):
    """Telegram says no: a status, a description, and sometimes parameters."""

    def __init__(self, status: int, description: str, **parameters: int) -> None:
        super().__init__(description)
        self.status = status
        self.description = description
        self.parameters = parameters


def bad_request(why: str) -> Refused:
    return Refused(400, f"Bad Request: {why}")


def read_parameters(body: bytes, content_type: str) -> dict[str, Any]:
    """Read JSON, a form or multipart; in the latter two, structures are JSON texts."""
    kind = content_type.partition(";")[0].strip().lower()
    if kind == "application/json":
        found = json.loads(body or b"{}")
        if not isinstance(found, dict):
            raise bad_request("can't parse JSON object")
        return found
    if kind == "application/x-www-form-urlencoded":
        fields: dict[str, Any] = dict(parse_qsl(body.decode(), keep_blank_values=True, strict_parsing=bool(body)))
    elif kind == "multipart/form-data":
        fields = _multipart(body, content_type)
    elif not body:
        return {}
    else:
        raise bad_request(f"unsupported content type {kind}")
    return {name: json.loads(value) if name in JSON_PARAMETERS else value for name, value in fields.items()}


def integer(parameters: Mapping[str, Any], name: str, default: int | None = None) -> int:
    value = parameters.get(name, default)
    try:
        return int(value)
    except (TypeError, ValueError):
        raise bad_request(f"{name} is missing or not a number") from None


def truth(parameters: Mapping[str, Any], name: str) -> bool:
    value = parameters.get(name, False)
    return value is True or str(value).lower() in ("true", "1")


def utf16(text: str) -> int:
    return len(text.encode("utf-16-le")) // 2


def check_text(text: Any, entities: Any, limit: int = LONGEST_TEXT, *, what: str = "message") -> str:
    """Refuse what Telegram refuses, and entities that do not lie in the text or in each other; gives the text."""
    if not isinstance(text, str) or not text.strip():
        raise bad_request(f"{what} text is empty")
    if utf16(text.strip()) > limit:
        raise bad_request(f"{what} is too long")
    check_entities(text, entities or [])
    return text


def check_entities(text: str, entities: list[Mapping[str, Any]]) -> None:
    """Refuse an entity of an unknown kind, outside the text, inside a surrogate pair, or cut by another one."""
    units = utf16(text)
    halves = _inside_pairs(text)
    if len(entities) > 100:
        raise bad_request("can't parse entities: there are more than 100 of them")
    spans: list[tuple[int, int, str]] = []
    for entity in entities:
        kind, start, length = entity.get("type"), entity.get("offset"), entity.get("length")
        if kind not in ENTITIES:
            raise bad_request(f"can't parse entities: unknown type {kind!r}")
        if not isinstance(start, int) or not isinstance(length, int) or start < 0 or length < 1:
            raise bad_request("can't parse entities: offset or length is wrong")
        if start + length > units:
            raise bad_request("can't parse entities: an entity ends behind the text")
        if start in halves or start + length in halves:
            raise bad_request("can't parse entities: an entity begins or ends in the middle of a UTF-16 symbol")
        if kind == "text_link" and not str(entity.get("url", "")).startswith(
            ("http://", "https://", "tg://", "mailto:")
        ):
            raise bad_request("can't parse entities: a text_link needs an URL")
        spans.append((start, start + length, str(kind)))
    for index, (start, end, kind) in enumerate(spans):
        for other_start, other_end, other in spans[index + 1 :]:
            if end <= other_start or other_end <= start:
                continue
            within = other_start <= start and end <= other_end
            around = start <= other_start and other_end <= end
            if not within and not around:
                raise bad_request("can't parse entities: entities overlap")
            quotes = {"blockquote", "expandable_blockquote"}
            if {kind, other} & ALONE and not {kind, other} & quotes:
                raise bad_request("can't parse entities: code holds no other entities")


def check_markup(markup: Any) -> None:
    """Refuse buttons without a text or an action, and data of more than 64 bytes."""
    if markup is None:
        return
    if not isinstance(markup, dict) or len(markup.keys() & {"inline_keyboard", "keyboard", "remove_keyboard"}) != 1:
        raise bad_request("can't parse reply keyboard markup JSON object")
    for row in markup.get("inline_keyboard", ()):
        for button in row:
            if not button.get("text"):
                raise bad_request("inline keyboard button text is empty")
            data = button.get("callback_data")
            if data is None and "url" not in button:
                raise bad_request("text buttons are unallowed in the inline keyboard")
            if data is not None and not 1 <= len(str(data).encode()) <= LONGEST_DATA:
                raise bad_request("BUTTON_DATA_INVALID")


def _multipart(body: bytes, content_type: str) -> dict[str, Any]:
    message = message_from_bytes(b"Content-Type: " + content_type.encode() + b"\r\n\r\n" + body, policy=HTTP)
    fields: dict[str, Any] = {}
    for part in message.iter_parts():
        name = part.get_param("name", header="content-disposition")
        content = part.get_payload(decode=True)
        assert isinstance(name, str)
        assert isinstance(content, bytes)
        fields[name] = content if part.get_filename() else content.decode()
    return fields


def _inside_pairs(text: str) -> set[int]:
    """Give the UTF-16 offsets that lie between the two halves of one character."""
    inside, at = set(), 0
    for character in text:
        if ord(character) > 0xFFFF:
            inside.add(at + 1)
            at += 1
        at += 1
    return inside
