"""A folder to start real services in, a receiver, a model that takes its time, and the traffic between them."""

import asyncio
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.fakes.receiver import Receiver
from tests.faults.conversations import EchoingModel, Load, Traffic
from tests.service import home, run

LOAD = Load(conversations=300, messages=5, model_seconds=0.5)
"""The work in the middle of which something is killed."""


@pytest.fixture(scope="session")
def made() -> Iterator[Path]:
    """A data folder with a database that is up to date."""
    with home() as folder:
        finished = asyncio.run(run(folder, "migrate"))
        assert finished.status == 0, finished.errors
        yield folder / "data"


@pytest.fixture
def folder(made: Path) -> Iterator[Path]:
    """A folder to start services in, whose data folder need not be made any more."""
    with home() as folder:
        subprocess.run(["cp", "-pR", made, folder / "data"], check=True)
        yield folder


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with Receiver() as receiver:
        yield receiver


@pytest.fixture
async def model(folder: Path) -> AsyncIterator[EchoingModel]:
    async with EchoingModel(LOAD.model_seconds) as model:
        model.configure(folder)
        yield model


@pytest.fixture
def traffic(receiver: Receiver, model: EchoingModel) -> Traffic:
    return Traffic(receiver, model, LOAD)
