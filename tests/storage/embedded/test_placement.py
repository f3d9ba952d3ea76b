"""Where the database and its socket live; run by root, an ordinary user is a child process that has become one."""

import os
import pwd
import shutil
from pathlib import Path

import psutil
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from telefonist.errors import ConfigurationError
from telefonist.storage.embedded import EmbeddedPostgres, account
from tests.storage.embedded.other_process import Others, is_gone, query

ROOT = os.geteuid() == 0


def ordinary_user() -> int | str:
    """Give another user than the one root hands servers to; nothing where an ordinary user runs the tests."""
    return pwd.getpwnam("daemon").pw_uid if ROOT else ""


async def test_a_folder_that_postgresql_cannot_enter_keeps_its_rights_and_its_data_elsewhere(
    place: Path, system_dir: Path, other: Others
) -> None:
    private = place / "private"
    private.mkdir(mode=0o700)
    server = EmbeddedPostgres(private / "data", system_dir=system_dir)
    async with server:
        assert server.info
        first = server.info
        await query(first, "CREATE TABLE kept AS SELECT 1 AS one")
        command = other(private / "data")
        assert (await command.answer())["pid"] == first.pid
        await command.leave()
    second = await server.start()
    assert second.data_dir == first.data_dir
    assert await query(second, "SELECT one FROM kept") == 1
    await server.stop()
    assert private.stat().st_mode & 0o777 == 0o700
    if ROOT:
        assert first.data_dir.is_relative_to(system_dir)
        assert str(first.data_dir.parent) in first.notes[0]
        private.chmod(0o755)
        assert (await server.start()).data_dir == first.data_dir
        await server.stop()
    else:
        assert first.data_dir.is_relative_to(private)
        assert first.notes == ()


@pytest.mark.parametrize("name", ['данные: «маяк» "x" \' %41', "long, " * 40])
async def test_a_path_may_hold_any_characters_and_be_long(place: Path, system_dir: Path, name: str) -> None:
    async with EmbeddedPostgres(place / name, system_dir=system_dir) as server:
        assert server.info
        assert await query(server.info, "SELECT 1") == 1
        engine = create_async_engine(server.info.dsn.replace("postgresql://", "postgresql+asyncpg://"))
        async with engine.connect() as connection:
            assert await connection.scalar(text("SELECT 41 + 1")) == 42
        await engine.dispose()
        socket_dir = server.info.socket_dir
        assert len(os.fsencode(socket_dir / ".s.PGSQL.5432")) < 100
    if not socket_dir.is_relative_to(place):
        shutil.rmtree(socket_dir)


async def test_a_socket_folder_that_others_can_enter_is_refused(data: Path, system_dir: Path) -> None:
    async with EmbeddedPostgres(data, system_dir=system_dir) as server:
        assert server.info
        folder = server.info.socket_dir
    folder.chmod(0o777)
    with pytest.raises(ConfigurationError, match=r"socket is not a folder of user .* alone"):
        await server.start()
    folder.chmod(0o700)


async def test_what_is_not_a_folder_is_refused_in_plain_words(place: Path, system_dir: Path) -> None:
    (place / "file").touch()
    for path in (place / "file", place / "file" / "data"):
        with pytest.raises(ConfigurationError, match=r"data folder .*file.* cannot be used.*TELEFONIST_DATA_DIR"):
            await EmbeddedPostgres(path, system_dir=system_dir).start()


async def test_an_ordinary_user_has_a_server_of_their_own(place: Path, system_dir: Path, other: Others) -> None:
    uid = ordinary_user()
    folder = place / "theirs"
    folder.mkdir()
    if isinstance(uid, int):
        os.chown(folder, uid, uid)
    service = other(folder / "data", uid=uid)
    answer = await service.answer()
    assert psutil.Process(answer["pid"]).uids().effective == (uid or os.geteuid())
    async with EmbeddedPostgres(folder / "data", system_dir=system_dir) as joined:
        assert joined.info
        assert joined.info.pid == answer["pid"]
        assert await query(joined.info, "SELECT 1") == 1
        await service.leave()
    assert is_gone(answer["pid"])
    again = other(folder / "data", uid=uid)
    assert (await again.answer())["dsn"] == answer["dsn"]
    await again.leave()


async def test_a_folder_that_may_not_be_written_is_refused_in_plain_words(
    place: Path, system_dir: Path, other: Others
) -> None:
    folder = place / "theirs"
    folder.mkdir(mode=0o555)
    for path in (folder, folder / "data"):
        user = other(path, uid=ordinary_user())
        answer = await user.answer()
        await user.leave()
        assert answer["error"] == "ConfigurationError", answer
        assert "cannot be used" in answer["text"]
        assert "TELEFONIST_DATA_DIR" in answer["text"]


def test_a_user_id_that_the_system_does_not_know_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 54321)
    with pytest.raises(ConfigurationError, match="user id 54321 has no entry"):
        account.own_account()
