"""Rows become providers, which share connections and are closed together."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from ssl import PROTOCOL_TLS_SERVER, SSLContext
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from telefonist.errors import ConfigurationError, ProviderUnreachable
from telefonist.providers.registry import Providers
from telefonist.types import ChatRequest, ProviderConfig, utc_now
from tests.fakes.openai_upstream import FakeOpenAI
from tests.providers.asking import ask
from tests.providers.conftest import MakeProvider

DEMO = ProviderConfig("demo", "demo")
OPENAI = ProviderConfig("openai", "openai", base_url="http://127.0.0.1:1/v1")


async def test_providers_are_found_by_name() -> None:
    async with await Providers.open([DEMO, OPENAI]) as providers:
        assert list(providers) == ["demo", "openai"]
        assert len(providers) == 2
        assert providers["openai"].name == "openai"
        assert "nobody" not in providers
        answer = await providers["demo"].complete(ChatRequest("demo", [{"role": "user", "content": "Привет"}]))
    assert answer.text


async def test_providers_of_one_upstream_share_connections(upstream: FakeOpenAI) -> None:
    row = replace(OPENAI, base_url=upstream.base_url, api_key=upstream.api_key)
    async with await Providers.open([row, replace(row, name="second")]) as providers:
        await providers["openai"].complete(ask())
        await providers["second"].complete(ask())
        assert upstream.connections == 1
    async with asyncio.timeout(2):
        while upstream.open_connections:  # noqa: ASYNC110  the server's own count
            await asyncio.sleep(0.002)


async def test_two_rows_of_one_name_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="two are named 'demo'"):
        await Providers.open([DEMO, DEMO])


@pytest.mark.parametrize("kind", ["gigachat", "anthropic"])
async def test_a_kind_that_is_not_spoken_yet_is_refused(make_provider: MakeProvider, kind: str) -> None:
    with pytest.raises(ConfigurationError, match=rf"providers\.fake\.kind: '{kind}' is not available yet"):
        make_provider(kind=kind)


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
        ({"ca_bundle": "/nowhere/ca.pem"}, r"providers\.fake\.ca_bundle: '/nowhere/ca\.pem' cannot be read"),
    ],
)
async def test_a_row_that_cannot_work_says_what_to_mend(
    make_provider: MakeProvider, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigurationError, match=message) as refused:
        make_provider(**changes)
    assert "hidden" not in str(refused.value)


@pytest.fixture
def private_ca(tmp_path: Path) -> tuple[Path, SSLContext]:
    """Make a CA that nobody trusts by default, and a server's context with a certificate for localhost."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(utc_now() - timedelta(days=1))
        .not_valid_after(utc_now() + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = certificate.public_bytes(serialization.Encoding.PEM)
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    bundle, chain = tmp_path / "ca.pem", tmp_path / "server.pem"
    bundle.write_bytes(pem)
    chain.write_bytes(secret + pem)
    context = SSLContext(PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain)
    return bundle, context


async def test_a_private_ca_is_trusted_only_where_its_bundle_is_given(
    make_provider: MakeProvider, private_ca: tuple[Path, SSLContext]
) -> None:
    bundle, context = private_ca
    async with FakeOpenAI(tls=context) as upstream:
        row = {"base_url": upstream.base_url, "api_key": upstream.api_key}
        answer = await make_provider(**row, ca_bundle=str(bundle)).complete(ask())
        assert answer.text == "Hello from upstream."
        with pytest.raises(ProviderUnreachable, match="certificate"):
            await make_provider(**row).complete(ask())


async def test_proxies_of_the_environment_are_not_used(
    upstream: FakeOpenAI, make_provider: MakeProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    assert (await make_provider().complete(ask())).text == "Hello from upstream."
