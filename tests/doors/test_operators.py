"""Operators at their door, and programs that call them, over a real socket with everything real behind it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from sqlalchemy import text

from telefonist.app import open_house
from telefonist.settings import load_settings
from telefonist.storage.database import Database
from telefonist.types import AccountRole
from telefonist.web import build_web
from tests.doors.conftest import Serve
from tests.doors.office import Office, Person
from tests.fakes.receiver import Receiver


class Switchboard(Office):
    """The whole service, its callers and its operators."""

    async def operator(self, email: str = "olga@example.com") -> Person:
        """Make an account of an operator who is there."""
        person = await self.person(email, AccountRole.OPERATOR)
        here = await self.client.post("/operator/presence", json={"online": True}, headers=person.headers)
        assert here.status_code == 200, here.text
        return person

    async def ask(self, caller: Person, receiver: Receiver, message: str = "hello", conversation: str = "first") -> str:
        """Send a message; gives the task's id."""
        body = {"message": message, "callback_url": receiver.url, "conversation_id": conversation}
        taken = await self.client.post("/webhook", json=body, headers=caller.headers)
        assert taken.status_code == 202, taken.text
        task: str = taken.json()["task_id"]
        return task

    async def call(self, caller: Person, conversation: str = "first", **why: str) -> dict[str, Any]:
        """Call a person."""
        url = f"/conversations/{conversation}/handoff"
        called: dict[str, Any] = _json(await self.client.post(url, json=why, headers=caller.headers), 202)
        return called

    async def listed(self, operator: Person, state: str, **more: Any) -> list[dict[str, Any]]:
        """List conversations."""
        page = await self.client.get(
            "/operator/conversations", params={"state": state, **more}, headers=operator.headers
        )
        conversations: list[dict[str, Any]] = _json(page)["conversations"]
        return conversations

    async def do(self, operator: Person, conversation: str, action: str, **body: Any) -> httpx.Response:
        """Do something with a conversation."""
        url = f"/operator/conversations/{conversation}/{action}"
        return await self.client.post(url, json=body or None, headers=operator.headers)


def _json(response: httpx.Response, status: int = 200) -> Any:
    assert response.status_code == status, response.text
    return response.json()


@pytest.fixture
async def board(dsn: str, database: Database, tmp_path: Path, serve: Serve) -> AsyncIterator[Switchboard]:
    given = {
        "DATABASE_URL": dsn,
        "TELEFONIST_SECRET": "s" * 32,
        "TELEFONIST_DATA_DIR": str(tmp_path),
        "TELEFONIST_HANDOFF_TRANSFER_ABOVE": "0.999",
        "TELEFONIST_HANDOFF_OFFER_ABOVE": "0.999",
    }
    async with contextlib.AsyncExitStack() as stack:
        house = await stack.enter_async_context(open_house(load_settings(given, tmp_path), "serve"))
        assert house.worker is not None
        working = asyncio.create_task(house.worker.run())
        url = await serve(build_web(house))
        client = await stack.enter_async_context(httpx.AsyncClient(base_url=url))
        try:
            yield Switchboard(database, client)
        finally:
            await house.worker.stop(5)
            working.cancel()
            await asyncio.gather(working, return_exceptions=True)


async def test_an_operator_takes_a_conversation_writes_and_gives_it_back(board: Switchboard) -> None:
    olga, anna = await board.operator(), await board.person("anna@example.com")
    async with Receiver() as receiver:
        await board.ask(anna, receiver)
        await receiver.wait_for(1)
        called = await board.call(anna, reason="wants a refund")
        assert (called["conversation_id"], called["owner"]) == ("first", "waiting")
        assert (called["handoff"]["reason"], called["handoff"]["detail"]) == ("program", "wants a refund")
        (waiting,) = await board.listed(olga, "waiting")
        me = _json(await board.client.get("/operator/me", headers=olga.headers))
        assert (waiting["conversation_id"], waiting["offered_to"]) == ("first", me["id"])
        assert waiting["handoff"]["summary"].startswith("User: hello\nBot: ")
        taken = _json(await board.do(olga, waiting["id"], "take"))
        assert (taken["owner"], taken["operator_id"]) == ("operator", me["id"])
        assert await board.listed(olga, "waiting") == []
        assert [each["id"] for each in await board.listed(olga, "mine")] == [waiting["id"]]
        written = _json(await board.do(olga, waiting["id"], "reply", text="I am Olga"), 201)
        callback = (await receiver.wait_for(4))[-1].json
        assert (callback["author"], callback["generated_response"]) == ("operator", "I am Olga")
        assert (callback["message_id"], callback["task_id"]) == (written["message_id"], None)
        back = _json(await board.do(olga, waiting["id"], "return", wrong=True))
        assert (back["owner"], back["handoff"]) == ("bot", None)
        assert await board.listed(olga, "all") == []
        await board.ask(anna, receiver, "thanks")
        assert (await receiver.wait_for(6))[-1].json["author"] == "bot"


