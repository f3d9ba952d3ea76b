"""Provider tokens: fetched by one, shared by all, and fetched anew in good time."""

import asyncio
import gc
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from datetime import timedelta

import pytest

from telefonist.memory.base import EARLY, Tokens
from telefonist.memory.local import LocalTokens
from telefonist.memory.redis import RedisTokens
from telefonist.memory.redis_link import RedisLink
from telefonist.types import Token
from tests.memory.conftest import Clock
from tests.waiting import until


class Issuer:
    """A provider that hands out numbered tokens, when the test lets it."""

    def __init__(self, clock: Clock) -> None:
        self.issued = 0
        self.open = asyncio.Event()
        self.open.set()
        self.lifetime = timedelta(minutes=30)
        self._clock = clock

    async def __call__(self) -> Token:
        self.issued += 1
        token = Token(f"token {self.issued}", self._clock.moment() + self.lifetime)
        await self.open.wait()
        return token

    async def fail(self) -> Token:
        self.issued += 1
        await self.open.wait()
        raise LookupError("no token today")

    async def asked(self) -> bool:
        return self.issued > 0


@pytest.fixture
def issuer(clock: Clock) -> Issuer:
    return Issuer(clock)


Make = Callable[..., RedisTokens]


@pytest.fixture
async def shared(redis_url: str, clock: Clock) -> AsyncIterator[Make]:
    """Make the tokens of one process after another, all with one Redis."""
    async with AsyncExitStack() as stack:

        def make(fetch_seconds: float = 10.0) -> RedisTokens:
            link = RedisLink(redis_url)
            tokens = RedisTokens(link, fetch_seconds=fetch_seconds, clock=clock.moment)
            stack.push_async_callback(link.close)
            stack.push_async_callback(tokens.close)
            return tokens

        yield make


@pytest.fixture(params=["local", "redis"])
def pair(request: pytest.FixtureRequest, clock: Clock) -> tuple[Tokens, Tokens]:
    if request.param == "local":
        tokens = LocalTokens(clock=clock.moment)
        return tokens, tokens
    make: Make = request.getfixturevalue("shared")
    return make(), make()


async def test_a_token_is_fetched_once_and_then_shared(pair: tuple[Tokens, Tokens], issuer: Issuer) -> None:
    one, two = pair
    first = await one.token("gigachat", issuer)
    assert first.value == "token 1"
    again = [await tokens.token("gigachat", issuer) for tokens in (one, two, one, two)]
    assert {token.value for token in again} == {"token 1"}
    assert all(abs(token.expires_at - first.expires_at) < timedelta(milliseconds=1) for token in again)
    assert issuer.issued == 1


async def test_tokens_of_different_names_are_different(pair: tuple[Tokens, Tokens], issuer: Issuer) -> None:
    one, two = pair
    assert (await one.token("personal", issuer)).value == "token 1"
    assert (await two.token("corporate", issuer)).value == "token 2"
    assert (await two.token("personal", issuer)).value == "token 1"


async def test_however_many_need_a_token_at_once_it_is_fetched_by_one(
    pair: tuple[Tokens, Tokens], issuer: Issuer
) -> None:
    issuer.open.clear()
    waiting = [asyncio.create_task(tokens.token("gigachat", issuer)) for tokens in pair for _ in range(50)]
    await until(issuer.asked)
    issuer.open.set()
    async with asyncio.timeout(5):
        assert {token.value for token in await asyncio.gather(*waiting)} == {"token 1"}
    assert issuer.issued == 1


async def test_a_token_is_fetched_anew_a_while_before_its_end(
    pair: tuple[Tokens, Tokens], issuer: Issuer, clock: Clock
) -> None:
    one, two = pair
    await one.token("gigachat", issuer)
    await two.token("gigachat", issuer)
    good_for = (issuer.lifetime - EARLY).total_seconds()
    clock.now += good_for - 1
    assert (await one.token("gigachat", issuer)).value == "token 1"
    assert (await two.token("gigachat", issuer)).value == "token 1"
    clock.now += 1
    assert (await two.token("gigachat", issuer)).value == "token 2"
    assert (await one.token("gigachat", issuer)).value == "token 2"


async def test_a_token_that_ends_soon_is_used_by_who_waited_for_it_and_not_kept(
    pair: tuple[Tokens, Tokens], issuer: Issuer
) -> None:
    issuer.lifetime = timedelta(seconds=5)
    for number, tokens in enumerate((*pair, *pair), 1):
        assert (await tokens.token("gigachat", issuer)).value == f"token {number}"


