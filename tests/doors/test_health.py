"""Whether the process lives, and whether it can take work."""

import asyncio
from collections.abc import AsyncIterator, Mapping

import httpx
import pytest
from fastapi import FastAPI

from telefonist.doors import health
from telefonist.doors.errors import install_error_handlers
from telefonist.doors.middleware import RequestMiddleware
from tests.doors.conftest import Serve


class Parts:
    """The parts of a service, in whatever state a test puts them."""

    def __init__(self) -> None:
        self.states = {"database": "ok", "worker": "ok"}
        self.hang = asyncio.Event()
        self.hang.set()

    async def check(self) -> Mapping[str, str]:
        await self.hang.wait()
        return self.states


@pytest.fixture
def parts() -> Parts:
    return Parts()


@pytest.fixture
async def client(serve: Serve, parts: Parts) -> AsyncIterator[httpx.AsyncClient]:
    app = FastAPI(openapi_url=None)
    install_error_handlers(app)
    app.include_router(health.router("1.2.3", parts.check))
    async with httpx.AsyncClient(base_url=await serve(RequestMiddleware(app, body_limit=100))) as client:
        yield client


async def test_a_living_process_says_so_whatever_its_parts_do(client: httpx.AsyncClient, parts: Parts) -> None:
    parts.states["database"] = "no connection"
    response = await client.get("/health")
    assert (response.status_code, response.json()) == (200, {"status": "ok", "version": "1.2.3"})


async def test_ready_means_that_every_part_is(client: httpx.AsyncClient, parts: Parts) -> None:
    response = await client.get("/ready")
    assert (response.status_code, response.json()) == (200, {"status": "ok", "checks": parts.states})
    assert "retry-after" not in response.headers


async def test_one_part_that_is_not_ready_makes_a_503_that_names_it(client: httpx.AsyncClient, parts: Parts) -> None:
    parts.states["database"] = "no connection"
    response = await client.get("/ready")
    assert response.status_code == 503
    assert response.headers["retry-after"] == "5"
    assert response.json() == {"status": "unavailable", "checks": {"database": "no connection", "worker": "ok"}}


async def test_a_part_that_hangs_is_not_ready(
    client: httpx.AsyncClient, parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "CHECK_SECONDS", 0.02)
    parts.hang.clear()
    response = await client.get("/ready")
    assert response.status_code == 503
    assert response.json() == {"status": "unavailable", "checks": {"checks": "no answer within 0.02 s"}}
