"""Registering, logging in, refreshing and changing the password, as a client sees it."""

import asyncio
from typing import Any

import httpx

from tests.doors.conftest import OpenWeb
from tests.doors.people import PASSWORD, bearer, log_in, new_key, newcomer, register, status


def code(response: httpx.Response) -> tuple[int, str]:
    return response.status_code, response.json()["code"]


async def test_who_registers_gets_a_user_and_can_log_in(open_web: OpenWeb) -> None:
    async with open_web() as client:
        made = await register(client, " Ann@Example.COM ")
        assert made.status_code == 201
        user = made.json()
        assert (user["email"], user["role"]) == ("ann@example.com", "client")
        given = await log_in(client, "ANN@example.com")
        assert given.status_code == 200
        assert given.headers["cache-control"] == "no-store"
        tokens = given.json()
        assert (tokens["token_type"], tokens["expires_in"]) == ("bearer", 900)
        me = await client.get("/me", headers=bearer(tokens["access_token"]))
        assert me.json() == user


async def test_an_address_has_one_account_however_it_is_written(open_web: OpenWeb) -> None:
    async with open_web() as client:
        answers = await asyncio.gather(
            *(register(client, email) for email in ("ann@example.com", "Ann@EXAMPLE.com") * 3)
        )
        assert sorted(answer.status_code for answer in answers) == [201, 409, 409, 409, 409, 409]
        assert code(await register(client)) == (409, "email_taken")


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"email": "ann"}, "email"),
    ({"email": "ann@"}, "email"),
    ({"email": "ann@exa mple.com"}, "email"),
    ({"email": "ann\u0000@example.com"}, "email"),
    ({"email": "Ann <ann@example.com>"}, "email"),
    ({"email": "a" * 400 + "@example.com"}, "email"),
    ({"email": None}, "email"),
    ({"password": "7 chars"}, "password"),
    ({"password": "x" * 257}, "password"),
    ({"password": 12345678}, "password"),
]


async def test_what_is_wrong_is_named_and_no_password_is_repeated(open_web: OpenWeb) -> None:
    async with open_web() as client:
        for change, field in WRONG:
            wanted = {"email": "ann@example.com", "password": "a secret word", **change}
            refused = await client.post("/auth/register", json=wanted)
            assert refused.status_code == 422, change
            assert refused.json()["detail"][0]["loc"] == ["body", field]
            assert "secret" not in refused.text
            assert refused.json()["body"] is None


async def test_addresses_of_every_kind_are_taken_without_asking_the_dns(open_web: OpenWeb) -> None:
    async with open_web() as client:
        for email in ("ann@office.local", "ann@localhost", "анна@почта.рф", "ann+tag@example.com"):
            assert (await register(client, email)).status_code == 201, email
            assert (await log_in(client, email)).status_code == 200


async def test_a_password_is_the_same_from_every_keyboard(open_web: OpenWeb) -> None:
    async with open_web() as client:
        await register(client, password="пароль с й")
        assert (await log_in(client, password="пароль с и\u0306")).status_code == 200


async def test_registration_by_invite_needs_a_good_one(open_web: OpenWeb) -> None:
    async with open_web(TELEFONIST_REGISTRATION="invite") as client:
        assert code(await register(client)) == (403, "invite_required")
        assert code(await register(client, invite="invented")) == (403, "invite_not_accepted")


async def test_registration_that_is_closed_takes_nobody(open_web: OpenWeb) -> None:
    async with open_web(TELEFONIST_REGISTRATION="closed") as client:
        assert code(await register(client, invite="any")) == (403, "registration_closed")


