"""A folder to start real services in, a receiver, a model that takes its time, and the traffic between them."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.fakes.receiver import Receiver
from tests.faults.conversations import EchoingModel, Load, Traffic
from tests.service import home

LOADS = (
    pytest.param(Load(60, 5, 0.3), id="60x5"),
    pytest.param(Load(300, 5, 0.5), id="300x5", marks=pytest.mark.deep),
)


@pytest.fixture
def folder() -> Iterator[Path]:
    with home() as folder:
        yield folder


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with Receiver() as receiver:
        yield receiver


@pytest.fixture(params=LOADS)
def load(request: pytest.FixtureRequest) -> Load:
    """How much work there is in the middle of which something is killed; the larger one is for ``make test-deep``."""
    load: Load = request.param
    return load


@pytest.fixture
async def model(folder: Path, load: Load) -> AsyncIterator[EchoingModel]:
    async with EchoingModel(load.model_seconds) as model:
        model.configure(folder)
        yield model


@pytest.fixture
def traffic(receiver: Receiver, model: EchoingModel, load: Load) -> Traffic:
    return Traffic(receiver, model, load)
