"""One generation, one settlement: done, failed, cancelled, left behind, and any two of them at once."""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Literal
from uuid import UUID

import pytest

from telefonist.core import metering as metering_module
from telefonist.core.admission import Gate
from telefonist.core.catalog import Catalog
from telefonist.core.generation import Generator, RetryPolicy
from telefonist.core.generations import Generations, Wanted
from telefonist.core.metering import Metering
from telefonist.core.prices import Prices
from telefonist.errors import ProviderFailed, ProviderProtocolError, RateLimited, Unavailable
from telefonist.memory.base import Memory
from telefonist.memory.local import open_local_memory
from telefonist.storage.database import Database
from telefonist.storage.holds import Holds
from telefonist.storage.prices import PriceOverrides
from telefonist.storage.processes import Processes
from telefonist.storage.verification import discrepancies
from telefonist.types import (
    Caller,
    ChatRequest,
    Completion,
    Delta,
    Door,
    EmbeddingRequest,
    Embeddings,
    KeyTerms,
    Model,
    Usage,
)
from tests.storage.money import counted, make_key, open_account, purse, query
from tests.waiting import until

MODEL = Model("gpt-4", "upstream", "gpt-4", input_price=1000, output_price=1000)
HELLO = ({"role": "user", "content": "Hello there"},)
USAGE = Usage(30, 20)
START = 1_000_000
WORDS = ("one ", "two ", "three ")
COUNT = 60
"""Requests at once, each cancelled at a moment of its own."""


class Upstream:
    """A provider that writes WORDS, then its usage; ``pause`` seconds pass before each of them."""

    name = "upstream"

    def __init__(self) -> None:
        self.on_disconnect: Literal["cancel", "drain"] = "cancel"
        self.pause = 0.0
        self.failure: Exception | None = None
        self.gate = asyncio.Event()
        self.gate.set()
        self.begun = 0
        self.open = 0

    async def complete(self, request: ChatRequest) -> Completion:
        self.begun += 1
        self.open += 1
        try:
            await self._wait()
            if self.failure is not None:
                raise self.failure
            return Completion("".join(WORDS), request.model, "stop", USAGE, {}, "".join(WORDS))
        finally:
            self.open -= 1

    async def stream(self, _request: ChatRequest) -> AsyncGenerator[Sequence[Delta], None]:
        self.begun += 1
        self.open += 1
        try:
            for word in WORDS:
                await asyncio.sleep(self.pause)
                yield [Delta(b"{}", {}, word, word)]
            await self._wait()
            if self.failure is not None:
                raise self.failure
            yield [Delta(b"{}", {}, usage=USAGE)]
        finally:
            self.open -= 1

    async def _wait(self) -> None:
        await asyncio.sleep(self.pause)
        await self.gate.wait()

    async def embed(self, _request: EmbeddingRequest) -> Embeddings:
        await self._wait()
        return Embeddings({}, Usage(7))

    async def aclose(self) -> None:
        return


@dataclass
class Switchboard:
    database: Database
    generations: Generations
    upstream: Upstream
    memory: Memory
    account_id: UUID
    key_id: UUID

    def wanted(self) -> Wanted:
        terms = KeyTerms(max_streams=1000, tokens_per_minute=10_000_000)
        caller = Caller(self.account_id, "127.0.0.1", metered=True, key_id=self.key_id, terms=terms)
        return Wanted(caller, Door.API, MODEL, HELLO)

    async def read(self) -> str:
        """Read a stream to its end."""
        text = ""
        async with await self.generations.stream(self.wanted()) as stream:
            while (batch := await stream.next()) is not None:
                text += "".join(delta.text for delta in batch)
        return text

    async def settled(self, count: int = 1) -> list[tuple[str, int, str | None]]:
        """Wait until nothing is held, and give state, charge and error of each generation."""

        async def seen() -> list[tuple[str, int, str | None]]:
            if await counted(self.database, "holds"):
                return []
            rows = await query(self.database, "SELECT state, charge, error FROM generations ORDER BY id")
            return [tuple(row) for row in rows] if len(rows) >= count else []

        return await until(seen)

    async def streams_open(self) -> bool:
        """Tell whether any place among the key's streams is taken."""
        ticket = await self.memory.slots.enter(str(self.key_id), 1)
        if ticket is not None:
            await self.memory.slots.leave(str(self.key_id), ticket)
        return ticket is None


