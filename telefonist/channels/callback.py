"""Answers on their way to a receiver: one signed POST, guarded, limited and recorded."""

import asyncio
import io
import os
import re
import socket
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import lru_cache
from ssl import SSLContext
from types import TracebackType
from typing import Self
from weakref import WeakValueDictionary

import aiohttp
from yarl import URL

from telefonist import __version__
from telefonist.channels.address_guard import AddressGuard, AddressRefused
from telefonist.channels.callback_reply import READ_PIECE, read_reply, retry_after
from telefonist.channels.callback_url import parse_callback_url
from telefonist.channels.guarded_connector import GuardedResolver, Lookup, guarded_connector, sockets_opened
from telefonist.channels.signing import sign
from telefonist.errors import ConfigurationError, InvalidInput
from telefonist.types import DeliveryAttempt, Outgoing, utc_now

CONNECT_TIMEOUT = 10.0
TOTAL_TIMEOUT = 30.0
PLACES_PER_HOST = 50

_LONGEST_ERROR = 300
_LARGE_BODY = 512 * 1024
_FOUND_CLOSED = 1.0
"""Seconds within which a kept connection that was closed shows it; later, the receiver had begun its work."""

_OURS = re.compile(
    r"webhook-.*|telefonist-.*|content-.*|host|user-agent|accept-encoding|connection|expect|keep-alive|te|trailer"
    r"|transfer-encoding|upgrade",
    re.IGNORECASE,
)
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110, section 5.6.2
_HEADER_VALUE = re.compile(r"[\x21-\x7e]([\x20-\x7e\t]*[\x21-\x7e])?")


Ready = Callable[[], Awaitable[None]]


