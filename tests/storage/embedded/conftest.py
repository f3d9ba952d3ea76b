"""Real servers in real folders, which every user of the machine can reach, as pytest's own cannot be."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from telefonist.storage.embedded import binaries
from tests.storage.embedded.other_process import OtherProcess, Others, servers_below, wheel_install


@pytest.fixture(scope="session")
def everywhere() -> Iterator[Path]:
    """A folder for all tests; it goes at the end, for ext4 makes files slowly just after many have gone."""
    folder = Path(tempfile.mkdtemp(prefix="embedded-")).resolve()
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def system_dir(everywhere: Path) -> Path:
    """What stands for ``/var/lib/telefonist``."""
    return everywhere / "system"


@pytest.fixture
def no_server_left(everywhere: Path) -> Iterator[None]:
    """A server left running fails the test that left it."""
    yield
    left = servers_below(everywhere)
    for process in left:
        process.kill()
    assert not left


@pytest.fixture
def place(everywhere: Path, no_server_left: None) -> Path:
    """A new folder."""
    folder = everywhere / str(len(list(everywhere.iterdir())))
    folder.mkdir(mode=0o755)
    return folder


@pytest.fixture
def data(everywhere: Path, no_server_left: None) -> Path:
    """A data folder with the cluster of earlier tests, for those that need no new one."""
    return everywhere / "data"


@pytest.fixture
def other(system_dir: Path) -> Iterator[Others]:
    """Starts other processes, and ends those that a failed test leaves."""
    started: list[OtherProcess] = []

    def start(folder: Path, uid: int | str = "", largest_file: int | str = "") -> OtherProcess:
        wheel = system_dir / "wheel"
        if uid:
            binaries.copy_wheel(wheel_install(), wheel)
        started.append(OtherProcess(folder, system_dir, wheel, uid, largest_file))
        return started[-1]

    yield start
    for process in started:
        process.kill()