@pytest.fixture
async def board(database: Database) -> AsyncIterator[Switchboard]:
    processes = Processes(database, "serve")
    await processes.register(same_machine=False)
    upstream = Upstream()
    generator = Generator(Catalog((MODEL,), "gpt-4"), {"upstream": upstream}, RetryPolicy(retries=0))
    metering = Metering(Holds(database), Prices(PriceOverrides(database)), lambda: processes.id)
    account_id = await open_account(database, START)
    key_id = await make_key(database, account_id, START)
    async with open_local_memory() as memory:
        generations = Generations(generator, metering, Gate(memory, {}))
        yield Switchboard(database, generations, upstream, memory, account_id, key_id)
        upstream.gate.set()
        await generations.close(5)
        await metering.close()
        assert upstream.open == 0
    assert await counted(database, "holds") == 0
    assert await discrepancies(database) == []


async def test_a_stream_read_to_its_end_is_settled_before_the_end_is_told(board: Switchboard) -> None:
    async with await board.generations.stream(board.wanted()) as stream:
        while await stream.next() is not None:
            assert await counted(board.database, "generations") == 0
        assert await board.settled() == [("succeeded", 50, None)]
        assert (stream.charge, stream.usage) == (50, USAGE)
    assert await purse(board.database, board.account_id) == (START - 50, 0, 2)
    assert not await board.streams_open()


async def test_a_stream_left_early_is_cut_and_settled_for_what_came(board: Switchboard) -> None:
    async with await board.generations.stream(board.wanted()) as stream:
        await stream.next()
    [(state, charge, error)] = await board.settled()
    assert (state, error) == ("cancelled", None)
    assert 0 < charge < 50
    assert board.upstream.open == 0
    assert not await board.streams_open()


@pytest.mark.parametrize(
    ("failure", "settled"),
    [
        (ProviderFailed("upstream", status=200, reason="x"), ("failed", 0, "provider_failed")),
        (RuntimeError("a mistake of ours"), ("failed", 0, "internal_error")),
    ],
)
async def test_a_failure_half_way_costs_nothing(
    board: Switchboard, failure: Exception, settled: tuple[str, int, str]
) -> None:
    board.upstream.failure = failure
    with pytest.raises(type(failure)):
        await board.read()
    assert await board.settled() == [settled]
    assert not await board.streams_open()


async def test_an_answer_that_breaks_off_costs_what_came_of_it(board: Switchboard) -> None:
    board.upstream.failure = ProviderProtocolError("upstream", reason="cut")
    with pytest.raises(ProviderProtocolError):
        await board.read()
    [(state, charge, error)] = await board.settled()
    assert (state, error) == ("cancelled", "provider_protocol_error")
    assert charge > 0


async def test_a_mistake_of_the_reader_costs_nothing_and_cuts_the_upstream(board: Switchboard) -> None:
    async def stumble() -> None:
        async with await board.generations.stream(board.wanted()) as stream:
            await stream.next()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await stumble()
    assert await board.settled() == [("failed", 0, "internal_error")]
    assert board.upstream.open == 0


