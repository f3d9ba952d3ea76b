"""Operators who work in their private chat with the bot, and the people they talk to."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from telefonist.core import handoff_policy, operator_invites
from telefonist.core.handoff import Handoffs
from telefonist.types import HistoryMessage, Language
from tests.core import people
from tests.doors.conftest import Serve
from tests.doors.telegram_service import Service, open_service
from tests.fakes.openai_upstream import answer
from tests.fakes.receiver import Receiver
from tests.fakes.telegram_people import Person
from tests.waiting import until


@pytest.fixture
async def service(serve: Serve, dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Service]:
    monkeypatch.setattr(handoff_policy, "wants_person", people.wants_person)
    monkeypatch.setattr(handoff_policy, "cannot_help", people.cannot_help)
    async with open_service(serve, dsn, tmp_path, webhook=True) as service:
        service.upstream.default = answer("Ответ бота")
        yield service


async def invite(service: Service, *, may_invite: bool = False) -> str:
    return await operator_invites.invite(service.exchange.house.handoffs.staff, None, may_invite=may_invite)


async def operator(service: Service, name: str, *, online: bool = True) -> Person:
    """Hire somebody who works in Telegram."""
    person = service.telegram.person(name)
    await people.hire(service.database, name, online=online, telegram_id=person.id)
    return person


async def talking(service: Service, olga: Person, user: Person, words: str = "Позовите оператора") -> None:
    """Let an operator take the conversation of a user who asks for one."""
    await user.writes(words)
    card = await olga.reads_text(f"{user.name} ждёт человека")
    await olga.presses(card, "Взять")
    await olga.reads_text(f"Разговор у вас: {user.name}")
    await user.reads_text("подключился оператор")


async def column(service: Service, query: str) -> list[str]:
    return [row[0] for row in await service.exchange.rows(query)]


async def take_data(service: Service) -> str:
    ((conversation,),) = await service.exchange.rows("SELECT conversation_id FROM dialogs")
    return f"op-take:{conversation}"


async def until_stored(service: Service, words: str) -> None:
    query = "SELECT 1 FROM messages WHERE content = $1"
    await until(lambda: service.exchange.rows(query, words))


async def known(service: Service, person: Person, message: dict[str, Any]) -> Any:
    """Tell whether the service knows by which id a message went out."""
    query = "SELECT 1 FROM telegram_messages WHERE kind = 'sent' AND chat_id = $1 AND telegram_id = $2"
    return await service.exchange.rows(query, person.id, message["message_id"])


async def until_sent(service: Service, words: str) -> None:
    """Wait until it is known as which message of Telegram's something went out."""
    query = (
        "SELECT 1 FROM messages m JOIN telegram_messages t ON t.message_id = m.id WHERE content = $1 AND kind = 'sent'"
    )
    await until(lambda: service.exchange.rows(query, words))


async def test_the_whole_story_a_bot_a_person_and_the_bot_again(service: Service) -> None:
    service.exchange.house.handoffs.summarise = None
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


async def test_a_card_shows_the_summary_as_soon_as_the_model_has_written_it(service: Service) -> None:
    olga, anna = await operator(service, "Ольга"), service.telegram.person("Анна")
    written = asyncio.Event()

    async def summarise(history: Sequence[HistoryMessage], language: Language) -> str:
        await written.wait()
        return "Хочет вернуть заказ."

    service.exchange.house.handoffs.summarise = summarise
    await anna.writes("Позовите оператора")
    card = await olga.reads_text("Пользователь: Позовите оператора")
    await until(lambda: known(service, olga, card))
    written.set()
    card = await olga.reads_text("Хочет вернуть заказ.")
    await olga.presses(card, "Взять")
    await olga.reads_text("Разговор у вас: Анна")
    assert sum("ждёт человека" in text for text in olga.texts) == 1


async def test_who_presses_too_late_is_told_who_has_it(service: Service) -> None:
    olga, ivan = await operator(service, "Ольга"), await operator(service, "Иван")
    anna = service.telegram.person("Анна")
    await talking(service, olga, anna)
    await ivan.writes("/waiting")
    await ivan.reads_text("Человека никто не ждёт")
    await ivan.sends_data(ivan.screen[-1], await take_data(service))
    await ivan.reads_text("Опоздали: Анна уже у другого оператора (Ольга)")
    await olga.writes("Это я")
    await anna.reads_text("Это я")


