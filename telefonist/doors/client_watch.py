"""Noticing at once that a client has left, while its request is being worked on."""

import asyncio
from types import TracebackType
from typing import Self

from starlette.requests import ClientDisconnect
from starlette.types import Message, Receive, Send

from telefonist.logs import get_logger

log = get_logger(__name__)

STALLED = 60.0
"""Seconds for which a client may take nothing of what is sent to it; nginx waits as long (``send_timeout``)."""


class ClientWatch:
    """Cancels the task that entered the block as soon as the client closes the connection.

    The block then ends in ``ClientDisconnect``. A cancellation that comes from elsewhere, such as the server's stop,
    stays one. The request's body must have been read.

    A client that stops reading without leaving would keep what is held for it for ever: whoever sends by ``send`` has
    it count as gone after ``STALLED`` seconds.
    """

    def __init__(self, receive: Receive, send: Send | None = None) -> None:
        self._receive = receive
        self._send = send
        self._watching: asyncio.Task[None] | None = None
        self._worker: asyncio.Task[object] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._sending = False
        self._sent = 0
        self._over = False
        self.client_left = False
        """Whether that is why the block is cancelled."""

    async def send(self, message: Message) -> None:
        """Send a part of the answer, waiting for a client that reads more slowly than we write."""
        assert self._send is not None, "made with a way to send"  # noqa: S101
        self._sending = True
        await self._send(message)
        self._sending = False
        self._sent += 1

    async def __aenter__(self) -> Self:
        self._worker = asyncio.current_task()
        self._watching = asyncio.create_task(self._watch())
        if self._send is not None:
            self._look_again()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over = True
        watching, worker = self._watching, self._worker
        assert watching is not None, "entered"  # noqa: S101
        assert worker is not None, "entered"  # noqa: S101
        self._watching = self._worker = None  # or task, cancellation and watch keep each other for the collector
        watching.cancel()
        if self._timer is not None:
            self._timer.cancel()
        if self.client_left and worker.uncancel() == 0 and kind is asyncio.CancelledError:
            raise ClientDisconnect from None

    async def _watch(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self._leave()

    def _look_again(self) -> None:
        stuck_at = self._sent if self._sending else None
        self._timer = asyncio.get_running_loop().call_later(STALLED, self._look, stuck_at)

    def _look(self, stuck_at: int | None) -> None:
        """Compare with the last look: a client is stalled that has been sent the same part all the while."""
        if self._sending and self._sent == stuck_at:
            log.warning("client_stalled", seconds=STALLED)
            self._leave()
        else:
            self._look_again()

    def _leave(self) -> None:
        if self._over or self.client_left or self._worker is None:
            return
        self.client_left = True
        self._worker.cancel()
