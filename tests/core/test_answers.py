"""What a client of the webhook gets back: answers in order, with the conversation remembered."""

import asyncio

import pytest

from telefonist.core.conversations import message_tokens
from telefonist.errors import InvalidInput, ProviderFailed, ProviderRejectedRequest
from telefonist.types import ChatRequest, TaskState, TaskView
from tests.core.conftest import CALLER, Office, ScriptedModel, open_office
from tests.fakes.receiver import Receiver
from tests.waiting import until


async def test_the_answer_comes_to_the_callback_with_everything_the_client_needs(office: Office) -> None:
    async with Receiver() as receiver:
        accepted = await office.ask("hello", receiver.url, "first", metadata='{"order": 7}')
        (callback,) = await receiver.wait_for(1)
        body = callback.json
        assert body["task_id"] == str(accepted.task_id)
        assert body["message_id"] == callback.headers["webhook-id"]
        assert body["conversation_id"] == "first"
        assert (body["status"], body["final"], body["author"]) == ("succeeded", True, "bot")
        assert body["generated_response"] == "re: hello"
        assert body["model"] == "scripted"
        assert body["usage"]["total_tokens"] == 15
        assert body["metadata"] == {"order": 7}
        assert body["error"] is None
        assert body["created_at"].endswith("+00:00")


async def test_callbacks_of_a_conversation_come_in_the_order_of_its_messages(office: Office) -> None:
    async with Receiver() as receiver:
        for number in range(20):
            await office.ask(f"{number}", receiver.url)
        callbacks = await receiver.wait_for(20)
        assert [callback.json["generated_response"] for callback in callbacks] == [f"re: {n}" for n in range(20)]


async def test_the_model_reads_the_conversation_so_far_and_nothing_that_came_later(office: Office) -> None:
    async with Receiver() as receiver:
        for text in ("one", "two", "three"):
            await office.ask(text, receiver.url)
        await receiver.wait_for(3)
    assert [message["content"] for message in office.model.requests[1].messages] == ["one", "re: one", "two"]
    assert [message["role"] for message in office.model.requests[2].messages] == [
        "user", "assistant", "user", "assistant", "user",
    ]  # fmt: skip


async def test_conversations_do_not_wait_for_each_other(office: Office) -> None:
    gate = asyncio.Event()

    async def slow_for_one(request: ChatRequest) -> str:
        if request.messages[-1]["content"] == "slow":
            await gate.wait()
        return "done"

    office.model.answer = slow_for_one
    async with Receiver() as receiver:
        await office.ask("slow", receiver.url, "a")
        await office.ask("quick", receiver.url, "b")
        (first,) = await receiver.wait_for(1)
        assert first.json["conversation_id"] == "b"
        gate.set()
        await receiver.wait_for(2)


async def test_strangers_who_guess_a_conversation_id_read_nothing(office: Office) -> None:
    async with Receiver() as mine, Receiver() as theirs:
        await office.ask("my secret", mine.url, "same-id")
        await mine.wait_for(1)
        await office.ask("what was said?", theirs.url, "same-id")
        await theirs.wait_for(1)
    assert [message["content"] for message in office.model.requests[-1].messages] == ["what was said?"]


async def test_history_is_cut_by_tokens_and_the_question_always_stays(dsn: str, model: ScriptedModel) -> None:
    async with open_office(dsn, model, system_prompt="Be kind.") as office, Receiver() as receiver:
        for number in range(12):
            await office.ask(f"message {number} " + "x" * 40, receiver.url, model="tiny")
        await receiver.wait_for(12)
    contents = [message["content"] for message in model.requests[-1].messages]
    assert contents[0] == "Be kind."
    assert contents[-1].startswith("message 11")
    assert len(contents) > 3
    assert sum(message_tokens(content) for content in contents) <= 100