async def test_two_who_take_at_once_are_one_that_has_it_and_one_that_hears_of_it(service: Service) -> None:
    olga, ivan = await operator(service, "Ольга"), await operator(service, "Иван", online=False)
    anna = service.telegram.person("Анна")
    await anna.writes("Позовите оператора")
    card = await olga.reads_text("Анна ждёт человека")
    await ivan.writes("/waiting")
    waiting = await ivan.reads_text("Ждут человека")
    await asyncio.gather(olga.presses(card, "Взять"), ivan.presses(waiting, "Анна"))
    await service.telegram.wait_until(
        lambda: any("Опоздали" in text for text in olga.texts + ivan.texts),
        what="the loser's hearing of it",
    )
    assert sum("Разговор у вас" in text for text in olga.texts + ivan.texts) == 1
    await anna.reads_text("подключился оператор")
    assert sum("подключился" in text for text in anna.texts) == 1


async def test_a_declined_conversation_is_offered_to_the_next(service: Service) -> None:
    first, second = await operator(service, "Ольга"), await operator(service, "Иван")
    anna = service.telegram.person("Анна")
    await anna.writes("Позовите оператора")
    await service.telegram.wait_until(lambda: first.screen or second.screen, what="a card")
    asked, other = (first, second) if first.screen else (second, first)
    await asked.presses(asked.screen[0], "Отказаться")
    await asked.reads_text("предложим другим")
    card = await other.reads_text("Анна ждёт человека")
    await other.presses(card, "Взять")
    await other.reads_text("Разговор у вас: Анна")


async def test_what_the_user_writes_while_they_wait_comes_with_the_conversation(service: Service) -> None:
    olga, anna = await operator(service, "Ольга"), service.telegram.person("Анна")
    await anna.writes("Позовите оператора")
    card = await olga.reads_text("Анна ждёт человека")
    for words in ("Вы здесь?", "Мне срочно", "Ау"):
        await anna.writes(words)
    await until_stored(service, "Ау")
    await olga.presses(card, "Взять")
    await olga.reads_text("Анна: Ау")
    assert [text for text in olga.texts if text.startswith("Анна: ")] == [
        "Анна: Вы здесь?",
        "Анна: Мне срочно",
        "Анна: Ау",
    ]


async def test_what_an_operator_writes_without_a_conversation_goes_to_nobody(service: Service) -> None:
    olga = await operator(service, "Ольга")
    await olga.writes("Всем привет")
    await olga.reads_text("Это никому не ушло")
    await olga.writes("/help")
    await olga.reads_text("/tobot")
    assert service.upstream.requests == []


async def test_after_the_user_went_back_to_the_bot_nothing_of_the_operator_reaches_them(service: Service) -> None:
    olga, anna = await operator(service, "Ольга"), service.telegram.person("Анна")
    await talking(service, olga, anna)
    await anna.writes("/bot")
    await olga.reads_text("Разговор с Анна завершён")
    await olga.writes("Это вам не надо видеть")
    await olga.reads_text("Это никому не ушло")
    await anna.writes("Сколько стоит?")
    await anna.reads_text("Ответ бота")
    assert not any("не надо видеть" in text for text in anna.texts)


async def test_an_operator_with_two_conversations_switches_between_them(service: Service) -> None:
    olga = await operator(service, "Ольга")
    anna, boris = service.telegram.person("Анна"), service.telegram.person("Борис")
    await talking(service, olga, anna)
    await talking(service, olga, boris)
    await olga.writes("Борису")
    await boris.reads_text("Борису")
    await olga.writes("/switch")
    mine = await olga.reads_text("Ваши разговоры")
    await olga.presses(mine, "Анна")
    await olga.reads_text("Теперь вы пишете: Анна")
    await olga.writes("Анне")
    await anna.reads_text("Анне")
    await olga.writes("/done")
    over = await olga.reads_text("Разговор с Анна завершён")
    await anna.reads_text("Оператор завершил разговор")
    await olga.writes("Кому это?")
    await olga.reads_text("Выберите, кому писать")
    await olga.presses(over, "Борис")
    await olga.reads_text("Теперь вы пишете: Борис")
    assert not any("Анне" in text or "Кому" in text for text in boris.texts)
    assert not any("Борису" in text or "Кому" in text for text in anna.texts)


async def test_a_reply_to_what_a_user_wrote_goes_to_that_user(service: Service) -> None:
    olga = await operator(service, "Ольга")
    anna, boris = service.telegram.person("Анна"), service.telegram.person("Борис")
    await talking(service, olga, anna)
    await anna.writes("Это Анна")
    shown = await olga.reads_text("Анна: Это Анна")
    await until(lambda: known(service, olga, shown))
    await talking(service, olga, boris)
    await olga.writes("Вам, Анна", answering=shown)
    await anna.reads_text("Вам, Анна")
    await olga.writes("Вам, Борис")
    await boris.reads_text("Вам, Борис")
    assert not any("Вам, Анна" in text for text in boris.texts)


