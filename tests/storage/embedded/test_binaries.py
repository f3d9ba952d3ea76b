"""Which PostgreSQL is taken, and what is said where none will do."""

import importlib.machinery
import importlib.util
import os
import shutil
from pathlib import Path

import psutil
import pytest

from telefonist.errors import ConfigurationError
from telefonist.storage.embedded import EmbeddedPostgres, account, binaries
from tests.storage.embedded.other_process import query, wheel_install

ROOT = os.geteuid() == 0


async def test_data_of_another_major_version_is_refused_with_both_versions_and_the_way_out(
    data: Path, system_dir: Path
) -> None:
    async with EmbeddedPostgres(data, system_dir=system_dir) as server:
        assert server.info
        version, here = server.info.data_dir / "PG_VERSION", server.info.version
    version.write_text("13\n")
    with pytest.raises(ConfigurationError, match=rf"PostgreSQL 13.* has PostgreSQL {here}.*pg_dump.*_DATA_DIR"):
        await server.start()
    version.write_text(f"{here}\n")


async def test_a_cluster_stays_with_the_version_that_made_it(
    place: Path, system_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = str(copied_wheel(place))
    monkeypatch.setenv("PATH", "/nowhere")
    with monkeypatch.context() as without_the_wheel:
        without_the_wheel.setattr(binaries, "WHEEL", "no_such_wheel")
        without_the_wheel.setattr(binaries, "SYSTEM_PLACES", ((package, "pginstall/bin"),))
        async with EmbeddedPostgres(place / "data", system_dir=system_dir) as server:
            assert server.info
            assert server.info.version == "16"
            assert await query(server.info, "SELECT upper('маяк')") == "МАЯК"
        without_the_wheel.setattr(binaries, "SYSTEM_PLACES", ((package, "pginstall*/bin"),))
        assert (await server.start()).version == "16"
        await server.stop()
    assert (await server.start()).version == "16"
    await server.stop()


def copied_wheel(place: Path) -> Path:
    """Put the wheel's programs where PostgreSQL's user can read them, wherever this repository lies."""
    package = wheel_install().parent
    libraries = package.with_name(f"{package.name}.libs")
    for folder in (package, libraries):
        if folder.exists():
            shutil.copytree(folder, place / "wheel" / folder.name)
    return place / "wheel" / package.name


def test_of_several_versions_the_newest_is_taken(system_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(binaries, "SYSTEM_PLACES", ((str(wheel_install().parent), "pginstall*/bin"),))
    monkeypatch.setattr(binaries, "WHEEL", "no_such_wheel")
    monkeypatch.setenv("PATH", "/nowhere")
    assert binaries.find_binaries(account.own_account(), system_dir).major == 18


async def test_without_any_postgresql_the_error_says_what_to_install(
    place: Path, system_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(binaries, "WHEEL", "no_such_wheel")
    monkeypatch.setattr(binaries, "SYSTEM_PLACES", ())
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(ConfigurationError, match=r"DATABASE_URL.*pip install.*apt install.*brew install"):
        await EmbeddedPostgres(place / "data", system_dir=system_dir).start()


async def test_a_wheel_that_postgresql_cannot_reach_is_copied_where_it_can(
    place: Path, system_dir: Path, monkeypatch: pytest.MonkeyPatch
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
