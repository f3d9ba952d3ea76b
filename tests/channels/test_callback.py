import asyncio
import logging
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from standardwebhooks import Webhook

from telefonist import __version__
from telefonist.channels.callback import CallbackChannel
from telefonist.channels.signing import generate_secret, verify
from telefonist.errors import ConfigurationError
from telefonist.types import utc_now
from tests.channels.conftest import OpenChannel
from tests.channels.sending import BODY, SECRET, outgoing, send
from tests.fakes.receiver import Exchange, Receiver, hang, redirect, reply, say, unused_port


async def test_an_answer_arrives_signed_and_the_attempt_is_recorded(
    channel: CallbackChannel, receiver: Receiver
) -> None:
    receiver.script(reply(201, "принято", delay=0.02))
    before = utc_now()
    attempt = await send(channel, receiver.url_for("/callback?token=1"))
    (received,) = receiver.requests
    assert (received.method, received.path, received.body) == ("POST", "/callback?token=1", BODY)
    assert received.headers["content-type"] == "application/json"
    assert received.headers["accept-encoding"] == "identity"
    assert received.headers["user-agent"] == f"Telefonist/{__version__}"
    assert received.headers["telefonist-attempt"] == "1"
    Webhook(SECRET).verify(received.body, dict(received.headers))
    assert attempt.succeeded
    assert (attempt.status, attempt.error, attempt.response, attempt.retry_after) == (201, None, "принято", None)
    assert before <= attempt.started_at <= utc_now()
    assert 20 <= attempt.milliseconds < 5000


async def test_id_and_body_stay_the_same_over_attempts(channel: CallbackChannel, receiver: Receiver) -> None:
    message = outgoing(receiver.url)
    receiver.script(reply(500))
    attempts = [await channel.send(message, [SECRET], number) for number in (1, 2)]
    assert [attempt.succeeded for attempt in attempts] == [False, True]
    first, second = receiver.requests
    assert first.body == second.body == message.body
    assert first.headers["webhook-id"] == second.headers["webhook-id"] == str(message.message_id)
    assert [request.headers["telefonist-attempt"] for request in receiver.requests] == ["1", "2"]


async def test_both_live_secrets_sign_during_rotation(channel: CallbackChannel, receiver: Receiver) -> None:
    old = generate_secret()
    await channel.send(outgoing(receiver.url), [SECRET, old], 1)
    for secret in (SECRET, old):
        verify([secret], receiver.requests[0].headers, BODY)


async def test_a_body_of_several_megabytes_arrives_whole(channel: CallbackChannel, receiver: Receiver) -> None:
    body = b'"' + b"x" * 3_000_000 + b'"'
    assert (await send(channel, receiver.url, body)).succeeded
    assert receiver.requests[0].body == body
    verify([SECRET], receiver.requests[0].headers, body)


async def test_connections_are_kept_and_used_again(channel: CallbackChannel, receiver: Receiver) -> None:
    for _ in range(5):
        assert (await send(channel, receiver.url)).succeeded
    assert receiver.connections == 1


async def test_a_receiver_that_closes_each_connection_is_no_trouble(
    channel: CallbackChannel, receiver: Receiver
) -> None:
    receiver.behaviour = reply(keep_alive=False)
    for _ in range(3):
        assert (await send(channel, receiver.url)).succeeded
    assert receiver.connections == 3


async def test_a_kept_connection_that_was_closed_meanwhile_is_no_failure(
    channel: CallbackChannel, receiver: Receiver
) -> None:
    receiver.script(reply(), say(b""))
    assert (await send(channel, receiver.url)).succeeded
    assert (await send(channel, receiver.url)).succeeded
    _, unanswered, repeated = receiver.requests
    assert (unanswered.connection, repeated.connection) == (1, 2)
    assert unanswered.headers == repeated.headers
    assert unanswered.body == repeated.body


async def test_a_new_connection_that_is_closed_without_an_answer_is_not_tried_again_at_once(
    channel: CallbackChannel, receiver: Receiver
) -> None:
    receiver.script(say(b""))
    assert not (await send(channel, receiver.url)).succeeded
    assert len(receiver.requests) == 1


async def test_cookies_of_a_receiver_are_not_kept(channel: CallbackChannel, receiver: Receiver) -> None:
    receiver.script(reply(headers={"Set-Cookie": "session=1"}))
    await send(channel, receiver.url)
    await send(channel, receiver.url)
    assert "cookie" not in receiver.requests[1].headers


@pytest.mark.parametrize(
    ("status", "succeeded"),
    [(200, True), (202, True), (204, True), (299, True), (400, False), (410, False), (500, False)],
)
async def test_the_status_alone_decides(
    channel: CallbackChannel, receiver: Receiver, status: int, succeeded: bool
) -> None:
    receiver.script(reply(status, b"" if status == 204 else b"text"))
    attempt = await send(channel, receiver.url)
    assert (attempt.status, attempt.succeeded, attempt.error) == (status, succeeded, None)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_counts_as_a_failure_and_is_not_followed(
    channel: CallbackChannel, receiver: Receiver, status: int
) -> None:
    receiver.script(redirect(receiver.url_for("/elsewhere?secret=1"), status))
    attempt = await send(channel, receiver.url)
    assert not attempt.succeeded
    assert attempt.status == status
    assert attempt.error == f"redirect to {receiver.url_for('/elsewhere')} is not followed"
    assert len(receiver.requests) == 1


