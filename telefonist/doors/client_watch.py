"""Noticing at once that a client has left, while its request is being worked on."""

import asyncio
from types import TracebackType
from typing import Self

from starlette.requests import ClientDisconnect
from starlette.types import Receive


class ClientWatch:
    """Cancels the task that entered the block as soon as the client closes the connection.

    The block then ends in ``ClientDisconnect``. A cancellation that comes from elsewhere, such as the server's stop,
    stays one. The request's body must have been read.
    """

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._watching: asyncio.Task[None] | None = None
        self._worker: asyncio.Task[object] | None = None
        self._over = False
        self._left = False

    async def __aenter__(self) -> Self:
        self._worker = asyncio.current_task()
        self._watching = asyncio.create_task(self._watch())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over = True
        assert self._watching is not None, "entered"  # noqa: S101
        assert self._worker is not None, "entered"  # noqa: S101
        self._watching.cancel()
        if self._left and self._worker.uncancel() == 0 and kind is asyncio.CancelledError:
            raise ClientDisconnect from None

    async def _watch(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        if not self._over and self._worker is not None:
            self._left = True
            self._worker.cancel()