async def test_the_second_claim_is_told_that_it_came_too_late(board: Switchboard) -> None:
    olga, igor, anna = await board.operator(), await board.operator("igor@example.com"), await board.person()
    async with Receiver() as receiver:
        await board.ask(anna, receiver)
        await board.call(anna)
        (waiting,) = await board.listed(olga, "waiting")
        claims = await asyncio.gather(*(board.do(each, waiting["id"], "take") for each in (olga, igor)))
        assert sorted(claim.status_code for claim in claims) == [200, 409]
        loser = next(claim for claim in claims if claim.status_code == 409)
        assert loser.json()["code"] == "dialog_taken"


async def test_what_is_not_theirs_operators_leave_alone(board: Switchboard) -> None:
    olga, igor, anna = await board.operator(), await board.operator("igor@example.com"), await board.person()
    async with Receiver() as receiver:
        await board.ask(anna, receiver)
        await board.call(anna)
        (waiting,) = await board.listed(olga, "waiting")
        assert (await board.do(olga, waiting["id"], "reply", text="hi")).json()["code"] == "dialog_not_yours"
        await board.do(olga, waiting["id"], "take")
        for action, body in (("reply", {"text": "hi"}), ("return", {}), ("close", {})):
            refused = await board.do(igor, waiting["id"], action, **body)
            assert (refused.status_code, refused.json()["code"]) == (409, "dialog_not_yours"), action
        assert await board.listed(igor, "mine") == []
        assert len(await board.listed(igor, "all")) == 1


async def test_a_conversation_is_passed_on_and_closed(board: Switchboard) -> None:
    olga, igor, anna = await board.operator(), await board.operator("igor@example.com"), await board.person()
    staff = _json(await board.client.get("/operator/operators", headers=olga.headers))["operators"]
    assert [each["name"] for each in staff] == ["olga@example.com", "igor@example.com"]
    async with Receiver() as receiver:
        await board.ask(anna, receiver)
        await board.call(anna)
        (waiting,) = await board.listed(olga, "waiting")
        await board.do(olga, waiting["id"], "take")
        nobody = await board.do(olga, waiting["id"], "pass", operator_id=str(uuid4()))
        assert (nobody.status_code, nobody.json()["code"]) == (404, "operator_not_found")
        passed = _json(await board.do(olga, waiting["id"], "pass", operator_id=staff[1]["id"]))
        assert passed["operator_id"] == staff[1]["id"]
        assert (await board.do(olga, waiting["id"], "close")).status_code == 409
        closed = _json(await board.do(igor, waiting["id"], "close"))
        assert closed["owner"] == "bot"


async def test_operators_read_what_was_said_and_noted_page_by_page(board: Switchboard) -> None:
    olga, anna = await board.operator(), await board.person()
    async with Receiver() as receiver:
        await board.ask(anna, receiver)
        await receiver.wait_for(1)
        await board.call(anna)
        (waiting,) = await board.listed(olga, "waiting")
        noted = _json(await board.do(olga, waiting["id"], "note", text="be kind"), 201)
        url = f"/operator/conversations/{waiting['id']}/messages"
        seen: list[dict[str, Any]] = []
        cursor = None
        while True:
            params = {"limit": 2} | ({"cursor": cursor} if cursor else {})
            page = _json(await board.client.get(url, params=params, headers=olga.headers))
            seen += page["messages"]
            cursor = page["next_cursor"]
            if cursor is None:
                break
        assert [(each["role"], each["visible"]) for each in seen] == [
            ("note", False), ("bot", True), ("bot", True), ("user", True),
        ]  # fmt: skip
        assert (seen[0]["id"], seen[0]["text"]) == (noted["message_id"], "be kind")
        assert seen[1]["text"] == "Transferring you to a person"


async def test_the_list_comes_page_by_page_the_longest_waiting_first(board: Switchboard) -> None:
    olga, anna = await board.operator(), await board.person()
    async with Receiver() as receiver:
        for name in ("one", "two", "three"):
            await board.ask(anna, receiver, conversation=name)
            await board.call(anna, name)
        first = _json(await board.client.get("/operator/conversations", params={"limit": 2}, headers=olga.headers))
        rest = await board.listed(olga, "waiting", limit=2, cursor=first["next_cursor"])
        names = [each["conversation_id"] for each in [*first["conversations"], *rest]]
        assert names == ["one", "two", "three"]