@pytest.mark.parametrize("status", [429, 503])
async def test_retry_after_is_read_in_seconds_and_as_a_date(
    channel: CallbackChannel, receiver: Receiver, status: int
) -> None:
    date = format_datetime(datetime.now(UTC) + timedelta(minutes=2), usegmt=True)
    receiver.script(reply(status, headers={"Retry-After": "7"}), reply(status, headers={"Retry-After": date}))
    assert (await send(channel, receiver.url)).retry_after == 7.0
    in_two_minutes = (await send(channel, receiver.url)).retry_after
    assert in_two_minutes is not None
    assert 110 < in_two_minutes <= 120


@pytest.mark.parametrize(
    ("status", "value", "expected"),
    [
        (503, "Wed, 21 Oct 2015 07:28:00 GMT", 0.0),
        (503, "Wed, 21 Oct 2015 07:28:00 -0000", 0.0),
        (503, "Fri, 31 Dec 9999 23:59:59 GMT", 30 * 24 * 3600.0),
        (429, "9" * 400, 30 * 24 * 3600.0),
        (429, "0", 0.0),
        (429, "soon", None),
        (429, "-5", None),
        (429, "1e9", None),
        (429, "٣", None),
        (429, "", None),
        (500, "7", None),
        (200, "7", None),
    ],
)
async def test_retry_after_is_bounded_and_nonsense_is_ignored(
    channel: CallbackChannel, receiver: Receiver, status: int, value: str, expected: float | None
) -> None:
    receiver.script(reply(status, headers={"Retry-After": value}))
    assert (await send(channel, receiver.url)).retry_after == expected


async def test_the_receivers_own_headers_go_with_every_callback(open_channel: OpenChannel, receiver: Receiver) -> None:
    channel = open_channel(headers={"Authorization": "Bearer for-the-receiver", "X-Tenant": "7"})
    await send(channel, receiver.url)
    assert receiver.requests[0].headers["authorization"] == "Bearer for-the-receiver"
    assert receiver.requests[0].headers["x-tenant"] == "7"


@pytest.mark.parametrize(
    "header", ["Content-Type", "content-length", "Host", "WEBHOOK-ID", "webhook-signature", "Transfer-Encoding", "TE"]
)
def test_a_receivers_header_may_not_replace_ours(open_channel: OpenChannel, header: str) -> None:
    with pytest.raises(ConfigurationError, match="remove it") as refused:
        open_channel(headers={header: "text/plain"})
    assert header in str(refused.value)


@pytest.mark.parametrize("header", [{"X A": "b"}, {"": "b"}, {"X-A": "b\r\nX-C: d"}, {"X-A": "ключ"}, {"X\r\nB": "c"}])
def test_a_header_that_http_does_not_allow_is_refused_without_its_value(
    open_channel: OpenChannel, header: dict[str, str]
) -> None:
    with pytest.raises(ConfigurationError, match="does not allow") as refused:
        open_channel(headers=header)
    assert "ключ" not in str(refused.value)


async def test_secrets_and_headers_are_in_no_repr_and_no_log(
    open_channel: OpenChannel, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    channel = open_channel(headers={"Authorization": "Bearer for-the-receiver"})
    receiver.script(reply(500), hang())
    seen = repr(channel)
    seen += repr(await send(channel, receiver.url))
    seen += repr(await send(channel, f"http://127.0.0.1:{unused_port()}/?token=in-the-query"))
    seen += caplog.text
    for secret in ("for-the-receiver", SECRET, SECRET.removeprefix("whsec_"), "in-the-query"):
        assert secret not in seen


async def test_a_url_that_is_none_becomes_a_failed_attempt(channel: CallbackChannel) -> None:
    attempt = await send(channel, "ftp://example.com/")
    assert attempt.status is None
    assert attempt.error == "invalid callback URL: URL scheme should be 'http' or 'https'"


async def test_a_slow_host_holds_only_its_own_places(open_channel: OpenChannel, receiver: Receiver) -> None:
    channel = open_channel(places_per_host=2)
    async with Receiver(hang()) as slow:
        waiting = [asyncio.create_task(send(channel, slow.url_for(f"/{number}"))) for number in range(10)]
        await slow.wait_for(2)
        for _ in range(20):
            assert (await send(channel, receiver.url)).succeeded
        assert len(slow.requests) == 2
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)


async def test_waiting_for_a_place_does_not_use_up_the_time_of_the_attempt(
    open_channel: OpenChannel, receiver: Receiver
) -> None:
    channel = open_channel(places_per_host=1, total_timeout=0.5)
    receiver.behaviour = reply(delay=0.2)
    attempts = await asyncio.gather(*(send(channel, receiver.url) for _ in range(4)))
    assert all(attempt.succeeded and attempt.milliseconds < 500 for attempt in attempts)


async def test_at_most_so_many_callbacks_are_under_way_to_one_host(
    open_channel: OpenChannel, receiver: Receiver
) -> None:
    under_way, most = 0, 0

    async def count(exchange: Exchange) -> None:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(0.01)
        under_way -= 1
        await reply()(exchange)

    receiver.behaviour = count
    channel = open_channel(places_per_host=3)
    await asyncio.gather(*(send(channel, receiver.url_for(f"/{number}")) for number in range(12)))
    assert most == 3


async def test_cancelling_ends_the_attempt_and_its_connection(channel: CallbackChannel, receiver: Receiver) -> None:
    left = asyncio.Event()

    async def watch(exchange: Exchange) -> None:
        await exchange.wait_until_client_leaves()
        left.set()

    receiver.behaviour = watch
    sending = asyncio.create_task(send(channel, receiver.url))
    await receiver.wait_for(1)
    sending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sending
    async with asyncio.timeout(5):
        await left.wait()