async def test_a_refused_token_is_replaced_once_whoever_reports_it(pair: tuple[Tokens, Tokens], issuer: Issuer) -> None:
    one, two = pair
    refused = (await one.token("gigachat", issuer)).value
    assert (await two.token("gigachat", issuer)).value == refused
    await one.invalidate("gigachat", refused)
    assert (await one.token("gigachat", issuer)).value == "token 2"
    await two.invalidate("gigachat", refused)
    assert (await two.token("gigachat", issuer)).value == "token 2"
    await one.invalidate("gigachat", refused)
    assert (await one.token("gigachat", issuer)).value == "token 2"
    assert issuer.issued == 2


async def test_invalidating_what_nobody_has_does_nothing(pair: tuple[Tokens, Tokens], issuer: Issuer) -> None:
    await pair[0].invalidate("gigachat", "token 1")
    assert (await pair[0].token("gigachat", issuer)).value == "token 1"


async def test_those_who_waited_share_a_failure_and_the_next_one_tries_again(
    pair: tuple[Tokens, Tokens], issuer: Issuer
) -> None:
    one, two = pair
    issuer.open.clear()
    waiting = [asyncio.create_task(one.token("gigachat", issuer.fail)) for _ in range(20)]
    await until(issuer.asked)
    issuer.open.set()
    outcomes = await asyncio.gather(*waiting, return_exceptions=True)
    assert {str(outcome) for outcome in outcomes} == {"no token today"}
    assert issuer.issued == 1
    assert (await two.token("gigachat", issuer)).value == "token 2"


async def test_a_caller_who_leaves_takes_the_token_from_nobody(pair: tuple[Tokens, Tokens], issuer: Issuer) -> None:
    one, two = pair
    issuer.open.clear()
    leaving = asyncio.create_task(one.token("gigachat", issuer))
    await until(issuer.asked)
    staying = [asyncio.create_task(tokens.token("gigachat", issuer)) for tokens in (one, two)]
    leaving.cancel()
    await asyncio.wait([leaving])
    issuer.open.set()
    async with asyncio.timeout(5):
        assert {token.value for token in await asyncio.gather(*staying)} == {"token 1"}
    assert leaving.cancelled()


async def test_a_failure_that_nobody_waits_for_any_more_is_nobodys_trouble(
    pair: tuple[Tokens, Tokens], issuer: Issuer
) -> None:
    complaints: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, complaint: complaints.append(complaint))
    issuer.open.clear()
    leaving = asyncio.create_task(pair[0].token("gigachat", issuer.fail))
    await until(issuer.asked)
    leaving.cancel()
    await asyncio.wait([leaving])
    issuer.open.set()
    assert (await pair[0].token("other", issuer)).value == "token 2"
    del leaving
    gc.collect()
    assert complaints == []


async def test_another_process_fetches_when_the_one_that_did_has_died(shared: Make, issuer: Issuer) -> None:
    issuer.open.clear()
    dying = shared(fetch_seconds=0.3)
    dead = asyncio.create_task(dying.token("gigachat", issuer))
    await until(issuer.asked)
    waiting = asyncio.create_task(shared().token("gigachat", issuer))

    async def fetched_anew() -> bool:
        return issuer.issued == 2

    await until(fetched_anew)
    issuer.open.set()
    assert (await waiting).value == "token 2"
    assert (await dead).value == "token 1"


async def test_another_process_tries_as_soon_as_the_first_has_failed(shared: Make, issuer: Issuer) -> None:
    issuer.open.clear()
    failing = asyncio.create_task(shared(fetch_seconds=60).token("gigachat", issuer.fail))
    await until(issuer.asked)
    waiting = asyncio.create_task(shared().token("gigachat", issuer))
    issuer.open.set()
    async with asyncio.timeout(5):
        assert (await waiting).value == "token 2"
        with pytest.raises(LookupError):
            await failing


async def test_a_process_that_stops_while_it_fetches_lets_another_one(shared: Make, issuer: Issuer) -> None:
    issuer.open.clear()
    stopping = shared(fetch_seconds=60)
    fetching = asyncio.create_task(stopping.token("gigachat", issuer))
    await until(issuer.asked)
    await stopping.close()
    await asyncio.wait([fetching])
    issuer.open.set()
    async with asyncio.timeout(5):
        assert (await shared().token("gigachat", issuer)).value == "token 2"


async def test_redis_keeps_a_token_no_longer_than_it_lives(shared: Make, issuer: Issuer, link: RedisLink) -> None:
    await shared().token("gigachat", issuer)
    assert await link.ask("KEYS", "*") == [b"telefonist:token:gigachat"]
    assert 0 < await link.ask("PTTL", "telefonist:token:gigachat") <= issuer.lifetime.total_seconds() * 1000


def test_a_token_does_not_show_its_value(clock: Clock) -> None:
    assert "secret" not in repr(Token("secret", clock.moment()))
