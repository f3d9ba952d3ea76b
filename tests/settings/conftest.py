"""A folder to start in, as its user prepares it."""

from pathlib import Path

import pytest

from telefonist.errors import ConfigurationError
from telefonist.settings import Settings, load_settings


class Folder:
    """Holds ``.env`` and telefonist.toml; the environment comes with each start."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def write(self, name: str, content: str) -> Path:
        file = self.path / name
        file.write_text(content, encoding="utf-8")
        return file

    def start(self, toml: str | None = None, dotenv: str | None = None, **environ: str) -> Settings:
        if toml is not None:
            self.write("telefonist.toml", toml)
        if dotenv is not None:
            self.write(".env", dotenv)
        return load_settings(environ, self.path)

    def refusal(self, toml: str | None = None, dotenv: str | None = None, **environ: str) -> str:
        with pytest.raises(ConfigurationError) as refused:
            self.start(toml, dotenv, **environ)
        return str(refused.value)


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)
