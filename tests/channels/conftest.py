from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest

from telefonist.channels.address_guard import AddressGuard
from telefonist.channels.callback import CallbackChannel
from tests.fakes.receiver import Receiver

OpenChannel = Callable[..., CallbackChannel]


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with Receiver() as receiver:
        yield receiver


@pytest.fixture
async def open_channel() -> AsyncIterator[OpenChannel]:
    """Make channels that may reach loopback, unless told otherwise, and close them after the test."""
    async with AsyncExitStack() as stack:
        opened: list[CallbackChannel] = []

        def open_one(guard: AddressGuard | None = None, **options: Any) -> CallbackChannel:
            opened.append(CallbackChannel(guard or AddressGuard(allow_loopback=True), **options))
            stack.push_async_callback(opened[-1].aclose)
            return opened[-1]

        yield open_one


@pytest.fixture
async def channel(open_channel: OpenChannel) -> CallbackChannel:
    return open_channel()
