"""A folder to start real services in, a receiver, and a model that takes its time."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.fakes.receiver import Receiver
from tests.faults.conversations import EchoingModel
from tests.service import home


@pytest.fixture
def folder() -> Iterator[Path]:
    with home() as folder:
        yield folder


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with Receiver() as receiver:
        yield receiver


@pytest.fixture
async def model(folder: Path) -> AsyncIterator[EchoingModel]:
    async with EchoingModel(0.5) as model:
        model.configure(folder)
        yield model
