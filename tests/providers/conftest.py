"""What the provider tests share: a fake upstream, and providers that are configured for it."""

from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Any

import pytest

from telefonist.memory.local import LocalTokens
from telefonist.memory.local_quotas import LocalSlots
from telefonist.providers.anthropic import Anthropic
from telefonist.providers.base import Provider, Slots, Tokens
from telefonist.providers.gigachat import GigaChat
from telefonist.providers.registry import build_provider, new_session
from telefonist.types import ProviderConfig
from tests.fakes.anthropic import FakeAnthropic
from tests.fakes.gigachat import FakeGigaChat
from tests.fakes.openai_upstream import FakeOpenAI
from tests.fakes.private_ca import PrivateCA

MakeProvider = Callable[..., Provider]


@pytest.fixture(scope="session")
def private_ca(tmp_path_factory: pytest.TempPathFactory) -> PrivateCA:
    """Give a certificate authority that nobody trusts by default."""
    return PrivateCA(tmp_path_factory.mktemp("ca"))


@pytest.fixture
async def upstream() -> AsyncIterator[FakeOpenAI]:
    async with FakeOpenAI() as upstream:
        yield upstream


@pytest.fixture
async def make_provider(upstream: FakeOpenAI) -> AsyncIterator[MakeProvider]:
    """Make providers of the fake upstream; keyword arguments change their row."""
    tokens, slots = LocalTokens(), LocalSlots()
    async with new_session() as session:

        def make(**changes: Any) -> Provider:
            row = ProviderConfig("fake", "openai", base_url=upstream.base_url, api_key=upstream.api_key)
            return build_provider(replace(row, **changes), session, tokens, slots)

        yield make


@pytest.fixture
def provider(make_provider: MakeProvider) -> Provider:
    return make_provider()


MakeGigaChat = Callable[..., GigaChat]


@pytest.fixture
async def gigachat(private_ca: PrivateCA) -> AsyncIterator[FakeGigaChat]:
    async with FakeGigaChat(private_ca.server) as gigachat:
        yield gigachat


@pytest.fixture
async def make_gigachat(gigachat: FakeGigaChat, private_ca: PrivateCA) -> AsyncIterator[MakeGigaChat]:
    """Make providers of the fake GigaChat, one process each; keyword arguments change their row."""
    async with new_session() as session:

        def make(tokens: Tokens | None = None, slots: Slots | None = None, **changes: Any) -> GigaChat:
            row = gigachat.config(private_ca.bundle, **changes)
            return GigaChat(row, session, tokens or LocalTokens(), LocalSlots() if slots is None else slots)

        yield make


@pytest.fixture
def giga(make_gigachat: MakeGigaChat) -> GigaChat:
    return make_gigachat()


MakeClaude = Callable[..., Anthropic]


@pytest.fixture
async def anthropic() -> AsyncIterator[FakeAnthropic]:
    async with FakeAnthropic() as anthropic:
        yield anthropic


@pytest.fixture
async def make_claude(anthropic: FakeAnthropic) -> AsyncIterator[MakeClaude]:
    """Make providers of the fake Anthropic; keyword arguments change their row."""
    async with new_session() as session:

        def make(**changes: Any) -> Anthropic:
            return Anthropic(replace(anthropic.config, **changes), session)

        yield make


@pytest.fixture
def claude(make_claude: MakeClaude) -> Anthropic:
    return make_claude()
