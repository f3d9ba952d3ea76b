"""A folder to start real services in."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.service import home


@pytest.fixture
def folder() -> Iterator[Path]:
    with home() as folder:
        yield folder
