"""The token that GigaChat wants to see with every request: where it comes from, and when it is asked for."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any
from urllib.parse import urlencode
from uuid import uuid4

import aiohttp
import orjson

from telefonist.errors import (
    ConfigurationError,
    ProviderCredentialsRefused,
    ProviderError,
    ProviderProtocolError,
    ProviderRejectedRequest,
)
from telefonist.providers.base import Tokens
from telefonist.providers.endpoints import checked_address, checked_headers
from telefonist.providers.upstream import Upstream
from telefonist.types import ProviderConfig, Token

ASKING_SECONDS = 10.0
"""How long the token host gets to answer; other processes wait for this one meanwhile."""

PAUSE = 1.0
"""Seconds between two requests for a token, whatever happens: the host takes ten a second, from all of us together."""

LONGEST_PAUSE = 60.0
"""Seconds; a Retry-After of the token host beyond this is not believed."""

SETTLED = 10.0
"""Seconds after which a refused token is worth another one again, where the last exchange did not help."""

_MILLISECONDS_FROM = 100_000_000_000
"""A moment past this many seconds (year 5138) is meant in milliseconds: the vendor documents both."""


class Access:
    """Shows one credential to the token host, and keeps what it gets where all processes find it.

    However many need a token, one asks, and never more than once a ``PAUSE``: a host that refuses us, hands out tokens
    that have expired already, or an API that believes none of them cannot make a storm of it. The host's 429 is kept to
    for as long as it says.

    Source: GigaChat API reference, "POST /api/v2/oauth".
    """

    def __init__(self, config: ProviderConfig, session: aiohttp.ClientSession, tokens: Tokens) -> None:
        if not config.api_key:
            raise ConfigurationError(
                f"providers.{config.name}.api_key: missing. Give the authorization key of the GigaChat project."
            )
        self._provider = config.name
        self._url = checked_address(config, "auth_url", config.auth_url)
        self._body = urlencode({"scope": config.scope}).encode()
        plain = replace(config, headers={})
        self._headers = checked_headers(plain, f"Basic {config.api_key}", "application/x-www-form-urlencoded")
        self._upstream = Upstream(_in_a_hurry(plain), session)
        self._tokens = tokens
        self.credential = f"gigachat:{_digest(config.auth_url, config.scope, config.api_key)}"
        """Names the credential and holds nothing of it; the same for every row and process that has the same one."""
        self._failure: ProviderError | None = None
        self._next_request = 0.0
        self._known = ""
        self._given_up = ""
        self._next_exchange = 0.0

    async def token(self) -> str:
        """Give a token that lives for a while; raises a ProviderError where there is none to be had."""
        self._known = (await self._tokens.token(self.credential, self._fetch)).value
        return self._known

    async def instead_of(self, refused: str) -> str | None:
        """Give another token than the one that was refused; None where the last exchange did not help either.

        Everybody whose request was refused with the same token gets the same one in its place.
        """
        if refused not in (self._known, self._given_up):
            return await self.token()
        now = asyncio.get_running_loop().time()
        if refused != self._given_up:
            if now < self._next_exchange:
                return None
            self._given_up = refused
            self._next_exchange = now + SETTLED
        await self._tokens.invalidate(self.credential, refused)
        return await self.token()

    def accepted(self) -> None:
        """Take note that a token was good."""
        self._next_exchange = 0.0

    async def _fetch(self) -> Token:
        clock = asyncio.get_running_loop().time
        wait = self._next_request - clock()
        if self._failure is not None and wait > 0:
            raise _again(self._failure, wait)
        if wait > 0:
            await asyncio.sleep(wait)
        self._failure, pause = None, PAUSE
        try:
            return await self._ask()
        except ProviderError as failure:
            self._failure = failure
            pause = min(max(PAUSE, failure.retry_after or 0.0), LONGEST_PAUSE)
            raise
        finally:
            self._next_request = clock() + pause

    async def _ask(self) -> Token:
        headers = {**self._headers, "RqUID": str(uuid4()), "Accept": "application/json"}
        try:
            async with self._upstream.post(self._url, self._body, headers) as answer:
                body = await answer.read_all()
        except ProviderRejectedRequest as refused:
            # It holds nothing of our caller's: what is wrong is the credential, its scope or the address.
            values: Mapping[str, Any] = refused.values
            raise ProviderCredentialsRefused(self._provider, status=values["status"], reason=values["reason"]) from None
        return self._read(body)

    def _read(self, body: bytes) -> Token:
        try:
            decoded = orjson.loads(body)
        except orjson.JSONDecodeError:
            decoded = None
        if not isinstance(decoded, dict):
            raise ProviderProtocolError(self._provider, reason="the token host did not answer with a JSON object")
        value, moment = decoded.get("access_token"), decoded.get("expires_at")
        if not isinstance(value, str) or not value.isascii() or not value.isprintable() or not value:
            raise ProviderProtocolError(self._provider, reason="the token host's answer has no access_token")
        if not isinstance(moment, int | float) or not 0 < moment < _MILLISECONDS_FROM * 1000:
            raise ProviderProtocolError(self._provider, reason="the token host's answer has no expires_at")
        seconds = moment / 1000 if moment >= _MILLISECONDS_FROM else moment
        return Token(value, datetime.fromtimestamp(seconds, UTC))


def _in_a_hurry(config: ProviderConfig) -> ProviderConfig:
    """Wait no longer than ``ASKING_SECONDS``, and never for a place: the request that needs the token holds it."""
    return replace(
        config,
        max_concurrency=0,
        connect_timeout=min(config.connect_timeout, ASKING_SECONDS),
        header_timeout=min(config.header_timeout, ASKING_SECONDS),
        chunk_timeout=min(config.chunk_timeout, ASKING_SECONDS),
        total_timeout=min(config.total_timeout, ASKING_SECONDS),
    )


def _digest(*parts: str) -> str:
    return sha256("\n".join(parts).encode()).hexdigest()[:32]


def _again(failure: ProviderError, wait: float) -> ProviderError:
    """Give the failure once more, for whoever comes before the host may be asked again."""
    return type(failure)(retry_after=None if failure.retry_after is None else wait, **failure.values)
