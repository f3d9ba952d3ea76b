"""What was killed, stands still, is full or is broken."""

import asyncio
import os
import signal
import socket
import subprocess
from pathlib import Path

import asyncpg
import psutil
import pytest

from telefonist.errors import ConfigurationError
from telefonist.storage.embedded import EmbeddedPostgres, cluster, supervisor
from telefonist.storage.embedded.processes import find_postmaster, is_alive
from tests.storage.embedded.other_process import Others, is_gone, query, until, watched


async def test_a_killed_server_comes_back_at_the_same_address(data: Path, system_dir: Path) -> None:
    async with EmbeddedPostgres(data, system_dir=system_dir) as server, watched(server):
        before = server.info
        assert before
        await query(before, "CREATE TABLE kept_over_a_kill AS SELECT 1 AS one")
        os.kill(before.pid, signal.SIGKILL)
        await until(lambda: server.info and server.info.pid != before.pid)
        assert server.info
        assert server.info.dsn == before.dsn
        assert await query(before, "SELECT one FROM kept_over_a_kill") == 1


async def test_a_server_that_cannot_come_back_is_tried_again(
    data: Path, system_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "PAUSES", (0.1,))
    async with EmbeddedPostgres(data, system_dir=system_dir) as server, watched(server):
        before = server.info
        assert before
        hidden = data / "hidden"
        (before.data_dir / "global").rename(hidden)
        os.kill(before.pid, signal.SIGKILL)
        log = data / "postgres.log"
        await until(lambda: "could not open file" in log.read_text())
        hidden.rename(before.data_dir / "global")
        await until(lambda: server.info and server.info.pid != before.pid)
        assert await query(before, "SELECT 1") == 1


async def test_a_busy_orphan_of_a_killed_server_is_ended_before_the_next_one_starts(
    data: Path, system_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "ORPHAN_SECONDS", 0.2)
    server = EmbeddedPostgres(data, system_dir=system_dir)
    info = await server.start()
    connection = await asyncpg.connect(info.dsn)
    orphan = psutil.Process(connection.get_server_pid())
    busy = asyncio.create_task(connection.fetchval("SELECT count(*) FROM generate_series(1, 1000000000000) AS n"))
    await until(lambda: orphan.cpu_times().user > 0.05)
    os.kill(info.pid, signal.SIGKILL)
    await until(lambda: is_gone(info.pid))
    await server.stop()
    async with EmbeddedPostgres(data, system_dir=system_dir) as again:
        assert again.info
        assert not is_alive(orphan)
        assert await query(again.info, "SELECT 1") == 1
    with pytest.raises((asyncpg.PostgresError, OSError)):
        await busy


async def test_pid_files_that_a_dead_server_left_do_not_keep_the_next_from_starting(
    data: Path, system_dir: Path
) -> None:
    server = EmbeddedPostgres(data, system_dir=system_dir)
    info = await server.start()
    await server.stop()
    sleeper = subprocess.Popen(["sleep", "600"], cwd=data)  # noqa: ASYNC220
    try:
        rest = f"{info.data_dir}\n1\n5432\n{info.socket_dir}\n\n1 1\nready   \n"
        recycled = (f"{pid}\n{rest}" for pid in (sleeper.pid, os.getpid(), 999_999_999, -1))
        for stale in (*recycled, "", "nonsense\n"):
            (info.data_dir / "postmaster.pid").write_text(stale)
            (info.socket_dir / ".s.PGSQL.5432.lock").write_text(stale)
            async with EmbeddedPostgres(data, system_dir=system_dir) as again:
                assert again.info
                assert await query(again.info, "SELECT 1") == 1
    finally:
        sleeper.kill()
        sleeper.wait()


async def test_a_cluster_that_was_being_made_when_its_maker_was_killed_is_made_anew(
    place: Path, system_dir: Path, other: Others
) -> None:
    maker = other(place / "data")
    await until((place / "data" / "postgres.new" / "PG_VERSION").exists)
    maker.kill()
    assert not (place / "data" / "postgres").exists()
    async with EmbeddedPostgres(place / "data", system_dir=system_dir) as server:
        assert server.info
        assert await query(server.info, "SELECT current_database()") == "telefonist"
    assert not (place / "data" / "postgres.new").exists()


async def test_a_server_in_another_container_is_not_given_a_rival(data: Path, system_dir: Path) -> None:
    server = EmbeddedPostgres(data, system_dir=system_dir)
    info = await server.start()
    await server.stop()
    (info.data_dir / "postmaster.pid").write_text(f"1\n{info.data_dir}\n1\n5432\n{info.socket_dir}\n\n1 1\nready   \n")
    with socket.socket(socket.AF_UNIX) as unseen:
        unseen.bind(str(info.socket_dir / ".s.PGSQL.5432"))
        unseen.listen()
        with pytest.raises(ConfigurationError, match="another container"):
            await server.start()


async def test_a_disk_that_takes_no_more_is_told_in_postgresqls_words_and_nothing_half_made_stays(
    place: Path, system_dir: Path, other: Others
) -> None:
    user = other(place / "data", largest_file=1_000_000)
    answer = await user.answer()
    await user.leave()
    assert answer["error"] == "ConfigurationError"
    assert "could not be made" in answer["text"]
    assert "File too large" in answer["text"]
    assert not list((place / "data").glob("postgres*/"))


def test_a_full_disk_is_named() -> None:
    assert "disk is full" in cluster.remedy('FATAL:  could not write lock file "x": No space left on device')


async def test_a_server_that_ends_at_once_is_told_with_the_end_of_its_log(data: Path, system_dir: Path) -> None:
    async with EmbeddedPostgres(data, system_dir=system_dir) as server:
        assert server.info
        control = server.info.data_dir / "global" / "pg_control"
    whole = control.read_bytes()
    control.write_bytes(b"")
    with pytest.raises(ConfigurationError, match=r"ended at once[\s\S]*PANIC"):
        await server.start()
    control.write_bytes(whole)


async def test_a_server_that_stands_still_is_stopped_all_the_same(
    data: Path, system_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "STOP_SECONDS", 0.1)
    monkeypatch.setattr(cluster, "ORPHAN_SECONDS", 0.1)
    server = EmbeddedPostgres(data, system_dir=system_dir)
    info = await server.start()
    os.kill(info.pid, signal.SIGSTOP)
    await server.stop()
    assert find_postmaster(info.data_dir) is None
    assert is_gone(info.pid)
