"""Virtual environments of what is compared with, which must not share libraries with us."""

import hashlib
import shutil
import subprocess
import venv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class VirtualEnvironment:
    """A folder with what a file of requirements asks for; the network is needed once."""

    folder: Path
    requirements: Path

    @property
    def programs(self) -> Path:
        return self.folder / "bin"

    def install(self) -> None:
        """Install everything, unless that has been done; raises CalledProcessError."""
        wanted = hashlib.sha256(self.requirements.read_bytes()).hexdigest()
        note = self.folder / "installed"
        if note.is_file() and note.read_text() == wanted:
            return
        print(f"Installing {self.requirements.parent.name}/{self.requirements.name}...", flush=True)
        shutil.rmtree(self.folder, ignore_errors=True)
        venv.create(self.folder, with_pip=True)
        pip = [str(self.programs / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, "--requirement", str(self.requirements)], check=True)
        note.write_text(wanted)

    def versions(self) -> Mapping[str, str]:
        """Give the versions that are asked for, by name."""
        pinned = [line.partition("==") for line in self.requirements.read_text().split()]
        return {name: version for name, _, version in pinned}
