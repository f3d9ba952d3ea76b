"""Every refusal of an upstream becomes the one error that says what it means, with the provider's words and no keys."""

import json
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from telefonist.errors import (
    ProviderCredentialsRefused,
    ProviderError,
    ProviderFailed,
    ProviderOutOfFunds,
    ProviderProtocolError,
    ProviderRateLimited,
    ProviderRejectedRequest,
    ProviderUnreachable,
)
from telefonist.providers.base import Provider
from tests.fakes.openai_upstream import FakeOpenAI, answer, raw, refuse, reply
from tests.providers.asking import ask
from tests.providers.conftest import MakeProvider


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, ProviderRejectedRequest),
        (401, ProviderCredentialsRefused),
        (402, ProviderOutOfFunds),
        (403, ProviderCredentialsRefused),
        (404, ProviderRejectedRequest),
        (408, ProviderFailed),
        (409, ProviderFailed),
        (413, ProviderRejectedRequest),
        (418, ProviderRejectedRequest),
        (422, ProviderRejectedRequest),
        (425, ProviderFailed),
        (429, ProviderRateLimited),
        (500, ProviderFailed),
        (502, ProviderFailed),
        (503, ProviderFailed),
        (529, ProviderFailed),
        (201, ProviderProtocolError),
        (204, ProviderProtocolError),
        (302, ProviderProtocolError),
        (307, ProviderProtocolError),
    ],
)
async def test_a_status_becomes_its_error(
    upstream: FakeOpenAI, provider: Provider, status: int, error: type[ProviderError]
) -> None:
    upstream.script(refuse(status, "The reason.", headers={"Location": f"{upstream.base_url}/elsewhere"}))
    with pytest.raises(ProviderError) as refused:
        await provider.complete(ask())
    assert type(refused.value) is error
    assert refused.value.provider == "fake"
    assert len(upstream.requests) == 1
    if status >= 400:
        assert refused.value.values["reason"] == "The reason"


async def test_an_empty_account_is_not_taken_for_a_rate_limit(upstream: FakeOpenAI, provider: Provider) -> None:
    upstream.script(refuse(429, "You exceeded your current quota.", code="insufficient_quota"))
    with pytest.raises(ProviderOutOfFunds):
        await provider.complete(ask())


@pytest.mark.parametrize("status", [429, 500, 503])
@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"Retry-After": "7"}, 7),
        ({"Retry-After": "1.5"}, 1.5),
        ({"retry-after-ms": "250", "Retry-After": "1"}, 0.25),
        ({"Retry-After": "-1"}, None),
        ({"Retry-After": "inf"}, None),
        ({"Retry-After": "soon"}, None),
        ({"Retry-After": "Mon, 01 Jan 99999999999 00:00:00 GMT"}, None),
        ({"Retry-After": "Thu, 01 Jan 1970 00:00:00 GMT"}, 0),
    ],
)
async def test_the_time_to_wait_is_read(
    upstream: FakeOpenAI, provider: Provider, status: int, headers: dict[str, str], seconds: float | None
) -> None:
    upstream.script(refuse(status, headers=headers))
    with pytest.raises(ProviderError) as refused:
        await provider.complete(ask())
    assert refused.value.retry_after == seconds


async def test_the_time_to_wait_may_be_a_date(upstream: FakeOpenAI, provider: Provider) -> None:
    then = datetime.now(UTC) + timedelta(seconds=60)
    upstream.script(refuse(503, headers={"Retry-After": format_datetime(then, usegmt=True)}))
    with pytest.raises(ProviderFailed) as refused:
        await provider.complete(ask())
    assert refused.value.retry_after == pytest.approx(60, abs=5)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ('{"error": {"message": "No such model"}}', "No such model"),
        ('{"error": "No such model"}', "No such model"),
        ('{"message": "No such model"}', "No such model"),
        ('{"detail": [{"loc": ["body"], "msg": "missing"}]}', '[{"loc":["body"],"msg":"missing"}]'),
        ('[{"error": {"code": 400, "message": "No such model", "status": "INVALID"}}]', "No such model"),
        (
            '{"error": {"message": "Provider returned error", "metadata": {"raw": "no capacity"}}}',
            "Provider returned error: no capacity",
        ),
        ('{"error": {"error": {"error": {"error": {"message": "deep"}}}}}', '{"message":"deep"}'),
        ("<html>\n<title>Bad  gateway</title>\x1b[31m", "<html> <title>Bad gateway</title> [31m"),
        ("", "Bad Request"),
        ("null", "null"),
        ("{}", "{}"),
        ("\ufffd\u202e", "\ufffd"),
    ],
)
async def test_the_providers_words_are_the_reason(
    upstream: FakeOpenAI, provider: Provider, body: str, reason: str
) -> None:
    upstream.script(reply(body.encode(), 400))
    with pytest.raises(ProviderRejectedRequest) as refused:
        await provider.complete(ask())
    assert refused.value.values["reason"] == reason


