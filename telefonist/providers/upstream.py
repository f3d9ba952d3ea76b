"""The HTTP side of every wire protocol: one request, its time limits, its refusals, its bounded answer."""

import asyncio
import io
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext

import aiohttp
from yarl import URL

from telefonist.errors import (
    ConfigurationError,
    ProviderError,
    ProviderProtocolError,
    ProviderTimeout,
    ProviderUnreachable,
    ProviderUntrusted,
)
from telefonist.providers.failures import from_response
from telefonist.providers.patience import Patience
from telefonist.providers.redaction import reason_from
from telefonist.types import ProviderConfig

MAX_ANSWER_BYTES = 16 * 1024 * 1024
"""A plain answer past this, decompressed, is refused: the longest real ones are well under 1 MB."""

MAX_STREAM_BYTES = 64 * 1024 * 1024
"""The same for a stream, where each token comes wrapped in some 250 bytes: room for 200,000 tokens and more."""

MAX_EMBEDDINGS_BYTES = 64 * 1024 * 1024
"""The same for vectors: 2048 of them, OpenAI's limit, of 1536 numbers each, written out."""

MAX_ERROR_BYTES = 64 * 1024
"""What is read of a refusal; the rest would not fit into its reason anyway."""

_LARGE_BODY = 1024 * 1024
"""From this size aiohttp wants a file to send from, to let other tasks run in between."""

_DRAIN_SECONDS = 0.1
"""How long the end of an answer may lag behind its last event before the connection is given up."""


class Answer:
    """An accepted answer (status 200), read piece by piece under the limits of its request."""

    def __init__(self, response: aiohttp.ClientResponse, config: ProviderConfig, deadline: float) -> None:
        self._response = response
        self._content = response.content
        self._patience = Patience(response.content, config.chunk_timeout)
        self._config = config
        self._deadline = deadline
        self._size = 0
        self._now = asyncio.get_running_loop().time

    @property
    def content_type(self) -> str:
        """The media type, lower-case and without parameters; ``application/octet-stream`` where none was sent."""
        return self._response.content_type

    @property
    def is_json(self) -> bool:
        return self.content_type == "application/json" or self.content_type.endswith("+json")

    async def read(self, most: int) -> bytes:
        """Give what has arrived, waiting for something if nothing has; empty at the end.

        Raises ProviderTimeout when the upstream is silent for too long or the whole answer takes too long, and
        ProviderProtocolError when the connection breaks (a cut answer must not look complete), or once more than
        ``most`` bytes have come in all, counted after decompression.
        """
        now = self._now()
        limit = now + self._config.chunk_timeout
        try:
            if now >= self._deadline:
                raise TimeoutError
            piece = await self._patience.read(min(limit, self._deadline))
        except TimeoutError:
            raise timed_out(self._config, "chunk", limit, self._deadline) from None
        except (aiohttp.ClientError, OSError):
            raise ProviderProtocolError(self._config.name, reason="the connection broke in the middle") from None
        self._size += len(piece)
        if self._size > most:
            raise ProviderProtocolError(self._config.name, reason=f"an answer of more than {most} bytes")
        return piece

    async def read_all(self, most: int = MAX_ANSWER_BYTES) -> bytes:
        """Give the whole body; raises what ``read`` raises."""
        pieces: list[bytes] = []
        while piece := await self.read(most):
            pieces.append(piece)
        return b"".join(pieces)

    async def drain(self) -> None:
        """Wait briefly for the end of an answer whose last event was read, so that its connection can be used again."""
        try:
            async with asyncio.timeout(_DRAIN_SECONDS):
                while await self._content.readany():
                    pass
        except (TimeoutError, aiohttp.ClientError, OSError):
            self._response.close()  # nothing of the answer is lost: only the connection is not used again

    def close(self) -> None:
        """Close the connection, unless the answer has come to its end."""
        self._patience.stop()
        self._response.close()