async def test_a_service_for_this_machine_alone_registers_no_page_and_no_stranger(open_web: OpenWeb) -> None:
    signs = (
        {"host": "rebound.example.com"},
        {"origin": "https://example.com"},
        {"x-forwarded-for": "192.0.2.1"},
        {"content-type": "text/plain"},
    )
    content = b'{"email": "ann@example.com", "password": "correct horse"}'
    async with open_web() as client:
        for headers in signs:
            assert (await client.post("/auth/register", content=content, headers=headers)).status_code == 401
    async with open_web(TELEFONIST_PUBLIC_URL="https://telefonist.example.com") as client:
        assert (await client.post("/auth/register", content=content, headers=signs[0])).status_code == 201


async def test_an_unknown_user_and_a_wrong_password_get_the_same_answer(open_web: OpenWeb) -> None:
    async with open_web() as client:
        await register(client)
        answers = [
            await log_in(client, password="wrong horse"),
            await log_in(client, "bob@example.com"),
            await log_in(client, "no address"),
        ]
        assert {answer.status_code for answer in answers} == {401}
        assert len({answer.content for answer in answers}) == 1
        assert {answer.headers["www-authenticate"] for answer in answers} == {"Bearer"}


NO_FORMS: list[tuple[bytes, list[str]]] = [
    (b"", ["body", "username"]),
    (b"username=ann%40example.com", ["body", "password"]),
    (b"username=a&password=b&grant_type=client_credentials", ["body", "grant_type"]),
    (b"username=%ff&password=hidden", ["body"]),
    ("username=а&password=hidden".encode(), ["body"]),
    (b'{"username": "a", "password": "hidden"}', ["body", "username"]),
]


async def test_a_login_that_is_no_form_is_refused_with_words(open_web: OpenWeb) -> None:
    async with open_web() as client:
        for content, location in NO_FORMS:
            refused = await client.post("/auth/login", content=content)
            assert refused.status_code == 422, content
            assert refused.json()["detail"][0]["loc"] == location
            assert "hidden" not in refused.text


async def test_failed_logins_of_an_address_are_limited_and_good_ones_are_not(open_web: OpenWeb) -> None:
    async with open_web() as client:
        await register(client)
        for _ in range(15):
            assert (await log_in(client)).status_code == 200
        for _ in range(10):
            assert (await log_in(client, "Ann@example.com", "wrong horse")).status_code == 401
        refused = await log_in(client)
        assert code(refused) == (429, "rate_limited")
        assert 1 <= int(refused.headers["retry-after"]) <= 900
        await register(client, "bob@example.com")
        assert (await log_in(client, "bob@example.com")).status_code == 200


async def test_guesses_that_come_all_at_once_do_not_pass_together(open_web: OpenWeb) -> None:
    async with open_web() as client:
        await register(client)
        answers = await asyncio.gather(*(log_in(client, password=f"guess {number}") for number in range(25)))
        assert sum(answer.status_code == 401 for answer in answers) == 10
        assert sum(answer.status_code == 429 for answer in answers) == 15


async def test_a_refresh_token_is_good_once_and_shown_again_ends_the_whole_login(open_web: OpenWeb) -> None:
    async with open_web() as client:
        ann = await newcomer(client)
        other_login = (await log_in(client)).json()
        renewed = await client.post("/auth/refresh", json={"refresh_token": ann.refresh_token})
        assert renewed.status_code == 200
        assert await status(client, renewed.json()["access_token"]) == 200
        again = await client.post("/auth/refresh", json={"refresh_token": ann.refresh_token})
        assert code(again) == (401, "refresh_not_accepted")
        successor = await client.post("/auth/refresh", json={"refresh_token": renewed.json()["refresh_token"]})
        assert code(successor) == (401, "refresh_not_accepted")
        unharmed = await client.post("/auth/refresh", json={"refresh_token": other_login["refresh_token"]})
        assert unharmed.status_code == 200


async def test_an_invented_refresh_token_is_refused(open_web: OpenWeb) -> None:
    async with open_web() as client:
        ann = await newcomer(client)
        for token in ("invented", ann.access_token, ""):
            refused = await client.post("/auth/refresh", json={"refresh_token": token})
            assert refused.status_code in (401, 422)
            assert not token or token not in refused.text


