"""kill -9 of PostgreSQL, under the web and the workers."""

import time
from pathlib import Path

from telefonist.storage.embedded.processes import find_postmaster
from tests.fakes.receiver import unused_port
from tests.faults.conversations import Traffic
from tests.faults.database import StandalonePostgres
from tests.service import Service
from tests.waiting import until

AWAY = 3.0
"""Seconds for which PostgreSQL is away."""

NOBODY = {"message": "hello", "callback_url": "http://127.0.0.1:9/", "conversationId": "nobody"}


async def test_web_and_workers_come_through_three_seconds_without_postgresql_by_themselves(
    folder: Path, traffic: Traffic
) -> None:
    async with (
        StandalonePostgres(folder / "database") as postgres,
        Service(folder, "serve", "--no-worker", **postgres.settings) as web,
        Service(folder, "worker", **postgres.settings),
        Service(folder, "worker", **postgres.settings),
        traffic.flowing(web.url),
    ):
        await postgres.kill()
        back = time.monotonic() + AWAY
        while time.monotonic() < back:
            await refused(web)
        await web.wait_for_log("database_unavailable")
        await postgres.start()
        await until(lambda: is_ready(web))


async def test_the_embedded_postgresql_is_brought_back_by_whoever_is_left(folder: Path, traffic: Traffic) -> None:
    web = Service(folder, "serve", "--no-worker", TELEFONIST_PORT=str(unused_port()))
    async with web, Service(folder, "worker"), traffic.flowing(web.url):
        await kill_embedded_postgres(folder)
        await until(lambda: is_ready(web))
        await web.kill()
        await kill_embedded_postgres(folder)
        await web.start()
        await web.ready()


async def is_ready(web: Service) -> bool:
    return (await web.client.get("/ready")).status_code == 200


async def kill_embedded_postgres(folder: Path) -> None:
    """kill -9 the service's own postmaster, and see another one in its place."""
    cluster = folder / "data" / "postgres"
    killed = find_postmaster(cluster)
    assert killed is not None
    killed.process.kill()

    async def another() -> bool:
        found = find_postmaster(cluster)
        return found is not None and found.ready and found.process.pid != killed.process.pid

    await until(another, 30)


async def refused(web: Service) -> None:
    """See how the web answers while its database is away."""
    asked = time.monotonic()
    response = await web.client.post("/webhook", json=NOBODY)
    assert response.status_code == 503, response.text
    assert int(response.headers["retry-after"]) >= 1
    assert response.headers["content-type"] == "application/json"
    assert response.json()["code"] == "storage_unavailable"
    assert response.json()["detail"]
    assert (await web.client.get("/health")).status_code == 200
    ready = await web.client.get("/ready")
    assert ready.status_code == 503
    assert int(ready.headers["retry-after"]) >= 1
    assert ready.json()["checks"] == {"database": "no connection"}
    assert time.monotonic() - asked < AWAY