async def test_a_long_reason_is_cut(upstream: FakeOpenAI, provider: Provider) -> None:
    upstream.script(reply(b"wordy " * 200_000, 500))
    with pytest.raises(ProviderFailed) as refused:
        await provider.complete(ask())
    reason = refused.value.values["reason"]
    assert 290 <= len(reason) <= 300
    assert reason.endswith("…")


async def test_a_refusal_that_breaks_off_is_still_that_refusal(upstream: FakeOpenAI, provider: Provider) -> None:
    upstream.script(raw(b"HTTP/1.1 401 No\r\nContent-Type: text/plain\r\nContent-Length: 1000\r\n\r\nWrong key"))
    with pytest.raises(ProviderCredentialsRefused, match="401"):
        await provider.complete(ask())


async def test_our_key_never_shows_in_an_error(upstream: FakeOpenAI, make_provider: MakeProvider) -> None:
    key = "an-unusual-key"
    provider = make_provider(api_key=key, headers={"X-Second": "the-second-secret"})
    upstream.api_key = "another"
    with pytest.raises(ProviderCredentialsRefused) as refused:
        await provider.complete(ask())
    assert refused.value.values["reason"] == "Incorrect API key provided: ***"
    upstream.api_key = key
    upstream.script(reply(json.dumps({"error": f"{key} and the-second-secret"}).encode(), 400))
    with pytest.raises(ProviderRejectedRequest) as rejected:
        await provider.complete(ask())
    assert rejected.value.values["reason"] == "*** and ***"


async def test_a_key_in_the_address_never_shows_in_an_error(upstream: FakeOpenAI, make_provider: MakeProvider) -> None:
    provider = make_provider(base_url="", chat_url=f"{upstream.address}/v1/chat/completions?key=hidden-in-address")
    upstream.script(refuse(400, "The key hidden-in-address is wrong"), raw(b"HTTP/1.1 nonsense\r\n\r\n"))
    for _ in range(2):
        with pytest.raises(ProviderError) as refused:
            await provider.complete(ask())
        assert "hidden-in-address" not in str(refused.value)


@pytest.mark.parametrize(
    "data", [b"SSH-2.0-OpenSSH_9.2\r\n", b"HTTP/1.1 abc\r\n\r\n", b"HTTP/1.1 200 OK\r\nX: " + b"x" * 70_000]
)
async def test_what_is_not_http_is_no_answer(upstream: FakeOpenAI, provider: Provider, data: bytes) -> None:
    upstream.script(raw(data))
    with pytest.raises(ProviderProtocolError, match="not HTTP"):
        await provider.complete(ask())


@pytest.mark.parametrize("ending", ["cut", "reset"])
async def test_a_connection_that_closes_without_an_answer_may_be_tried_again(
    upstream: FakeOpenAI, provider: Provider, ending: str
) -> None:
    upstream.script(raw(ending=ending), answer("Hi"))  # type: ignore[arg-type]
    with pytest.raises(ProviderUnreachable) as lost:
        await provider.complete(ask())
    assert lost.value.repeatable
    assert (await provider.complete(ask())).text == "Hi"


@pytest.mark.parametrize("ending", ["cut", "reset"])
async def test_a_plain_answer_that_breaks_off_is_no_answer(
    upstream: FakeOpenAI, provider: Provider, ending: str
) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n"
    upstream.script(raw(head + b'{"choices": [', ending=ending))  # type: ignore[arg-type]
    with pytest.raises(ProviderProtocolError):
        await provider.complete(ask())


async def test_nobody_listening_is_unreachable(upstream: FakeOpenAI, make_provider: MakeProvider) -> None:
    with pytest.raises(ProviderUnreachable, match="cannot be reached"):
        await make_provider(base_url="http://127.0.0.1:1/v1").complete(ask())


async def test_a_name_that_does_not_exist_is_unreachable(make_provider: MakeProvider) -> None:
    with pytest.raises(ProviderUnreachable):
        await make_provider(base_url="http://nobody.invalid/v1").complete(ask())