async def test_a_system_prompt_longer_than_the_window_leaves_no_accepted_message_unanswered(
    dsn: str, model: ScriptedModel
) -> None:
    async with Receiver() as receiver:
        async with open_office(dsn, model, in_flight=0) as full:
            await full.ask("hello", receiver.url, model="tiny")
        async with open_office(dsn, model, system_prompt="Be kind. " * 100):
            (callback,) = await receiver.wait_for(1)
    assert callback.json["generated_response"] == "re: hello"


async def test_a_message_longer_than_the_window_is_refused_and_not_cut(office: Office) -> None:
    with pytest.raises(InvalidInput) as refused:
        await office.ask("x" * 1000, "http://127.0.0.1:1/", model="tiny")
    assert refused.value.problems[0].loc == ("body", "message")


async def test_a_failure_that_may_pass_is_tried_again(office: Office) -> None:
    tries = 0

    async def third_time_lucky(_: ChatRequest) -> str:
        nonlocal tries
        tries += 1
        if tries < 3:
            raise ProviderFailed("scripted", status=500, reason="busy")
        return "at last"

    office.model.answer = third_time_lucky
    async with Receiver() as receiver:
        await office.ask("hello", receiver.url)
        (callback,) = await receiver.wait_for(1)
        assert callback.json["generated_response"] == "at last"
        assert callback.json["model"] == "scripted"


async def test_a_fallback_answers_when_the_model_cannot(office: Office) -> None:
    async def only_the_spare(request: ChatRequest) -> str:
        if request.model == "scripted-1":
            raise ProviderFailed("scripted", status=500, reason="down")
        return "from the spare"

    office.model.answer = only_the_spare
    async with Receiver() as receiver:
        accepted = await office.ask("hello", receiver.url)
        (callback,) = await receiver.wait_for(1)
        assert (callback.json["generated_response"], callback.json["model"]) == ("from the spare", "spare")
    task = await office.see(accepted)
    assert (task.model, task.answered_by) == ("scripted", "spare")


async def test_a_fallback_with_a_smaller_window_gets_as_much_of_the_conversation_as_fits_it(
    dsn: str, model: ScriptedModel
) -> None:
    async def only_the_first_time(request: ChatRequest) -> str:
        if request.model == "wide-1" and len(request.messages) > 10:
            raise ProviderFailed("scripted", status=500, reason="down")
        return "y" * 40

    model.answer = only_the_first_time
    async with open_office(dsn, model, system_prompt="Be kind.") as office, Receiver() as receiver:
        for number in range(6):
            await office.ask(f"{number}" + "x" * 40, receiver.url, model="wide")
        callbacks = await receiver.wait_for(6)
    assert [callback.json["model"] for callback in callbacks] == ["wide"] * 5 + ["tiny"]
    contents = [message["content"] for message in model.requests[-1].messages]
    assert (contents[0], contents[-1][0]) == ("Be kind.", "5")
    assert len(contents) > 3
    assert sum(message_tokens(content) for content in contents) <= 100 - 20


async def test_when_every_model_fails_the_client_is_told_and_the_conversation_goes_on(office: Office) -> None:
    async def refuse(_: ChatRequest) -> str:
        raise ProviderRejectedRequest("scripted", status=400, reason="no such thing")

    echo, office.model.answer = office.model.answer, refuse
    async with Receiver() as receiver:
        accepted = await office.ask("привет, бот", receiver.url)
        (failed,) = await receiver.wait_for(1)
        assert failed.json["status"] == "failed"
        assert failed.json["generated_response"] is None
        assert failed.json["error"]["code"] == "provider_rejected_request"
        assert "отверг" in failed.json["error"]["message"]
        assert (await office.see(accepted)).state is TaskState.FAILED
        office.model.answer = echo
        await office.ask("again", receiver.url)
        _, succeeded = await receiver.wait_for(2)
        assert succeeded.json["generated_response"] == "re: again"


