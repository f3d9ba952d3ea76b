"""GigaChat wants a fresh token with every request: who gets one, when, and what becomes of those that are refused."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, aclosing
from pathlib import Path
from typing import Any

import pytest

from telefonist.errors import (
    ConfigurationError,
    ProviderCredentialsRefused,
    ProviderError,
    ProviderProtocolError,
    ProviderRateLimited,
    ProviderTimeout,
    ProviderUntrusted,
)
from telefonist.memory.base import EARLY
from telefonist.memory.local import LocalTokens
from telefonist.memory.redis import FETCH_SECONDS, RedisTokens
from telefonist.memory.redis_link import TIME_LIMIT, RedisLink
from telefonist.providers import gigachat_access
from telefonist.providers.gigachat import GigaChat
from tests.fakes.gigachat import FakeGigaChat, answer, refuse
from tests.fakes.private_ca import PrivateCA
from tests.fakes.scripted_http import reply, silence
from tests.memory.redis_server import running_redis
from tests.providers.asking import ask, stream, text_of
from tests.providers.conftest import MakeGigaChat
from tests.waiting import until


@pytest.fixture
def _no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a token be asked for again at once."""
    monkeypatch.setattr(gigachat_access, "PAUSE", 0.0)


no_pause = pytest.mark.usefixtures("_no_pause")


async def test_a_request_shows_the_token_that_the_credentials_got(gigachat: FakeGigaChat, giga: GigaChat) -> None:
    assert (await giga.complete(ask())).text == "Привет! Чем помочь?"
    (asked,) = gigachat.tokens.requests
    assert asked.body == b"scope=GIGACHAT_API_PERS"
    (token,) = gigachat.tokens.issued
    assert gigachat.api.requests[0].headers["authorization"] == f"Bearer {token}"


async def test_one_token_serves_many_requests_also_at_a_concurrent_start(
    gigachat: FakeGigaChat, make_gigachat: MakeGigaChat
) -> None:
    gigachat.api.streams = 20
    giga = make_gigachat(max_concurrency=20)
    answers = await asyncio.gather(*(giga.complete(ask()) for _ in range(20)))
    assert len(answers) == 20
    await stream(giga, ask())
    assert len(gigachat.tokens.requests) == 1


async def test_every_request_for_a_token_has_an_id_of_its_own(
    gigachat: FakeGigaChat, make_gigachat: MakeGigaChat
) -> None:
    for _ in range(3):
        await make_gigachat().complete(ask())
    assert len({request.headers["rquid"] for request in gigachat.tokens.requests}) == 3


@pytest.mark.parametrize("in_milliseconds", [True, False])
async def test_the_end_of_a_token_is_understood_in_milliseconds_and_in_seconds(
    gigachat: FakeGigaChat, make_gigachat: MakeGigaChat, in_milliseconds: bool
) -> None:
    gigachat.tokens.in_milliseconds = in_milliseconds
    tokens = LocalTokens()
    giga = make_gigachat(tokens)
    for _ in range(3):
        await giga.complete(ask())
    assert len(gigachat.tokens.requests) == 1


@no_pause
async def test_a_token_is_replaced_a_minute_before_its_end(gigachat: FakeGigaChat, giga: GigaChat) -> None:
    gigachat.tokens.lifetime = EARLY.total_seconds() - 1
    await giga.complete(ask())
    gigachat.tokens.lifetime = EARLY.total_seconds() + 60
    await giga.complete(ask())
    await giga.complete(ask())
    assert len(gigachat.tokens.requests) == 2


@no_pause
@pytest.mark.parametrize("streamed", [False, True])
async def test_an_expired_token_is_replaced_and_the_request_repeated_once(
    gigachat: FakeGigaChat, giga: GigaChat, streamed: bool
) -> None:
    await giga.complete(ask())
    gigachat.revoke()
    text = text_of(await stream(giga, ask())) if streamed else (await giga.complete(ask())).text
    assert text == "Привет! Чем помочь?"
    assert len(gigachat.tokens.requests) == 2
    assert len(gigachat.api.requests) == 3


@no_pause
async def test_many_requests_whose_token_expired_share_the_new_one(
    gigachat: FakeGigaChat, make_gigachat: MakeGigaChat
) -> None:
    gigachat.api.streams = 20
    giga = make_gigachat(max_concurrency=20)
    await giga.complete(ask())
    gigachat.revoke()
    await asyncio.gather(*(giga.complete(ask()) for _ in range(20)))
    assert len(gigachat.tokens.requests) == 2


@no_pause
async def test_an_api_that_believes_no_token_is_refused_credentials_and_no_storm(
    gigachat: FakeGigaChat, giga: GigaChat
) -> None:
    gigachat.api.default = refuse(401, "Unauthorized")
    for _ in range(5):
        with pytest.raises(ProviderCredentialsRefused, match="Unauthorized"):
            await giga.complete(ask())
    assert len(gigachat.tokens.requests) == 2


