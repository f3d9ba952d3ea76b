"""kill -9 of PostgreSQL, under the web and the workers."""

import time
from pathlib import Path

from tests.fakes.receiver import unused_port
from tests.faults.conversations import Traffic, is_refused, together
from tests.faults.database import StandalonePostgres, kill_embedded_postgres
from tests.service import Service
from tests.waiting import until

AWAY = 3.0
"""Seconds for which PostgreSQL is away."""


async def test_web_and_workers_come_through_three_seconds_without_postgresql_by_themselves(
    folder: Path, traffic: Traffic
) -> None:
    async with StandalonePostgres(folder / "data") as postgres:
        web = Service(folder, "serve", "--no-worker", **postgres.settings)
        workers = [Service(folder, "worker", **postgres.settings) for _ in range(2)]
        async with together(web, *workers), traffic.flowing(web.url):
            await postgres.kill()
            back = time.monotonic() + AWAY
            while time.monotonic() < back:
                await see_it_is_away(web)
            for service in (web, *workers):
                await service.wait_for_log("database_unavailable", level="error")
            await postgres.start()
            await until(lambda: is_ready(web))


async def test_the_embedded_postgresql_is_brought_back_by_whoever_is_left(folder: Path, traffic: Traffic) -> None:
    web = Service(folder, "serve", "--no-worker", TELEFONIST_PORT=str(unused_port()))
    async with together(web, Service(folder, "worker")), traffic.flowing(web.url):
        await kill_embedded_postgres(folder)
        await until(lambda: is_ready(web))
        await web.kill()
        await kill_embedded_postgres(folder)
        await web.start()
        await web.ready()


async def is_ready(web: Service) -> bool:
    return (await web.client.get("/ready")).status_code == 200


async def see_it_is_away(web: Service) -> None:
    """See what the web says while its database is away."""
    asked = time.monotonic()
    assert await is_refused(web)
    assert (await web.client.get("/health")).status_code == 200
    ready = await web.client.get("/ready")
    assert ready.status_code == 503
    assert int(ready.headers["retry-after"]) >= 1
    assert ready.json()["checks"] == {"database": "no connection"}
    assert time.monotonic() - asked < AWAY
