"""The webhook door as a client sees it, over a real socket, with everything real behind it but the model."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest

from telefonist.app import open_house
from telefonist.settings import load_settings
from telefonist.web import build_web
from tests.doors.conftest import Serve
from tests.fakes.receiver import Receiver
from tests.waiting import until

OpenService = Callable[..., AbstractAsyncContextManager[httpx.AsyncClient]]


@pytest.fixture
def service(dsn: str, tmp_path: Path, serve: Serve) -> OpenService:
    """Give a way to start the whole service with settings of the test's own."""

    @contextlib.asynccontextmanager
    async def start(**environ: str) -> AsyncIterator[httpx.AsyncClient]:
        settings = load_settings(
            {
                "DATABASE_URL": dsn,
                "TELEFONIST_SECRET": "s" * 32,
                "TELEFONIST_DATA_DIR": str(tmp_path),
                "TELEFONIST_WEBHOOK_RATE_LIMIT": "1000/minute",
                **environ,
            },
            tmp_path,
        )
        async with open_house(settings, "serve") as house:
            assert house.worker is not None
            working = asyncio.create_task(house.worker.run())
            url = await serve(build_web(house))
            try:
                async with httpx.AsyncClient(base_url=url) as client:
                    yield client
            finally:
                await house.worker.stop(5)
                working.cancel()
                await asyncio.gather(working, return_exceptions=True)

    return start


def body(callback_url: str = "http://127.0.0.1:9/callback", **more: Any) -> dict[str, Any]:
    return {"message": "Hello", "callback_url": callback_url, **more}


def problem(response: httpx.Response) -> dict[str, Any]:
    assert response.status_code == 422, response.text
    (detail,) = response.json()["detail"]
    assert isinstance(detail, dict)
    return detail


async def test_a_message_is_taken_at_once_and_its_answer_follows(service: OpenService) -> None:
    async with service() as client, Receiver() as receiver:
        response = await client.post("/webhook", json=body(receiver.url, conversationId="first", metadata={"a": [1]}))
        assert response.status_code == 202
        receipt = response.json()
        assert receipt["status"] == "Processing"
        assert receipt["conversation_id"] == "first"
        assert UUID(receipt["task_id"]).version == 7
        assert response.headers["location"] == f"/tasks/{receipt['task_id']}"
        (callback,) = await receiver.wait_for(1)
        assert callback.json["task_id"] == receipt["task_id"]
        assert callback.json["metadata"] == {"a": [1]}
        assert callback.json["model"] == "demo"


async def test_the_demo_model_remembers_a_word_over_two_messages(service: OpenService) -> None:
    async with service() as client, Receiver() as receiver:
        for message in ("Привет! Запомни слово: маяк", "Как дела?", "Какое слово я просил запомнить?"):
            await client.post("/webhook", json=body(receiver.url, conversationId="first") | {"message": message})
        callbacks = await receiver.wait_for(3)
        assert "маяк" in callbacks[2].json["generated_response"]


async def test_without_a_conversation_id_the_callback_url_is_the_conversation(service: OpenService) -> None:
    async with service() as client, Receiver() as receiver:
        response = await client.post("/webhook", json=body(receiver.url))
        assert response.json()["conversation_id"] == receiver.url
        await receiver.wait_for(1)


@pytest.mark.parametrize("name", ["conversationId", "conversation_id"])
@pytest.mark.parametrize(("sent", "kept"), [("abc", "abc"), (42, "42")])
async def test_both_spellings_of_the_conversation_id_work(
    service: OpenService, name: str, sent: object, kept: str
) -> None:
    async with service() as client, Receiver() as receiver:
        response = await client.post("/webhook", json=body(receiver.url) | {name: sent})
        assert response.json()["conversation_id"] == kept
        await receiver.wait_for(1)


async def test_a_bad_callback_url_is_refused_as_the_seed_shows(service: OpenService) -> None:
    async with service() as client:
        sent = {"message": "text", "callback_url": "hйцуttp://web:8000/callback"}
        response = await client.post("/webhook", json=sent)
        assert problem(response) == {
            "type": "url_parsing",
            "loc": ["body", "callback_url"],
            "msg": "Input should be a valid URL, relative URL without a base",
            "input": "hйцуttp://web:8000/callback",
            "ctx": {"error": "relative URL without a base"},
        }
        assert response.json()["body"] == sent


