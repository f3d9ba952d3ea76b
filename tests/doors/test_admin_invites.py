"""Invites as administrators make, see and withdraw them: the code is shown once, and makes one account."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from telefonist.errors import AccessDenied
from telefonist.storage.database import Database
from telefonist.types import AccountRole, new_id
from tests.doors.conftest import Serve
from tests.doors.office import Office, Person, accounts, address

PASSWORD = "correct horse"


@pytest.fixture
async def office(database: Database, serve: Serve) -> AsyncIterator[Office]:
    async with httpx.AsyncClient(base_url=await address(serve, database)) as client:
        yield Office(database, client)


@pytest.fixture
async def admin(office: Office) -> Person:
    admin = await office.administrator()
    office.client.headers.update(admin.headers)
    return admin


async def made(office: Office, **wanted: Any) -> dict[str, Any]:
    response = await office.client.post("/admin/invites", json=wanted)
    assert response.status_code == 201, response.text
    document: dict[str, Any] = response.json()
    return document


async def test_an_invite_makes_one_account_of_its_role(office: Office, admin: Person) -> None:
    invite = await made(office, role="operator", email="Anna@Example.com")
    assert invite["email"] == "anna@example.com"
    registering = accounts(office.database)
    anna = await registering.register("anna@example.com", PASSWORD, invite["invite"], "127.0.0.1")
    assert anna.role is AccountRole.OPERATOR
    with pytest.raises(AccessDenied):
        await registering.register("boris@example.com", PASSWORD, invite["invite"], "127.0.0.1")
    (shown,) = (await office.client.get("/admin/invites")).json()["invites"]
    assert (shown["used_by"], shown["created_by"]) == (str(anna.id), str(admin.id))
    assert shown["used_at"] is not None


async def test_the_code_of_an_invite_is_shown_once(office: Office, admin: Person) -> None:
    invite = await made(office)
    assert (invite["role"], invite["email"], invite["used_by"]) == ("client", None, None)
    assert len(invite["invite"]) > 30
    for path in ("/admin/invites", "/admin/audit"):
        assert invite["invite"] not in (await office.client.get(path)).text


async def test_a_withdrawn_invite_makes_no_account(office: Office, admin: Person) -> None:
    invite = await made(office)
    assert (await office.client.delete(f"/admin/invites/{invite['id']}")).status_code == 204
    with pytest.raises(AccessDenied):
        await accounts(office.database).register("anna@example.com", PASSWORD, invite["invite"], "127.0.0.1")
    entries = (await office.client.get("/admin/audit?limit=2")).json()["entries"]
    assert [(entry["actor_id"], entry["action"], entry["subject"]) for entry in entries] == [
        (str(admin.id), "invite.withdrawn", invite["id"]),
        (str(admin.id), "invite.created", invite["id"]),
    ]


async def test_what_is_used_or_was_never_made_cannot_be_withdrawn(office: Office, admin: Person) -> None:
    invite = await made(office)
    await accounts(office.database).register("anna@example.com", PASSWORD, invite["invite"], "127.0.0.1")
    for invite_id in (invite["id"], new_id()):
        response = await office.client.delete(f"/admin/invites/{invite_id}")
        assert (response.status_code, response.json()["code"]) == (404, "invite_not_found")


async def test_invites_are_listed_newest_first_page_by_page(office: Office, admin: Person) -> None:
    ids = [(await made(office))["id"] for _ in range(5)]
    found, cursor = [], ""
    while True:
        page = (await office.client.get(f"/admin/invites?limit=2{cursor}")).json()
        found += [invite["id"] for invite in page["invites"]]
        if page["next_cursor"] is None:
            break
        cursor = f"&cursor={page['next_cursor']}"
    assert found == ids[::-1]


async def test_an_invite_that_cannot_be_is_refused(office: Office, admin: Person) -> None:
    await office.person("anna@example.com")
    taken = await office.client.post("/admin/invites", json={"email": "anna@example.com"})
    assert (taken.status_code, taken.json()["code"]) == (409, "email_taken")
    for wanted in ({"email": "anna.example.com"}, {"role": "king"}, {"email": "a\x00@b.c"}, {"mail": "a@b.c"}):
        response = await office.client.post("/admin/invites", json=wanted)
        assert response.status_code == 422
        assert response.json()["detail"][0]["loc"] == ["body", next(iter(wanted))]
