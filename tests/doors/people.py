"""People at the doors: they register, log in, and show what they were given."""

from dataclasses import dataclass
from typing import Any

import httpx

PASSWORD = "correct horse"


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who has logged in; ``headers`` show the access token."""

    id: str
    email: str
    access_token: str
    refresh_token: str

    @property
    def headers(self) -> dict[str, str]:
        return bearer(self.access_token)


def bearer(credential: str) -> dict[str, str]:
    return {"authorization": f"Bearer {credential}"}


async def register(client: httpx.AsyncClient, email: str = "ann@example.com", **more: Any) -> httpx.Response:
    return await client.post("/auth/register", json={"email": email, "password": PASSWORD, **more})


async def log_in(client: httpx.AsyncClient, email: str = "ann@example.com", password: str = PASSWORD) -> httpx.Response:
    return await client.post("/auth/login", data={"username": email, "password": password})


async def newcomer(client: httpx.AsyncClient, email: str = "ann@example.com") -> Person:
    """Register and log in."""
    made = await register(client, email)
    assert made.status_code == 201, made.text
    tokens = (await log_in(client, email)).json()
    return Person(made.json()["id"], email, tokens["access_token"], tokens["refresh_token"])


async def new_key(client: httpx.AsyncClient, person: Person, **terms: Any) -> dict[str, Any]:
    """Make a key and give its document, with the key in it."""
    made = await client.post("/me/keys", json={"name": "a key", **terms}, headers=person.headers)
    assert made.status_code == 201, made.text
    document: dict[str, Any] = made.json()
    return document


async def status(client: httpx.AsyncClient, credential: str, path: str = "/me") -> int:
    """Say what a credential gets."""
    return (await client.get(path, headers=bearer(credential))).status_code