class Upstream:
    """Sends requests of one provider over the process's shared connections.

    What comes compressed, although nobody asks for that, is read under the same limits.

    Raises ConfigurationError for a CA bundle that cannot be read.
    """

    def __init__(self, config: ProviderConfig, session: aiohttp.ClientSession) -> None:
        self._config = config
        self._session = session
        self._timeout = aiohttp.ClientTimeout(total=None, connect=config.connect_timeout)
        self._tls = _tls(config)
        self._places = asyncio.Semaphore(config.max_concurrency) if config.max_concurrency > 0 else None
        in_address = URL(config.chat_url).query.values()
        self.secrets: tuple[str, ...] = (config.api_key, *config.headers.values(), *in_address)
        """What must not appear in any text, in addition to whatever looks like a key."""

    @asynccontextmanager
    async def post(self, url: URL, body: bytes, headers: Mapping[str, str]) -> AsyncIterator[Answer]:
        """Wait for a place, send one request and give its answer once the upstream has accepted it.

        Raises what ``place`` and ``send`` raise.
        """
        async with self.place() as deadline:
            answer = await self._accepted(url, body, headers, deadline)
            try:
                yield answer
            finally:
                answer.close()

    def place(self) -> AbstractAsyncContextManager[float]:
        """Wait for one of ``max_concurrency`` places; gives the moment (the loop's time) when all must be over.

        Waiting counts towards the total time: raises ProviderTimeout past it.
        """
        deadline = asyncio.get_running_loop().time() + self._config.total_timeout
        return nullcontext(deadline) if self._places is None else self._in_turn(self._places, deadline)

    @asynccontextmanager
    async def _in_turn(self, places: asyncio.Semaphore, deadline: float) -> AsyncIterator[float]:
        try:
            async with asyncio.timeout_at(deadline):
                await places.acquire()
        except TimeoutError:
            raise timed_out(self._config, "total", deadline, deadline) from None
        try:
            yield deadline
        finally:
            places.release()

    @asynccontextmanager
    async def send(self, url: URL, body: bytes, headers: Mapping[str, str], deadline: float) -> AsyncIterator[Answer]:
        """Send one request and give its answer once the upstream has accepted it.

        Leaving the block early, cancellation included, closes the connection at once; after the end of the answer it
        is kept for the next request.

        Raises ProviderUnreachable without a connection, ProviderUntrusted for a certificate that does not verify,
        ProviderTimeout past a limit, and for a refusal the error of its status (``failures.from_response``).
        """
        answer = await self._accepted(url, body, headers, deadline)
        try:
            yield answer
        finally:
            answer.close()

    async def _accepted(self, url: URL, body: bytes, headers: Mapping[str, str], deadline: float) -> Answer:
        response = await self._headers(url, body, headers, deadline)
        answer = Answer(response, self._config, deadline)
        if response.status == 200:
            return answer
        try:
            raise await self._refusal(response, answer)
        finally:
            answer.close()

    async def _headers(
        self, url: URL, body: bytes, headers: Mapping[str, str], deadline: float
    ) -> aiohttp.ClientResponse:
        name = self._config.name
        limit = asyncio.get_running_loop().time() + self._config.header_timeout
        try:
            async with asyncio.timeout_at(min(limit, deadline)):
                return await self._session.post(
                    url,
                    data=body if len(body) <= _LARGE_BODY else io.BytesIO(body),
                    headers=headers,
                    allow_redirects=False,
                    timeout=self._timeout,
                    ssl=self._tls,
                )
        except aiohttp.ConnectionTimeoutError:
            reason = f"no connection within {self._config.connect_timeout:g} s"
            raise ProviderUnreachable(name, reason=reason) from None
        except TimeoutError:
            raise timed_out(self._config, "headers", limit, deadline) from None
        except aiohttp.ClientResponseError as error:
            reason = reason_from(f"not HTTP: {error.message}", self.secrets)
            raise ProviderProtocolError(name, reason=reason) from None
        except aiohttp.ServerDisconnectedError:
            raise ProviderUnreachable(name, reason="the connection was closed before an answer") from None
        except aiohttp.ClientConnectorCertificateError as error:
            raise ProviderUntrusted(name, reason=reason_from(str(error), self.secrets)) from None
        except (aiohttp.ClientError, OSError) as error:
            raise ProviderUnreachable(name, reason=reason_from(str(error), self.secrets)) from None

    async def _refusal(self, response: aiohttp.ClientResponse, answer: Answer) -> ProviderError:
        body = b""
        try:
            while len(body) < MAX_ERROR_BYTES and (piece := await answer.read(MAX_ANSWER_BYTES)):
                body += piece
        except ProviderError:
            pass  # the status has said the essential; its explanation did not arrive whole
        return from_response(self._config.name, response.status, response.headers, body, self.secrets)


def timed_out(config: ProviderConfig, phase: str, limit: float, deadline: float) -> ProviderTimeout:
    """Give the error for whichever of two moments came first: the phase's own ``limit`` or the ``deadline`` of all."""
    if deadline <= limit:
        phase, seconds = "total", config.total_timeout
    else:
        seconds = config.header_timeout if phase == "headers" else config.chunk_timeout
    return ProviderTimeout(config.name, phase=phase, seconds=int(seconds) if int(seconds) == seconds else seconds)


def _tls(config: ProviderConfig) -> ssl.SSLContext | bool:
    if not config.ca_bundle:
        return True
    try:
        return ssl.create_default_context(cafile=config.ca_bundle)
    except OSError as error:
        where = "ca_bundle or GIGACHAT_CA_BUNDLE" if config.kind == "gigachat" else "ca_bundle"
        raise ConfigurationError(
            f"providers.{config.name}.ca_bundle: {config.ca_bundle!r} cannot be read ({error}). "
            f"Give the path of a PEM file with the certificates to trust in {where}."
        ) from error
