"""The people in front of a fake Telegram, and the groups they are in."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.fakes.telegram_rules import utf16

if TYPE_CHECKING:
    from tests.fakes.telegram import FakeTelegram

ANONYMOUS_ADMIN = 1087968824


@dataclass(eq=False)
class Person:
    """Somebody who writes to the bot; every method gives the message or update that it made."""

    telegram: "FakeTelegram"
    id: int
    name: str
    language: str | None

    @property
    def shown(self) -> dict[str, Any]:
        spoken = {"language_code": self.language} if self.language else {}
        return {"id": self.id, "is_bot": False, "first_name": self.name, **spoken}

    async def writes(
        self,
        text: str,
        *,
        into: "Group | None" = None,
        thread: int | None = None,
        answering: Mapping[str, Any] | None = None,
        anonymous: bool = False,
    ) -> dict[str, Any]:
        """Write a text, in the private chat or into a group."""
        return await self.sends({"text": text, **_commands(text)}, into, thread, answering, anonymous=anonymous)

    async def sends(
        self,
        content: Mapping[str, Any],
        into: "Group | None" = None,
        thread: int | None = None,
        answering: Mapping[str, Any] | None = None,
        *,
        anonymous: bool = False,
    ) -> dict[str, Any]:
        """Send anything: fields of a message."""
        chat = self.telegram.chats[into.id if into else self.id]
        sender: dict[str, Any] = {"from": self.shown}
        if anonymous:
            bot = {"id": ANONYMOUS_ADMIN, "is_bot": True, "first_name": "Group", "username": "GroupAnonymousBot"}
            sender = {"from": bot, "sender_chat": chat.shown}
        topic = {"message_thread_id": thread, "is_topic_message": True} if thread is not None else {}
        to = {"reply_to_message": dict(answering)} if answering else {}
        message = {
            "message_id": chat.next_id(), "date": int(time.time()), "chat": chat.shown, **sender, **topic, **to,
            **content,
        }  # fmt: skip
        chat.messages[message["message_id"]] = message
        await self.telegram.put("message", message)
        return message

    async def sends_photo(self, caption: str = "", *, album: str | None = None) -> dict[str, Any]:
        """Send a picture, perhaps as one of an album."""
        size = {"file_id": f"photo-{self.id}", "file_unique_id": "u", "width": 90, "height": 90, "file_size": 4}
        content: dict[str, Any] = {"photo": [size]}
        if caption:
            content["caption"] = caption
        if album:
            content["media_group_id"] = album
        return await self.sends(content)

    async def sends_voice(self, seconds: int = 3) -> dict[str, Any]:
        """Speak instead of writing."""
        return await self.sends({"voice": {"file_id": f"voice-{self.id}", "file_unique_id": "v", "duration": seconds}})

    async def sends_document(self, name: str, caption: str = "") -> dict[str, Any]:
        """Send a file."""
        document = {"file_id": f"document-{self.id}", "file_unique_id": "d", "file_name": name}
        return await self.sends({"document": document, **({"caption": caption} if caption else {})})

    async def edits(self, message: Mapping[str, Any], text: str) -> dict[str, Any]:
        """Change a message that was sent."""
        chat = self.telegram.chats[message["chat"]["id"]]
        edited = {**message, "text": text, "edit_date": int(time.time())}
        chat.messages[message["message_id"]] = edited
        await self.telegram.put("edited_message", edited)
        return edited

    async def presses(self, message: Mapping[str, Any], button: str) -> str:
        """Press a button below a message by (a part of) its text; gives the query's id."""
        rows = message.get("reply_markup", {}).get("inline_keyboard", [])
        pressed = next((each for row in rows for each in row if button.lower() in each["text"].lower()), None)
        assert pressed is not None, f"no button {button!r} among {rows}"
        return await self.sends_data(message, pressed["callback_data"])

    async def sends_data(self, message: Mapping[str, Any], data: str) -> str:
        """Send what a button would, whether or not there is one: clients can be forged."""
        query_id = str(9_000_000 + len(self.telegram.queries))
        self.telegram.queries[query_id] = None
        query = {"id": query_id, "from": self.shown, "chat_instance": "1", "message": dict(message), "data": data}
        await self.telegram.put("callback_query", query)
        return query_id

    async def blocks_the_bot(self, *, blocked: bool = True) -> None:
        """Block the bot, or let it in again."""
        chat = self.telegram.chats[self.id]
        chat.blocked = blocked
        before, after = ("member", "kicked") if blocked else ("kicked", "member")
        changed = {
            "chat": chat.shown,
            "from": self.shown,
            "date": int(time.time()),
            "old_chat_member": _membership(self.telegram.me, before),
            "new_chat_member": _membership(self.telegram.me, after),
        }
        await self.telegram.put("my_chat_member", changed)

    @property
    def screen(self) -> list[dict[str, Any]]:
        """What the bot has sent into the private chat, as it stands now."""
        return sent_by_bot(self.telegram, self.id)

    async def reads(self, count: int, within: float = 10.0) -> list[dict[str, Any]]:
        """Wait until the bot has sent so many messages in all, and give all that it has."""
        await self.telegram.wait_until(
            lambda: len(self.screen) >= count, within, f"message {count} to {self.name} (has {self.texts})"
        )
        return self.screen

    async def reads_text(self, wanted: str, within: float = 10.0) -> dict[str, Any]:
        """Wait for a message of the bot that holds a text, and give it."""

        def found() -> Sequence[dict[str, Any]]:
            return [message for message in self.screen if wanted in message.get("text", "")]

        await self.telegram.wait_until(found, within, f"{wanted!r} to {self.name} (has {self.texts})")
        return found()[-1]

    @property
    def texts(self) -> list[str]:
        return [str(message.get("text", "")) for message in self.screen]


@dataclass(eq=False)
class Group:
    """A group that the bot is in."""

    telegram: "FakeTelegram"
    id: int

    @property
    def screen(self) -> list[dict[str, Any]]:
        return sent_by_bot(self.telegram, self.id)

    async def reads_text(self, wanted: str, within: float = 10.0) -> dict[str, Any]:
        """Wait for a message of the bot that holds a text, and give it."""

        def found() -> Sequence[dict[str, Any]]:
            return [message for message in self.screen if wanted in message.get("text", "")]

        await self.telegram.wait_until(found, within, f"{wanted!r} in the group")
        return found()[-1]

    def loses_topic(self, thread: int) -> None:
        """Let somebody delete a topic behind the bot's back."""
        del self.telegram.chats[self.id].topics[thread]

    async def becomes_supergroup(self, person: Person) -> "Group":
        """Move to another id, as a group does that grows up."""
        old = self.telegram.chats[self.id]
        new = self.telegram.group(old.title)
        old.migrated_to = new.id
        await person.sends({"migrate_to_chat_id": new.id}, self)
        return new


def sent_by_bot(telegram: "FakeTelegram", chat_id: int) -> list[dict[str, Any]]:
    messages = telegram.chats[chat_id].messages.values()
    return [message for message in messages if message["from"]["id"] == telegram.me["id"]]


def _commands(text: str) -> dict[str, Any]:
    if not text.startswith("/"):
        return {}
    return {"entities": [{"type": "bot_command", "offset": 0, "length": utf16(text.split()[0])}]}


def _membership(user: Mapping[str, Any], status: str) -> dict[str, Any]:
    return {"user": dict(user), "status": status, **({"until_date": 0} if status == "kicked" else {})}
