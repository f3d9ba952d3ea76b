"""Somebody writes to the bot in Telegram, and what comes back."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from telefonist.core import handoff_policy
from tests.core import people
from tests.doors.conftest import Serve
from tests.doors.telegram_service import Service, open_service
from tests.fakes.openai_upstream import answer


@pytest.fixture
async def service(serve: Serve, dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Service]:
    monkeypatch.setattr(handoff_policy, "wants_person", people.wants_person)
    monkeypatch.setattr(handoff_policy, "cannot_help", people.cannot_help)
    async with open_service(serve, dsn, tmp_path, webhook=True) as service:
        service.upstream.default = answer("Ответ **бота**")
        yield service


async def test_a_user_writes_and_the_bot_answers_with_its_markdown_shown(service: Service) -> None:
    anna = service.telegram.person("Анна")
    await anna.writes("Привет")
    (said,) = await anna.reads(1)
    assert said["text"] == "Ответ бота"
    assert said["entities"] == [{"type": "bold", "offset": 6, "length": 4}]
    assert service.asked() == [("user", "Привет")]


async def test_who_asks_for_a_person_reads_that_they_are_transferred(service: Service) -> None:
    await service.operator()
    anna = service.telegram.person("Анна")
    await anna.writes("Привет")
    await anna.reads(1)
    await anna.writes("Позовите живого оператора, пожалуйста")
    await anna.reads_text("Переключаю на человека")
    assert anna.texts == ["Ответ бота", "Переключаю на человека"]


async def test_the_operator_command_calls_a_person(service: Service) -> None:
    await service.operator()
    anna = service.telegram.person("Анна")
    await anna.writes("/operator")
    await anna.reads_text("Переключаю на человека")
    await anna.writes("/operator")
    await anna.reads_text("Человека уже позвали")
    await anna.writes("/bot")
    await anna.reads_text("дальше отвечает бот")