class CallbackChannel:
    """Sends answers to callback URLs, at most ``places_per_host`` at once to one ``host:port``.

    A receiver that hangs holds only its own places; whoever sends waits for one outside the time limits. ``headers``
    (for the receiver's own authentication) go with every callback and may not replace ours: ConfigurationError.
    Times are seconds: ``connect_timeout`` covers name, TCP and TLS; ``total_timeout`` everything up to the reply's end.
    ``lookup`` stands in for ``socket.getaddrinfo``, ``tls`` for the system's certificate store.
    """

    def __init__(
        self,
        guard: AddressGuard,
        *,
        headers: Mapping[str, str] | None = None,
        connect_timeout: float = CONNECT_TIMEOUT,
        total_timeout: float = TOTAL_TIMEOUT,
        places_per_host: int = PLACES_PER_HOST,
        lookup: Lookup = socket.getaddrinfo,
        tls: SSLContext | None = None,
    ) -> None:
        self._guard = guard
        self._headers = {
            "Content-Type": "application/json",
            "Accept-Encoding": "identity",
            "User-Agent": f"Telefonist/{__version__}",
            **_checked(headers or {}),
        }
        self._timeout = aiohttp.ClientTimeout(total=total_timeout, connect=connect_timeout)
        self._places_per_host = places_per_host
        self._places: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()
        self._resolver = GuardedResolver(guard, lookup)
        self._tls = tls
        self._opened: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connections; nothing can be sent afterwards."""
        if self._opened is not None:
            await self._opened.close()
        await self._resolver.close()

    async def send(
        self, outgoing: Outgoing, secrets: Sequence[bytes | str], attempt: int, ready: Ready | None = None
    ) -> DeliveryAttempt:
        """Make one attempt, numbered from 1, and say how it went.

        ``ready`` is awaited when a place is free and nothing is left to do but to send: the wait may have been long.
        Whatever the receiver does becomes a DeliveryAttempt, whose status alone decides over success: a reply that
        never ends was a success if it began with one. Only cancellation, and secrets that cannot sign, are raised.
        """
        try:
            url, endpoint = _destination(outgoing.callback_url)
        except InvalidInput as error:
            return DeliveryAttempt(utc_now(), 0, None, error=f"invalid callback URL: {error.problems[0].msg}")
        places = self._places.get(endpoint)
        if places is None:
            places = self._places[endpoint] = asyncio.Semaphore(self._places_per_host)
        async with places:
            if ready is not None:
                await ready()
            return await self._attempt(url, outgoing, secrets, attempt)

    async def _attempt(
        self, url: URL, outgoing: Outgoing, secrets: Sequence[bytes | str], attempt: int
    ) -> DeliveryAttempt:
        started_at = utc_now()
        started = time.perf_counter()
        headers = sign(secrets, outgoing.message_id, int(started_at.timestamp()), outgoing.body)
        headers["Telefonist-Attempt"] = str(attempt)
        try:
            response = await self._post(url, outgoing.body, headers)
        except (aiohttp.ClientError, OSError, ValueError) as error:
            return DeliveryAttempt(started_at, _milliseconds_since(started), None, error=_reason(error))
        try:
            text = await read_reply(response)
        finally:
            response.release()
        return DeliveryAttempt(
            started_at,
            _milliseconds_since(started),
            response.status,
            error=_redirection(response),
            response=text,
            retry_after=retry_after(response, utc_now()),
        )

    async def _post(self, url: URL, body: bytes, headers: Mapping[str, str]) -> aiohttp.ClientResponse:
        """Post, and once more when a kept connection turns out to have been closed meanwhile.

        That is no failure of the receiver; if it did get the message, it knows the repetition by its ``webhook-id``.
        """
        started = time.perf_counter()
        while True:
            opened: list[object] = []
            sockets_opened.set(opened)
            data = body if len(body) < _LARGE_BODY else io.BytesIO(body)
            try:
                return await self._session().post(url, data=data, headers=headers, allow_redirects=False)
            except aiohttp.ClientConnectorError:
                raise
            except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError, aiohttp.ClientConnectionResetError):
                if opened or time.perf_counter() - started > _FOUND_CLOSED:
                    raise

    def _session(self) -> aiohttp.ClientSession:
        if self._opened is None:
            self._opened = aiohttp.ClientSession(
                connector=guarded_connector(self._guard, self._resolver, self._tls),
                headers=self._headers,
                timeout=self._timeout,
                cookie_jar=aiohttp.DummyCookieJar(),
                trust_env=False,
                auto_decompress=False,
                read_bufsize=READ_PIECE,
            )
        return self._opened


@lru_cache(maxsize=4096)
def _destination(callback_url: str) -> tuple[URL, str]:
    parsed = parse_callback_url(callback_url)
    return URL(parsed.url, encoded=True), parsed.endpoint


def _checked(headers: Mapping[str, str]) -> Mapping[str, str]:
    for name, value in headers.items():
        if not _HEADER_NAME.fullmatch(name) or not _HEADER_VALUE.fullmatch(value):
            raise ConfigurationError(f"The callback header {name!r} has a name or a value that HTTP does not allow.")
        if _OURS.fullmatch(name):
            raise ConfigurationError(f"The callback header {name!r} is set by Telefonist itself: remove it.")
    return headers


def _milliseconds_since(started: float) -> int:
    return round((time.perf_counter() - started) * 1000)


def _redirection(response: aiohttp.ClientResponse) -> str | None:
    location = response.headers.get("Location")
    if not 300 <= response.status < 400 or location is None:
        return None
    return f"redirect to {_short(location.partition('?')[0])} is not followed"


def _reason(error: Exception) -> str:
    """Say in stable words why no answer came; never with the URL's path or query, which may hold a token."""
    match error:
        case aiohttp.ConnectionTimeoutError():
            return "connect timeout"
        case TimeoutError():
            return "response timeout"
        case aiohttp.ClientConnectorCertificateError(certificate_error=cause):
            return f"tls: certificate verify failed: {_short(getattr(cause, 'verify_message', str(cause)))}"
        case aiohttp.ClientConnectorSSLError(os_error=cause):
            return f"tls: {_short(getattr(cause, 'reason', None) or str(cause))}"
        case aiohttp.ClientConnectorError(os_error=AddressRefused() as refused):
            return f"address refused: {refused}"
        case aiohttp.ClientConnectorDNSError():
            return f"name not resolved: {error.host}"
        case aiohttp.ClientConnectorError(os_error=cause):
            return f"connect failed: {_system_words(cause)}"
        case aiohttp.ServerDisconnectedError():
            return "connection closed without an answer"
        case aiohttp.ClientResponseError():
            return f"not an HTTP answer: {_short(error.message)}"
        case OSError():
            return f"connection lost: {_system_words(error)}"
        case _:
            return f"not sent: {type(error).__name__}"


def _system_words(error: OSError) -> str:
    return os.strerror(error.errno).lower() if error.errno else _short(str(error))


def _short(text: str) -> str:
    line = text.strip().partition("\n")[0].rstrip(":")[:_LONGEST_ERROR]
    return "".join(character if character.isprintable() else "\ufffd" for character in line)
