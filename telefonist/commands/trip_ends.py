"""The two ends of the trip: the service that is asked, and a receiver of our own for its callbacks."""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import aiohttp
from aiohttp import web

from telefonist.errors import ConfigurationError
from telefonist.texts import render
from telefonist.types import Json, Language

ANSWERS_WITHIN = 15.0
"""Seconds for the service to answer a request of ours."""

PATH = "/callback"


def stopped(code: str, language: Language, **values: Any) -> ConfigurationError:
    """Make the error that ends the trip, in the terminal's language."""
    return ConfigurationError(render(code, language, values))


class RunningService:
    """The running service as a client meets it; what it refuses becomes a ConfigurationError that says what to do."""

    def __init__(self, url: str, language: Language) -> None:
        self.url = url
        self._language = language
        self._session = aiohttp.ClientSession(
            headers={"Accept-Language": language},
            timeout=aiohttp.ClientTimeout(total=ANSWERS_WITHIN),
            trust_env=False,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._session.close()

    async def version(self) -> str:
        """Ask who is there; raises ConfigurationError unless it is Telefonist."""
        status, _, answer = await self._ask("GET", "/health")
        if status != 200 or not isinstance(answer, dict) or "version" not in answer:
            raise stopped("trip_not_telefonist", self._language, url=self.url)
        return str(answer["version"])

    async def send(self, request: Json) -> tuple[str, Json]:
        """Send a message; gives the Location of its task and the receipt."""
        status, headers, answer = await self._ask("POST", "/webhook", request)
        if status == 202:
            return headers["Location"], answer
        if status == 429:
            raise stopped("trip_rate_limited", self._language, seconds=headers.get("Retry-After", "60"))
        if status == 401:
            raise stopped("trip_no_strangers", self._language, reason=_detail(answer))
        if _refuses_the_address(answer):
            raise stopped("trip_callbacks_closed", self._language, url=request["callback_url"])
        raise stopped("trip_unexpected", self._language, path="/webhook", status=status, reason=_detail(answer))

    async def task(self, task_id: str) -> Json:
        """Look at a task."""
        path = f"/tasks/{task_id}"
        status, _, answer = await self._ask("GET", path)
        if status != 200:
            raise stopped("trip_unexpected", self._language, path=path, status=status, reason=_detail(answer))
        task: Json = answer
        return task

    async def _ask(self, method: str, path: str, body: Json | None = None) -> tuple[int, Mapping[str, str], Any]:
        try:
            async with self._session.request(method, self.url + path, json=body, allow_redirects=False) as response:
                content = await response.read()
        except aiohttp.ClientConnectorError:
            raise stopped("trip_not_running", self._language, url=self.url) from None
        except (aiohttp.ClientError, TimeoutError) as error:
            reason = str(error) or f"{ANSWERS_WITHIN:.0f} s"
            raise stopped("trip_broken_off", self._language, url=self.url, reason=reason) from None
        try:
            answer = json.loads(content)
        except ValueError:
            answer = content.decode(errors="replace")[:300]
        return response.status, response.headers, answer


@dataclass(frozen=True, slots=True)
class Arrived:
    """A callback as it came in."""

    headers: Mapping[str, str]
    body: bytes
    json: Json

    @property
    def shown_headers(self) -> Mapping[str, str]:
        """Only those that a receiver needs: others may hold a password for its own authentication."""
        shown = ("content-type", "webhook-id", "webhook-timestamp", "webhook-signature", "telefonist-attempt")
        return {name: self.headers[name] for name in shown if name in self.headers}


class TripReceiver:
    """Takes callbacks on a free port of loopback."""

    def __init__(self) -> None:
        self._arrived: asyncio.Queue[Arrived] = asyncio.Queue()
        app = web.Application()
        app.router.add_post(PATH, self._receive)
        self._runner = web.AppRunner(app, access_log=None)
        self.url = ""

    async def __aenter__(self) -> Self:
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}{PATH}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._runner.cleanup()

    async def callback_for(self, task_id: str) -> Arrived:
        """Wait for the callback of a task; others (one sent twice, say) are passed over."""
        while True:
            arrived = await self._arrived.get()
            if arrived.json.get("task_id") == task_id:
                return arrived

    async def _receive(self, request: web.Request) -> web.Response:
        body = await request.read()
        try:
            content = json.loads(body)
        except ValueError:
            return web.Response(status=400)
        if isinstance(content, dict):
            headers = {name.lower(): value for name, value in request.headers.items()}
            self._arrived.put_nowait(Arrived(headers, body, content))
        return web.Response(text="ok")


def _detail(answer: Any) -> str:
    """Read the reason out of an error of the service, whatever its shape."""
    detail = answer.get("detail", answer) if isinstance(answer, dict) else answer
    if isinstance(detail, list) and detail and isinstance(detail[0], dict):
        detail = detail[0].get("msg", detail[0])
    return str(detail).strip().rstrip(".")


def _refuses_the_address(answer: Any) -> bool:
    detail = answer.get("detail") if isinstance(answer, dict) else None
    return isinstance(detail, list) and any(problem.get("type") == "callback_url_address" for problem in detail)