@no_pause
async def test_a_token_that_expires_soon_after_another_one_did_is_replaced_as_well(
    gigachat: FakeGigaChat, giga: GigaChat
) -> None:
    for _ in range(3):
        await giga.complete(ask())
        gigachat.revoke()
    await giga.complete(ask())
    assert len(gigachat.tokens.requests) == 4


async def test_a_token_that_may_not_do_this_is_not_replaced(gigachat: FakeGigaChat, giga: GigaChat) -> None:
    gigachat.api.script(refuse(403, "Permission denied"))
    with pytest.raises(ProviderCredentialsRefused, match="Permission denied"):
        await giga.complete(ask())
    assert len(gigachat.tokens.requests) == 1


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"api_key": "d3Jvbmc="}, "Can't decode 'Authorization' header"),
        ({"scope": "GIGACHAT_API_CORP"}, "scope from db not fully includes consumed scope"),
    ],
)
async def test_wrong_credentials_are_ours_and_not_the_callers(
    make_gigachat: MakeGigaChat, changes: dict[str, str], reason: str
) -> None:
    with pytest.raises(ProviderCredentialsRefused) as refused:
        await make_gigachat(**changes).complete(ask())
    assert refused.value.values["reason"] == reason


async def test_a_token_host_that_is_asked_too_often_says_when_to_come_back(
    gigachat: FakeGigaChat, giga: GigaChat
) -> None:
    gigachat.tokens.script(refuse(429, "Too many requests", headers={"Retry-After": "7"}))
    with pytest.raises(ProviderRateLimited) as first:
        await giga.complete(ask())
    assert first.value.retry_after == 7
    for _ in range(20):
        with pytest.raises(ProviderRateLimited) as again:
            await giga.complete(ask())
        assert 6 < (again.value.retry_after or 0) < 7
    assert len(gigachat.tokens.requests) == 1


@pytest.mark.parametrize("failure", [refuse(500), refuse(401), refuse(429)])
async def test_a_token_host_that_fails_is_not_asked_again_at_once(
    gigachat: FakeGigaChat, giga: GigaChat, failure: Any
) -> None:
    gigachat.tokens.default = failure
    refusals = []
    for _ in range(20):
        with pytest.raises(ProviderError) as refused:
            await giga.complete(ask())
        refusals.append(type(refused.value))
    assert len(set(refusals)) == 1
    assert len(gigachat.tokens.requests) == 1
    assert gigachat.api.requests == []


async def test_tokens_that_have_expired_already_make_no_storm(
    gigachat: FakeGigaChat, giga: GigaChat, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gigachat_access, "PAUSE", 0.15)
    gigachat.tokens.lifetime = 30
    loop = asyncio.get_running_loop()
    began = loop.time()
    for _ in range(4):
        await giga.complete(ask())
    assert len(gigachat.tokens.requests) == 4
    assert loop.time() - began >= 0.45


@no_pause
async def test_the_token_host_gets_only_so_long(
    gigachat: FakeGigaChat, make_gigachat: MakeGigaChat, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gigachat_access, "ASKING_SECONDS", 0.3)
    gigachat.tokens.script(silence())
    hurried = make_gigachat()
    with pytest.raises(ProviderTimeout):
        await hurried.complete(ask())
    await hurried.complete(ask())
    assert len(gigachat.tokens.requests) == 2


@no_pause
@pytest.mark.parametrize(
    "body",
    [
        b"<html>",
        b"[]",
        b"{}",
        b'{"access_token": "", "expires_at": 1760434636000}',
        b'{"access_token": "a\\nb", "expires_at": 1760434636000}',
        b'{"access_token": "token"}',
        b'{"access_token": "token", "expires_at": "soon"}',
        b'{"access_token": "token", "expires_at": 1e30}',
    ],
)
async def test_what_is_no_token_is_no_answer(gigachat: FakeGigaChat, giga: GigaChat, body: bytes) -> None:
    gigachat.tokens.script(reply(body))
    with pytest.raises(ProviderProtocolError, match="token host"):
        await giga.complete(ask())


async def test_neither_the_credentials_nor_the_token_show_in_an_error(gigachat: FakeGigaChat, giga: GigaChat) -> None:
    await giga.complete(ask())
    (token,) = gigachat.tokens.issued
    gigachat.api.script(refuse(400, f"The token {token} of {gigachat.tokens.credentials} is too nice"))
    with pytest.raises(ProviderError) as refused:
        await giga.complete(ask())
    assert refused.value.values["reason"] == "The token *** of *** is too nice"


