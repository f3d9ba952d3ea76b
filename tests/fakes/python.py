"""A Python that is of any version, lacks modules, and whose pip succeeds, fails or never returns, as a test wants.

Run by the real one as ``python.py <its configuration> <arguments>``: see ``tests/acceptance/machine.py``. What
concerns the version is answered by the real interpreter under another version number; ``venv`` makes a folder whose
Python is this one again; ``pip install`` writes down what it is asked for.
"""

import json
import os
import runpy
import shutil
import signal
import sys
import time
from pathlib import Path


def main(configuration: str, *arguments: str) -> None:
    """Do what a Python with these arguments would do."""
    machine = Path(configuration).parent
    given = json.loads(Path(configuration).read_text())
    sys.version_info = (*given["version"], 0, "final", 0)  # type: ignore[assignment]
    match arguments:
        case ["-c", code]:
            sys.modules.update(dict.fromkeys(given["lacks"]))
            exec(code, {"__name__": "__main__"})
        case ["-m", "venv", "--clear", folder]:
            write_down(machine, "venv", folder)
            shutil.rmtree(folder, ignore_errors=True)
            executable = Path(folder, "bin", "python")
            executable.parent.mkdir(parents=True)
            shutil.copy(given["executable"], executable)
        case ["-I", "-m", "pip", "install", *wanted]:
            pip(machine, wanted)
        case [script, *rest]:
            sys.executable = given["executable"]
            sys.argv = [script, *rest]
            runpy.run_path(script, run_name="__main__")


def pip(machine: Path, wanted: list[str]) -> None:
    """Install nothing and say what the test has laid down for it: ``pip.json`` maps an argument to what happens."""
    write_down(machine, "pip", *(name for name in wanted if name == "." or name.endswith(".lock")))
    scripted = json.loads((machine / "pip.json").read_text())
    for name, (outcome, words) in scripted.items():
        if name not in wanted:
            continue
        match outcome:
            case "fails":
                sys.exit(words)
            case "is killed with its parent":
                os.kill(os.getppid(), signal.SIGKILL)
                sys.exit(1)
            case "waits":
                while not (machine / words).exists():
                    time.sleep(0.01)
    if "." in wanted:
        telefonist = Path(".venv", "bin", "telefonist")
        telefonist.write_text('#!/bin/sh\necho "telefonist $*"\n')
        telefonist.chmod(0o755)


def write_down(machine: Path, *words: str) -> None:
    with (machine / "journal").open("a") as journal:
        journal.write(" ".join(words) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
