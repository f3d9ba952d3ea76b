"""What every HTTP request passes first: its id, its body within limits, the headers of safety, the access log.

Plain ASGI, because it stands on the hot path. The body is read here, whole, before the application is called: a route
never waits for a slow client, and a client that leaves half-way is not an error of the application. ``request.state``
carries ``request_id`` and ``body`` from here on.
"""

import asyncio
import contextlib
import re
import time
from collections.abc import Mapping

import structlog
from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from telefonist.doors.errors import error_response
from telefonist.errors import BodyTimeout, PayloadTooLarge, TelefonistError, Unavailable
from telefonist.logs import get_logger
from telefonist.types import new_id

log = get_logger(__name__)

DEFAULT_HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"cache-control", b"no-store"),
)
"""Headers of every answer that does not set them itself (OWASP REST Security Cheat Sheet)."""

CLIENT_LEFT = 499
"""The status in the log for a client that closed the connection before it was answered, as nginx writes it."""

LINGER_SECONDS = 2.0
"""How long the rest of a refused body is read: closing at once would reset the connection and lose our answer."""

SHUTDOWN_SECONDS = 5
"""What a client is told to wait whose request did not end before we did."""

_REQUEST_ID = re.compile(rb"[A-Za-z0-9._:+/=-]{1,128}")


class RequestMiddleware:
    """Wrap an ASGI application; limits are in bytes, ``body_timeout`` in seconds for the whole body.

    ``larger`` are other limits, by the beginning of the path.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        body_limit: int,
        larger: Mapping[str, int] | None = None,
        body_timeout: float = 30.0,
    ) -> None:
        self._app = app
        self._body_limit = body_limit
        self._larger = larger or {}
        self._body_timeout = body_timeout

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        request = _IncomingRequest(scope)
        answer = _Answer(send, request.id)
        scope.setdefault("state", {}).update(request_id=request.id, body=b"")
        structlog.contextvars.clear_contextvars()  # a connection's requests may share one context
        structlog.contextvars.bind_contextvars(request_id=request.id)
        try:
            await self._serve(request, scope, receive, answer.send)
        except ClientDisconnect:
            pass  # the access log says so
        except asyncio.CancelledError:
            if answer.status is not None:
                raise
            error = Unavailable("shutting_down", seconds=SHUTDOWN_SECONDS)  # the server's grace is over
            await error_response(error, Request(scope))(scope, receive, answer.send)
        except Exception:
            log.exception("request_failed")
            if answer.status is None:
                await error_response(TelefonistError(), Request(scope))(scope, receive, answer.send)
        finally:
            log.info(
                "request",
                method=scope["method"],
                path=scope["raw_path"][:300].decode("latin-1"),
                status=answer.status or CLIENT_LEFT,
                ms=round((time.perf_counter() - started) * 1000, 1),
            )

    async def _serve(self, request: "_IncomingRequest", scope: Scope, receive: Receive, send: Send) -> None:
        if request.has_body:
            try:
                body = await self._read_body(request, receive, self._limit(scope["path"]))
            except (PayloadTooLarge, BodyTimeout) as error:
                await _refuse(error, scope, receive, send)
                return
            scope["state"]["body"] = body
            receive = _replay(body, receive)
        await self._app(scope, receive, send)

    def _limit(self, path: str) -> int:
        return next((limit for start, limit in self._larger.items() if path.startswith(start)), self._body_limit)

    async def _read_body(self, request: "_IncomingRequest", receive: Receive, limit: int) -> bytes:
        if request.declared_length > limit:
            raise PayloadTooLarge(limit=limit)
        body = bytearray()
        try:
            async with asyncio.timeout(self._body_timeout):
                while True:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise ClientDisconnect
                    body += message.get("body", b"")
                    if len(body) > limit:
                        raise PayloadTooLarge(limit=limit)
                    if not message.get("more_body", False):
                        return bytes(body)
        except TimeoutError:
            raise BodyTimeout(seconds=f"{self._body_timeout:g}") from None


class _IncomingRequest:
    """What the middleware reads from the headers, in one pass."""

    __slots__ = ("declared_length", "has_body", "id")

    def __init__(self, scope: Scope) -> None:
        self.id = ""
        self.has_body = False
        self.declared_length = 0
        for name, value in scope["headers"]:
            if name == b"content-length":
                self.has_body = value != b"0"
                self.declared_length = int(value)
            elif name == b"transfer-encoding":
                self.has_body = True
            elif name == b"x-request-id" and _REQUEST_ID.fullmatch(value):
                self.id = value.decode()
        self.id = self.id or str(new_id())


class _Answer:
    """Sends the answer on with our headers, and remembers its status."""

    __slots__ = ("_request_id", "_send", "status")

    def __init__(self, send: Send, request_id: str) -> None:
        self._send = send
        self._request_id = request_id
        self.status: int | None = None

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = [(b"x-request-id", self._request_id.encode()), *message.get("headers", ())]
            present = {name for name, _ in headers}
            headers += [header for header in DEFAULT_HEADERS if header[0] not in present]
            message = {**message, "headers": headers}
        await self._send(message)


def _replay(body: bytes, receive: Receive) -> Receive:
    messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replayed() -> Message:
        return messages.pop() if messages else await receive()

    return replayed


async def _refuse(error: TelefonistError, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer before the body is over, and close the connection in a way that lets the client read the answer."""
    response = error_response(error, Request(scope))
    headers = [*response.raw_headers, (b"connection", b"close")]
    await send({"type": "http.response.start", "status": response.status_code, "headers": headers})
    await send({"type": "http.response.body", "body": response.body, "more_body": True})
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(LINGER_SECONDS):
            while (await receive()).get("more_body", False):
                continue
    await send({"type": "http.response.body", "body": b"", "more_body": False})
