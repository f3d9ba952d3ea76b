"""Providers from their rows: which class speaks which wire protocol, and the connections they share."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from types import TracebackType
from typing import Self

import aiohttp

from telefonist.errors import ConfigurationError
from telefonist.providers.anthropic import Anthropic
from telefonist.providers.base import Provider, Slots, Tokens
from telefonist.providers.demo import DemoProvider
from telefonist.providers.gigachat import GigaChat
from telefonist.providers.openai_compatible import OpenAICompatible
from telefonist.types import ProviderConfig

_KEEP_ALIVE_SECONDS = 60.0
"""How long an idle connection is kept: a new TLS handshake costs more than the socket."""

KINDS: Mapping[str, Callable[[ProviderConfig, aiohttp.ClientSession, Tokens, Slots], Provider]] = {
    "openai": lambda config, session, _tokens, _slots: OpenAICompatible(config, session),
    "gigachat": GigaChat,
    "anthropic": lambda config, session, _tokens, _slots: Anthropic(config, session),
    "demo": lambda config, _session, _tokens, _slots: DemoProvider(config),
}
"""The wire protocols that are spoken, by the ``kind`` of a provider's row."""


def build_provider(config: ProviderConfig, session: aiohttp.ClientSession, tokens: Tokens, slots: Slots) -> Provider:
    """Make the provider of a row; raises ConfigurationError for a value that cannot be used."""
    return KINDS[config.kind](config, session, tokens, slots)


class Providers(Mapping[str, Provider]):
    """Every configured provider by name, over one pool of connections; made by ``open``.

    One object for each row and process: ``max_concurrency`` is counted in it, and by GigaChat in ``slots`` as well.
    """

    def __init__(self, by_name: Mapping[str, Provider], session: aiohttp.ClientSession) -> None:
        self._by_name = by_name
        self._session = session

    @classmethod
    async def open(cls, configs: Iterable[ProviderConfig], tokens: Tokens, slots: Slots) -> Self:
        """Build all providers, which keep what they must show upstream in ``tokens`` and count together in ``slots``.

        Raises ConfigurationError for two of one name or what ``build_provider`` refuses.
        """
        session = new_session()
        by_name: dict[str, Provider] = {}
        try:
            for config in configs:
                if config.name in by_name:
                    raise ConfigurationError(f"providers: two are named {config.name!r}. Give each its own name.")
                by_name[config.name] = build_provider(config, session, tokens, slots)
        except BaseException:
            await session.close()
            raise
        return cls(by_name, session)

    def __getitem__(self, name: str) -> Provider:
        return self._by_name[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._by_name)

    def __len__(self) -> int:
        return len(self._by_name)

    async def aclose(self) -> None:
        """Close every provider and the connections."""
        try:
            for provider in self._by_name.values():
                await provider.aclose()
        finally:
            await self._session.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()


def new_session() -> aiohttp.ClientSession:
    """Open the process's pool of connections to upstreams; it must be made inside the running event loop.

    No limit of its own (limits are per credential, ``max_concurrency``), no proxy or password from the environment, no
    cookies: what one request leaves behind must not reach another.
    """
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=_KEEP_ALIVE_SECONDS),
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=None),
        trust_env=False,
    )