async def test_an_operator_alone_is_shown_a_conversation_once_and_may_think_again(service: Service) -> None:
    olga, anna = await operator(service, "Ольга"), service.telegram.person("Анна")
    await anna.writes("Позовите оператора")
    card = await olga.reads_text("Анна ждёт человека")
    await olga.presses(card, "Отказаться")
    await olga.reads_text("предложим другим")
    await olga.presses(card, "Взять")
    await olga.reads_text("Разговор у вас: Анна")
    assert sum("ждёт человека" in text for text in olga.texts) == 1
    await service.telegram.wait_until(lambda: "reply_markup" not in olga.screen[0], what="the buttons' going")


async def test_an_operator_who_blocks_the_bot_is_away(service: Service) -> None:
    olga = await operator(service, "Ольга")
    await olga.blocks_the_bot()
    await until(lambda: service.exchange.rows("SELECT 1 FROM operators WHERE NOT online"))


async def test_an_update_of_an_operators_that_comes_twice_says_it_once(service: Service) -> None:
    olga, anna = await operator(service, "Ольга"), service.telegram.person("Анна")
    await talking(service, olga, anna)
    message = await olga.writes("Раз")
    await anna.reads_text("Раз")
    update = {"update_id": service.telegram.webhook_tries[-1][0], "message": message}
    await service.telegram.put_again(update)
    await olga.writes("Два")
    await anna.reads_text("Два")
    assert anna.texts[-2:] == ["Раз", "Два"]


async def test_a_note_is_for_operators_only(service: Service) -> None:
    olga, anna = await operator(service, "Ольга"), service.telegram.person("Анна")
    await talking(service, olga, anna)
    await olga.writes("/note Постоянный клиент")
    await olga.reads_text("Записано")
    assert await column(service, "SELECT content FROM messages WHERE role = 'note'") == ["Постоянный клиент"]
    await olga.writes("Ну вот")
    await anna.reads_text("Ну вот")
    assert not any("Постоянный" in text for text in anna.texts)


async def test_a_change_of_what_an_operator_wrote_reaches_the_user(service: Service) -> None:
    olga, anna = await operator(service, "Ольга"), service.telegram.person("Анна")
    await talking(service, olga, anna)
    message = await olga.writes("Завтро")
    await anna.reads_text("Завтро")
    await until_sent(service, "Завтро")
    await olga.edits(message, "Завтра")
    await anna.reads_text("Завтра")
    assert not any("Завтро" in text for text in anna.texts)


async def test_a_change_of_what_the_user_wrote_reaches_the_operator(service: Service) -> None:
    olga, anna = await operator(service, "Ольга"), service.telegram.person("Анна")
    await talking(service, olga, anna)
    message = await anna.writes("Заказ 17")
    shown = await olga.reads_text("Анна: Заказ 17")
    await until(lambda: known(service, olga, shown))
    await anna.edits(message, "Заказ 71")
    await olga.reads_text("Анна: Заказ 71")
    assert not any("Заказ 17" in text for text in olga.texts)


async def test_a_programs_user_talks_to_an_operator_in_telegram(service: Service) -> None:
    olga, program = await operator(service, "Ольга"), await service.exchange.user(credits_=100)
    async with Receiver() as receiver:

        async def ask(words: str) -> None:
            asked = {"message": words, "callback_url": receiver.url, "conversation_id": "web-7"}
            taken = await service.exchange.client.post("/webhook", json=asked, headers=program.headers)
            assert taken.status_code == 202, taken.text

        await ask("Соедините с оператором")
        card = await olga.reads_text("web-7 ждёт человека")
        await olga.presses(card, "Взять")
        await olga.reads_text("Разговор у вас: web-7")
        await ask("Где заказ?")
        await olga.reads_text("web-7: Где заказ?")
        await olga.writes("Уже едет")
        await olga.sends_photo()
        await olga.reads_text("web-7 получает только текст")
        await olga.writes("/done")
        await olga.reads_text("Разговор с web-7 завершён")
        callbacks = [each.json for each in await receiver.wait_for(5)]
    assert [callback["status"] for callback in callbacks if callback["generated_response"] is None] == [
        "waiting_for_operator"
    ]
    said = [(each["author"], each["generated_response"]) for each in callbacks if each["generated_response"]]
    assert said == [
        ("bot", "Переключаю на человека"),
        ("bot", "К разговору подключился оператор."),
        ("operator", "Уже едет"),
        ("bot", "Оператор завершил разговор. Если появятся вопросы, ответит бот."),
    ]