async def test_logging_out_ends_this_login_alone_and_at_once(open_web: OpenWeb) -> None:
    async with open_web() as client:
        ann = await newcomer(client)
        elsewhere = (await log_in(client)).json()
        assert (await client.post("/auth/logout", headers=ann.headers)).status_code == 204
        assert await status(client, ann.access_token) == 401
        refused = await client.post("/auth/refresh", json={"refresh_token": ann.refresh_token})
        assert refused.status_code == 401
        assert await status(client, elsewhere["access_token"]) == 200


async def test_changing_the_password_ends_every_other_login(open_web: OpenWeb) -> None:
    async with open_web() as client:
        ann = await newcomer(client)
        thief = (await log_in(client)).json()
        change = {"current_password": PASSWORD, "new_password": "battery staple"}
        wrong = await client.post("/auth/password", json=change | {"current_password": "x"}, headers=ann.headers)
        assert code(wrong) == (403, "current_password_wrong")
        short = await client.post("/auth/password", json=change | {"new_password": "short"}, headers=ann.headers)
        assert (short.status_code, short.json()["detail"][0]["loc"]) == (422, ["body", "new_password"])
        assert (await client.post("/auth/password", json=change, headers=ann.headers)).status_code == 204
        assert await status(client, ann.access_token) == 200
        assert await status(client, thief["access_token"]) == 401
        renewed = await client.post("/auth/refresh", json={"refresh_token": thief["refresh_token"]})
        assert renewed.status_code == 401
        assert (await log_in(client)).status_code == 401
        assert (await log_in(client, password="battery staple")).status_code == 200


async def test_guessing_the_current_password_is_limited_too(open_web: OpenWeb) -> None:
    async with open_web() as client:
        ann = await newcomer(client)
        guess = {"current_password": "a guess", "new_password": "battery staple"}
        for _ in range(10):
            assert (await client.post("/auth/password", json=guess, headers=ann.headers)).status_code == 403
        assert (await client.post("/auth/password", json=guess, headers=ann.headers)).status_code == 429


async def test_a_key_manages_neither_keys_nor_secrets_nor_the_password(open_web: OpenWeb) -> None:
    async with open_web() as client:
        ann = await newcomer(client)
        made = await new_key(client, ann)
        headers = bearer(made["key"])
        change = {"current_password": PASSWORD, "new_password": "battery staple"}
        for method, path, body in (
            ("GET", "/me/keys", None),
            ("POST", "/me/keys", {"name": "another"}),
            ("DELETE", f"/me/keys/{made['id']}", None),
            ("GET", "/me/webhook-secret", None),
            ("POST", "/me/webhook-secret/rotate", None),
            ("POST", "/auth/password", change),
            ("POST", "/auth/logout", None),
        ):
            refused = await client.request(method, path, json=body, headers=headers)
            assert code(refused) == (403, "login_not_a_key"), path
            nobody = await client.request(method, path, json=body)
            assert code(nobody) == (401, "login_required"), path
        assert (await client.get("/me", headers=headers)).json()["id"] == ann.id


async def test_the_api_is_described_with_how_to_log_in(open_web: OpenWeb) -> None:
    async with open_web() as client:
        document = (await client.get("/openapi.json")).json()
        schemes = document["components"]["securitySchemes"]
        assert schemes["login"]["flows"]["password"]["tokenUrl"] == "auth/login"
        assert (schemes["key"]["type"], schemes["key"]["scheme"]) == ("http", "bearer")
        paths = document["paths"]
        assert paths["/me/keys"]["post"]["security"] == [{"login": []}]
        assert {"login": []} in paths["/me"]["get"]["security"]
        assert {"key": []} in paths["/me"]["get"]["security"]
        assert {} in paths["/webhook"]["post"]["security"]
        assert "security" not in paths["/auth/login"]["post"]
        form = paths["/auth/login"]["post"]["requestBody"]["content"]
        assert set(form) == {"application/x-www-form-urlencoded"}
