"""A person is called into a conversation, takes it, talks, and gives it back: as a program with a webhook sees it."""

import asyncio
from datetime import UTC, datetime

import pytest

from telefonist.core import handoff_desk, handoff_policy
from telefonist.core.handoff_policy import HandoffRules
from telefonist.errors import ProviderFailed, ProviderRejectedRequest
from telefonist.types import ChatRequest, HandoffEnd, HandoffReason, Owner, TaskState, WorkingHours, new_id
from tests.core.conftest import Office, ScriptedModel, open_office
from tests.core.people import Desk, cannot_help, hire, told, wants_person
from tests.fakes.receiver import Receiver

WISH = "Позовите оператора, пожалуйста"
CALLED = "Переключаю на человека"
JOINED = "К разговору подключился оператор."
RETURNED = "Оператор передал разговор боту: дальше отвечает бот."


@pytest.fixture(autouse=True)
def simple_detectors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handoff_policy, "wants_person", wants_person)
    monkeypatch.setattr(handoff_policy, "cannot_help", cannot_help)


class Gate:
    """A model that answers when it is told to."""

    def __init__(self, model: ScriptedModel) -> None:
        self.asked, self.open = asyncio.Event(), asyncio.Event()
        model.answer = self._answer

    async def _answer(self, request: ChatRequest) -> str:
        self.asked.set()
        await self.open.wait()
        return f"re: {request.messages[-1]['content']}"


async def test_the_whole_story_of_a_conversation_with_a_person_in_it(office: Office) -> None:
    olga, desk = await hire(office.database), Desk(office)
    async with Receiver() as receiver:
        await office.ask("Привет", receiver.url)
        await receiver.wait_for(1)
        conversation = await desk.conversation(receiver)
        wish = await office.ask(WISH, receiver.url)
        await receiver.wait_for(2)
        assert await desk.take(conversation, olga)
        held = await office.ask("Вы человек?", receiver.url)
        await receiver.wait_for(4)
        assert await desk.reply(conversation, olga, "Да, я Ольга")
        await desk.give_back(conversation, HandoffEnd.RETURNED, olga)
        await receiver.wait_for(6)
        await office.ask("Спасибо", receiver.url)
        callbacks = await receiver.wait_for(7)
        assert told(callbacks) == [
            ("bot", "re: Привет"),
            ("bot", CALLED),
            ("bot", JOINED),
            ("bot", None),
            ("operator", "Да, я Ольга"),
            ("bot", RETURNED),
            ("bot", "re: Спасибо"),
        ]
        assert (await office.see(wish)).state is TaskState.WAITING_FOR_OPERATOR
        assert (await office.see(held)).state is TaskState.WAITING_FOR_OPERATOR
        assert [message["content"] for message in office.model.requests[-1].messages] == [
            "Привет",
            "re: Привет",
            WISH,
            CALLED,
            JOINED,
            "Вы человек?",
            "Да, я Ольга",
            RETURNED,
            "Выше пользователю отвечал живой оператор. Он закончил, и теперь снова отвечаешь ты. Прошлая просьба "
            "позвать человека уже выполнена.",
            "Спасибо",
        ]


async def test_a_task_that_is_handed_over_is_answered_once_and_not_for_good(office: Office) -> None:
    await hire(office.database)
    async with Receiver() as receiver:
        wish = await office.ask(WISH, receiver.url, "first", metadata='{"order": 7}')
        (callback,) = await receiver.wait_for(1)
        body = callback.json
        assert (body["status"], body["final"], body["author"]) == ("waiting_for_operator", False, "bot")
        assert (body["task_id"], body["conversation_id"]) == (str(wish.task_id), "first")
        assert body["generated_response"] == CALLED
        assert body["message_id"] == callback.headers["webhook-id"]
        assert (body["error"], body["usage"], body["metadata"]) == (None, None, {"order": 7})
        assert office.model.requests == []


async def test_an_operator_s_words_go_to_the_latest_callback_url_without_a_task(office: Office) -> None:
    olga, desk = await hire(office.database), Desk(office)
    account = new_id()
    async with Receiver() as old, Receiver() as new:
        for receiver in (old, new):
            await office.ask("hello", receiver.url, "c", account=account)
            await receiver.wait_for(1)
        conversation = await desk.handoffs.store.find(account, "", "c")
        assert conversation is not None
        await desk.take(conversation, olga)
        message_id = await desk.reply(conversation, olga, "I am here")
        body = (await new.wait_for(3))[-1].json
        assert (body["author"], body["task_id"], body["generated_response"]) == ("operator", None, "I am here")
        assert (body["message_id"], body["status"], body["final"]) == (str(message_id), "succeeded", True)
        assert len(old.requests) == 1