async def test_files_go_both_ways(service: Service) -> None:
    olga, anna = await operator(service, "Ольга"), service.telegram.person("Анна")
    await talking(service, olga, anna)
    await anna.sends_photo("Вот чек")
    await service.telegram.wait_until(lambda: any("photo" in each for each in olga.screen), what="the picture")
    await olga.reads_text("Анна: [photo] Вот чек")
    await olga.sends_document("акт.pdf", "Подпишите")
    await service.telegram.wait_until(lambda: any("document" in each for each in anna.screen), what="the file")


async def test_an_invite_is_good_once_and_only_in_private(service: Service) -> None:
    code = await invite(service)
    olga, eve = service.telegram.person("Ольга"), service.telegram.person("Ева")
    group = service.telegram.group("Все")
    await eve.writes(f"/start {code}", into=group)
    await olga.writes(f"/start {code}")
    await olga.reads_text("Вы теперь оператор")
    await eve.writes(f"/start {code}")
    await eve.reads_text("Это приглашение не подходит")
    await eve.writes("/online")
    await eve.reads_text("Такой команды нет")
    assert await column(service, "SELECT name FROM operators") == ["Ольга"]


async def test_an_operator_with_the_right_invites_another(service: Service) -> None:
    olga, ivan = service.telegram.person("Ольга"), service.telegram.person("Иван")
    await olga.writes(f"/start {await invite(service, may_invite=True)}")
    await olga.writes("/invite")
    told = await olga.reads_text("Приглашение для одного человека")
    await ivan.writes(told["text"].splitlines()[-1])
    await ivan.reads_text("Вы теперь оператор")
    await ivan.writes("/invite")
    await ivan.reads_text("Приглашать операторов вам не разрешено")


async def test_a_conversation_is_handed_on_to_another_operator_in_telegram(service: Service) -> None:
    olga, ivan = await operator(service, "Ольга"), await operator(service, "Иван", online=False)
    anna, handoffs = service.telegram.person("Анна"), service.exchange.house.handoffs
    await talking(service, olga, anna)
    await olga.writes("Передам коллеге")
    await anna.reads_text("Передам коллеге")
    first, second = [await handoffs.staff.of_telegram(person.id) for person in (olga, ivan)]
    assert first is not None
    assert second is not None
    ((conversation,),) = await service.exchange.rows("SELECT conversation_id FROM dialogs")
    async with handoffs.desk() as desk:
        await desk.pass_on(conversation, first, second)
    card = await ivan.reads_text("Вам передан разговор: Анна")
    assert "Оператор: Передам коллеге" in card["text"]
    await olga.reads_text("Разговор с Анна передан: Иван")
    await olga.writes("Ещё кое-что")
    await olga.reads_text("Это никому не ушло")
    await anna.writes("Кто теперь?")
    await ivan.reads_text("Анна: Кто теперь?")
    await ivan.writes("Теперь я")
    await anna.reads_text("Теперь я")
    assert not any("Ещё кое-что" in text for text in anna.texts)


async def test_a_guesser_has_five_tries(service: Service) -> None:
    eve = service.telegram.person("Ева")
    for number in range(6):
        await eve.writes(f"/start {number:022d}")
    await eve.reads_text("Слишком много попыток")
    assert sum("не подходит" in text for text in eve.texts) == 5
    await eve.writes(f"/start {await invite(service)}")
    await eve.reads(7)
    assert await column(service, "SELECT name FROM operators") == []


async def test_a_button_of_operators_pressed_by_a_stranger_does_nothing(service: Service) -> None:
    olga = await operator(service, "Ольга")
    anna, eve = service.telegram.person("Анна"), service.telegram.person("Ева")
    await anna.writes("Позовите оператора")
    await olga.reads_text("Анна ждёт человека")
    await eve.writes("/help")
    (said,) = await eve.reads(1)
    query = await eve.sends_data(said, await take_data(service))
    await service.telegram.wait_until(lambda: service.telegram.queries[query] is not None, what="an answer")
    assert await column(service, "SELECT owner FROM dialogs") == ["waiting"]


async def test_what_a_process_left_unshown_is_shown_by_another_look(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    olga, anna = await operator(service, "Ольга"), service.telegram.person("Анна")
    await talking(service, olga, anna)

    async def dies(self: Handoffs, conversation_id: UUID) -> None:
        """Die between storing a message and telling of it."""

    monkeypatch.setattr(Handoffs, "user_wrote", dies)
    await anna.writes("Вы тут?")
    await olga.reads_text("Анна: Вы тут?", within=15)
    assert olga.texts.count("Анна: Вы тут?") == 1
