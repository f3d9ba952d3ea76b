"""What administrators do, and that nobody else does it: users, balances, prices, usage, and the audit of it all."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from telefonist.storage.database import Database
from telefonist.types import ANONYMOUS_ACCOUNT, AccountRole, new_id
from tests.doors.conftest import Serve
from tests.doors.office import Office, Person, address

GIFT = {"amount": 5, "reason": "a gift"}
PRICE = {"credits_per_1k_input": 0.5, "credits_per_1k_output": 1.25}


@pytest.fixture
async def office(database: Database, serve: Serve) -> AsyncIterator[Office]:
    async with httpx.AsyncClient(base_url=await address(serve, database)) as client:
        yield Office(database, client)


@pytest.fixture
async def admin(office: Office) -> Person:
    admin = await office.administrator()
    office.client.headers.update(admin.headers)
    return admin


@pytest.fixture
async def anna(office: Office) -> Person:
    return await office.person()


def problem(response: httpx.Response) -> dict[str, Any]:
    assert response.status_code == 422, response.text
    (detail,) = response.json()["detail"]
    assert isinstance(detail, dict)
    return detail


async def audited(office: Office) -> list[tuple[str | None, str, str]]:
    entries = (await office.client.get("/admin/audit")).json()["entries"]
    changes = [(entry["actor_id"], entry["action"], entry["subject"]) for entry in entries]
    return [change for change in changes if change[1] != "account.created"]


ROUTES = [
    ("GET", "/admin/users"),
    ("GET", f"/admin/users/{ANONYMOUS_ACCOUNT}"),
    ("PATCH", f"/admin/users/{ANONYMOUS_ACCOUNT}"),
    ("POST", f"/admin/users/{ANONYMOUS_ACCOUNT}/balance"),
    ("PUT", "/admin/models/demo/price"),
    ("DELETE", "/admin/models/demo/price"),
    ("GET", "/admin/usage"),
    ("GET", "/admin/audit"),
    ("GET", "/admin/invites"),
    ("POST", "/admin/invites"),
    ("DELETE", f"/admin/invites/{ANONYMOUS_ACCOUNT}"),
]


async def test_nobody_but_an_administrator_who_logged_in_passes_any_of_the_doors(office: Office) -> None:
    operator = await office.person("operator@example.com", AccountRole.OPERATOR)
    key = await office.key(await office.administrator())
    callers: list[tuple[dict[str, str], int, str]] = [
        ({}, 401, "login_required"),
        ({"authorization": "Bearer nonsense"}, 401, "credentials_not_accepted"),
        (operator.headers, 403, "admin_required"),
        (key, 403, "login_not_a_key"),
    ]
    for headers, status, code in callers:
        for method, path in ROUTES:
            response = await office.client.request(method, path, headers=headers)
            assert (response.status_code, response.json()["code"]) == (status, code), (method, path)


async def test_users_are_listed_newest_first_page_by_page_while_others_register(office: Office, admin: Person) -> None:
    people = [admin, *[await office.person(f"user{number}@example.com") for number in range(5)]]
    found, cursor = [], ""
    for newcomer in range(4):
        page = (await office.client.get(f"/admin/users?limit=2{cursor}")).json()
        found += [user["id"] for user in page["users"]]
        if page["next_cursor"] is None:
            break
        cursor = f"&cursor={page['next_cursor']}"
        await office.person(f"newcomer{newcomer}@example.com")
    assert found == [str(person.id) for person in reversed(people)]


async def test_users_are_found_by_a_part_of_the_address_and_by_role(
    office: Office, admin: Person, anna: Person
) -> None:
    await office.person("a_b@example.com")
    expected = {
        "search=ANNA": ["anna@example.com"],
        "search=_": ["a_b@example.com"],
        "search=%25": [],
        "search=example.com&role=admin": ["admin@example.com"],
        "role=client": ["a_b@example.com", "anna@example.com"],
        "search=nobody": [],
    }
    for query, emails in expected.items():
        users = (await office.client.get(f"/admin/users?{query}")).json()["users"]
        assert [user["email"] for user in users] == emails, query


async def test_a_list_that_cannot_be_is_refused_by_the_name_of_the_field(office: Office, admin: Person) -> None:
    for query in ("search=%00", "role=king", "cursor=1", "limit=0"):
        response = await office.client.get(f"/admin/users?{query}")
        assert problem(response)["loc"] == ["query", query.partition("=")[0]]


async def test_a_user_is_shown_with_what_they_have(office: Office, admin: Person) -> None:
    anna = await office.person(credits_=7)
    shown = (await office.client.get(f"/admin/users/{anna.id}")).json()
    assert shown.pop("created_at").endswith("Z")
    assert shown == {
        "id": str(anna.id),
        "email": "anna@example.com",
        "role": "client",
        "disabled": False,
        "balance": 7,
        "held": 0,
        "available": 7,
    }


async def test_who_is_no_user_is_not_found(office: Office, admin: Person) -> None:
    for account_id in (new_id(), ANONYMOUS_ACCOUNT):
        for response in (
            await office.client.get(f"/admin/users/{account_id}"),
            await office.client.patch(f"/admin/users/{account_id}", json={"disabled": True}),
            await office.client.post(f"/admin/users/{account_id}/balance", json=GIFT),
        ):
            assert (response.status_code, response.json()["code"]) == (404, "user_not_found")


async def test_a_role_is_given_and_a_user_shut_out_and_let_in_again_and_all_is_audited(
    office: Office, admin: Person, anna: Person
) -> None:
    path = f"/admin/users/{anna.id}"
    assert (await office.client.get("/me/balance", headers=anna.headers)).status_code == 200
    changed = await office.client.patch(path, json={"role": "operator", "disabled": True})
    assert (changed.json()["role"], changed.json()["disabled"]) == ("operator", True)
    assert (await office.client.get("/me/balance", headers=anna.headers)).status_code == 401
    assert (await office.client.patch(path, json={"disabled": False})).json()["disabled"] is False
    assert (await office.client.patch(path, json={"role": "operator"})).status_code == 200  # as it was
    assert await audited(office) == [
        (str(admin.id), "account.enabled", str(anna.id)),
        (str(admin.id), "account.disabled", str(anna.id)),
        (str(admin.id), "account.role_changed", str(anna.id)),
    ]


async def test_a_new_administrator_may_begin_at_once_and_a_former_one_may_not_go_on(
    office: Office, admin: Person, anna: Person
) -> None:
    assert (await office.client.get("/admin/audit", headers=anna.headers)).status_code == 403
    await office.client.patch(f"/admin/users/{anna.id}", json={"role": "admin"})
    assert (await office.client.get("/admin/audit", headers=anna.headers)).status_code == 200
    await office.client.patch(f"/admin/users/{admin.id}", json={"role": "client"}, headers=anna.headers)
    assert (await office.client.get("/admin/audit", headers=admin.headers)).status_code == 403


async def test_the_last_administrator_stays(office: Office, admin: Person) -> None:
    disabled = await office.administrator("former@example.com")
    await office.client.patch(f"/admin/users/{disabled.id}", json={"disabled": True})
    path = f"/admin/users/{admin.id}"
    for change in ({"role": "client"}, {"disabled": True}, {"role": "operator", "disabled": True}):
        response = await office.client.patch(path, json=change)
        assert (response.status_code, response.json()["code"]) == (409, "last_admin")
    assert (await office.client.patch(path, json={"role": "admin", "disabled": False})).status_code == 200


async def test_two_administrators_who_remove_each_other_do_not_both_go(office: Office, admin: Person) -> None:
    other = await office.administrator("other@example.com")
    answers = await asyncio.gather(
        office.client.patch(f"/admin/users/{other.id}", json={"role": "client"}),
        office.client.patch(f"/admin/users/{admin.id}", json={"role": "client"}, headers=other.headers),
    )
    assert sorted(answer.status_code for answer in answers) == [200, 409]


async def test_a_change_that_says_nothing_or_nonsense_is_refused(office: Office, admin: Person, anna: Person) -> None:
    for change in ({}, {"role": None}, {"role": "king"}, {"disabled": "perhaps"}, {"rôle": "admin"}):
        assert problem(await office.client.patch(f"/admin/users/{anna.id}", json=change))["loc"][0] == "body"


async def test_credits_are_added_and_taken_away(office: Office, admin: Person, anna: Person) -> None:
    path = f"/admin/users/{anna.id}/balance"
    added = await office.client.post(path, json={"amount": 0.3, "reason": "Счёт №7"})
    assert added.status_code == 201
    assert b'"amount":0.3,"balance":0.3' in added.content
    assert added.json()["kind"] == "top_up"
    taken = await office.client.post(path, json={"amount": -0.1, "reason": "too much"})
    assert (taken.json()["kind"], taken.json()["amount"], taken.json()["balance"]) == ("adjustment", -0.1, 0.2)
    assert (await office.client.get("/me/balance", headers=anna.headers)).json()["available"] == 0.2
    entry = (await office.client.get("/admin/audit?limit=1")).json()["entries"][0]
    assert (entry["actor_id"], entry["action"], entry["subject"]) == (str(admin.id), "balance.changed", str(anna.id))
    assert entry["details"] == {"entry": 2, "amount": "-0.1", "balance": "0.2", "reason": "too much"}


async def test_one_key_makes_one_entry_however_often_and_however_fast_it_is_sent(
    office: Office, admin: Person, anna: Person
) -> None:
    async def give() -> httpx.Response:
        headers = {"idempotency-key": "invoice 7"}
        return await office.client.post(f"/admin/users/{anna.id}/balance", json=GIFT, headers=headers)

    answers = [*await asyncio.gather(*(give() for _ in range(5))), await give()]
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.content for answer in answers}) == 1
    assert (await office.client.get("/me/balance", headers=anna.headers)).json()["balance"] == 5


async def test_a_key_is_good_for_one_body(office: Office, admin: Person, anna: Person) -> None:
    path, headers = f"/admin/users/{anna.id}/balance", {"idempotency-key": "k"}
    await office.client.post(path, json=GIFT, headers=headers)
    response = await office.client.post(path, json=GIFT | {"amount": 6}, headers=headers)
    assert (response.status_code, response.json()["code"]) == (409, "idempotency_conflict")


async def test_a_key_that_cannot_be_kept_is_refused(office: Office, admin: Person, anna: Person) -> None:
    for key in (b"", b"x" * 513, "ключ".encode()):
        headers = {b"idempotency-key": key}
        response = await office.client.post(f"/admin/users/{anna.id}/balance", json=GIFT, headers=headers)
        assert problem(response)["loc"] == ["header", "Idempotency-Key"]


WRONG_AMOUNTS = [
    ("0", "above zero to add, or below zero to take away"),
    ("-0.0", "above zero to add, or below zero to take away"),
    ("0.0000001", "Round it to six decimals"),
    ("1000000000.000001", "from -1000000000 to 1000000000"),
    ("-1e300", "from -1000000000 to 1000000000"),
    ("1e999", "from -1000000000 to 1000000000"),
    ("NaN", "from -1000000000 to 1000000000"),
    ('"5"', "from -1000000000 to 1000000000"),
    ("true", "from -1000000000 to 1000000000"),
    ("null", "from -1000000000 to 1000000000"),
    ("9" * 4000, "from -1000000000 to 1000000000"),
]


async def test_an_amount_that_cannot_be_is_refused_with_the_fix(office: Office, admin: Person, anna: Person) -> None:
    headers = {"content-type": "application/json"}
    for amount, fix in WRONG_AMOUNTS:
        body = f'{{"amount": {amount}, "reason": "a gift"}}'
        found = problem(await office.client.post(f"/admin/users/{anna.id}/balance", content=body, headers=headers))
        assert found["loc"] == ["body", "amount"], amount
        assert fix in found["msg"]
    assert (await office.client.get(f"/admin/users/{anna.id}")).json()["balance"] == 0


async def test_an_amount_at_the_limit_is_taken(office: Office, admin: Person, anna: Person) -> None:
    for amount in (1e9, -1e9, 0.000001, -0.000001, 999999999.999999):
        response = await office.client.post(f"/admin/users/{anna.id}/balance", json=GIFT | {"amount": amount})
        assert (response.status_code, response.json()["amount"]) == (201, amount)


async def test_a_reason_must_be_given_and_kept(office: Office, admin: Person, anna: Person) -> None:
    for reason in ("", "   ", "x" * 501, "a\x00b", None):
        response = await office.client.post(f"/admin/users/{anna.id}/balance", json=GIFT | {"reason": reason})
        assert problem(response)["loc"] == ["body", "reason"]


async def test_a_reason_that_is_no_text_at_all_is_refused(office: Office, admin: Person, anna: Person) -> None:
    body = b'{"amount": 5, "reason": "\\ud800"}'
    headers = {"content-type": "application/json"}
    response = await office.client.post(f"/admin/users/{anna.id}/balance", content=body, headers=headers)
    assert response.status_code == 422


async def test_a_price_is_set_and_reset_by_name_or_alias(office: Office, admin: Person) -> None:
    names = {
        "demo": ("demo", 1.5, 0.000002),
        "default": ("demo", 1.5, 0.000002),
        "vendor/model:free": ("vendor/model:free", 0, 0),
        "vendor%2Fmodel%3Afree": ("vendor/model:free", 0, 0),
    }
    changes = []
    for name, (model, *was) in names.items():
        path = f"/admin/models/{name}/price"
        response = await office.client.put(path, json=PRICE)
        assert response.json() == {"model": model, **PRICE, "credits_per_1k_cached_input": None, "overridden": True}
        response = await office.client.delete(path)
        assert [response.json()["credits_per_1k_input"], response.json()["credits_per_1k_output"]] == was
        assert response.json()["overridden"] is False
        assert (await office.client.delete(path)).status_code == 200
        changes += [(str(admin.id), "price.set", model), (str(admin.id), "price.reset", model)]
    assert await audited(office) == changes[::-1]


async def test_an_unknown_model_has_no_price(office: Office, admin: Person) -> None:
    for response in (
        await office.client.put("/admin/models/no/such/price", json=PRICE),
        await office.client.delete("/admin/models/no/such/price"),
    ):
        assert (response.status_code, response.json()["code"]) == (404, "model_not_found")
        assert "demo, vendor/model:free" in response.json()["detail"]


WRONG_PRICES: list[tuple[str, float | None, str]] = [
    ("credits_per_1k_input", -0.1, "from 0 to 1000000"),
    ("credits_per_1k_output", 1_000_000.1, "from 0 to 1000000"),
    ("credits_per_1k_cached_input", 0.0000001, "six decimals"),
    ("credits_per_1k_input", None, "from 0 to 1000000"),
    ("credits_per_1k_inptu", 1, "not permitted"),
]


async def test_a_price_that_cannot_be_is_refused_with_the_fix(office: Office, admin: Person) -> None:
    for field, value, fix in WRONG_PRICES:
        found = problem(await office.client.put("/admin/models/demo/price", json=PRICE | {field: value}))
        assert found["loc"] == ["body", field]
        assert fix in found["msg"]


async def test_usage_is_that_of_everybody_or_of_one(office: Office, admin: Person, anna: Person) -> None:
    for account in (anna.id, admin.id, ANONYMOUS_ACCOUNT):
        await office.generated(account)
    (everybodys,) = (await office.client.get("/admin/usage")).json()["usage"]
    (annas,) = (await office.client.get(f"/admin/usage?account_id={anna.id}")).json()["usage"]
    assert (everybodys["generations"], everybodys["charge"]) == (3, 0.9)
    assert (annas["generations"], annas["charge"]) == (1, 0.3)
    assert (await office.client.get("/admin/usage?format=csv")).text.startswith("day,model,")


async def test_the_audit_is_read_page_by_page(office: Office, admin: Person, anna: Person) -> None:
    for amount in range(1, 6):
        await office.ledger.change(anna.id, amount, str(amount), None, None)
    reasons, cursor = [], ""
    while True:
        page = (await office.client.get(f"/admin/audit?limit=2{cursor}")).json()
        reasons += [e["details"]["reason"] for e in page["entries"] if e["action"] == "balance.changed"]
        if page["next_cursor"] is None:
            break
        cursor = f"&cursor={page['next_cursor']}"
    assert reasons == ["5", "4", "3", "2", "1"]
