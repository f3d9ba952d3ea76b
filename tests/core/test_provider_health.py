"""A model that keeps failing is asked after its fallbacks, tried again in time, and never given up."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Literal

import pytest

from telefonist.core import provider_health
from telefonist.core.catalog import Catalog
from telefonist.core.generation import Answer, Generator, RetryPolicy
from telefonist.core.provider_health import CircuitState, ProviderHealth
from telefonist.errors import (
    ProviderCredentialsRefused,
    ProviderError,
    ProviderFailed,
    ProviderOutOfFunds,
    ProviderProtocolError,
    ProviderRateLimited,
    ProviderRejectedRequest,
    ProviderTimeout,
    ProviderUnreachable,
)
from telefonist.types import ChatRequest, Completion, Delta, EmbeddingRequest, Embeddings, Model, Usage

HELLO = ({"role": "user", "content": "Hello"},)
MODELS = (
    Model("first", "upstream", "first-1", fallbacks=("spare",)),
    Model("spare", "upstream", "spare-1"),
    Model("alone", "upstream", "alone-1"),
)
DOWN = ProviderFailed("upstream", status=500, reason="down")


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Upstream:
    """A provider whose models answer "Hi", or fail with what is laid down for them."""

    name = "upstream"
    on_disconnect: Literal["cancel", "drain"] = "cancel"

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.failing: dict[str, ProviderError] = {}
        self.breaking_off: ProviderError | None = None
        self.gate: asyncio.Event | None = None

    async def complete(self, request: ChatRequest) -> Completion:
        await self._meet(request.model)
        return Completion("Hi", request.model, "stop", Usage(1, 1), {})

    async def stream(self, request: ChatRequest) -> AsyncGenerator[Sequence[Delta], None]:
        await self._meet(request.model)
        yield [Delta(b"{}", {}, "Hi", "Hi")]
        if self.breaking_off is not None:
            raise self.breaking_off

    async def embed(self, request: EmbeddingRequest) -> Embeddings:
        await self._meet(request.model)
        return Embeddings({}, Usage(1))

    async def aclose(self) -> None:
        """Nothing to let go."""

    async def _meet(self, model: str) -> None:
        self.asked.append(model)
        if self.gate is not None:
            await self.gate.wait()
        if error := self.failing.get(model.removesuffix("-1")):
            raise error

    def asked_since(self) -> list[str]:
        asked, self.asked = self.asked, []
        return asked


class Line:
    """A generator before a provider, without repeating."""

    def __init__(self, *, retries: int = 0, enabled: bool = True) -> None:
        self.clock = Clock()
        self.upstream = Upstream()
        self.health = ProviderHealth(enabled=enabled, clock=self.clock)
        retry = RetryPolicy(retries, 0.0, 0.0)
        self.generator = Generator(Catalog(MODELS, "first"), {"upstream": self.upstream}, retry, self.health)

    async def ask(self, model: str = "first", times: int = 1) -> list[str]:
        """Ask so often, and give the models that were asked."""
        self.upstream.asked_since()
        for _ in range(times):
            try:
                await self.generator.complete(model, HELLO)
            except ProviderError:
                continue
        return self.upstream.asked_since()

    async def begin(self, gate: asyncio.Event) -> "asyncio.Task[Answer]":
        """Ask ``first``, which answers once the gate opens."""
        self.upstream.asked_since()
        self.upstream.gate = gate
        task = asyncio.create_task(self.generator.complete("first", HELLO))
        while not self.upstream.asked:  # noqa: ASYNC110  a task writes to it
            await asyncio.sleep(0)
        self.upstream.gate = None
        assert self.upstream.asked_since() == ["first-1"]
        return task

    async def break_down(self, model: str = "first", error: ProviderError = DOWN) -> None:
        """Let a model fail until its circuit is open."""
        self.upstream.failing[model] = error
        await self.ask(model, times=5)

    def state(self, model: str = "first") -> CircuitState:
        return self.health.of(model).state


@pytest.fixture
def line() -> Line:
    return Line()


async def test_after_five_failures_in_a_row_the_fallback_takes_over_at_once(line: Line) -> None:
    line.upstream.failing["first"] = DOWN
    assert await line.ask(times=5) == ["first-1", "spare-1"] * 5
    assert line.state() is CircuitState.OPEN
    assert await line.ask(times=3) == ["spare-1"] * 3


async def test_four_failures_are_not_enough_nor_are_five_with_an_answer_between(line: Line) -> None:
    for _ in range(3):
        line.upstream.failing["first"] = DOWN
        await line.ask(times=4)
        del line.upstream.failing["first"]
        assert await line.ask() == ["first-1"]
    assert line.state() is CircuitState.CLOSED


async def test_five_failures_over_a_longer_time_are_not_enough(line: Line) -> None:
    line.upstream.failing["first"] = DOWN
    for _ in range(12):
        await line.ask()
        line.clock.now += provider_health.WITHIN / 3
    assert line.state() is CircuitState.CLOSED


@pytest.mark.parametrize(
    ("error", "opens"),
    [
        (ProviderUnreachable("upstream", reason="refused"), True),
        (ProviderTimeout("upstream", phase="headers", seconds=1), True),
        (ProviderTimeout("upstream", phase="chunk", seconds=1), True),
        (ProviderTimeout("upstream", phase="total", seconds=1), False),
        (ProviderFailed("upstream", status=503, reason="busy"), True),
        (ProviderFailed("upstream", status=200, reason="an error in the answer"), True),
        (ProviderFailed("upstream", status=409, reason="conflict"), False),
        (ProviderRateLimited("upstream", reason="slowly"), False),
        (ProviderRejectedRequest("upstream", status=400, reason="too long"), False),
        (ProviderCredentialsRefused("upstream", status=401, reason="key"), True),
        (ProviderCredentialsRefused("upstream", status=400, reason="scope"), True),
        (ProviderCredentialsRefused("upstream", status=403, reason="your input was flagged"), False),
        (ProviderOutOfFunds("upstream", reason="empty"), True),
        (ProviderProtocolError("upstream", reason="garbage"), False),
    ],
    ids=lambda value: value.code if isinstance(value, ProviderError) else str(value),
)
async def test_only_what_speaks_of_the_upstream_counts(line: Line, error: ProviderError, opens: bool) -> None:
    await line.break_down(error=error)
    assert (line.state() is CircuitState.OPEN) is opens
    assert line.health.of("first").errors == {error.code: 5}


async def test_one_request_tries_an_open_circuit_again_after_its_time(line: Line) -> None:
    await line.break_down()
    line.clock.now += 9.9
    assert await line.ask() == ["spare-1"]
    line.clock.now += 0.1
    line.upstream.gate = asyncio.Event()
    first, second = (asyncio.create_task(line.generator.complete("first", HELLO)) for _ in range(2))
    while len(line.upstream.asked) < 2:  # noqa: ASYNC110  two tasks write to it
        await asyncio.sleep(0)
    assert line.upstream.asked == ["first-1", "spare-1"]
    assert line.state() is CircuitState.HALF_OPEN
    del line.upstream.failing["first"]
    line.upstream.gate.set()
    assert ((await first).model.name, (await second).model.name) == ("first", "spare")
    assert line.state() is CircuitState.CLOSED


async def test_each_probe_that_fails_doubles_the_time_up_to_a_minute(line: Line) -> None:
    await line.break_down()
    for seconds in (10, 20, 40, 60, 60):
        assert line.health.of("first").probe_in == seconds
        line.clock.now += seconds - 0.1
        assert await line.ask() == ["spare-1"]
        line.clock.now += 0.1
        assert await line.ask() == ["first-1", "spare-1"]


async def test_a_circuit_that_closed_opens_for_the_shortest_time_again(line: Line) -> None:
    await line.break_down()
    line.clock.now += 10
    await line.ask()
    line.clock.now += 20
    del line.upstream.failing["first"]
    assert await line.ask() == ["first-1"]
    await line.break_down()
    assert line.health.of("first").probe_in == 10


async def test_a_probe_that_finds_the_account_still_empty_opens_the_circuit_again(line: Line) -> None:
    await line.break_down(error=ProviderOutOfFunds("upstream", reason="empty"))
    line.clock.now += 10
    assert await line.ask() == ["first-1", "spare-1"]
    assert line.health.of("first").probe_in == 20


async def test_a_probe_that_is_answered_with_a_refusal_closes_the_circuit(line: Line) -> None:
    await line.break_down()
    line.clock.now += 10
    line.upstream.failing["first"] = ProviderRejectedRequest("upstream", status=400, reason="too long")
    await line.ask()
    assert line.state() is CircuitState.CLOSED


@pytest.mark.parametrize("garbage", [False, True])
async def test_a_probe_without_a_verdict_leaves_it_to_the_next_one(line: Line, garbage: bool) -> None:
    await line.break_down()
    line.clock.now += 10
    if garbage:
        line.upstream.failing["first"] = ProviderProtocolError("upstream", reason="garbage")
        await line.ask()
    else:
        task = await line.begin(asyncio.Event())
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert line.state() is CircuitState.HALF_OPEN
    del line.upstream.failing["first"]
    assert await line.ask() == ["first-1"]
    assert line.state() is CircuitState.CLOSED


@pytest.mark.parametrize("late", ["fails", "is answered", "is left"])
async def test_what_becomes_of_an_older_request_says_nothing_of_the_one_that_tries(line: Line, late: str) -> None:
    before, now = asyncio.Event(), asyncio.Event()
    older = await line.begin(before)
    await line.break_down()
    line.clock.now += 10
    probe = await line.begin(now)
    if late == "is answered":
        del line.upstream.failing["first"]
    if late == "is left":
        older.cancel()
    before.set()
    await asyncio.wait([older])
    assert line.state() is CircuitState.HALF_OPEN
    assert await line.ask() == ["spare-1"]
    line.upstream.failing["first"] = DOWN
    now.set()
    await probe
    assert line.health.of("first").probe_in == 20


async def test_a_model_without_a_fallback_is_asked_every_time(line: Line) -> None:
    await line.break_down("alone")
    assert line.state("alone") is CircuitState.OPEN
    assert await line.ask("alone", times=3) == ["alone-1"] * 3
    assert line.health.of("alone").probe_in == 10
    del line.upstream.failing["alone"]
    assert (await line.generator.complete("alone", HELLO)).completion.text == "Hi"
    assert line.state("alone") is CircuitState.CLOSED


async def test_a_failing_model_is_asked_all_the_same_when_its_fallbacks_fail_and_its_error_is_told(line: Line) -> None:
    await line.break_down()
    line.upstream.failing["spare"] = ProviderTimeout("upstream", phase="headers", seconds=1)
    with pytest.raises(ProviderFailed, match="down"):
        await line.generator.complete("first", HELLO)
    assert line.upstream.asked_since()[-2:] == ["spare-1", "first-1"]


async def test_what_is_known_to_fail_is_not_asked_twice_by_one_request() -> None:
    line = Line(retries=2)
    line.upstream.failing["first"] = DOWN
    assert await line.ask(times=2) == ["first-1"] * 3 + ["spare-1"] + ["first-1"] * 2 + ["spare-1"]
    line.clock.now += 10
    assert await line.ask() == ["first-1", "spare-1"]


async def test_models_of_one_provider_are_told_apart(line: Line) -> None:
    await line.break_down()
    assert line.state("alone") is CircuitState.CLOSED
    assert await line.ask("alone") == ["alone-1"]


async def test_circuits_can_be_switched_off() -> None:
    line = Line(enabled=False)
    await line.break_down()
    assert await line.ask(times=2) == ["first-1", "spare-1"] * 2
    assert line.health.of("first").errors == {"provider_failed": 7}


async def follow(line: Line) -> None:
    answer = await line.generator.stream("alone", HELLO)
    async with aclosing(answer):
        while await answer.next() is not None:
            pass


async def test_a_stream_that_begins_closes_the_circuit(line: Line) -> None:
    await line.break_down("alone")
    del line.upstream.failing["alone"]
    answer = await line.generator.stream("alone", HELLO)
    assert line.state("alone") is CircuitState.CLOSED
    assert line.health.of("alone").answers == 0
    while await answer.next() is not None:
        pass
    assert line.health.of("alone").answers == 1


async def test_streams_that_fall_silent_in_the_middle_open_the_circuit(line: Line) -> None:
    line.upstream.breaking_off = ProviderTimeout("upstream", phase="chunk", seconds=1)
    for _ in range(5):
        with pytest.raises(ProviderTimeout):
            await follow(line)
    assert line.state("alone") is CircuitState.OPEN


async def test_times_are_kept_of_the_last_answers(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(provider_health, "REMEMBERED", 100)
    for milliseconds in (5000, *range(1, 101)):
        line.health.answered("first", milliseconds / 1000)
    line.health.begun("first", 0.25)
    seen = line.health.of("first")
    assert seen.whole is not None
    assert (seen.whole.count, seen.whole.median, seen.whole.p95) == (100, 50, 95)
    assert seen.first_piece is not None
    assert (seen.first_piece.count, seen.first_piece.median, seen.first_piece.p95) == (1, 250, 250)
    assert seen.answers == 101


async def test_answers_are_timed_by_how_they_were_asked_for(line: Line) -> None:
    await line.ask("alone", times=2)
    await follow(line)
    await line.generator.embed("alone", "Hello", {})
    seen = line.health.of("alone")
    assert seen.whole is not None
    assert seen.first_piece is not None
    assert (seen.whole.count, seen.first_piece.count, seen.answers) == (3, 1, 4)


async def test_the_last_error_is_told_in_words(line: Line) -> None:
    assert line.health.of("first").last_error is None
    line.upstream.failing["first"] = DOWN
    await line.ask()
    error = line.health.of("first").last_error
    assert error is not None
    assert (error.code, error.text) == ("provider_failed", "Provider 'upstream' failed with status 500: down.")
