"""Operators who work in their private chat with the bot, and the people they talk to."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from telefonist.core import handoff_policy, operator_invites
from tests.core import people
from tests.doors.conftest import Serve
from tests.doors.telegram_service import Service, open_service
from tests.fakes.openai_upstream import answer


@pytest.fixture
async def service(serve: Serve, dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Service]:
    monkeypatch.setattr(handoff_policy, "wants_person", people.wants_person)
    monkeypatch.setattr(handoff_policy, "cannot_help", people.cannot_help)
    async with open_service(serve, dsn, tmp_path, webhook=True) as service:
        service.upstream.default = answer("Ответ бота")
        yield service


async def invite(service: Service, *, may_invite: bool = False) -> str:
    return await operator_invites.invite(service.exchange.house.handoffs.staff, None, may_invite=may_invite)


async def test_the_whole_story_a_bot_a_person_and_the_bot_again(service: Service) -> None:
    olga, anna = service.telegram.person("Ольга"), service.telegram.person("Анна")
    await olga.writes(f"/start {await invite(service)}")
    await olga.reads_text("Вы теперь оператор")
    await olga.writes("/online")
    await olga.reads_text("Вы на месте")

    await anna.writes("Привет")
    await anna.reads_text("Ответ бота")
    await anna.writes("Позовите живого оператора")
    await anna.reads_text("Переключаю на человека")
    card = await olga.reads_text("Анна ждёт человека: просит человека")
    assert "Пользователь: Привет\nБот: Ответ бота\nПользователь: Позовите живого оператора" in card["text"]
    query = await olga.presses(card, "Взять")
    await anna.reads_text("подключился оператор")
    await olga.reads_text("Разговор у вас: Анна")
    await service.telegram.wait_until(lambda: service.telegram.queries[query] is not None, what="an answer")

    await olga.writes("Здравствуйте, я Ольга")
    await anna.reads_text("Здравствуйте, я Ольга")
    await anna.writes("Где мой заказ?")
    await anna.writes("Номер 17")
    await olga.reads_text("Анна: Номер 17")
    await olga.writes("Завтра у вас")
    await anna.reads_text("Завтра у вас")
    asked = len(service.upstream.requests)
    await olga.writes("/tobot")
    await olga.reads_text("Разговор с Анна завершён")
    await anna.reads_text("дальше отвечает бот")

    await anna.writes("А сколько стоит доставка?")
    await anna.reads(7)
    assert anna.texts == [
        "Ответ бота",
        "Переключаю на человека",
        "К разговору подключился оператор.",
        "Здравствуйте, я Ольга",
        "Завтра у вас",
        "Оператор передал разговор боту: дальше отвечает бот.",
        "Ответ бота",
    ]
    assert [text for text in olga.texts if text.startswith("Анна: ")] == ["Анна: Где мой заказ?", "Анна: Номер 17"]
    assert len(service.upstream.requests) == asked + 1
    assert ("assistant", "Завтра у вас") in service.asked()
