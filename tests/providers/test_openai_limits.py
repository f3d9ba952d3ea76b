"""An upstream gets only so much time, memory and company, and is left the moment nobody wants its answer."""

import asyncio
import contextlib
import gzip
import json
import socket
import time
import tracemalloc
from collections.abc import Awaitable, Callable, Iterator
from contextlib import aclosing, contextmanager

import pytest

from telefonist.errors import ProviderProtocolError, ProviderTimeout, ProviderUnreachable
from telefonist.providers import openai_answers
from telefonist.providers.base import Provider
from telefonist.types import Delta
from tests.fakes.openai_upstream import FakeOpenAI, answer, chunk, event, events, refuse, reply, silence
from tests.fakes.scripted_http import Behaviour, Exchange
from tests.providers.asking import ask, stream, text_of
from tests.providers.conftest import MakeProvider

DONE = "data: [DONE]\n\n"


@contextmanager
def full_listener() -> Iterator[int]:
    """Listen without accepting, with the queue full, so that a further connection gets no answer."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(8):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]


def forever(piece: bytes, content_type: str) -> Behaviour:
    async def behave(exchange: Exchange) -> None:
        await exchange.head(200, content_type)
        while True:
            await exchange.write(piece)

    return behave


async def left(upstream: FakeOpenAI, position: int = 0) -> float:
    """Wait until the upstream has seen its client leave, and tell when it did."""
    await asyncio.wait_for(upstream.requests[position].gone.wait(), 2)
    return upstream.requests[position].gone_at


async def test_an_upstream_that_sends_no_headers_times_out(upstream: FakeOpenAI, make_provider: MakeProvider) -> None:
    upstream.default = silence()
    provider = make_provider(header_timeout=0.05)
    with pytest.raises(ProviderTimeout) as plain:
        await provider.complete(ask())
    with pytest.raises(ProviderTimeout) as streamed:
        await stream(provider, ask())
    for timeout in (plain, streamed):
        assert (timeout.value.values["phase"], timeout.value.values["seconds"]) == ("headers", 0.05)
        assert not timeout.value.repeatable
    await left(upstream, 0)
    await left(upstream, 1)


async def test_an_upstream_that_falls_silent_between_two_chunks_times_out(
    upstream: FakeOpenAI, make_provider: MakeProvider
) -> None:
    upstream.script(events(chunk("Half an"), ending="hang"))
    got: list[Delta] = []
    with pytest.raises(ProviderTimeout) as silent:
        await stream(make_provider(chunk_timeout=0.05), ask(), into=got)
    assert (silent.value.values["phase"], silent.value.values["seconds"]) == ("chunk", 0.05)
    assert text_of(got) == "Half an"
    await left(upstream)


async def test_an_upstream_that_falls_silent_in_a_plain_answer_times_out(
    upstream: FakeOpenAI, make_provider: MakeProvider
) -> None:
    upstream.script(events('{"choices"', ending="hang", content_type="application/json"))
    with pytest.raises(ProviderTimeout) as silent:
        await make_provider(chunk_timeout=0.05).complete(ask())
    assert silent.value.values["phase"] == "chunk"
    await left(upstream)


async def test_a_sign_of_life_is_enough_between_two_chunks(upstream: FakeOpenAI, make_provider: MakeProvider) -> None:
    pings = [piece for _ in range(6) for piece in (0.05, ": OPENROUTER PROCESSING\n\n")]
    upstream.script(events(*pings, chunk("Hi", finish_reason="stop"), DONE))
    assert text_of(await stream(make_provider(chunk_timeout=0.2), ask())) == "Hi"


async def test_silence_is_measured_from_the_last_piece(upstream: FakeOpenAI, make_provider: MakeProvider) -> None:
    upstream.script(events(*[piece for _ in range(4) for piece in (0.04, chunk("word "))], ending="hang"))
    async with aclosing(make_provider(chunk_timeout=0.1).stream(ask())) as batches:
        for _ in range(4):
            await anext(batches)
        arrived = time.monotonic()
        with pytest.raises(ProviderTimeout):
            await anext(batches)
    assert 0.09 < time.monotonic() - arrived < 0.5


async def test_a_reader_who_takes_time_is_no_silence(upstream: FakeOpenAI, make_provider: MakeProvider) -> None:
    gate = asyncio.Event()
    upstream.script(events(chunk("one "), gate, chunk("two", finish_reason="stop"), DONE))
    async with aclosing(make_provider(chunk_timeout=0.05).stream(ask())) as batches:
        assert text_of(await anext(batches)) == "one "
        await asyncio.sleep(0.12)
        gate.set()
        assert text_of(await anext(batches)) == "two"


async def test_a_reader_who_takes_too_long_in_all_gets_no_more(
    upstream: FakeOpenAI, make_provider: MakeProvider
) -> None:
    upstream.script(forever(event(chunk("word ")), "text/event-stream"))
    async with aclosing(make_provider(total_timeout=0.4).stream(ask())) as batches:
        await anext(batches)
        await asyncio.sleep(0.45)
        with pytest.raises(ProviderTimeout) as late:
            await anext(batches)
    assert late.value.values["phase"] == "total"


async def test_no_timer_is_left_behind(upstream: FakeOpenAI, provider: Provider) -> None:
    upstream.script(answer("Hi"), events(chunk("Half an"), ending="cut"), events(chunk("one"), ending="hang"))
    await stream(provider, ask())
    with pytest.raises(ProviderProtocolError):
        await stream(provider, ask())
    async with aclosing(provider.stream(ask())) as batches:
        await anext(batches)
    timers: list[asyncio.TimerHandle] = asyncio.get_running_loop()._scheduled  # type: ignore[attr-defined]
    assert not [timer for timer in timers if not timer.cancelled() and "Patience" in repr(timer)]


async def test_an_answer_that_never_ends_times_out_in_all(upstream: FakeOpenAI, make_provider: MakeProvider) -> None:
    pings = [piece for _ in range(200) for piece in (0.01, ": ping\n\n")]
    upstream.script(events(*pings, ending="hang"))
    with pytest.raises(ProviderTimeout) as endless:
        await stream(make_provider(total_timeout=0.1), ask())
    assert (endless.value.values["phase"], endless.value.values["seconds"]) == ("total", 0.1)
    await left(upstream)


async def test_the_time_for_all_counts_before_the_headers_too(
    upstream: FakeOpenAI, make_provider: MakeProvider
) -> None:
    upstream.script(silence())
    with pytest.raises(ProviderTimeout) as endless:
        await make_provider(total_timeout=0.05).complete(ask())
    assert endless.value.values["phase"] == "total"


async def test_an_upstream_that_takes_no_connection_is_unreachable(make_provider: MakeProvider) -> None:
    with full_listener() as port:
        provider = make_provider(base_url=f"http://127.0.0.1:{port}/v1", connect_timeout=0.1)
        with pytest.raises(ProviderUnreachable, match=r"no connection within 0\.1 s") as lost:
            await provider.complete(ask())
    assert lost.value.repeatable


async def complete(provider: Provider) -> object:
    return await provider.complete(ask())


async def follow(provider: Provider) -> object:
    return await stream(provider, ask())


@pytest.mark.parametrize(
    ("behaviour", "use"),
    [
        (silence(), complete),
        (silence(), follow),
        (events('{"choices"', ending="hang", content_type="application/json"), complete),
        (events(chunk("Half an"), ending="hang"), follow),
        (forever(event(chunk("word ")), "text/event-stream"), follow),
    ],
    ids=["before the headers", "before the stream", "in the body", "between two chunks", "in a flood"],
)
async def test_cancelling_closes_the_upstream_connection_at_once(
    upstream: FakeOpenAI, provider: Provider, behaviour: Behaviour, use: Callable[[Provider], Awaitable[object]]
) -> None:
    upstream.script(behaviour)
    task = asyncio.ensure_future(use(provider))
    await upstream.received(1)
    await asyncio.sleep(0.02)
    cancelled = time.monotonic()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await left(upstream) - cancelled < 0.1


async def test_leaving_a_stream_early_closes_the_upstream_connection_at_once(
    upstream: FakeOpenAI, provider: Provider
) -> None:
    upstream.script(events(chunk("one"), chunk("two"), ending="hang"))
    async with aclosing(provider.stream(ask())) as batches:
        assert text_of(await anext(batches)).startswith("one")
        leaving = time.monotonic()
    assert await left(upstream) - leaving < 0.1


async def test_an_answer_that_never_ends_is_not_kept_in_memory(upstream: FakeOpenAI, provider: Provider) -> None:
    upstream.script(forever(b"x" * 65_536, "application/json"))
    with pytest.raises(ProviderProtocolError, match="an answer of more than"):
        await provider.complete(ask())
    await left(upstream)


async def test_a_stream_that_never_ends_is_given_up(
    upstream: FakeOpenAI, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(openai_answers, "MAX_STREAM_BYTES", 200_000)
    upstream.script(forever(event(chunk("word ")), "text/event-stream"))
    got: list[Delta] = []
    with pytest.raises(ProviderProtocolError, match="an answer of more than 200000 bytes"):
        await stream(provider, ask(), into=got)
    assert text_of(got).startswith("word word ")
    await left(upstream)


async def test_nothing_is_kept_of_what_a_stream_has_given(upstream: FakeOpenAI, provider: Provider) -> None:
    many = event(chunk("x" * 200)) * 100
    upstream.script(events(*[many] * 200, chunk(finish_reason="stop"), DONE))
    tracemalloc.start()
    try:
        characters = 0
        async with aclosing(provider.stream(ask())) as batches:
            async for batch in batches:
                characters += len(text_of(batch))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert characters == 4_000_000
    assert peak < 4_000_000


async def test_a_refusal_that_never_ends_is_read_no_further_than_its_reason(
    upstream: FakeOpenAI, provider: Provider
) -> None:
    async def behave(exchange: Exchange) -> None:
        await exchange.head(500)
        while True:
            await exchange.write(b"oh dear " * 8192)

    upstream.script(behave)
    with pytest.raises(Exception, match="oh dear"):
        await provider.complete(ask())
    await left(upstream)


@pytest.mark.parametrize("streamed", [False, True])
async def test_a_compression_bomb_does_not_fill_the_memory(
    upstream: FakeOpenAI, provider: Provider, streamed: bool
) -> None:
    bomb = gzip.compress(b"data: " + b"\0" * 100_000_000, 1)
    content_type = "text/event-stream" if streamed else "application/json"
    upstream.script(reply(bomb, content_type=content_type, headers={"Content-Encoding": "gzip"}))
    tracemalloc.start()
    try:
        with pytest.raises(ProviderProtocolError, match="of more than"):
            await (stream(provider, ask()) if streamed else provider.complete(ask()))
        assert tracemalloc.get_traced_memory()[1] < 40_000_000
    finally:
        tracemalloc.stop()


async def test_no_compression_is_asked_for_and_what_comes_compressed_is_read(
    upstream: FakeOpenAI, provider: Provider
) -> None:
    body = {"choices": [{"message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"}]}
    upstream.script(reply(gzip.compress(json.dumps(body).encode()), headers={"Content-Encoding": "gzip"}))
    assert (await provider.complete(ask())).text == "Hi"
    assert upstream.requests[0].headers["accept-encoding"] == "identity"


async def test_compression_that_is_broken_is_no_answer(upstream: FakeOpenAI, provider: Provider) -> None:
    upstream.script(reply(b"not gzip at all", headers={"Content-Encoding": "gzip"}))
    with pytest.raises(ProviderProtocolError):
        await provider.complete(ask())


async def test_requests_beyond_the_limit_of_a_credential_wait_their_turn(
    upstream: FakeOpenAI, make_provider: MakeProvider
) -> None:
    upstream.default = answer("one two", pause=0.005)
    provider = make_provider(max_concurrency=2)
    streams = [stream(provider, ask()) for _ in range(3)]
    plain = [provider.complete(ask()) for _ in range(3)]
    await asyncio.gather(*streams, *plain)
    assert len(upstream.requests) == 6
    assert upstream.most_under_way == 2


async def test_without_a_limit_nobody_waits(upstream: FakeOpenAI, provider: Provider) -> None:
    gate = asyncio.Event()
    upstream.default = events(gate, chunk("Hi", finish_reason="stop"), DONE)
    waiting = [asyncio.create_task(stream(provider, ask())) for _ in range(150)]
    await upstream.received(150)
    gate.set()
    assert {text_of(deltas) for deltas in await asyncio.gather(*waiting)} == {"Hi"}


async def test_a_place_is_free_again_after_failure_cancellation_and_leaving_early(
    upstream: FakeOpenAI, make_provider: MakeProvider
) -> None:
    provider = make_provider(max_concurrency=1, chunk_timeout=0.05)
    upstream.script(refuse(500), silence(), events(chunk("one"), ending="hang"), events(chunk("one"), ending="hang"))
    with pytest.raises(Exception, match="500"):
        await provider.complete(ask())
    task = asyncio.create_task(provider.complete(ask()))
    await upstream.received(2)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    with pytest.raises(ProviderTimeout):
        await stream(provider, ask())
    async with aclosing(provider.stream(ask())) as batches:
        await anext(batches)
    assert (await asyncio.wait_for(provider.complete(ask()), 2)).text == "Hello from upstream."


async def test_waiting_for_a_place_has_an_end(upstream: FakeOpenAI, make_provider: MakeProvider) -> None:
    upstream.default = events(chunk("one"), ending="hang")
    provider = make_provider(max_concurrency=1, total_timeout=0.3)
    async with aclosing(provider.stream(ask())) as holding_the_place:
        await anext(holding_the_place)
        with pytest.raises(ProviderTimeout) as waited:
            await provider.complete(ask())
    assert waited.value.values["phase"] == "total"
    assert len(upstream.requests) == 1
