"""Routes on the hot path: the framework documents them, and does not stand in their way.

Routing, dependency injection and exception middleware cost more than taking a message does; what they would do for
these routes is done here in a few lines.
"""

from collections.abc import Awaitable, Callable, Mapping

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from telefonist.doors.errors import error_response
from telefonist.errors import TelefonistError

Endpoint = Callable[[Request], Awaitable[Response]]


class ThinRoutes:
    """Answers exact pairs of method and path itself and leaves everything else to ``app``."""

    def __init__(self, app: ASGIApp, routes: Mapping[tuple[str, str], Endpoint]) -> None:
        self._app = app
        self._routes = routes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        endpoint = self._routes.get((scope["method"], scope["path"])) if scope["type"] == "http" else None
        if endpoint is None:
            await self._app(scope, receive, send)
            return
        request = Request(scope, receive)
        try:
            response = await endpoint(request)
        except TelefonistError as error:
            if error.status == 500:
                raise
            response = error_response(error, request)
        await response(scope, receive, send)
