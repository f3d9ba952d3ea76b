"""Whose turn it is: who is offered a conversation, for how long, and what operators learn of it."""

import pytest

from telefonist.core import handoff_policy
from telefonist.core.handoff import dialog_topic
from telefonist.errors import NotFound
from telefonist.memory.base import Event
from telefonist.types import HandoffEnd, HandoffReason, Owner, new_id
from tests.core.conftest import Office
from tests.core.people import Desk, absent, cannot_help, hire, told, wants_person
from tests.fakes.receiver import Receiver
from tests.waiting import until

WISH = "Позовите оператора, пожалуйста"
CALLED = "Переключаю на человека"
JOINED = "К разговору подключился оператор."
RETURNED = "Оператор передал разговор боту: дальше отвечает бот."


@pytest.fixture(autouse=True)
def simple_detectors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handoff_policy, "wants_person", wants_person)
    monkeypatch.setattr(handoff_policy, "cannot_help", cannot_help)


async def test_a_conversation_is_offered_to_the_operator_online_with_the_fewest(office: Office) -> None:
    busy, free = await hire(office.database, "busy"), await hire(office.database, "free")
    await hire(office.database, "away", online=False)
    desk = Desk(office)
    async with Receiver() as receiver:
        for name in ("one", "two"):
            await office.ask("hello", receiver.url, name)
        await receiver.wait_for(2)
        one, two = [await desk.conversation(receiver, name) for name in ("one", "two")]
        await desk.take(one, busy)
        await desk.request(two)
        assert await desk.offered_to(two) == free.id


async def test_an_operator_with_as_many_as_they_can_have_is_offered_no_more(office: Office) -> None:
    full = await hire(office.database, "full", capacity=1)
    desk = Desk(office)
    async with Receiver() as receiver:
        for name in ("one", "two"):
            await office.ask("hello", receiver.url, name)
        await receiver.wait_for(2)
        one, two = [await desk.conversation(receiver, name) for name in ("one", "two")]
        await desk.take(one, full)
        await desk.request(two)
        assert await desk.offered_to(two) is None
        await desk.give_back(one, HandoffEnd.CLOSED, full)
        await office.handoffs.look_after()
        assert await desk.offered_to(two) == full.id


async def test_an_offer_that_is_not_taken_goes_round_all_operators(office: Office) -> None:
    staff = {(await hire(office.database, f"operator {number}")).id for number in range(3)}
    desk = Desk(office)
    async with Receiver() as receiver:
        await office.ask(WISH, receiver.url)
        await receiver.wait_for(1)
        conversation = await desk.conversation(receiver)
        asked = [await desk.offered_to(conversation)]
        await office.handoffs.look_after()
        assert await desk.offered_to(conversation) == asked[0], "a minute is not over"
        for _ in range(3):
            await desk.age(conversation, 61)
            await office.handoffs.look_after()
            asked.append(await desk.offered_to(conversation))
        assert set(asked[:3]) == staff
        assert asked[3] in staff


async def test_who_declines_is_not_asked_again_before_the_others(office: Office) -> None:
    staff = {operator.id: operator for operator in [await hire(office.database, name) for name in ("a", "b")]}
    desk = Desk(office)
    async with Receiver() as receiver:
        await office.ask(WISH, receiver.url)
        await receiver.wait_for(1)
        conversation = await desk.conversation(receiver)
        first = await desk.offered_to(conversation)
        assert first is not None
        async with office.handoffs.desk() as one:
            assert await one.decline(conversation, staff[first])
        second = await desk.offered_to(conversation)
        assert {first, second} == set(staff)


async def test_operators_who_come_are_offered_what_waits(office: Office) -> None:
    olga = await hire(office.database, online=False)
    desk = Desk(office)
    async with Receiver() as receiver:
        await office.ask(WISH, receiver.url)
        await receiver.wait_for(1)
        conversation = await desk.conversation(receiver)
        await office.handoffs.staff.set_online(olga.id, online=True)
        await office.handoffs.look_after()
        assert await desk.offered_to(conversation) == olga.id


async def test_a_conversation_is_handed_on_to_another_operator(office: Office) -> None:
    olga, igor = await hire(office.database), await hire(office.database, "Igor")
    desk = Desk(office)
    async with Receiver() as receiver:
        await office.ask("hello", receiver.url)
        await receiver.wait_for(1)
        conversation = await desk.conversation(receiver)
        await desk.take(conversation, olga)
        assert await desk.pass_on(conversation, igor, olga) is None
        passed = await desk.pass_on(conversation, olga, igor)
        assert passed is not None
        assert passed.operator_id == igor.id
        assert await desk.reply(conversation, olga, "still me?") is None
        assert await desk.give_back(conversation, HandoffEnd.RETURNED, olga) is None
        assert await desk.reply(conversation, igor, "me now") is not None


async def test_after_silence_the_bot_comes_back_and_the_user_is_told(office: Office) -> None:
    olga, desk = await hire(office.database), Desk(office)
    async with Receiver() as receiver:
        await office.ask("hello", receiver.url)
        await receiver.wait_for(1)
        conversation = await desk.conversation(receiver)
        await desk.take(conversation, olga)
        await desk.age(conversation, 1700)
        await office.handoffs.look_after()
        assert (await desk.dialog(conversation)).owner is Owner.OPERATOR
        await desk.age(conversation, 200)
        await office.handoffs.look_after()
        assert (await desk.dialog(conversation)).owner is Owner.BOT
        ((_, text),) = told(await receiver.wait_for(3))[2:]
        assert text is not None
        assert text.startswith("The operator has been silent for a while")
        assert await desk.value("SELECT ending FROM handoffs") == HandoffEnd.SILENT


