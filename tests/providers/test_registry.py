"""Rows become providers, which share connections and are closed together."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from telefonist.errors import ConfigurationError, ProviderUntrusted
from telefonist.memory.local import LocalTokens
from telefonist.memory.local_quotas import LocalSlots
from telefonist.providers.registry import Providers
from telefonist.types import ChatRequest, ProviderConfig
from tests.fakes.openai_upstream import FakeOpenAI
from tests.fakes.private_ca import PrivateCA
from tests.providers.asking import ask
from tests.providers.conftest import MakeProvider

DEMO = ProviderConfig("demo", "demo")
OPENAI = ProviderConfig("openai", "openai", base_url="http://127.0.0.1:1/v1")


async def test_providers_are_found_by_name() -> None:
    async with await Providers.open([DEMO, OPENAI], LocalTokens(), LocalSlots()) as providers:
        assert list(providers) == ["demo", "openai"]
        assert len(providers) == 2
        assert providers["openai"].name == "openai"
        assert "nobody" not in providers
        answer = await providers["demo"].complete(ChatRequest("demo", [{"role": "user", "content": "Привет"}]))
    assert answer.text


async def test_providers_of_one_upstream_share_connections(upstream: FakeOpenAI) -> None:
    row = replace(OPENAI, base_url=upstream.base_url, api_key=upstream.api_key)
    async with await Providers.open([row, replace(row, name="second")], LocalTokens(), LocalSlots()) as providers:
        await providers["openai"].complete(ask())
        await providers["second"].complete(ask())
        assert upstream.connections == 1
    async with asyncio.timeout(2):
        while upstream.open_connections:  # noqa: ASYNC110  the server's own count
            await asyncio.sleep(0.002)


async def test_two_rows_of_one_name_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="two are named 'demo'"):
        await Providers.open([DEMO, DEMO], LocalTokens(), LocalSlots())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"base_url": ""}, r"providers\.fake\.base_url: not an http\(s\) address"),
        ({"base_url": "api.openai.com/v1"}, r"providers\.fake\.base_url: not an http\(s\) address"),
        ({"base_url": "ftp://example.com"}, "not an http"),
        ({"base_url": "http://[::1/v1"}, "not an http"),
        ({"chat_url": "https:///chat"}, r"providers\.fake\.chat_url: not an http\(s\) address"),
        ({"chat_url": "https://me:hidden@example.com/chat"}, "a user name or password"),
        ({"api_key": "hidden\n"}, r"providers\.fake\.api_key: holds a line break"),
        ({"headers": {"X-Title": "hidden\r\nX: y"}}, r"headers\.'X-Title': holds a line break"),
        ({"ca_bundle": "/nowhere/ca.pem"}, r"fake\.ca_bundle: '/nowhere/ca\.pem' cannot be read .* in ca_bundle\.$"),
    ],
)
async def test_a_row_that_cannot_work_says_what_to_mend(
    make_provider: MakeProvider, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigurationError, match=message) as refused:
        make_provider(**changes)
    assert "hidden" not in str(refused.value)


async def test_a_private_ca_is_trusted_only_where_its_bundle_is_given(
    make_provider: MakeProvider, private_ca: PrivateCA
) -> None:
    async with FakeOpenAI(tls=private_ca.server) as upstream:
        row = {"base_url": upstream.base_url, "api_key": upstream.api_key}
        answer = await make_provider(**row, ca_bundle=str(private_ca.bundle)).complete(ask())
        assert answer.text == "Hello from upstream."
        with pytest.raises(ProviderUntrusted, match="certificate") as refused:
            await make_provider(**row).complete(ask())
    assert not refused.value.repeatable


async def test_proxies_of_the_environment_are_not_used(
    upstream: FakeOpenAI, make_provider: MakeProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    assert (await make_provider().complete(ask())).text == "Hello from upstream."
