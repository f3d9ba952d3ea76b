"""A server as its users find it."""

import os
from pathlib import Path

import asyncpg
import psutil
import pytest

from telefonist.errors import ConfigurationError
from telefonist.storage.embedded import EmbeddedPostgres, cluster, supervisor
from tests.storage.embedded.other_process import query, until, watched


async def test_a_new_data_folder_answers_its_first_query(place: Path, system_dir: Path) -> None:
    async with EmbeddedPostgres(place / "data", system_dir=system_dir) as server:
        assert server.info
        assert not [note for note in server.info.notes if "database is in" in note]
        assert await query(server.info, "SELECT current_database()") == "telefonist"
        assert await query(server.info, "SHOW server_encoding") == "UTF8"
        assert await query(server.info, "SELECT upper('маяк') || lower('ЁЖ')") == "МАЯКёж"
        assert server.info.version == (await query(server.info, "SHOW server_version")).split(".")[0]
        assert server.info.data_dir == place / "data" / "postgres"


async def test_a_commit_is_durable_and_no_port_is_open(data: Path, system_dir: Path) -> None:
    async with EmbeddedPostgres(data, system_dir=system_dir) as server:
        assert server.info
        assert await query(server.info, "SHOW fsync") == "on"
        assert await query(server.info, "SHOW synchronous_commit") == "on"
        assert psutil.Process(server.info.pid).net_connections("inet") == []
        folder = server.info.socket_dir.stat()
        assert folder.st_mode & 0o777 == 0o700
        assert folder.st_uid == psutil.Process(server.info.pid).uids().effective != 0


async def test_neither_ctrl_c_nor_our_secrets_reach_the_server(
    data: Path, system_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    async with EmbeddedPostgres(data, system_dir=system_dir) as server:
        assert server.info
        assert os.getsid(server.info.pid) != os.getsid(0)
        assert "OPENAI_API_KEY" not in psutil.Process(server.info.pid).environ()


async def test_a_failed_statement_leaves_no_words_of_users_in_the_log(data: Path, system_dir: Path) -> None:
    async with EmbeddedPostgres(data, system_dir=system_dir) as server:
        assert server.info
        with pytest.raises(asyncpg.DataError):
            await query(server.info, "SELECT 'a private word'::integer")
    assert "private" not in (data / "postgres.log").read_text()


async def test_files_that_are_not_ours_are_refused_and_kept(place: Path, system_dir: Path) -> None:
    theirs = place / "data" / "postgres"
    theirs.mkdir(parents=True)
    (theirs / "PG_VERSION").write_text("18\n")
    with pytest.raises(ConfigurationError, match="did not put there"):
        await EmbeddedPostgres(place / "data", system_dir=system_dir).start()
    assert (theirs / "PG_VERSION").read_text() == "18\n"


async def test_a_log_that_has_grown_is_begun_anew_and_the_last_one_is_kept(
    data: Path, system_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "LOG_LIMIT", 100)
    monkeypatch.setattr(supervisor, "TRIM_SECONDS", 0.0)
    log = data.with_name("elsewhere.log")
    async with EmbeddedPostgres(data, log_path=log, system_dir=system_dir) as server, watched(server):
        await until(lambda: log.exists() and log.stat().st_size == 0)
        assert "ready to accept connections" in log.with_name("elsewhere.log.1").read_text()
    assert "shut down" in log.read_text()