@pytest.mark.parametrize(
    ("change", "location"),
    [
        ({"message": None}, ["body", "message"]),
        ({"message": ""}, ["body", "message"]),
        ({"message": "  \n "}, ["body", "message"]),
        ({"message": "a\x00b"}, ["body", "message"]),
        ({"message": {"text": "hello"}}, ["body", "message"]),
        ({"callback_url": None}, ["body", "callback_url"]),
        ({"callback_url": "ftp://example.com/x"}, ["body", "callback_url"]),
        ({"callback_url": "http://user:secret@example.com/"}, ["body", "callback_url"]),
        ({"callback_url": "http://10.0.0.1/"}, ["body", "callback_url"]),
        ({"callback_url": "http://169.254.169.254/latest/meta-data"}, ["body", "callback_url"]),
        ({"callback_url": "http://2852039166/"}, ["body", "callback_url"]),
        ({"callback_url": "http://[::ffff:10.0.0.1]/"}, ["body", "callback_url"]),
        ({"callback_url": "https://example.com/" + "x" * 3000}, ["body", "callback_url"]),
        ({"conversationId": ""}, ["body", "conversationId"]),
        ({"conversationId": "x" * 1000}, ["body", "conversationId"]),
        ({"conversationId": "a\nb"}, ["body", "conversationId"]),
        ({"model": "gpt-17"}, ["body", "model"]),
        ({"message": "long " * 20_000}, ["body", "message"]),
    ],
)
async def test_a_wrong_field_is_named(service: OpenService, change: dict[str, Any], location: list[str]) -> None:
    async with service() as client:
        response = await client.post("/webhook", json=body() | change)
        assert problem(response)["loc"] == location
        assert "secret" not in problem(response)["msg"]


async def test_every_missing_field_is_named_at_once(service: OpenService) -> None:
    async with service() as client:
        response = await client.post("/webhook", json={})
        assert [detail["loc"] for detail in response.json()["detail"]] == [
            ["body", "message"],
            ["body", "callback_url"],
        ]


@pytest.mark.parametrize(
    "content",
    [b"", b"not json", b"[]", b'{"message": "\xff"}', b'{"message": "\\ud800", "callback_url": "http://127.0.0.1/"}']
    + [b'{"message": "a", "callback_url": "http://127.0.0.1/", "metadata": %b}' % bad for bad in (b"NaN", b"1e999")],
)
async def test_what_is_not_json_is_refused_with_words(service: OpenService, content: bytes) -> None:
    async with service() as client:
        response = await client.post("/webhook", content=content, headers={"content-type": "application/json"})
        assert response.status_code == 422
        assert response.json()["detail"][0]["msg"]


async def test_metadata_comes_back_exactly_as_it_was_sent(service: OpenService) -> None:
    async with service() as client, Receiver() as receiver:
        metadata = {"big": 12345678901234567890123, "float": 0.1, "nested": [None, True, {"ключ": "значение"}], "": 0}
        await client.post("/webhook", json=body(receiver.url, metadata=metadata))
        (callback,) = await receiver.wait_for(1)
        assert callback.json["metadata"] == metadata


async def test_the_sixth_request_of_a_minute_has_to_wait(service: OpenService) -> None:
    async with service(TELEFONIST_WEBHOOK_RATE_LIMIT="5/minute") as client, Receiver() as receiver:
        for _ in range(5):
            assert (await client.post("/webhook", json=body(receiver.url))).status_code == 202
        refused = await client.post("/webhook", json=body(receiver.url), headers={"accept-language": "ru"})
        assert refused.status_code == 429
        assert 1 <= int(refused.headers["retry-after"]) <= 60
        assert "Слишком много запросов" in refused.json()["detail"]
        await receiver.wait_for(5)


async def test_the_same_idempotency_key_gives_the_same_task(service: OpenService) -> None:
    async with service() as client, Receiver() as receiver:
        headers = {"Idempotency-Key": "order-7"}
        responses = [await client.post("/webhook", json=body(receiver.url), headers=headers) for _ in range(3)]
        assert {response.status_code for response in responses} == {202}
        assert len({response.json()["task_id"] for response in responses}) == 1
        other = await client.post("/webhook", json=body(receiver.url) | {"message": "other"}, headers=headers)
        assert other.status_code == 409
        assert other.json()["code"] == "idempotency_conflict"
        await client.post("/webhook", json=body(receiver.url) | {"message": "last"})
        assert len(await receiver.wait_for(2)) == 2


async def test_an_unusable_idempotency_key_is_refused(service: OpenService) -> None:
    async with service() as client:
        response = await client.post("/webhook", json=body(), headers={"Idempotency-Key": "x" * 1000})
        assert problem(response)["loc"] == ["header", "Idempotency-Key"]


