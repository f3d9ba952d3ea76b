"""A disk without room under the embedded PostgreSQL."""

from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from telefonist.storage.embedded.configuration import dsn
from tests.faults.conversations import Traffic, is_refused
from tests.faults.small_disk import SmallDisk, small_disk
from tests.service import Service
from tests.waiting import until


@pytest.fixture
def disk(folder: Path) -> Iterator[SmallDisk]:
    with small_disk(folder / "data") as disk:
        yield disk


async def test_a_full_disk_makes_it_refuse_in_words_lose_nothing_and_go_on_once_there_is_room(
    folder: Path, disk: SmallDisk, traffic: Traffic
) -> None:
    async with Service(folder) as service, traffic.flowing(service.url):
        disk.fill()
        await until(lambda: is_refused(service), 30)
        assert (await service.client.get("/health")).status_code == 200
        told = await service.wait_for_log("database_unavailable", level="error")
        assert "No space left on device" in told["reason"]
        disk.make_room()


async def test_a_postgresql_that_died_of_a_full_disk_is_brought_back_once_there_is_room(
    folder: Path, disk: SmallDisk, traffic: Traffic
) -> None:
    async with Service(folder) as service, traffic.flowing(service.url):
        disk.fill()
        await until(lambda: dies_for_want_of_room(disk))
        told = await service.wait_for_log("embedded_postgres_not_restarted", level="error")
        assert "the disk is full, free some space" in told["reason"]
        assert await is_refused(service)
        disk.make_room()
        await service.wait_for_log("embedded_postgres_restarted", 30)


async def dies_for_want_of_room(disk: SmallDisk) -> bool:
    """Have PostgreSQL go on in a new file of its journal, without which it cannot live."""
    try:
        connection = await asyncpg.connect(dsn(disk.folder / "socket"))
        await connection.execute("SELECT pg_switch_wal()")
        await connection.close()
    except (asyncpg.PostgresError, OSError):
        return True
    return False
