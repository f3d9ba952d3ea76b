"""Keys and webhook secrets of an account, as their owner sees them."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

from tests.doors.conftest import OpenWeb
from tests.doors.people import Person, bearer, new_key, newcomer, status


async def listed(client: httpx.AsyncClient, person: Person) -> list[dict[str, Any]]:
    answer = await client.get("/me/keys", headers=person.headers)
    assert answer.status_code == 200
    keys: list[dict[str, Any]] = answer.json()["keys"]
    return keys


async def test_a_key_is_shown_once_and_known_by_its_ends(open_web: OpenWeb) -> None:
    async with open_web() as client:
        ann = await newcomer(client)
        made = await new_key(client, ann, name="ноутбук")
        key = made.pop("key")
        assert key.startswith("tf-")
        assert len(key) >= 43
        assert made["hint"] == f"{key[:7]}…{key[-4:]}"
        (shown,) = await listed(client, ann)
        assert shown == made
        assert shown["name"] == "ноутбук"
        assert key not in (await client.get("/me/keys", headers=ann.headers)).text


async def test_a_key_remembers_its_terms_exactly(open_web: OpenWeb) -> None:
    terms = {
        "models": ["demo"],
        "budget": 0.1,
        "requests_per_minute": 60,
        "tokens_per_minute": 1000,
        "max_streams": 3,
    }
    async with open_web() as client:
        ann = await newcomer(client)
        await new_key(client, ann, **terms)
        answer = await client.get("/me/keys", headers=ann.headers)
        assert '"budget":0.1,"spent":0' in answer.text
        assert {name: answer.json()["keys"][0][name] for name in terms} == terms


async def test_a_key_that_nothing_is_said_about_has_no_limits_and_no_end(open_web: OpenWeb) -> None:
    async with open_web() as client:
        made = await new_key(client, await newcomer(client))
        limits = ("models", "budget", "requests_per_minute", "tokens_per_minute", "max_streams", "expires_at")
        assert [made[name] for name in limits] == [None] * 6


async def test_the_end_of_a_key_is_a_moment_or_so_many_seconds(open_web: OpenWeb) -> None:
    async with open_web() as client:
        ann = await newcomer(client)
        moment = datetime.now(UTC) + timedelta(days=1)
        made = await new_key(client, ann, expires_at=moment.isoformat())
        assert datetime.fromisoformat(made["expires_at"]) == moment
        made = await new_key(client, ann, expires_in=86_400)
        assert abs(datetime.fromisoformat(made["expires_at"]) - moment) < timedelta(minutes=5)


WRONG_TERMS: list[tuple[dict[str, Any], list[Any]]] = [
    ({"name": ""}, ["body", "name"]),
    ({"name": "x" * 101}, ["body", "name"]),
    ({"name": "a\u0000b"}, ["body", "name"]),
    ({"models": []}, ["body", "models"]),
    ({"models": ["demo", "gpt-17"]}, ["body", "models", 1]),
    ({"budget": -1}, ["body", "budget"]),
    ({"budget": 0.0000001}, ["body", "budget"]),
    ({"budget": "5"}, ["body", "budget"]),
    ({"requests_per_minute": 0}, ["body", "requests_per_minute"]),
    ({"tokens_per_minute": 10**12}, ["body", "tokens_per_minute"]),
    ({"max_streams": 1.5}, ["body", "max_streams"]),
    ({"expires_in": 0}, ["body", "expires_in"]),
    ({"expires_at": "2020-01-01T00:00:00Z"}, ["body", "expires_at"]),
    ({"expires_at": "2100-01-01T00:00:00"}, ["body", "expires_at"]),
    ({"expires_at": "2100-01-01T00:00:00Z", "expires_in": 60}, ["body"]),
    ({"request_per_minute": 5}, ["body", "request_per_minute"]),
]


async def test_a_wrong_term_is_named(open_web: OpenWeb) -> None:
    async with open_web() as client:
        ann = await newcomer(client)
        for change, location in WRONG_TERMS:
            refused = await client.post("/me/keys", json={"name": "a key", **change}, headers=ann.headers)
            assert refused.status_code == 422, change
            assert refused.json()["detail"][0]["loc"] == location
        assert await listed(client, ann) == []


async def test_an_alias_stands_for_its_model(open_web: OpenWeb, tmp_path: Any) -> None:
    (tmp_path / "telefonist.toml").write_text(
        'models = [{ name = "house", provider = "demo", upstream = "demo", aliases = ["ours"] }]', "utf-8"
    )
    async with open_web() as client:
        made = await new_key(client, await newcomer(client), models=["ours", "house"])
        assert made["models"] == ["house"]


async def test_a_revoked_key_is_gone_at_once_and_for_good(open_web: OpenWeb) -> None:
    async with open_web() as client:
        ann = await newcomer(client)
        made, kept = await new_key(client, ann), await new_key(client, ann)
        assert await status(client, made["key"]) == 200
        revoked = await client.delete(f"/me/keys/{made['id']}", headers=ann.headers)
        assert (revoked.status_code, revoked.content) == (204, b"")
        assert await status(client, made["key"]) == 401
        assert await status(client, kept["key"]) == 200
        again = await client.delete(f"/me/keys/{made['id']}", headers=ann.headers)
        assert (again.status_code, again.json()["code"]) == (404, "key_not_found")
        assert [key["id"] for key in await listed(client, ann)] == [kept["id"]]


async def test_nobody_sees_or_revokes_the_keys_of_another(open_web: OpenWeb) -> None:
    async with open_web() as client:
        ann, bob = await newcomer(client), await newcomer(client, "bob@example.com")
        made = await new_key(client, ann)
        assert await listed(client, bob) == []
        assert (await client.delete(f"/me/keys/{made['id']}", headers=bob.headers)).status_code == 404
        assert await status(client, made["key"]) == 200


async def test_an_account_has_so_many_keys_even_if_they_are_asked_for_at_once(open_web: OpenWeb) -> None:
    async with open_web() as client:
        ann = await newcomer(client)
        for _ in range(95):
            await new_key(client, ann)
        answers = await asyncio.gather(
            *(client.post("/me/keys", json={"name": "more"}, headers=ann.headers) for _ in range(10))
        )
        assert sorted(answer.status_code for answer in answers) == [201] * 5 + [409] * 5
        assert len(await listed(client, ann)) == 100


async def test_the_last_use_of_a_key_is_noted(open_web: OpenWeb) -> None:
    async with open_web() as client:
        ann = await newcomer(client)
        made = await new_key(client, ann)
        assert (await listed(client, ann))[0]["last_used_at"] is None
        await status(client, made["key"])
        used = datetime.fromisoformat((await listed(client, ann))[0]["last_used_at"])
        assert abs(datetime.now(UTC) - used) < timedelta(minutes=5)


async def test_each_account_signs_with_its_own_secret_and_changes_it_without_a_gap(open_web: OpenWeb) -> None:
    async with open_web() as client:
        ann, bob = await newcomer(client), await newcomer(client, "bob@example.com")
        first = (await client.get("/me/webhook-secret", headers=ann.headers)).json()
        assert first["secret"].startswith("whsec_")
        assert first["previous"] == []
        assert (await client.get("/me/webhook-secret", headers=ann.headers)).json() == first
        bobs = (await client.get("/me/webhook-secret", headers=bob.headers)).json()
        assert bobs["secret"] != first["secret"]
        rotated = (await client.post("/me/webhook-secret/rotate", headers=ann.headers)).json()
        assert rotated["secret"] != first["secret"]
        assert rotated["previous"] == [first["secret"]]
        assert (await client.get("/me/webhook-secret", headers=ann.headers)).json() == rotated
        assert (await client.get("/me/webhook-secret", headers=bob.headers)).json() == bobs


async def test_a_secret_is_changed_so_often_a_day_that_callbacks_stay_small(open_web: OpenWeb) -> None:
    async with open_web() as client:
        ann = await newcomer(client)
        answers = [await client.post("/me/webhook-secret/rotate", headers=ann.headers) for _ in range(11)]
        assert [answer.status_code for answer in answers] == [200] * 10 + [429]


async def test_the_tasks_of_an_account_are_its_own(open_web: OpenWeb) -> None:
    asked = {"message": "Hello", "callback_url": "http://127.0.0.1:9/callback", "conversationId": "first"}
    async with open_web() as client:
        ann, bob = await newcomer(client), await newcomer(client, "bob@example.com")
        by_key = bearer((await new_key(client, ann))["key"])
        for headers in (ann.headers, by_key):
            taken = await client.post("/webhook", json=asked | {"model": "demo"}, headers=headers)
            assert taken.status_code == 202, taken.text
        location = taken.headers["location"]
        tasks = await client.get("/tasks", params={"conversation_id": "first"}, headers=by_key)
        assert len(tasks.json()["tasks"]) == 2
        assert (await client.get(location, headers=ann.headers)).status_code == 200
        for method in ("GET", "DELETE"):
            assert (await client.request(method, location, headers=bob.headers)).status_code == 404
            assert (await client.request(method, location)).status_code == 404
        assert (await client.post(f"{location}/redeliver", headers=bob.headers)).status_code == 404
        bobs = await client.get("/tasks", params={"conversation_id": "first"}, headers=bob.headers)
        assert bobs.json()["tasks"] == []
