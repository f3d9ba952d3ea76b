"""Several processes use one server: who starts it, and who stops it."""

import asyncio
import fcntl
from pathlib import Path

import pytest

from telefonist.errors import ConfigurationError
from telefonist.storage.embedded import EmbeddedPostgres, supervisor
from tests.storage.embedded.other_process import Others, is_gone, query, servers_below, until


async def test_data_outlasts_a_stop(data: Path, system_dir: Path) -> None:
    server = EmbeddedPostgres(data, system_dir=system_dir)
    first = await server.start()
    assert await server.start() == first
    await query(first, "CREATE TABLE kept_over_a_stop AS SELECT 'маяк' AS word")
    await server.stop()
    await server.stop()
    assert is_gone(first.pid)
    second = await server.start()
    assert await query(second, "SELECT word FROM kept_over_a_stop") == "маяк"
    await server.stop()


async def test_a_command_joins_a_server_and_leaves_it_running(data: Path, system_dir: Path, other: Others) -> None:
    async with EmbeddedPostgres(data, system_dir=system_dir) as server:
        assert server.info
        command = other(data)
        assert (await command.answer())["pid"] == server.info.pid
        await command.leave()
        assert await query(server.info, "SELECT 1") == 1


async def test_the_last_one_to_leave_stops_the_server(data: Path, system_dir: Path, other: Others) -> None:
    command = other(data)
    pid = (await command.answer())["pid"]
    service = EmbeddedPostgres(data, system_dir=system_dir)
    info = await service.start()
    assert info.pid == pid
    await command.leave()
    assert await query(info, "SELECT 1") == 1
    await service.stop()
    assert is_gone(pid)


async def test_two_processes_that_start_at_once_share_one_server(place: Path, system_dir: Path, other: Others) -> None:
    both = [other(place / "data") for _ in range(2)]
    answers = [await process.answer() for process in both]
    assert answers[0]["pid"] == answers[1]["pid"]
    for process in both:
        await process.leave()
    assert is_gone(answers[0]["pid"])


async def test_a_server_whose_starter_was_killed_is_adopted(data: Path, system_dir: Path, other: Others) -> None:
    service = other(data)
    pid = (await service.answer())["pid"]
    service.kill()
    async with EmbeddedPostgres(data, system_dir=system_dir) as server:
        assert server.info
        assert server.info.pid == pid
    assert is_gone(pid)


async def test_a_start_that_is_cancelled_leaves_nothing_running(place: Path, system_dir: Path) -> None:
    server = EmbeddedPostgres(place / "data", system_dir=system_dir)
    starting = asyncio.create_task(server.start())
    await until((place / "data" / "postgres.new").exists)
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    assert not servers_below(place)
    async with server:
        assert server.info
        assert await query(server.info, "SELECT 1") == 1


async def test_another_process_that_takes_too_long_is_told(
    data: Path, system_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "LOCK_SECONDS", 0.05)
    server = EmbeddedPostgres(data, system_dir=system_dir)
    await server.start()
    await server.stop()
    with (data / "postgres.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(ConfigurationError, match=r"Another Telefonist .*postgres\.lock"):
            await server.start()