async def test_who_declines_leaves_it_to_the_next(board: Switchboard) -> None:
    olga, igor, anna = await board.operator(), await board.operator("igor@example.com"), await board.person()
    async with Receiver() as receiver:
        await board.ask(anna, receiver)
        await board.call(anna)
        (waiting,) = await board.listed(olga, "waiting")
        people = {
            _json(await board.client.get("/operator/me", headers=each.headers))["id"]: each for each in (olga, igor)
        }
        declined = _json(await board.do(people[waiting["offered_to"]], waiting["id"], "decline"))
        assert declined["offered_to"] in people.keys() - {waiting["offered_to"]}


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ({"text": ""}, "string_too_short"),
        ({"text": "  \n"}, "string_too_short"),
        ({"text": "nul \x00"}, "string_control_character"),
        ({"text": "x" * 20_001}, "string_too_long"),
        ({}, "missing"),
        ({"text": "hi", "to": "all"}, "extra_forbidden"),
    ],
)
async def test_a_reply_without_words_is_refused(board: Switchboard, body: dict[str, Any], kind: str) -> None:
    olga = await board.operator()
    url = f"/operator/conversations/{uuid4()}/reply"
    refused = await board.client.post(url, json=body, headers=olga.headers)
    assert _json(refused, 422)["detail"][0]["type"] == kind


@pytest.mark.parametrize("action", ["take", "return", "close", "decline"])
async def test_nothing_is_done_to_a_conversation_that_is_not_there(board: Switchboard, action: str) -> None:
    olga = await board.operator()
    refused = await board.do(olga, str(uuid4()), action)
    assert _json(refused, 404)["code"] == "conversation_not_found"


async def test_only_operators_and_administrators_are_let_in(board: Switchboard) -> None:
    client, admin = await board.person("client@example.com"), await board.administrator()
    for path in ("/operator/me", "/operator/conversations", "/operator/operators"):
        assert _json(await board.client.get(path), 401)["code"] == "account_needed"
        assert _json(await board.client.get(path, headers=client.headers), 403)["code"] == "operator_required"
        assert (await board.client.get(path, headers=admin.headers)).status_code == 200
    key = await board.key(await board.operator())
    assert _json(await board.client.get("/operator/me", headers=key))["online"] is True


async def test_an_operator_who_was_shut_out_is_one_no_longer(board: Switchboard) -> None:
    olga = await board.operator()
    async with board.database.begin() as connection:
        await connection.execute(text("UPDATE operators SET disabled_at = now()"))
    assert _json(await board.client.get("/operator/me", headers=olga.headers), 403)["code"] == "operator_required"


async def test_calling_twice_is_calling_once_and_can_be_taken_back(board: Switchboard) -> None:
    await board.operator()
    anna = await board.person()
    async with Receiver() as receiver:
        await board.ask(anna, receiver)
        first, second = await board.call(anna), await board.call(anna)
        assert first == second
        url = "/conversations/first/handoff"
        withdrawn = _json(await board.client.delete(url, headers=anna.headers))
        assert withdrawn == {"conversation_id": "first", "owner": "bot", "handoff": None}
        again = await board.client.delete(url, headers=anna.headers)
        assert _json(again, 409)["code"] == "dialog_with_bot"


async def test_nobody_is_called_into_somebody_else_s_conversation(board: Switchboard) -> None:
    anna, boris = await board.person(), await board.person("boris@example.com")
    async with Receiver() as receiver:
        await board.ask(anna, receiver)
        for headers in (boris.headers, {}):
            refused = await board.client.post("/conversations/first/handoff", headers=headers)
            assert _json(refused, 404)["code"] == "conversation_not_found"


async def test_a_caller_without_an_account_names_the_conversation_by_its_callback_url(board: Switchboard) -> None:
    async with Receiver() as receiver:
        body = {"message": "hello", "callback_url": receiver.url}
        await board.client.post("/webhook", json=body)
        called = _json(await board.client.post(f"/conversations/{receiver.url}/handoff"), 202)
        assert called["owner"] == "waiting"
        await board.client.post("/webhook", json=body | {"conversation_id": "first"})
        called = _json(
            await board.client.post("/conversations/first/handoff", json={"callback_url": receiver.url}), 202
        )
        assert called["conversation_id"] == "first"


async def test_the_task_that_was_handed_over_says_so(board: Switchboard) -> None:
    await board.operator()
    anna = await board.person()
    async with Receiver() as receiver:
        await board.ask(anna, receiver)
        await receiver.wait_for(1)
        await board.call(anna)
        task = await board.ask(anna, receiver, "anybody there?")
        await receiver.wait_for(3)
        shown = _json(await board.client.get(f"/tasks/{task}", headers=anna.headers))
        assert (shown["state"], shown["answer"], shown["error"]) == ("waiting_for_operator", None, None)
        assert shown["finished_at"] is not None
        listed = _json(await board.client.get("/tasks?conversation_id=first", headers=anna.headers))
        assert [each["state"] for each in listed["tasks"]] == ["waiting_for_operator", "succeeded"]
