import asyncio
import datetime as dt
import gzip
import ipaddress
import ssl
import tracemalloc
import zlib
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from telefonist.channels.address_guard import AddressGuard
from telefonist.channels.callback import CallbackChannel
from tests.channels.conftest import OpenChannel
from tests.channels.sending import send
from tests.fakes.receiver import (
    Behaviour,
    Receiver,
    endless_body,
    endless_headers,
    endless_interim_replies,
    gzip_bomb,
    hang,
    reply,
    reset,
    say,
    trickle,
    unused_port,
)

LOOPBACK = AddressGuard(allow_loopback=True)
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"


@pytest.mark.parametrize(
    ("behaviour", "error"),
    [
        (hang(), "response timeout"),
        (trickle(), "response timeout"),
        (endless_interim_replies(), "response timeout"),
        (reset(), "connection lost: connection reset by peer"),
        (say(b""), "connection closed without an answer"),
        (say(b"HTTP/1.1 200 OK\r\nX-Unfinished: "), "connection closed without an answer"),
        (endless_headers(), "not an HTTP answer: "),
        (say(b"HTTP/1.1 200 OK\r\nX-Long: " + b"x" * 100_000 + b"\r\n\r\n"), "not an HTTP answer: "),
        (say(b"220 mail.example ESMTP\r\n"), "not an HTTP answer: "),
        (say(b"\x00\xff\xfe\x00" * 100), "not an HTTP answer: "),
        (say(b"HTTP/1.1 999999 What\r\n\r\n"), "not an HTTP answer: "),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_a_receiver_that_gives_no_answer_fails_the_attempt_within_its_time(
    open_channel: OpenChannel, receiver: Receiver, behaviour: Behaviour, error: str
) -> None:
    channel = open_channel(total_timeout=0.3)
    receiver.script(behaviour)
    attempt = await send(channel, receiver.url)
    assert attempt.status is None
    assert attempt.error is not None
    assert attempt.error.startswith(error)
    assert attempt.error.isprintable()
    assert attempt.milliseconds < 3000
    assert (await send(channel, receiver.url)).succeeded


@pytest.mark.parametrize(
    ("behaviour", "response"),
    [
        (endless_body(), "x" * 1024),
        (endless_body(headers={"Content-Length": "10000000000"}), "x" * 1024),
        (endless_body(chunked=True), "x" * 1024),
        (say(HEAD + b"Content-Length: 100\r\n\r\nonly this"), "only this"),
        (say(HEAD + b"\r\nuntil the end"), "until the end"),
        (reset(after=HEAD + b"Content-Length: 10\r\n\r\n"), ""),
    ],
    ids=range(6),
)
async def test_a_success_stays_one_whatever_the_body_does(
    channel: CallbackChannel, receiver: Receiver, behaviour: Behaviour, response: str
) -> None:
    receiver.script(behaviour)
    attempt = await send(channel, receiver.url)
    assert attempt.succeeded
    assert (attempt.error, attempt.response) == (None, response)
    assert attempt.milliseconds < 3000


@pytest.mark.parametrize(
    "behaviour",
    [
        trickle(head=HEAD + b"Content-Length: 1000000\r\n\r\nx"),
        say(HEAD + b"Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n", b"this is no chunk\r\n"),
    ],
    ids=["trickles", "breaks off"],
)
async def test_a_body_that_does_not_come_to_its_end_ends_at_the_total_limit(
    open_channel: OpenChannel, receiver: Receiver, behaviour: Behaviour
) -> None:
    receiver.script(behaviour)
    attempt = await send(open_channel(total_timeout=0.3), receiver.url)
    assert attempt.succeeded
    assert attempt.milliseconds < 3000
    assert set(attempt.response) == {"x"}


async def test_a_reply_within_64_kb_is_read_whole_and_its_connection_used_again(
    channel: CallbackChannel, receiver: Receiver
) -> None:
    receiver.script(reply(200, b"a" * (64 * 1024 - 1)))
    attempt = await send(channel, receiver.url)
    assert attempt.response == "a" * 1024
    await send(channel, receiver.url)
    assert receiver.connections == 1


async def test_a_reply_over_64_kb_is_cut_off_with_its_connection(channel: CallbackChannel, receiver: Receiver) -> None:
    receiver.script(reply(200, b"a" * (1 << 20)))
    assert (await send(channel, receiver.url)).succeeded
    assert (await send(channel, receiver.url)).succeeded
    assert receiver.connections == 2


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
async def test_a_gzip_bomb_is_inflated_no_further_than_what_is_recorded(
    channel: CallbackChannel, receiver: Receiver, encoding: str
) -> None:
    await send(channel, receiver.url)
    receiver.script(gzip_bomb(256 << 20, encoding))
    tracemalloc.start()
    try:
        attempt = await send(channel, receiver.url)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert attempt.succeeded
    assert attempt.response == "\ufffd" * 1024
    assert peak < 4 << 20


@pytest.mark.parametrize(
    ("headers", "body", "response"),
    [
        ({}, b"ok\x00\xff\xfe", "ok\ufffd\ufffd\ufffd"),
        ({}, "я".encode() * 1000, "я" * 512),
        ({}, ("x" + "я" * 1000).encode(), "x" + "я" * 511),
        ({"Content-Type": "text/html; charset=windows-1251"}, "Ошибка 500".encode("cp1251"), "Ошибка 500"),
        ({"Content-Type": "text/html; charset=cp99999"}, b"ok", "ok"),
        ({"Content-Type": "text/html; charset=zlib"}, zlib.compress(b"ok")[:2], "x\ufffd"),
        ({"Content-Encoding": "gzip"}, gzip.compress("сжато".encode()), "сжато"),
        ({"Content-Encoding": " GZIP "}, gzip.compress(b"ok")[:-4], "ok"),
        ({"Content-Encoding": "deflate"}, zlib.compress(b"ok"), "ok"),
        ({"Content-Encoding": "deflate"}, zlib.compress(b"ok")[2:-4], "ok"),
        ({"Content-Encoding": "gzip"}, b"not gzip", "not gzip"),
        ({"Content-Encoding": "gzip"}, b"", ""),
        ({"Content-Encoding": "unknown"}, b"as it came", "as it came"),
    ],
    ids=range(13),
)
async def test_the_first_kilobyte_of_the_reply_is_recorded_as_text_that_can_be_stored(
    channel: CallbackChannel, receiver: Receiver, headers: dict[str, str], body: bytes, response: str
) -> None:
    receiver.script(reply(500, body, headers))
    assert (await send(channel, receiver.url)).response == response


@given(data=st.one_of(st.binary(max_size=200), st.binary(max_size=100).map(lambda tail: HEAD + tail)))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_a_receiver_says_becomes_an_attempt_that_can_be_stored(data: bytes) -> None:
    async def attempt() -> None:
        async with Receiver(say(data)) as receiver, CallbackChannel(LOOPBACK, total_timeout=5) as channel:
            attempt = await send(channel, receiver.url)
            assert attempt.status is not None or attempt.error
            for text in (attempt.error or "", attempt.response):
                assert "\x00" not in text
                text.encode()

    asyncio.run(attempt())


async def test_nothing_listening_is_a_failed_attempt(channel: CallbackChannel) -> None:
    attempt = await send(channel, f"http://127.0.0.1:{unused_port()}/")
    assert (attempt.status, attempt.error) == (None, "connect failed: connection refused")


async def test_a_handshake_that_never_comes_is_a_connect_timeout(open_channel: OpenChannel) -> None:
    async with Receiver(mute=True) as mute:
        channel = open_channel(connect_timeout=0.2, total_timeout=5)
        attempt = await send(channel, mute.url.replace("http:", "https:"))
    assert (attempt.status, attempt.error) == (None, "connect timeout")
    assert 150 <= attempt.milliseconds < 3000


async def test_tls_is_verified(open_channel: OpenChannel, certificate: Path) -> None:
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(certificate)
    async with Receiver(tls=server) as receiver:
        attempt = await send(open_channel(), receiver.url)
        assert attempt.status is None
        assert attempt.error == "tls: certificate verify failed: self-signed certificate"
        assert not receiver.requests

        trusting = ssl.create_default_context(cafile=certificate)
        assert (await send(open_channel(tls=trusting), receiver.url)).succeeded
        attempt = await send(open_channel(tls=trusting), receiver.url_for("/", "localhost"))
        assert attempt.error is not None
        assert attempt.error.startswith("tls: certificate verify failed: Hostname mismatch")


async def test_tls_to_a_receiver_without_it_is_a_failed_attempt(open_channel: OpenChannel) -> None:
    async with Receiver() as receiver:
        attempt = await send(open_channel(), receiver.url.replace("http:", "https:"))
        assert attempt.error is not None
        assert attempt.error.startswith(("tls: ", "connect failed: "))
        receiver.protocol_errors.clear()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A self-signed certificate for 127.0.0.1, with its key in the same file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "receiver")])
    now = dt.datetime.now(dt.UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "receiver.pem"
    path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + signed.public_bytes(serialization.Encoding.PEM)
    )
    return path