async def test_without_operators_a_program_s_wish_is_answered_like_anything_else(office: Office) -> None:
    async with Receiver() as receiver:
        await office.ask(WISH, receiver.url)
        assert told(await receiver.wait_for(1)) == [("bot", f"re: {WISH}")]


async def test_when_nobody_is_online_the_user_is_told_so_and_waits(office: Office) -> None:
    await hire(office.database, online=False)
    async with Receiver() as receiver:
        await office.ask("Operator, please!", receiver.url)
        ((_, text),) = told(await receiver.wait_for(1))
        assert text is not None
        assert text.startswith("No operator is online right now.")
        desk = Desk(office)
        conversation = await desk.conversation(receiver)
        assert (await desk.dialog(conversation)).owner is Owner.WAITING


async def test_out_of_hours_the_user_is_told_when_people_work(
    dsn: str, model: ScriptedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(handoff_desk, "utc_now", lambda: datetime(2026, 11, 21, 12, tzinfo=UTC))  # a Saturday
    rules = HandoffRules(hours=WorkingHours.parse("Mon-Fri 09:00-18:00", "Europe/Moscow"))
    async with open_office(dsn, model, rules=rules) as office, Receiver() as receiver:
        await hire(office.database)
        await office.ask(WISH, receiver.url)
        ((_, text),) = told(await receiver.wait_for(1))
        assert text is not None
        assert "операторы отвечают Mon-Fri 09:00-18:00 (Europe/Moscow)" in text


async def test_the_user_can_go_on_with_the_bot_instead_of_waiting(office: Office) -> None:
    await hire(office.database, online=False)
    desk = Desk(office)
    async with Receiver() as receiver:
        await office.ask("Operator, please!", receiver.url)
        await receiver.wait_for(1)
        conversation = await desk.conversation(receiver)
        assert await desk.give_back(conversation, HandoffEnd.WITHDRAWN)
        await office.ask("How much is 2+2?", receiver.url)
        callbacks = await receiver.wait_for(3)
        assert told(callbacks)[1:] == [
            ("bot", "All right, the bot answers from here."),
            ("bot", "re: How much is 2+2?"),
        ]


async def test_the_answer_that_the_bot_is_at_is_withheld_when_an_operator_takes_over(office: Office) -> None:
    olga, desk, gate = await hire(office.database), Desk(office), Gate(office.model)
    async with Receiver() as receiver:
        asked = await office.ask("hello", receiver.url)
        await gate.asked.wait()
        conversation = await desk.conversation(receiver)
        assert await desk.take(conversation, olga)
        gate.open.set()
        await desk.reply(conversation, olga, "Hi, I am Olga")
        callbacks = await receiver.wait_for(2)
        assert told(callbacks) == [
            ("bot", "An operator has joined the conversation."),
            ("operator", "Hi, I am Olga"),
        ]
        assert (callbacks[0].json["task_id"], callbacks[0].json["final"]) == (str(asked.task_id), False)
        assert ("bot", "re: hello") not in await desk.history(conversation)


async def test_questions_that_wait_behind_the_one_in_work_are_the_operator_s_too(office: Office) -> None:
    olga, desk, gate = await hire(office.database), Desk(office), Gate(office.model)
    async with Receiver() as receiver:
        await office.ask("one", receiver.url)
        await gate.asked.wait()
        tasks = [await office.ask(text, receiver.url) for text in ("two", "three")]
        await desk.take(await desk.conversation(receiver), olga)
        gate.open.set()
        callbacks = await receiver.wait_for(3)
        assert [callback.json["status"] for callback in callbacks] == ["waiting_for_operator"] * 3
        assert [callback.json["task_id"] for callback in callbacks[1:]] == [str(task.task_id) for task in tasks]
        assert len(office.model.requests) == 1


async def test_a_burst_of_messages_to_an_operator_gets_no_answers_of_the_bot(office: Office) -> None:
    olga, desk = await hire(office.database), Desk(office)
    async with Receiver() as receiver:
        await office.ask("hello", receiver.url)
        await receiver.wait_for(1)
        conversation = await desk.conversation(receiver)
        await desk.take(conversation, olga)
        await asyncio.gather(*(office.ask(f"{number}", receiver.url) for number in range(10)))
        callbacks = await receiver.wait_for(12)
        assert told(callbacks)[2:] == [("bot", None)] * 10
        assert len(office.model.requests) == 1


async def test_of_many_claims_at_once_one_wins_and_the_others_are_told(office: Office) -> None:
    staff = [await hire(office.database, f"operator {number}") for number in range(6)]
    desk = Desk(office)
    async with Receiver() as receiver:
        await office.ask(WISH, receiver.url)
        await receiver.wait_for(1)
        conversation = await desk.conversation(receiver)
        taken = await asyncio.gather(*(desk.take(conversation, operator) for operator in staff))
        winners = [operator for operator, dialog in zip(staff, taken, strict=True) if dialog is not None]
        assert len(winners) == 1
        assert (await desk.dialog(conversation)).operator_id == winners[0].id
        assert [await desk.reply(conversation, each, "hi") for each in staff if each not in winners] == [None] * 5
        assert told(await receiver.wait_for(2)) == [("bot", CALLED), ("bot", JOINED)]


async def test_taking_twice_is_taking_once(office: Office) -> None:
    olga, desk = await hire(office.database), Desk(office)
    async with Receiver() as receiver:
        await office.ask("hello", receiver.url)
        await receiver.wait_for(1)
        conversation = await desk.conversation(receiver)
        first, second = await desk.take(conversation, olga), await desk.take(conversation, olga)
        assert first == second
        assert await desk.value("SELECT count(*) FROM handoffs") == 1
        assert len(await desk.history(conversation)) == 3


async def test_a_person_who_was_called_is_not_called_again(office: Office) -> None:
    await hire(office.database)
    desk = Desk(office)
    async with Receiver() as receiver:
        await office.ask("hello", receiver.url)
        await receiver.wait_for(1)
        conversation = await desk.conversation(receiver)
        calls = await asyncio.gather(*(desk.request(conversation) for _ in range(5)))
        assert len([call for call in calls if call]) == 1
        callbacks = await receiver.wait_for(2)
        assert (callbacks[1].json["task_id"], callbacks[1].json["status"]) == (None, "waiting_for_operator")


async def test_back_with_the_bot_the_old_wish_does_not_call_a_person_again(office: Office) -> None:
    olga, desk = await hire(office.database), Desk(office)
    async with Receiver() as receiver:
        for text in (WISH, "ну где он?"):
            await office.ask(text, receiver.url)
        await receiver.wait_for(2)
        conversation = await desk.conversation(receiver)
        await desk.take(conversation, olga)
        await desk.give_back(conversation, HandoffEnd.RETURNED, olga)
        await office.ask("ну что там?", receiver.url)
        assert told(await receiver.wait_for(5))[-1] == ("bot", "re: ну что там?")
        assert (await desk.dialog(conversation)).owner is Owner.BOT


async def test_given_back_the_bot_does_not_go_on_being_silent(office: Office) -> None:
    olga, desk, gate = await hire(office.database), Desk(office), Gate(office.model)
    async with Receiver() as receiver:
        await office.ask("hello", receiver.url)
        await gate.asked.wait()
        conversation = await desk.conversation(receiver)
        await desk.take(conversation, olga)
        await desk.give_back(conversation, HandoffEnd.CLOSED, olga)
        gate.open.set()
        await office.ask("again", receiver.url)
        callbacks = await receiver.wait_for(3)
        assert told(callbacks)[-1] == ("bot", "re: again")
        assert ("bot", "re: hello") not in told(callbacks)


async def test_when_every_model_failed_a_person_is_called_if_there_are_any(office: Office) -> None:
    await hire(office.database)

    async def fail(_: ChatRequest) -> str:
        raise ProviderFailed("scripted", status=500, reason="broken")

    office.model.answer = fail
    desk = Desk(office)
    async with Receiver() as receiver:
        await office.ask("Привет", receiver.url)
        assert told(await receiver.wait_for(1)) == [("bot", CALLED)]
        assert await desk.value("SELECT reason FROM handoffs") == HandoffReason.BOT_FAILED
        assert await desk.settled() == "failed"


def tool_call(arguments: object) -> dict[str, object]:
    function = {"name": "transfer_to_operator", "arguments": arguments}
    return {"choices": [{"message": {"content": None, "tool_calls": [{"id": "1", "function": function}]}}]}


@pytest.mark.parametrize(
    ("arguments", "detail"),
    [
        ('{"reason": "wants a refund"}', "wants a refund"),
        ({"reason": "wants a refund"}, "wants a refund"),
        ("{}", ""),
        ("not json", ""),
        ('"a text"', ""),
        (None, ""),
    ],
)
async def test_a_model_calls_a_person_by_its_tool(office: Office, arguments: object, detail: str) -> None:
    await hire(office.database)
    office.model.body = tool_call(arguments)
    desk = Desk(office)
    async with Receiver() as receiver:
        await office.ask("Верните деньги", receiver.url)
        assert told(await receiver.wait_for(1)) == [("bot", CALLED)]
        assert office.model.requests[0].options["tools"][0]["function"]["name"] == "transfer_to_operator"
        assert await desk.value("SELECT reason FROM handoffs") == HandoffReason.TOOL
        assert await desk.value("SELECT detail FROM handoffs") == detail
        assert await desk.settled() == "succeeded"


async def test_models_are_offered_no_tool_where_there_are_no_operators(office: Office) -> None:
    office.model.body = tool_call("{}")
    async with Receiver() as receiver:
        await office.ask("hello", receiver.url)
        assert told(await receiver.wait_for(1)) == [("bot", "re: hello")]
        assert office.model.requests[0].options == {}


async def test_a_model_that_refuses_tools_is_asked_without_them_from_then_on(office: Office) -> None:
    await hire(office.database)

    async def plain_only(request: ChatRequest) -> str:
        if "tools" in request.options:
            raise ProviderRejectedRequest("scripted", status=400, reason="tools are not supported")
        return "plain"

    office.model.answer = plain_only
    async with Receiver() as receiver:
        for text in ("one", "two"):
            await office.ask(text, receiver.url)
        assert told(await receiver.wait_for(2)) == [("bot", "plain")] * 2
        assert ["tools" in request.options for request in office.model.requests] == [True, False, False]


async def test_an_answer_that_is_no_help_comes_with_the_offer_of_a_person_and_a_yes_accepts_it(office: Office) -> None:
    await hire(office.database)

    async def helpless(_: ChatRequest) -> str:
        return "К сожалению, я не могу помочь с этим вопросом."

    office.model.answer = helpless
    desk = Desk(office)
    async with Receiver() as receiver:
        await office.ask("Верните деньги за заказ 17", receiver.url)
        await office.ask("да", receiver.url)
        offer, call = told(await receiver.wait_for(2))
        assert offer == ("bot", "К сожалению, я не могу помочь с этим вопросом.\n\nСоединить вас с оператором?")
        assert call == ("bot", CALLED)
        assert await desk.value("SELECT reason FROM handoffs") == HandoffReason.ACCEPTED_OFFER
        decisions = "SELECT string_agg(detector || ' ' || decision, ', ' ORDER BY turn) FROM handoff_decisions"
        assert await desk.value(decisions) == "cannot_help offer, wants_person transfer"


async def test_an_offer_that_is_not_taken_up_is_not_made_again_at_once(office: Office) -> None:
    await hire(office.database)

    async def helpless(_: ChatRequest) -> str:
        return "К сожалению, я не могу помочь с этим вопросом."

    office.model.answer = helpless
    async with Receiver() as receiver:
        for text in ("Верните деньги за заказ 17", "нет, не надо", "А за заказ 18?"):
            await office.ask(text, receiver.url)
        answers = [text for _, text in told(await receiver.wait_for(3))]
        assert ["Соединить вас" in (text or "") for text in answers] == [True, False, True]


async def test_a_note_is_read_by_operators_only(office: Office) -> None:
    olga, desk = await hire(office.database), Desk(office)
    async with Receiver() as receiver:
        await office.ask("hello", receiver.url)
        await receiver.wait_for(1)
        conversation = await desk.conversation(receiver)
        await desk.note(conversation, olga, "a difficult one")
        await office.ask("again", receiver.url)
        assert told(await receiver.wait_for(2)) == [("bot", "re: hello"), ("bot", "re: again")]
        assert ("note", "a difficult one") in await desk.history(conversation)
        assert "a difficult one" not in str(office.model.requests)
