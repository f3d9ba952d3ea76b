"""The description of the API: tools can read it, every path keeps to it, and none gives away what is another's."""

import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from telefonist.types import AccountRole
from tests.doors.conftest import Serve
from tests.doors.exchange import Exchange, User, open_exchange
from tests.fakes.openai_upstream import FakeOpenAI
from tests.waiting import until

METHODS = ("get", "post", "put", "patch", "delete")


@pytest.fixture
async def exchange(serve: Serve, dsn: str, tmp_path: Path) -> AsyncIterator[Exchange]:
    async with (
        FakeOpenAI() as upstream,
        open_exchange(serve, dsn, tmp_path, upstream, TELEFONIST_WEBHOOK_RATE_LIMIT="100000/minute") as exchange,
    ):
        yield exchange


async def document(exchange: Exchange) -> dict[str, Any]:
    return dict((await exchange.client.get("/openapi.json")).json())


def operations(document: dict[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    return [
        (method, path, item[method]) for path, item in document["paths"].items() for method in METHODS if method in item
    ]


async def test_the_document_is_one_that_tools_can_read(exchange: Exchange) -> None:
    OpenAPIV31SpecValidator(await document(exchange)).validate()


async def test_every_path_is_described_with_a_summary_an_answer_and_its_refusals(exchange: Exchange) -> None:
    for method, path, operation in operations(await document(exchange)):
        named = f"{method} {path}"
        assert operation.get("summary"), named
        statuses = set(operation["responses"])
        assert any(status.startswith("2") for status in statuses), named
        if path not in ("/health", "/ready", "/version"):
            assert any(status.startswith("4") for status in statuses), named
        for status, response in operation["responses"].items():
            assert response.get("description"), f"{named} {status}"
        if "requestBody" in operation:
            assert {"408", "413"} <= statuses, f"{named} may be too slow or too large"


async def everything_of(user: User) -> dict[str, list[str]]:
    """Give every row of the database that belongs to an account."""
    tables = await user.exchange.rows(
        "SELECT table_name FROM information_schema.columns WHERE column_name = 'account_id' AND table_schema = 'public'"
    )
    found = {
        table: [
            str(row[0])
            for row in await user.exchange.rows(
                f"SELECT to_jsonb(t) FROM {table} t WHERE account_id = $1 ORDER BY 1", user.id
            )
        ]
        for (table,) in tables
    }
    found["accounts"] = [
        str(row[0]) for row in await user.exchange.rows("SELECT to_jsonb(a) FROM accounts a WHERE id = $1", user.id)
    ]
    return found


async def with_possessions(exchange: Exchange) -> tuple[User, dict[str, str]]:
    """Make a user who has one of everything that has an id; gives the ids and names that nobody else may learn."""
    user = await exchange.user()
    await user.openai.chat.completions.create(model="gpt-4", messages=[{"role": "user", "content": "my secret words"}])
    accepted = await exchange.client.post(
        "/webhook",
        json={"message": "my other secret", "callback_url": "http://127.0.0.1:9/hidden", "conversationId": "diary"},
        headers=user.headers,
    )
    assert accepted.status_code == 202
    task_id = accepted.json()["task_id"]
    await exchange.house.secrets.live(user.id)

    await until_finished(exchange, task_id)
    return user, {
        "task_id": task_id,
        "user_id": str(user.id),
        "key_id": str(await exchange.value("SELECT id FROM api_keys WHERE account_id = $1", user.id)),
        "conversation_id": "diary",
        "email": str(await exchange.value("SELECT email FROM accounts WHERE id = $1", user.id)),
    }


async def until_finished(exchange: Exchange, task_id: str) -> None:
    async def finished() -> bool:
        return bool(await exchange.value("SELECT state <> 'queued' FROM tasks WHERE id = $1", task_id))

    await until(finished)


def body_of(operation: dict[str, Any]) -> dict[str, Any]:
    """Make a request as the document's own example has it."""
    for kind, content in operation.get("requestBody", {}).get("content", {}).items():
        example = content.get("example") or content["schema"].get("example") or {}
        return {"data": example} if kind == "application/x-www-form-urlencoded" else {"json": example}
    return {}


async def test_no_path_shows_or_changes_what_is_another_account_s(exchange: Exchange) -> None:
    described = await document(exchange)
    owner, ids = await with_possessions(exchange)
    stranger = await exchange.user()
    before = await everything_of(owner)
    asked = 0
    for method, path, operation in operations(described):
        filled = re.sub(r"{(\w+)}", lambda match: ids.get(match[1], ids["user_id"]), path)
        queries = [
            {},
            *({p["name"]: ids[p["name"]]} for p in operation.get("parameters", []) if p["name"] in ids),
            {"conversation_id": "diary"},
            {"account_id": ids["user_id"]},
        ]
        for headers in (stranger.headers, await stranger.login(), {}):
            for query in queries if method == "get" else queries[:1]:
                response = await exchange.client.request(
                    method, filled, params=query, headers=headers, **body_of(operation)
                )
                asked += 1
                assert response.status_code < 500 or path == "/gigachat/", f"{method} {filled}: {response.text}"
                if "{" in path and not path.startswith("/v1/models"):
                    assert response.status_code in (401, 403, 404, 422), f"{method} {filled}: {response.text}"
                for name, value in ids.items():
                    if value not in filled and value not in str(query):
                        assert value not in response.text, f"{method} {filled} shows {name}"
                assert "secret words" not in response.text
                assert "other secret" not in response.text
    assert asked > 100
    assert await everything_of(owner) == before


async def test_an_operator_is_no_administrator(exchange: Exchange) -> None:
    operator = await exchange.user(role=AccountRole.OPERATOR)
    for method, path, operation in operations(await document(exchange)):
        if path.startswith("/admin/"):
            filled = re.sub(r"{(\w+)}", str(operator.id), path)
            for headers in (operator.headers, await operator.login()):
                response: httpx.Response = await exchange.client.request(
                    method, filled, headers=headers, **body_of(operation)
                )
                assert response.status_code == 403, f"{method} {path}"
