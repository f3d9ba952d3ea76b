"""Clients that leave, in the middle of an answer and before it, and those that stay and do not read."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from telefonist.core.token_counting import counted_usage
from telefonist.types import MICROCREDITS, KeyTerms
from tests.doors.bare_client import BareClient, ask_barely
from tests.doors.conftest import Serve
from tests.doors.exchange import Exchange, User, open_exchange
from tests.fakes.openai_upstream import FakeOpenAI, answer, chunk, event, events, silence
from tests.fakes.scripted_http import Behaviour, Received
from tests.fakes.scripted_http import Exchange as Answering
from tests.waiting import until

HELLO: list[Any] = [{"role": "user", "content": "Hello there"}]
DONE = "data: [DONE]\n\n"
USAGE = {"prompt_tokens": 9, "completion_tokens": 4, "total_tokens": 13}
COST = 13 * 200_000
START = 1000 * MICROCREDITS
AT_ONCE = 0.1
"""Seconds in which the upstream is to be closed when the client has left."""


@pytest.fixture
async def upstream() -> AsyncIterator[FakeOpenAI]:
    async with FakeOpenAI() as upstream:
        yield upstream


@pytest.fixture
async def exchange(serve: Serve, dsn: str, tmp_path: Path, upstream: FakeOpenAI) -> AsyncIterator[Exchange]:
    async with open_exchange(serve, dsn, tmp_path, upstream) as exchange:
        yield exchange


@pytest.fixture
async def draining(serve: Serve, dsn: str, tmp_path: Path, upstream: FakeOpenAI) -> AsyncIterator[Exchange]:
    """A service whose upstream bills the whole answer in any case."""
    drain = 'on_disconnect = "drain"'
    async with open_exchange(serve, dsn, tmp_path, upstream, provider=drain) as exchange:
        yield exchange


async def connect(user: User, **fields: Any) -> BareClient:
    client = await ask_barely(user.exchange.url, user.key, **fields)
    user.exchange.stack.callback(client.writer.transport.abort)
    return client


async def gone(request: Received) -> float:
    """Wait until the upstream has lost its client, and tell when that was."""
    async with asyncio.timeout(10):
        await request.gone.wait()
    return request.gone_at


# Leaving


@pytest.mark.parametrize("reset", [False, True], ids=["closed", "reset"])
async def test_when_the_client_leaves_the_upstream_is_closed_at_once_and_what_was_produced_is_paid(
    exchange: Exchange, upstream: FakeOpenAI, *, reset: bool
) -> None:
    user = await exchange.user()
    upstream.default = events(chunk("one two "), ending="hang")
    waited = []
    for number in range(5):
        client = await connect(user)
        await client.until(b"one two ")
        client.leave(reset=reset)
        waited.append(await gone((await upstream.received(number + 1))[number]) - client.left_at)
        await user.settled(number + 1)
    assert sorted(waited)[2] < AT_ONCE, waited
    counted = await counted_usage("gpt-4", HELLO, {}, "one two ")
    for generation in await user.generations():
        assert (generation["state"], generation["error"], generation["estimated"]) == ("cancelled", None, True)
        assert generation["charge"] == counted.total_tokens * 200_000
    assert await user.balance() == START - 5 * counted.total_tokens * 200_000


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "streamed"])
async def test_a_client_that_leaves_before_the_first_chunk_pays_nothing_and_the_upstream_is_closed_at_once(
    exchange: Exchange, upstream: FakeOpenAI, *, stream: bool
) -> None:
    user = await exchange.user()
    upstream.default = silence()
    waited = []
    for number in range(5):
        client = await connect(user, stream=stream)
        request = (await upstream.received(number + 1))[number]
        client.leave()
        waited.append(await gone(request) - client.left_at)
    assert sorted(waited)[2] < AT_ONCE, waited
    for generation in await user.settled(5):
        assert (generation["state"], generation["charge"]) == ("cancelled", 0)
    assert await user.balance() == START
    assert len(upstream.requests) == 5, "nobody asks a fallback for a client that has left"


async def test_a_client_that_leaves_between_two_tries_is_not_tried_for_again(
    exchange: Exchange, upstream: FakeOpenAI
) -> None:
    user = await exchange.user()
    upstream.default = events({"error": {"message": "x", "code": 503}})
    client = await connect(user)
    await upstream.received(1)
    client.leave()
    (generation,) = await user.settled()
    assert (generation["state"], generation["charge"]) == ("cancelled", 0)
    assert len(upstream.requests) == 1


@pytest.mark.parametrize("usage", [None, USAGE], ids=["counted by us", "counted by the provider"])
async def test_leaving_just_before_done_saves_nothing(
    exchange: Exchange, upstream: FakeOpenAI, usage: dict[str, int] | None
) -> None:
    user = await exchange.user()
    upstream.script(events(chunk("one two three"), chunk(finish_reason="stop", usage=usage), ending="hang"))
    client = await connect(user)
    await client.until(b'"stop"')
    client.leave()
    counted = await counted_usage("gpt-4", HELLO, {}, "one two three")
    cost = COST if usage else counted.total_tokens * 200_000
    (generation,) = await user.settled()
    assert (generation["state"], generation["charge"]) == ("cancelled", cost)
    assert await user.balance() == START - cost


async def test_leaving_while_the_end_is_being_paid_for_changes_nothing(
    exchange: Exchange, upstream: FakeOpenAI
) -> None:
    user = await exchange.user()
    gate = asyncio.Event()
    upstream.script(events(chunk("one two three"), gate, chunk(finish_reason="stop", usage=USAGE), DONE))
    client = await connect(user)
    await client.until(b"three")
    async with exchange.connection.transaction():
        await exchange.connection.execute("SELECT FROM balances WHERE account_id = $1 FOR UPDATE", user.id)
        gate.set()
        await until(lambda: exchange.value("SELECT count(*) FROM pg_locks WHERE NOT granted"))
        await client.leave_noticed()
    (generation,) = await user.settled()
    assert (generation["state"], generation["charge"]) == ("succeeded", COST)
    assert await user.balance() == START - COST


async def test_leaving_while_the_hold_is_being_taken_leaves_no_hold_behind(
    exchange: Exchange, upstream: FakeOpenAI
) -> None:
    user = await exchange.user()
    async with exchange.connection.transaction():
        await exchange.connection.execute("SELECT FROM balances WHERE account_id = $1 FOR UPDATE", user.id)
        client = await connect(user)
        await until(lambda: exchange.value("SELECT count(*) FROM pg_locks WHERE NOT granted"))
        await client.leave_noticed()
        for _ in range(30):  # time enough to give back a hold that is not there yet
            assert (await exchange.client.get("/ready")).status_code == 200
    (generation,) = await user.settled()
    assert (generation["state"], generation["charge"]) == ("cancelled", 0)
    assert upstream.requests == []


async def test_a_client_that_leaves_frees_its_place_among_the_streams_of_its_key(
    exchange: Exchange, upstream: FakeOpenAI
) -> None:
    user = await exchange.user(terms=KeyTerms(max_streams=1, tokens_per_minute=1000))
    upstream.default = events(chunk("one "), ending="hang")
    for number in range(5):
        client = await connect(user, max_tokens=900)
        await client.until(b"one ")
        client.leave()
        await user.settled(number + 1)


# Upstreams that bill in full anyway


@pytest.mark.parametrize("moment", ["before the first chunk", "half-way"])
async def test_where_the_upstream_bills_in_full_the_stream_is_read_to_its_end_and_charged_whole(
    draining: Exchange, upstream: FakeOpenAI, moment: str
) -> None:
    user = await draining.user(terms=KeyTerms(max_streams=1))
    first, second = asyncio.Event(), asyncio.Event()
    upstream.script(events(first, chunk("one "), second, chunk("two"), chunk(finish_reason="stop", usage=USAGE), DONE))
    client = await connect(user)
    (request,) = await upstream.received(1)
    if moment == "half-way":
        first.set()
        await client.until(b"one ")
    await client.leave_noticed()
    assert (await draining.client.get("/health")).status_code == 200
    assert await user.held() > 0
    first.set()
    second.set()
    (generation,) = await user.settled()
    assert not request.gone.is_set()
    assert (generation["state"], generation["charge"], generation["estimated"]) == ("succeeded", COST, False)
    assert await user.balance() == START - COST
    async for _ in await user.openai.chat.completions.create(model="free", messages=HELLO, stream=True):
        pass


async def test_where_the_upstream_bills_in_full_a_plain_answer_is_waited_for_and_charged(
    draining: Exchange, upstream: FakeOpenAI
) -> None:
    user = await draining.user()
    gate = asyncio.Event()
    upstream.script(after(gate, answer("one two", usage=USAGE)))
    client = await connect(user, stream=False)
    (request,) = await upstream.received(1)
    await client.leave_noticed()
    assert (await draining.client.get("/health")).status_code == 200
    gate.set()
    (generation,) = await user.settled()
    assert not request.gone.is_set()
    assert (generation["state"], generation["charge"]) == ("succeeded", COST)


async def test_an_answer_read_on_for_a_client_that_left_and_then_cut_costs_what_it_came_to(
    draining: Exchange, upstream: FakeOpenAI
) -> None:
    user = await draining.user()
    gate = asyncio.Event()
    upstream.script(events(chunk("one "), gate, chunk("two"), ending="cut"))
    client = await connect(user)
    await client.until(b"one ")
    await client.leave_noticed()
    gate.set()
    counted = await counted_usage("gpt-4", HELLO, {}, "one two")
    (generation,) = await user.settled()
    assert (generation["state"], generation["error"]) == ("cancelled", "provider_protocol_error")
    assert generation["charge"] == counted.total_tokens * 200_000


def after(gate: asyncio.Event, behaviour: Behaviour) -> Behaviour:
    async def wait(answering: Answering) -> None:
        await gate.wait()
        await behaviour(answering)

    return wait


# Staying, and not reading

PIECE = event(chunk("x" * 60_000))
PIECES = 600
"""Far more than the sockets on the way hold: 36 MB."""


class Flood:
    """Writes as fast as it is taken, and counts."""

    written = 0

    async def __call__(self, answering: Answering) -> None:
        await answering.head(200, "text/event-stream")
        for _ in range(PIECES):
            await answering.write(PIECE)
            self.written += 1
        await answering.write(event(chunk(finish_reason="stop", usage=USAGE)) + DONE.encode())
        await answering.end()

    async def stuck(self) -> int:
        """Wait until nothing more is taken, and give how much was."""
        seen, quiet = -1, 0
        while quiet < 30:
            await asyncio.sleep(0.01)
            quiet = quiet + 1 if seen == self.written else 0
            seen = self.written
        return seen


async def test_a_client_that_does_not_read_holds_the_upstream_back_and_gets_all_of_it_later(
    exchange: Exchange, upstream: FakeOpenAI
) -> None:
    user, flood = await exchange.user(), Flood()
    upstream.script(flood)
    client = await connect(user)
    assert await flood.stuck() < PIECES / 2
    assert await user.generations() == []
    pieces, tail = 0, b""
    while b"[DONE]" not in tail:
        tail = tail[-100:] + await client.reader.read(65536)
        assert len(tail) > 100, "the connection was closed"
        pieces += tail.count(b'"content"', 92)
    assert pieces == PIECES
    client.leave()
    (generation,) = await user.settled()
    assert (generation["state"], generation["charge"]) == ("succeeded", COST)


async def test_a_client_that_does_not_read_and_leaves_is_noticed_at_once(
    exchange: Exchange, upstream: FakeOpenAI
) -> None:
    user, flood = await exchange.user(), Flood()
    upstream.script(flood)
    client = await connect(user)
    await flood.stuck()
    client.leave(reset=True)
    assert await gone(upstream.requests[0]) - client.left_at < 1
    (generation,) = await user.settled()
    assert (generation["state"], generation["estimated"]) == ("cancelled", True)
    assert generation["charge"] > 0


async def test_a_client_that_takes_nothing_for_too_long_counts_as_gone(
    exchange: Exchange, upstream: FakeOpenAI, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("telefonist.doors.client_watch.STALLED", 0.3)
    user, flood = await exchange.user(), Flood()
    upstream.script(flood)
    client = await connect(user)
    await gone((await upstream.received(1))[0])
    (generation,) = await user.settled()
    assert generation["state"] == "cancelled"
    client.leave(reset=True)


async def test_a_client_that_waits_long_for_the_next_piece_is_not_taken_for_gone(
    exchange: Exchange, upstream: FakeOpenAI, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("telefonist.doors.client_watch.STALLED", 0.05)
    user = await exchange.user()
    upstream.script(events(chunk("one "), 0.4, chunk("two", finish_reason="stop", usage=USAGE), DONE))
    client = await connect(user)
    await client.until(b"[DONE]")
    client.leave()
    (generation,) = await user.settled()
    assert generation["state"] == "succeeded"


# Many of them


async def test_streams_opened_and_dropped_leave_no_task_no_connection_and_no_hold(
    exchange: Exchange, upstream: FakeOpenAI
) -> None:
    user = await exchange.user(credits_=1_000_000)
    upstream.default = events(chunk("one "), 0.02, chunk("two"), ending="hang")

    async def drop(number: int) -> None:
        client = await connect(user)
        if number % 3:
            await client.until(b"one " if number % 3 == 1 else b"two")
        client.leave(reset=number % 2 == 0)

    async def at_rest() -> bool:
        return upstream.open_connections == 0 and not await exchange.value("SELECT count(*) FROM holds")

    async def drop_many(count: int) -> int:
        """Drop so many at once; give how many tasks are left."""
        await asyncio.gather(*(drop(number) for number in range(count)))
        await until(at_rest)
        return await until_still()

    before = await drop_many(10)
    assert await drop_many(300) <= before
    for generation in await user.generations():
        assert generation["state"] == "cancelled"


async def until_still() -> int:
    """Let whatever just ended be gone, and count the tasks of the service, its worker and this test."""
    fewest = len(asyncio.all_tasks())
    for _ in range(20):
        await asyncio.sleep(0.01)
        fewest = min(fewest, len(asyncio.all_tasks()))
    return fewest