@pytest.mark.parametrize("ends", ["cancel", "drain"])
@pytest.mark.parametrize("how", ["plain", "streamed", "embedded"])
async def test_cancelled_at_any_moment_once_or_twice_each_generation_is_settled_once(
    board: Switchboard, how: str, ends: Literal["cancel", "drain"]
) -> None:
    board.upstream.on_disconnect = ends
    board.upstream.pause = 0.002
    wanted = board.wanted()

    async def ask() -> None:
        if how == "plain":
            await board.generations.complete(wanted)
        elif how == "streamed":
            await board.read()
        else:
            await board.generations.embed(wanted.caller, Door.API, MODEL, "text", {})

    async def ask_and_cancel(*waits: float) -> None:
        task = asyncio.create_task(ask())
        for wait in waits:
            await asyncio.sleep(wait)
            task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    async def at_rest() -> bool:
        return not board.upstream.open and not await counted(board.database, "holds")

    await asyncio.gather(*(ask() for _ in range(COUNT)))
    started = time.monotonic()
    await asyncio.gather(*(ask() for _ in range(COUNT)))
    moment = (time.monotonic() - started) * 1.2 / COUNT
    again = ((), (0.0,), (moment / 2,), (3 * moment,))
    await asyncio.gather(*(ask_and_cancel(number * moment, *again[number % 4]) for number in range(COUNT)))
    await until(at_rest)
    assert not await board.streams_open()
    settled = await board.settled(2 * COUNT)
    assert {state for state, _, _ in settled} <= {"succeeded", "cancelled"}
    assert len(settled) <= 3 * COUNT
    spent = sum(charge for _, charge, _ in settled)
    assert (await purse(board.database, board.account_id))[:2] == (START - spent, 0)
    whole = 7 if how == "embedded" else 50
    paid = [charge for _, charge, _ in settled if charge]
    if ends == "drain" and how != "embedded":
        assert paid == [whole] * board.upstream.begun
    assert paid.count(whole) == sum(state == "succeeded" for state, _, _ in settled)


@pytest.mark.parametrize("streamed", [False, True])
async def test_an_answer_whose_hold_was_lost_is_not_given_whole_and_costs_nothing(
    board: Switchboard, *, streamed: bool
) -> None:
    board.upstream.gate.clear()
    answering: asyncio.Future[object] = asyncio.ensure_future(
        board.read() if streamed else board.generations.complete(board.wanted())
    )

    async def begun() -> bool:
        return board.upstream.open == 1

    await until(begun)
    other = Processes(board.database, "worker")
    await other.register(same_machine=False)
    await query(board.database, "DELETE FROM processes WHERE kind = 'serve'")
    await other.reap(1000)
    board.upstream.gate.set()
    with pytest.raises(Unavailable) as refused:
        await answering
    assert refused.value.code == "generation_lost"
    assert await board.settled() == [("lost", 0, None)]
    assert await purse(board.database, board.account_id) == (START, 0, 1)


async def test_a_drained_answer_is_cut_when_the_service_stops_and_costs_what_came(board: Switchboard) -> None:
    board.upstream.on_disconnect = "drain"
    board.upstream.gate.clear()
    async with await board.generations.stream(board.wanted()) as stream:
        await stream.next()
    await board.generations.close(0.05)
    [(state, charge, _)] = await board.settled()
    assert state == "cancelled"
    assert charge > 0
    assert board.upstream.open == 0


async def test_what_was_expected_of_a_key_s_tokens_is_corrected_by_what_was_used(board: Switchboard) -> None:
    limit = KeyTerms(tokens_per_minute=400)
    caller = Caller(board.account_id, "127.0.0.1", metered=True, key_id=board.key_id, terms=limit)
    wanted = Wanted(caller, Door.API, MODEL, HELLO)
    for _ in range(2):
        await board.generations.complete(wanted)
    board.upstream.failure = ProviderFailed("upstream", status=500, reason="x")
    for _ in range(5):
        with pytest.raises(ProviderFailed):
            await board.generations.complete(wanted)
    board.upstream.failure = None
    await board.generations.complete(wanted)
    with pytest.raises(RateLimited):
        await board.generations.complete(wanted)


async def test_while_the_database_is_away_at_the_end_the_answer_waits_and_past_our_patience_is_refused(
    board: Switchboard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metering_module, "PATIENCE", 0.1)
    board.upstream.gate.clear()
    reading = asyncio.create_task(board.read())

    async def begun() -> bool:
        return board.upstream.open == 1

    await until(begun)
    line = board.database.line("settlements")
    run = line.run
    monkeypatch.setattr(line, "run", _away)
    board.upstream.gate.set()
    with pytest.raises(Unavailable) as refused:
        await reading
    assert refused.value.code == "storage_unavailable"
    monkeypatch.setattr(line, "run", run)
    assert await board.settled() == [("succeeded", 50, None)]
    assert not await board.streams_open()


async def _away(*_: object) -> None:
    raise Unavailable(seconds=1)