async def test_a_mistake_of_ours_becomes_a_failed_callback_and_not_silence(office: Office) -> None:
    async def broken(_: ChatRequest) -> str:
        raise RuntimeError("a bug")

    office.model.answer = broken
    async with Receiver() as receiver:
        await office.ask("hello", receiver.url)
        (callback,) = await receiver.wait_for(1)
        assert callback.json["error"]["code"] == "internal_error"
        assert "a bug" not in callback.body.decode()


async def test_an_answer_that_cannot_be_stored_becomes_a_failed_callback_and_the_conversation_goes_on(
    office: Office,
) -> None:
    async with office.database.begin() as connection:
        await connection.exec_driver_sql("ALTER TABLE messages ADD CHECK (content <> 're: unspeakable')")
    async with Receiver() as receiver:
        await office.ask("unspeakable", receiver.url)
        await office.ask("hello", receiver.url)
        failed, succeeded = await receiver.wait_for(2)
        assert (failed.json["status"], failed.json["error"]["code"]) == ("failed", "internal_error")
        assert succeeded.json["generated_response"] == "re: hello"


async def test_a_cancelled_task_is_not_answered_and_leaves_the_history(office: Office) -> None:
    asked, gate = asyncio.Event(), asyncio.Event()

    async def wait(_: ChatRequest) -> str:
        asked.set()
        await gate.wait()
        return "first"

    echo, office.model.answer = office.model.answer, wait
    async with Receiver() as receiver:
        first = await office.ask("first", receiver.url)
        await asked.wait()
        second = await office.ask("second", receiver.url)
        assert (await office.see(first)).state is TaskState.RUNNING
        assert (await office.see(second)).state is TaskState.QUEUED
        await office.tasks.cancel(second.task_id, CALLER)
        assert (await office.see(second)).state is TaskState.CANCELLED
        gate.set()
        await receiver.wait_for(1)
        office.model.answer = echo
        await office.ask("third", receiver.url)
        callbacks = await receiver.wait_for(2)
        assert [callback.json["generated_response"] for callback in callbacks] == ["first", "re: third"]
    assert [message["content"] for message in office.model.requests[-1].messages] == ["first", "first", "third"]


async def test_cancelling_stops_the_model_at_once(office: Office) -> None:
    asked = asyncio.Event()

    async def for_ever(_: ChatRequest) -> str:
        asked.set()
        await asyncio.Event().wait()
        return "never"

    office.model.answer = for_ever
    accepted = await office.ask("hello", "http://127.0.0.1:1/")
    await asked.wait()
    await office.tasks.cancel(accepted.task_id, CALLER)

    async def stopped() -> bool:
        return office.model.cancelled == 1

    await until(stopped)
    assert (await office.see(accepted)).state is TaskState.CANCELLED


async def test_a_repeated_idempotency_key_gives_the_same_task_and_one_answer(office: Office) -> None:
    async with Receiver() as receiver:
        receipts = await asyncio.gather(
            *(office.ask("pay", receiver.url, idempotency_key="order-7") for _ in range(10)),
        )
        assert len({receipt.task_id for receipt in receipts}) == 1
        assert sum(not receipt.repeated for receipt in receipts) == 1
        await office.ask("next", receiver.url)
        callbacks = await receiver.wait_for(2)
        assert [callback.json["generated_response"] for callback in callbacks] == ["re: pay", "re: next"]


async def test_a_task_shows_its_way_from_the_question_to_the_delivered_answer(office: Office) -> None:
    async with Receiver() as receiver:
        accepted = await office.ask("hello", receiver.url)
        await receiver.wait_for(1)

        async def delivered() -> TaskView | None:
            task = await office.see(accepted)
            return task if task.delivery and task.delivery.attempts else None

        task = await until(delivered)
        assert task is not None
        assert task.delivery is not None
        assert (task.state, task.answer, task.delivery.state) == (TaskState.SUCCEEDED, "re: hello", "delivered")
        assert [(attempt.status, attempt.response) for attempt in task.delivery.attempts] == [(200, "ok")]