async def test_whoever_writes_keeps_the_conversation_with_the_operator(office: Office) -> None:
    olga, desk = await hire(office.database), Desk(office)
    async with Receiver() as receiver:
        await office.ask("hello", receiver.url)
        await receiver.wait_for(1)
        conversation = await desk.conversation(receiver)
        await desk.take(conversation, olga)
        for say in ("operator", "user"):
            await desk.age(conversation, 1700)
            if say == "operator":
                await desk.reply(conversation, olga, "one moment")
            else:
                await office.ask("still here?", receiver.url)
                await receiver.wait_for(4)
            await desk.age(conversation, 200)
            await office.handoffs.look_after()
            assert (await desk.dialog(conversation)).owner is Owner.OPERATOR, say


async def test_a_time_out_that_was_seen_before_an_operator_came_changes_nothing_after_it(office: Office) -> None:
    olga, desk = await hire(office.database), Desk(office)
    async with Receiver() as receiver:
        await office.ask(WISH, receiver.url)
        await receiver.wait_for(1)
        conversation = await desk.conversation(receiver)
        seen = await desk.dialog(conversation)
        await desk.take(conversation, olga)
        assert await desk.give_back(conversation, HandoffEnd.SILENT, epoch=seen.epoch) is None


async def test_who_waits_too_long_goes_on_with_the_bot(office: Office) -> None:
    await absent(office.database, await hire(office.database))
    desk = Desk(office)
    async with Receiver() as receiver:
        await office.ask(WISH, receiver.url)
        await receiver.wait_for(1)
        await desk.age(await desk.conversation(receiver), 90_000)
        await office.handoffs.look_after()
        (_, (_, text)) = told(await receiver.wait_for(2))
        assert text is not None
        assert text.startswith("К сожалению, никто из операторов не освободился.")


async def test_the_operator_gets_the_reason_and_the_last_messages(office: Office) -> None:
    await hire(office.database)
    desk = Desk(office)
    async with Receiver() as receiver:
        for text in ("Где мой заказ?", WISH):
            await office.ask(text, receiver.url)
        await receiver.wait_for(2)
        summary = await desk.value("SELECT summary FROM handoffs")
        assert summary == f"Пользователь: Где мой заказ?\nБот: re: Где мой заказ?\nПользователь: {WISH}"
        assert await desk.value("SELECT reason FROM handoffs") == HandoffReason.WISH
        assert await desk.value("SELECT score FROM handoffs") > 0.5


async def test_a_summary_by_a_model_takes_the_place_of_the_last_messages(office: Office) -> None:
    desk = Desk(office)

    async def summarise(history: object, language: str) -> str:
        return f"in short, in {language}"

    office.handoffs.summarise = summarise
    async with Receiver() as receiver:
        await office.ask("hello", receiver.url)
        await receiver.wait_for(1)
        await desk.request(await desk.conversation(receiver))

        async def summary() -> bool:
            return bool(await desk.value("SELECT summary FROM handoffs") == "in short, in en")

        await until(summary)


async def test_who_listens_hears_of_calls_claims_and_messages(office: Office) -> None:
    olga, desk = await hire(office.database), Desk(office)
    async with Receiver() as receiver:
        await office.ask("hello", receiver.url)
        await receiver.wait_for(1)
        conversation = await desk.conversation(receiver)
        async with office.handoffs._events.listen(dialog_topic(conversation)) as events:
            await desk.request(conversation)
            await desk.take(conversation, olga)
            await office.ask("hi", receiver.url)
            heard = []
            async for event in events:
                assert isinstance(event, Event)
                heard.append(event.data)
                if event.data == "message":
                    break
        assert heard == ["waiting", "offered", "taken", "message"]
        assert await office.handoffs.owner(conversation) is Owner.OPERATOR


async def test_nobody_is_called_into_a_conversation_that_is_not_there(office: Office) -> None:
    with pytest.raises(NotFound, match="was not found"):
        await Desk(office).request(new_id())


async def test_what_the_user_thinks_of_it_is_kept_once_it_has_ended(office: Office) -> None:
    olga, desk = await hire(office.database), Desk(office)
    async with Receiver() as receiver:
        await office.ask("hello", receiver.url)
        await receiver.wait_for(1)
        conversation = await desk.conversation(receiver)
        dialog = await desk.take(conversation, olga)
        assert dialog is not None
        assert dialog.handoff_id is not None
        assert not await office.handoffs.handoffs.rate(dialog.handoff_id, 1)
        await desk.give_back(conversation, HandoffEnd.CLOSED, olga, wrong=True)
        assert await office.handoffs.handoffs.rate(dialog.handoff_id, 1)
        ended = await office.handoffs.handoffs.get(dialog.handoff_id)
        assert ended is not None
        assert (ended.rating, ended.end, ended.wrong, ended.reason) == (
            1, HandoffEnd.CLOSED, True, HandoffReason.STEPPED_IN,
        )  # fmt: skip