async def test_one_who_leaves_while_the_token_is_fetched_takes_it_from_nobody(
    gigachat: FakeGigaChat, make_gigachat: MakeGigaChat
) -> None:
    gate = asyncio.Event()
    issue = gigachat.tokens.default

    async def later(exchange: Any) -> None:
        await gate.wait()
        await issue(exchange)

    gigachat.tokens.script(later)
    gigachat.api.streams = 2
    giga = make_gigachat(max_concurrency=2)
    leaving, staying = asyncio.create_task(giga.complete(ask())), asyncio.create_task(giga.complete(ask()))
    await gigachat.tokens.received(1)
    leaving.cancel()
    await asyncio.wait([leaving])
    gate.set()
    assert (await staying).text
    assert len(gigachat.tokens.requests) == 1


@pytest.fixture
def redis_url() -> Iterator[str]:
    with running_redis() as server:
        yield server.url


@pytest.fixture
async def process(redis_url: str) -> AsyncIterator[Callable[[], RedisTokens]]:
    """Make the tokens of one process after another, all with one Redis."""
    async with AsyncExitStack() as stack:

        def start() -> RedisTokens:
            link = RedisLink(redis_url)
            tokens = RedisTokens(link)
            stack.push_async_callback(link.close)
            stack.push_async_callback(tokens.close)
            return tokens

        yield start


@no_pause
async def test_two_processes_share_a_token_and_its_replacement(
    gigachat: FakeGigaChat, make_gigachat: MakeGigaChat, process: Callable[[], RedisTokens]
) -> None:
    gigachat.api.streams = 2
    one, two = make_gigachat(process()), make_gigachat(process())
    await asyncio.gather(one.complete(ask()), two.complete(ask()))
    assert len(gigachat.tokens.requests) == 1
    gigachat.revoke()
    await one.complete(ask())
    await two.complete(ask())
    assert len(gigachat.tokens.requests) == 2


def test_the_other_processes_wait_for_as_long_as_a_token_may_take() -> None:
    assert gigachat_access.PAUSE + gigachat_access.ASKING_SECONDS + TIME_LIMIT <= FETCH_SECONDS


async def test_two_credentials_do_not_share_a_token(gigachat: FakeGigaChat, make_gigachat: MakeGigaChat) -> None:
    tokens = LocalTokens()
    await make_gigachat(tokens).complete(ask())
    gigachat.tokens.credentials = "YW5vdGhlcjpvbmU="
    await make_gigachat(tokens).complete(ask())
    assert len(gigachat.tokens.requests) == 2


async def test_a_private_ca_is_trusted_by_both_hosts_only_where_its_bundle_is_given(
    gigachat: FakeGigaChat, make_gigachat: MakeGigaChat
) -> None:
    with pytest.raises(ProviderUntrusted, match="certificate"):
        await make_gigachat(ca_bundle="").complete(ask())
    assert gigachat.tokens.requests == []


async def test_the_api_is_verified_as_the_token_host_is(
    gigachat: FakeGigaChat, make_gigachat: MakeGigaChat, tmp_path: Path
) -> None:
    other = PrivateCA(tmp_path)
    async with FakeGigaChat(other.server) as stranger:
        with pytest.raises(ProviderUntrusted, match="certificate"):
            await make_gigachat(chat_url=f"{stranger.api.address}/api/v1/chat/completions").complete(ask())
        assert stranger.api.requests == []
    assert len(gigachat.tokens.requests) == 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"api_key": ""}, r"providers\.fake\.api_key: missing"),
        ({"api_key": "hidden\n"}, r"providers\.fake\.api_key: holds a line break"),
        ({"auth_url": ""}, r"providers\.fake\.auth_url: not an http\(s\) address"),
        ({"ca_bundle": "/nowhere/ca.pem"}, r"cannot be read .* in ca_bundle or GIGACHAT_CA_BUNDLE\."),
        ({"ca_bundle": __file__}, r"cannot be read .* in ca_bundle or GIGACHAT_CA_BUNDLE\."),
    ],
)
async def test_a_row_that_cannot_work_says_what_to_mend(
    make_gigachat: MakeGigaChat, changes: dict[str, str], message: str
) -> None:
    with pytest.raises(ConfigurationError, match=message) as refused:
        make_gigachat(**changes)
    assert "hidden" not in str(refused.value)


async def test_as_many_streams_as_the_credential_has_run_at_once_and_the_others_wait(
    gigachat: FakeGigaChat, giga: GigaChat
) -> None:
    gigachat.api.default = answer("раз два три", pause=0.005)
    texts = await asyncio.gather(*(stream(giga, ask()) for _ in range(5)))
    assert {text_of(deltas) for deltas in texts} == {"раз два три"}
    assert gigachat.api.most_under_way == 1


async def test_a_stream_that_is_left_makes_room_for_the_next(gigachat: FakeGigaChat, giga: GigaChat) -> None:
    gigachat.api.script(answer("раз два три", pause=0.01))
    async with aclosing(giga.stream(ask())) as batches:
        await anext(batches)

    async def left() -> bool:
        return gigachat.api.requests[0].gone.is_set()

    await until(left)
    assert (await giga.complete(ask())).text
