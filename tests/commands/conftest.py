"""Commands run in this process, on a database of the test's own."""

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from telefonist.settings import Settings, load_settings
from tests.conftest import log_plainly

MODELS = """
providers = [{ name = "inhouse", base_url = "https://llm.example/v1" }]
models = [
    { name = "vendor/model:free", provider = "inhouse", aliases = ["free"] },
    { name = "dear", provider = "inhouse", credits_per_1k_input = 1.5, credits_per_1k_output = 4 },
]
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Give a folder with the settings of two models."""
    (tmp_path / "telefonist.toml").write_text(MODELS, encoding="utf-8")
    return tmp_path


@pytest.fixture
def settings(folder: Path, dsn: str) -> Settings:
    """Give settings of a service on the test's database."""
    return load_settings({"DATABASE_URL": dsn, "TELEFONIST_SECRET": "s" * 32, "LANG": "C"}, folder)


@pytest.fixture(autouse=True)
def _logging_as_it_was() -> Iterator[None]:
    """Undo what a command sets up for its process."""
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    yield
    log_plainly()
    root.handlers = handlers
    root.setLevel(level)


@pytest.fixture(autouse=True)
def _english(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LC_ALL", "C")
