"""Messages reach their chats, and whatever Telegram says is recorded in words without the token."""

import json
import subprocess
import sys
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import pytest

from telefonist.channels.telegram import TelegramBot, TelegramChannel, open_telegram
from telefonist.channels.telegram_messages import TelegramVoice, call, messages
from telefonist.channels.telegram_text import Entity, Formatted
from telefonist.errors import TelegramFailure
from telefonist.types import Outgoing, Said, TelegramPlace, new_id
from tests.fakes.receiver import unused_port
from tests.fakes.telegram import TOKEN, FakeTelegram


class Sender:
    """A channel, and what it remembered."""

    def __init__(self, bot: TelegramBot) -> None:
        self.bot = bot
        self.sent: list[tuple[UUID, int, int]] = []
        self.moved: list[tuple[int, int]] = []
        self.channel = TelegramChannel(bot, self._sent, self._moved)

    async def _sent(self, message_id: UUID, chat_id: int, telegram_id: int) -> None:
        self.sent.append((message_id, chat_id, telegram_id))

    async def _moved(self, old: int, new: int) -> None:
        self.moved.append((old, new))

    async def send(self, chat_id: int, text: str, *entities: Entity, thread: int = 0) -> Any:
        (outgoing,) = messages(new_id(), TelegramPlace(chat_id, thread), Formatted(text, entities))
        return await self.channel.send(outgoing)


@pytest.fixture
async def telegram() -> AsyncIterator[FakeTelegram]:
    async with FakeTelegram() as telegram:
        yield telegram


@pytest.fixture
async def sender(telegram: FakeTelegram) -> AsyncIterator[Sender]:
    async with open_telegram(TOKEN, telegram.base_url) as bot:
        yield Sender(bot)


async def test_a_message_is_sent_and_its_number_remembered(telegram: FakeTelegram, sender: Sender) -> None:
    anna = telegram.person()
    attempt = await sender.send(anna.id, "Привет", Entity("bold", 0, 6))
    (message,) = anna.screen
    assert (attempt.status, attempt.response) == (200, f'{{"message_id":{message["message_id"]}}}')
    assert message["entities"] == [{"type": "bold", "offset": 0, "length": 6}]
    assert [(chat, number) for _, chat, number in sender.sent] == [(anna.id, message["message_id"])]


async def test_a_text_whose_entities_are_refused_comes_plain(telegram: FakeTelegram, sender: Sender) -> None:
    anna = telegram.person()
    telegram.refuse("sendMessage", 400, "Bad Request: can't parse entities: byte offset 3")
    attempt = await sender.send(anna.id, "Привет", Entity("bold", 0, 6))
    assert attempt.succeeded
    assert [("entities" in message, message["text"]) for message in anna.screen] == [(False, "Привет")]


async def test_a_message_for_a_topic_that_is_gone_comes_outside_of_it(telegram: FakeTelegram, sender: Sender) -> None:
    group = telegram.group("Команда", is_forum=True)
    assert (await sender.send(group.id, "Привет", thread=77)).succeeded
    assert "message_thread_id" not in group.screen[0]


async def test_a_group_that_moved_is_followed(telegram: FakeTelegram, sender: Sender) -> None:
    anna, group = telegram.person(), telegram.group("Друзья")
    new = await group.becomes_supergroup(anna)
    assert (await sender.send(group.id, "Привет")).succeeded
    assert sender.moved == [(group.id, new.id)]
    assert [message["text"] for message in new.screen] == ["Привет"]


@pytest.mark.parametrize(
    ("status", "description", "parameters", "expected"),
    [
        (429, "Too Many Requests: retry after 7", {"retry_after": 7}, (429, 7.0)),
        (403, "Forbidden: bot was blocked by the user", {}, (403, None)),
        (400, "Bad Request: chat not found", {}, (400, None)),
        (401, "Unauthorized", {}, (401, None)),
        (404, "Not Found", {}, (404, None)),
        (500, "Internal Server Error", {}, (502, None)),
        (502, "Bad Gateway: restart", {}, (502, None)),
        (413, "Request Entity Too Large", {}, (413, None)),
    ],
)
async def test_what_telegram_refuses_is_recorded(
    telegram: FakeTelegram,
    sender: Sender,
    status: int,
    description: str,
    parameters: dict[str, int],
    expected: tuple[int, float | None],
) -> None:
    anna = telegram.person()
    telegram.refuse("sendMessage", status, description, **parameters)
    attempt = await sender.send(anna.id, "Привет")
    assert (attempt.status, attempt.retry_after) == expected
    assert description.split(":")[0] in (attempt.error or "")
    assert sender.sent == []


async def test_a_telegram_that_is_away_is_no_answer_and_its_url_is_in_no_error() -> None:
    async with open_telegram(TOKEN, f"http://127.0.0.1:{unused_port()}") as bot:
        attempt = await Sender(bot).send(1, "Привет")
        assert attempt.status is None
        assert attempt.error == "no answer: ClientConnectorError"
        with pytest.raises(TelegramFailure) as failure:
            await bot.call("getMe", {})
        assert TOKEN not in f"{failure.value!r} {failure.value} {failure.value.__cause__}"


async def test_a_file_is_fetched_by_its_id(telegram: FakeTelegram, sender: Sender) -> None:
    telegram.files["files/photo-1"] = b"\xff\xd8picture"
    assert await sender.bot.download("photo-1") == b"\xff\xd8picture"
    with pytest.raises(TelegramFailure, match="invalid file_id"):
        await sender.bot.download("photo-2")


async def test_a_method_that_telegram_does_not_know_is_refused(telegram: FakeTelegram, sender: Sender) -> None:
    attempt = await sender.channel.send(call(new_id(), TelegramPlace(1), "sendDice", {}))
    assert attempt.status == 404


@pytest.mark.parametrize(
    ("said", "texts"),
    [
        ({"text": "**a**", "model": "gpt-4"}, ["a"]),
        ({"text": "**a**"}, ["**a**"]),
        ({"text": "*звёзды* оператора", "author": "operator"}, ["*звёзды* оператора"]),
        ({"text": None}, []),
        ({"text": "  "}, []),
        ({"text": "x" * 4097}, ["x" * 4096, "x"]),
    ],
)
def test_what_is_said_becomes_messages(said: dict[str, Any], texts: list[str]) -> None:
    first = new_id()
    outgoing = TelegramVoice().say(Said(first, new_id(), "5", "telegram:5", **said))
    assert [body(each)["params"]["text"] for each in outgoing] == texts
    assert [each.message_id for each in outgoing][:1] == [first][: len(texts)]


def test_a_rating_is_asked_for_with_two_buttons_that_fit() -> None:
    said = Said(new_id(), new_id(), "5:7", "telegram:5:7", "Как вам?", buttons="rating", handoff_id=new_id())
    (outgoing,) = TelegramVoice().say(said)
    params = body(outgoing)["params"]
    (row,) = params["reply_markup"]["inline_keyboard"]
    assert len(row) == 2
    assert all(len(button["callback_data"].encode()) <= 64 for button in row)
    assert (params["chat_id"], params["message_thread_id"]) == (5, 7)


def test_a_service_without_a_bot_does_not_load_its_libraries() -> None:
    script = """
import sys
import telefonist.cli, telefonist.web
assert not {"aiogram", "markdown_it"} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)


def body(outgoing: Outgoing) -> Any:
    return json.loads(outgoing.body)