async def test_a_task_shows_state_answer_and_attempts(service: OpenService) -> None:
    async with service() as client, Receiver() as receiver:
        location = (await client.post("/webhook", json=body(receiver.url))).headers["location"]

        async def delivered() -> dict[str, Any] | None:
            task: dict[str, Any] = (await client.get(location)).json()
            return task if task["attempts"] else None

        task = await until(delivered)
        assert task is not None
        assert task["state"] == "succeeded"
        assert task["answer"]
        assert task["error"] is None
        assert task["delivery"]["state"] == "delivered"
        assert task["attempts"][0]["status"] == 200


async def test_a_failing_model_is_told_to_the_callback_and_shown_on_the_task(service: OpenService) -> None:
    async with service(TELEFONIST_PROVIDER_RETRIES="0") as client, Receiver() as receiver:
        response = await client.post("/webhook", json=body(receiver.url, model="demo-failing"))
        (callback,) = await receiver.wait_for(1)
        assert callback.json["status"] == "failed"
        assert callback.json["error"]["code"] == "provider_failed"
        task = (await client.get(response.headers["location"])).json()
        assert (task["state"], task["error"]) == ("failed", callback.json["error"])


async def test_an_unknown_task_is_not_found_in_the_callers_language(service: OpenService) -> None:
    async with service() as client:
        unknown = "/tasks/01900000-0000-7000-8000-000000000000"
        for method in ("GET", "DELETE"):
            assert (await client.request(method, unknown)).status_code == 404
        response = await client.post(
            unknown + "/redeliver", headers={"accept-language": "ru", "content-type": "application/json"}
        )
        assert response.status_code == 404
        assert "не найдена" in response.json()["detail"]
        assert (await client.get("/tasks/7")).status_code == 422


async def test_lists_need_an_account(service: OpenService) -> None:
    async with service() as client:
        response = await client.get("/tasks", params={"conversation_id": "first"})
        assert response.status_code == 401
        assert response.json()["code"] == "account_required"


async def test_cancelling_and_sending_again_over_http(service: OpenService) -> None:
    async with service() as client, Receiver() as receiver:
        response = await client.post("/webhook", json=body(receiver.url, model="demo-slow"))
        location = response.headers["location"]
        cancelled = await client.delete(location)
        assert (cancelled.status_code, cancelled.json()["state"]) == (200, "cancelled")
        assert (await client.delete(location)).status_code == 409
        again = await client.post(location + "/redeliver", headers={"content-type": "application/json"})
        assert again.status_code == 409
        done = (await client.post("/webhook", json=body(receiver.url))).headers["location"]

        async def delivered() -> bool:
            return bool((await client.get(done)).json()["attempts"])

        await until(delivered)
        repeated = await client.post(done + "/redeliver", headers={"content-type": "application/json"})
        assert repeated.status_code == 202
        first, second = await receiver.wait_for(2)
        assert first.headers["webhook-id"] == second.headers["webhook-id"]


async def test_the_built_in_callback_shows_what_arrived(service: OpenService) -> None:
    async with service() as client:
        await client.post("/webhook", json=body(f"{client.base_url}/callback"))

        async def arrived() -> list[dict[str, Any]]:
            items: list[dict[str, Any]] = (await client.get("/callback")).json()["items"]
            return items

        (item,) = await until(arrived)
        assert item["body"]["generated_response"]
        assert item["headers"]["webhook-signature"].startswith("v1,")


async def test_anonymous_callers_are_refused_when_they_are_switched_off(service: OpenService) -> None:
    async with service(TELEFONIST_ANONYMOUS="off") as client:
        assert (await client.post("/webhook", json=body())).status_code == 401
        assert (await client.get("/tasks/01900000-0000-7000-8000-000000000000")).status_code == 401


async def test_with_a_public_url_neither_callers_nor_callbacks_get_the_freedom_of_loopback(
    service: OpenService,
) -> None:
    async with service(TELEFONIST_PUBLIC_URL="https://telefonist.example.com") as client:
        assert (await client.post("/webhook", json=body())).status_code == 401
    async with service(TELEFONIST_PUBLIC_URL="https://t.example.com", TELEFONIST_ANONYMOUS="on") as client:
        response = await client.post("/webhook", json=body("http://127.0.0.1:8080/callback"))
        assert problem(response)["loc"] == ["body", "callback_url"]


async def test_the_openapi_document_describes_the_door(service: OpenService) -> None:
    async with service() as client:
        document = (await client.get("/openapi.json")).json()
        schema = document["paths"]["/webhook"]["post"]["requestBody"]["content"]["application/json"]["schema"]
        assert set(schema["properties"]) == {"message", "callback_url", "conversationId", "model", "metadata"}
        assert {"202", "409", "413", "422", "429", "503"} <= set(document["paths"]["/webhook"]["post"]["responses"])
        assert {"/tasks", "/tasks/{task_id}", "/tasks/{task_id}/redeliver", "/health", "/ready"} <= set(
            document["paths"]
        )
