"""Somebody writes to the bot in Telegram, and what comes back."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from telefonist.core import handoff_policy
from telefonist.core.telegram_commands import Commands
from telefonist.storage.telegram_chats import set_banned
from telefonist.types import TELEGRAM_ACCOUNT, new_id
from tests.core import people
from tests.doors.conftest import Serve
from tests.doors.telegram_service import Service, open_service
from tests.fakes.openai_upstream import answer, events, raw
from tests.fakes.scripted_http import Exchange
from tests.waiting import until

OPERATOR_BUTTON = {"inline_keyboard": [[{"text": "Позвать человека", "callback_data": "operator"}]]}


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


async def test_what_the_bot_answers_is_booked_to_an_account_that_pays_nothing(service: Service) -> None:
    anna = service.telegram.person("Анна")
    await anna.writes("Привет")
    await anna.reads(1)
    (row,) = await service.exchange.rows("SELECT account_id, door, state FROM generations")
    assert tuple(row.values()) == (TELEGRAM_ACCOUNT, "telegram", "succeeded")
    assert await service.exchange.value("SELECT count(*) FROM ledger") == 0


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


async def test_start_greets_in_the_users_language_with_a_button_that_calls_a_person(service: Service) -> None:
    await service.operator()
    john = service.telegram.person("John", language="en")
    await john.writes("/start")
    greeting = await john.reads_text("I am a bot")
    query = await john.presses(greeting, "Talk to a person")
    await john.reads_text("Transferring you to a person")
    await service.telegram.wait_until(
        lambda: service.telegram.queries[query] is not None, what="an answer to the press"
    )


async def test_an_offline_team_is_told_of_honestly_and_a_button_leads_back_to_the_bot(service: Service) -> None:
    await service.operator(online=False)
    anna = service.telegram.person("Анна")
    await anna.writes("/operator")
    told = await anna.reads_text("никого из операторов нет")
    await anna.presses(told, "Продолжить с ботом")
    await anna.reads_text("дальше отвечает бот")
    await anna.writes("Сколько стоит?")
    await anna.reads_text("Ответ бота")


async def test_reset_lets_the_model_forget(service: Service) -> None:
    anna = service.telegram.person("Анна")
    await anna.writes("Меня зовут Анна")
    await anna.reads(1)
    await anna.writes("/reset")
    await anna.reads(2)
    await anna.writes("Как меня зовут?")
    await anna.reads(3)
    assert service.asked() == [("user", "Как меня зовут?")]


async def test_another_model_can_be_chosen_by_its_button(service: Service) -> None:
    anna = service.telegram.person("Анна")
    await anna.writes("/model")
    (offered,) = await anna.reads(1)
    await anna.presses(offered, "gpt-3.5-turbo")
    await anna.reads_text("Дальше отвечает модель gpt-3.5-turbo")
    await anna.writes("Привет")
    await anna.reads_text("Ответ бота")
    assert service.upstream.requests[-1].json["model"] == "gpt-3.5-turbo"
    await service.telegram.wait_until(lambda: "reply_markup" not in anna.screen[0], what="the buttons' going")


async def test_a_model_that_is_not_there_is_not_chosen(service: Service) -> None:
    anna = service.telegram.person("Анна")
    await anna.writes("/model gpt-9")
    await anna.reads_text("Модели gpt-9 нет")
    await anna.writes("/nonsense")
    await anna.reads_text("Такой команды нет")


async def test_several_quick_messages_are_answered_together(service: Service) -> None:
    anna = service.telegram.person("Анна")
    first = asyncio.Event()

    async def slow(exchange: Exchange) -> None:
        await first.wait()
        await answer("Первый ответ")(exchange)

    service.upstream.script(slow)
    await anna.writes("Привет")
    await service.upstream.received(1)
    for said in ("Нужен букет", "красный", "к пятнице"):
        await anna.writes(said)

    async def all_in() -> bool:
        return bool(await service.exchange.value("SELECT tail = 4 FROM mailboxes WHERE side = 'in'"))

    await until(all_in)
    first.set()
    await anna.reads_text("Ответ бота")
    assert anna.texts == ["Первый ответ", "Ответ бота"]
    asked = [content for role, content in service.asked() if role == "user"]
    assert asked == ["Привет", "Нужен букет", "красный", "к пятнице"]


async def test_an_update_that_comes_twice_is_answered_once(service: Service) -> None:
    anna = service.telegram.person("Анна")
    await anna.writes("Привет")
    await anna.reads(1)
    (update,) = [row["body"] for row in await service.exchange.rows("SELECT body FROM telegram_updates")]
    await service.telegram.put_again(json.loads(update))
    await anna.writes("И ещё раз")
    await anna.reads(2)
    assert len(service.upstream.requests) == 2


async def test_an_update_that_cannot_be_stored_is_not_acknowledged_and_comes_again(service: Service) -> None:
    telegram, anna = service.telegram, service.telegram.person("Анна")
    async with service.database.begin() as connection:
        await connection.exec_driver_sql("ALTER TABLE telegram_updates RENAME TO away")
    await anna.writes("Привет")
    await telegram.wait_until(lambda: len(telegram.webhook_tries) > 1, what="the second try")
    async with service.database.begin() as connection:
        await connection.exec_driver_sql("ALTER TABLE away RENAME TO telegram_updates")
    await anna.reads(1)
    await telegram.wait_until(lambda: not telegram.waiting, what="the acknowledgement")
    assert len({update_id for update_id, _ in telegram.webhook_tries}) == 1
    assert telegram.webhook_tries[0][1] >= 500
    assert telegram.webhook_tries[-1][1] == 200


async def test_what_does_not_show_the_secret_is_refused_and_stored_nowhere(service: Service) -> None:
    update = {"update_id": 1, "message": {"message_id": 1, "chat": {"id": 5, "type": "private"}, "text": "x"}}
    for headers in ({}, {"X-Telegram-Bot-Api-Secret-Token": "wrong"}):
        refused = await service.exchange.client.post("/telegram/webhook", json=update, headers=headers)
        assert (refused.status_code, refused.json()["code"]) == (403, "telegram_secret_refused")
    assert await service.exchange.value("SELECT count(*) FROM telegram_updates") == 0


async def test_a_photo_without_words_gets_a_kind_answer_once_for_an_album(service: Service) -> None:
    anna = service.telegram.person("Анна")
    for _ in range(3):
        await anna.sends_photo(album="a1")
    await anna.reads_text("понимаю только текст")
    await anna.writes("Это мой заказ")
    await anna.reads_text("Ответ бота")
    assert len(anna.texts) == 2
    assert [content for _, content in service.asked()] == ["[photo]", "[photo]", "[photo]", "Это мой заказ"]


async def test_what_stands_below_a_file_is_answered(service: Service) -> None:
    anna = service.telegram.person("Анна")
    await anna.sends_document("счёт.pdf", caption="Что здесь написано?")
    await anna.reads_text("Ответ бота")
    assert service.asked() == [("user", "[document счёт.pdf] Что здесь написано?")]


async def test_an_album_with_words_is_answered_once(service: Service) -> None:
    anna = service.telegram.person("Анна")
    await anna.sends_photo("Какой лучше?", album="a2")
    await anna.sends_photo(album="a2")
    await anna.reads_text("Ответ бота")
    await anna.writes("ещё")
    await service.telegram.wait_until(lambda: anna.texts.count("Ответ бота") == 2, what="the second answer")


async def test_an_edited_message_is_read_anew(service: Service) -> None:
    anna = service.telegram.person("Анна")
    sent = await anna.writes("Меня зовут Аня")
    await anna.reads(1)
    await anna.edits(sent, "Меня зовут Анна")
    await anna.writes("Как меня зовут?")
    await anna.reads(2)
    assert service.asked()[0] == ("user", "Меня зовут Анна")


async def test_a_long_answer_comes_in_parts_and_in_order(service: Service) -> None:
    words = [f"слово{number}" for number in range(1500)]
    service.upstream.default = answer(" ".join(words))
    anna = service.telegram.person("Анна")
    await anna.writes("Расскажи")
    await service.telegram.wait_until(lambda: "слово1499" in "".join(anna.texts), what="the end of the answer")
    assert " ".join(anna.texts).split() == words


async def test_telegram_is_given_the_time_that_it_asks_for(service: Service) -> None:
    anna = service.telegram.person("Анна")
    service.telegram.refuse("sendMessage", 429, "Too Many Requests: retry after 1", retry_after=1)
    await anna.writes("Привет")
    await anna.reads_text("Ответ бота")

    async def recorded() -> bool:
        attempts = await service.exchange.rows("SELECT status FROM delivery_attempts ORDER BY number")
        return [row["status"] for row in attempts] == [429, 200]

    await until(recorded)


async def test_a_user_who_blocks_the_bot_is_left_alone_and_answered_when_they_come_back(service: Service) -> None:
    anna = service.telegram.person("Анна")
    await anna.writes("Привет")
    await anna.reads(1)
    service.telegram.chats[anna.id].blocked = True
    await anna.writes("Кто здесь?")

    async def given_up() -> bool:
        return bool(await service.exchange.value("SELECT count(*) FROM deliveries WHERE state = 'gone'"))

    await until(given_up)
    await anna.blocks_the_bot(blocked=False)
    await anna.writes("Я вернулась")
    await anna.reads(2)


async def test_a_banned_user_gets_no_answer(service: Service) -> None:
    anna, boris = service.telegram.person("Анна"), service.telegram.person("Борис")
    await anna.writes("Привет")
    await anna.reads(1)
    async with service.database.begin() as connection:
        assert await set_banned(connection, anna.id, banned=True)
    await anna.writes("Ещё")
    await anna.presses({**anna.screen[0], "reply_markup": OPERATOR_BUTTON}, "человека")
    await boris.writes("Привет")
    await boris.reads(1)

    async def all_seen() -> bool:
        return not await service.exchange.value("SELECT count(*) FROM mailboxes WHERE head < tail")

    await until(all_seen)
    assert len(anna.texts) == 1


async def test_in_a_group_only_those_who_mean_the_bot_are_answered(service: Service) -> None:
    anna, group = service.telegram.person("Анна"), service.telegram.group("Друзья")
    await anna.writes("Всем привет", into=group)
    await anna.writes("@fake_bot, а ты как?", into=group)
    said = await group.reads_text("Ответ бота")
    await anna.writes("Спасибо", into=group, answering=said)
    await service.telegram.wait_until(lambda: len(group.screen) == 2, what="the second answer")
    assert [content for role, content in service.asked() if role == "user"] == ["@fake_bot, а ты как?", "Спасибо"]


async def test_a_group_is_followed_to_its_new_id(service: Service) -> None:
    anna, group = service.telegram.person("Анна"), service.telegram.group("Друзья")
    await anna.writes("@fake_bot, привет", into=group)
    await group.reads_text("Ответ бота")
    grown = await group.becomes_supergroup(anna)
    await anna.writes("@fake_bot, ты ещё здесь?", into=grown)
    await grown.reads_text("Ответ бота")
    assert await service.exchange.value("SELECT count(*) FROM telegram_chats") >= 1


async def test_a_forged_press_does_nothing(service: Service) -> None:
    anna, boris = service.telegram.person("Анна"), service.telegram.person("Борис")
    await anna.writes("Привет")
    (said,) = await anna.reads(1)
    for data in ("rate:nonsense:1", f"rate:{new_id()}:7", f"rate:{new_id()}:1", "unknown", ""):
        await anna.sends_data(said, data)
    await boris.sends_data(said, "operator")
    await anna.writes("Ещё")
    await anna.reads(2)
    assert anna.texts == ["Ответ бота", "Ответ бота"]


async def test_the_token_is_in_no_log_line(service: Service, capsys: pytest.CaptureFixture[str]) -> None:
    anna = service.telegram.person("Анна")
    service.telegram.script(raw(b""))
    service.telegram.refuse("sendMessage", 500, "Internal Server Error", times=1)
    await anna.writes("Привет")
    await anna.reads_text("Ответ бота")
    seen = capsys.readouterr()
    stored = str(await service.exchange.rows("SELECT error, response FROM delivery_attempts"))
    assert service.telegram.token not in seen.out + seen.err + stored
    assert service.telegram.token.partition(":")[2] not in seen.out + seen.err + stored


async def test_while_the_model_writes_the_chat_shows_it(service: Service) -> None:
    service.upstream.default = answer(" ".join(["слово"] * 8), pause=0.3)
    anna = service.telegram.person("Анна")
    await anna.writes("Расскажи")
    (said,) = await anna.reads(1)
    chat = service.telegram.chats[anna.id]
    assert chat.actions == ["typing"]
    assert chat.drafts
    assert all(said["text"].startswith(draft["text"]) for draft in chat.drafts)
    assert {draft["draft_id"] for draft in chat.drafts} == {1}


async def test_a_preview_that_telegram_does_not_take_costs_no_answer(service: Service) -> None:
    service.telegram.refuse("sendChatAction", 403, "Forbidden")
    service.telegram.refuse("sendMessageDraft", 400, "Bad Request: TEXTDRAFT_PEER_INVALID")
    anna = service.telegram.person("Анна")
    await anna.writes("Расскажи")
    await anna.reads_text("Ответ бота")


async def test_an_answer_that_breaks_off_is_asked_for_anew(service: Service) -> None:
    service.upstream.script(events({"choices": [{"index": 0, "delta": {"content": "Нача"}}]}, ending="cut"))
    anna = service.telegram.person("Анна")
    await anna.writes("Расскажи")
    (said,) = await anna.reads(1)
    assert said["text"] == "Ответ бота"


async def test_the_bot_has_a_system_prompt_of_its_own(serve: Serve, dsn: str, tmp_path: Path) -> None:
    async with open_service(serve, dsn, tmp_path, TELEFONIST_TELEGRAM_SYSTEM_PROMPT="Ты флорист.") as service:
        anna = service.telegram.person("Анна")
        await anna.writes("Что посоветуете к юбилею?")
        await anna.reads(1)
        assert service.asked()[0] == ("system", "Ты флорист.")


async def test_a_model_that_calls_a_person_itself_does_so_while_it_is_watched(service: Service) -> None:
    await service.operator()
    call = {"id": "1", "type": "function"}
    call["function"] = {"name": "transfer_to_operator", "arguments": '{"reason": "возврат"}'}  # type: ignore[assignment]
    service.upstream.script(answer(None, tool_calls=[call]))
    anna = service.telegram.person("Анна")
    await anna.writes("Верните деньги за букет")
    await anna.reads_text("Переключаю на человека")
    assert len(anna.texts) == 1
    assert await service.exchange.value("SELECT reason FROM handoffs") == "tool"


async def test_the_whole_story_from_the_bot_to_a_person_and_back(service: Service) -> None:
    operator = await service.operator()
    anna = service.telegram.person("Анна")
    await anna.writes("Где мой заказ?")
    await anna.reads(1)
    await anna.writes("Позовите оператора")
    await anna.reads_text("Переключаю на человека")
    conversation = await service.exchange.value("SELECT conversation_id FROM telegram_chats")
    handoffs = service.exchange.house.handoffs
    async with handoffs.desk() as desk:
        assert await desk.take(conversation, operator)
    await anna.reads_text("подключился оператор")
    await anna.writes("Заказ 17")

    async def left_to_the_operator() -> bool:
        return bool(await service.exchange.value("SELECT count(*) FROM tasks WHERE state = 'waiting_for_operator'"))

    await until(left_to_the_operator)
    async with handoffs.desk() as desk:
        assert await desk.reply(conversation, operator, "Уже *в пути*, Анна!")
    await anna.reads_text("Уже *в пути*, Анна!")
    async with handoffs.desk() as desk:
        assert await desk.close(conversation, operator)
    rated = await anna.reads_text("Оператор завершил разговор")
    await anna.presses(rated, "Помогли")
    await anna.reads_text("Спасибо за оценку")
    assert await service.exchange.value("SELECT rating FROM handoffs") == 1
    await anna.presses(rated, "Не помогли")
    await anna.writes("Спасибо! А открытки у вас есть?")
    await service.telegram.wait_until(lambda: anna.texts.count("Ответ бота") == 2, what="the bot's coming back")
    assert await service.exchange.value("SELECT rating FROM handoffs") == 1
    assert ("assistant", "Уже *в пути*, Анна!") in service.asked()


async def test_an_update_that_makes_us_stumble_does_not_shut_its_chat(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def stumble(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(Commands, "carry_out", stumble)
    anna = service.telegram.person("Анна")
    await anna.writes("/help")
    await anna.writes("Привет")
    await anna.reads_text("Ответ бота")


async def test_an_update_of_a_kind_from_the_future_is_taken_and_left_alone(service: Service) -> None:
    anna = service.telegram.person("Анна")
    service.telegram.webhook.allowed = (*service.telegram.webhook.allowed, "thought")
    await service.telegram.put("thought", {"of": "something"})
    await service.telegram.put("message", {"message_id": "?", "chat": {"id": anna.id, "type": "private"}})
    await anna.writes("Привет")
    await anna.reads(1)


async def test_the_bot_falls_silent_in_the_middle_of_an_answer_when_a_person_takes_over(service: Service) -> None:
    operator = await service.operator()
    go_on = asyncio.Event()
    begun = {"choices": [{"index": 0, "delta": {"content": "Начинаю"}}]}
    service.upstream.script(events(begun, go_on, begun, "data: [DONE]\n\n"))
    anna = service.telegram.person("Анна")
    chat = service.telegram.chats[anna.id]
    await anna.writes("Расскажи длинную историю")
    await service.telegram.wait_until(lambda: chat.drafts, what="a preview")
    conversation = await service.exchange.value("SELECT conversation_id FROM telegram_chats")
    async with service.exchange.house.handoffs.desk() as desk:
        assert await desk.take(conversation, operator)
    await anna.reads_text("подключился оператор")
    (request,) = service.upstream.requests
    async with asyncio.timeout(5):
        await request.gone.wait()
    shown = len(chat.drafts)
    async with service.exchange.house.handoffs.desk() as desk:
        assert await desk.reply(conversation, operator, "Здравствуйте")
    await anna.reads_text("Здравствуйте")
    assert anna.texts == ["К разговору подключился оператор.", "Здравствуйте"]
    assert len(chat.drafts) == shown
