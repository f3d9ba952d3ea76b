"""Ctrl-C and SIGTERM in the middle of the work."""

import asyncio
import json
import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from tests.fakes.receiver import Receiver, hang, unused_port
from tests.faults.conversations import EchoingModel, together
from tests.faults.database import StandalonePostgres
from tests.service import Service, processes_below
from tests.waiting import until

AT_ONCE = 3.0
"""Seconds, on a busy machine: well below those after which the work of a dead worker is taken over."""


@pytest.fixture
def gate() -> asyncio.Event:
    """The model answers while it is set."""
    return asyncio.Event()


@pytest.fixture
async def model(folder: Path, gate: asyncio.Event) -> AsyncIterator[EchoingModel]:
    async with EchoingModel() as model:
        model.configure(folder)
        model.gate = gate
        yield model


async def test_ctrl_c_takes_nothing_more_finishes_what_is_begun_and_leaves_the_rest_to_the_next_start(
    folder: Path, receiver: Receiver, model: EchoingModel, gate: asyncio.Event
) -> None:
    texts = ["1", "2", "3"]
    async with Service(folder) as service:
        for text in texts:
            await say(service, receiver, text)
        await model.received(1)
        stopping = asyncio.create_task(service.stop(signal.SIGINT))
        await service.wait_for_log("stopping", signal="SIGINT")
        await until(lambda: is_refused(service, receiver, texts))
        gate.set()
        assert await stopping == 0
        assert processes_below(folder) == []
        assert model.asked == told(receiver) == ["1"]
        await service.start()
        await service.ready()
        await receiver.wait_for(len(texts))
    assert told(receiver) == texts


async def test_what_does_not_end_within_the_grace_of_a_sigterm_is_given_back_and_done_at_once_by_the_next_start(
    folder: Path, receiver: Receiver, model: EchoingModel, gate: asyncio.Event
) -> None:
    async with Service(folder, "serve", "--grace", "1") as service:
        gate.set()
        receiver.script(hang())
        await say(service, receiver, "told", "one")
        await receiver.wait_for(1)
        gate.clear()
        await say(service, receiver, "asked", "two")
        await model.received(2)
        told_to_stop = time.monotonic()
        assert await service.stop(signal.SIGTERM) == 0
        assert 1 <= time.monotonic() - told_to_stop < 10
        assert processes_below(folder) == []
        gate.set()
        await service.start()
        await service.ready()
        hung, *done = await receiver.wait_for(3, AT_ONCE)
    assert {request.json["generated_response"] for request in done} == {"told", "asked"}
    assert hung.headers["webhook-id"] in {request.headers["webhook-id"] for request in done}
    assert model.asked == ["told", "asked", "asked"]


async def test_a_second_ctrl_c_ends_it_at_once_and_the_next_start_does_at_once_what_was_under_way(
    folder: Path, receiver: Receiver, model: EchoingModel, gate: asyncio.Event
) -> None:
    async with Service(folder) as service:
        await say(service, receiver, "hello")
        await model.received(1)
        service.send(signal.SIGINT)
        await service.wait_for_log("stopping")
        assert await service.stop(signal.SIGINT) == -signal.SIGINT
        gate.set()
        await service.start()
        await service.ready()
        await receiver.wait_for(1, AT_ONCE)
    assert told(receiver) == ["hello"]


async def test_what_a_stopping_worker_gives_back_another_does_at_once(
    folder: Path, receiver: Receiver, model: EchoingModel, gate: asyncio.Event
) -> None:
    async with StandalonePostgres(folder / "data") as postgres:
        web = Service(folder, "serve", "--no-worker", **postgres.settings)
        stopping = Service(folder, "worker", "--grace", "0", **postgres.settings)
        async with together(web, stopping):
            await say(web, receiver, "hello")
            await model.received(1)
            async with Service(folder, "worker", **postgres.settings):
                assert await stopping.stop(signal.SIGTERM) == 0
                gate.set()
                await receiver.wait_for(1, AT_ONCE)
    assert told(receiver) == ["hello"]


async def test_a_request_half_here_when_the_stop_comes_is_taken_where_the_rest_comes_in_time_and_else_refused_in_words(
    folder: Path, receiver: Receiver, model: EchoingModel, gate: asyncio.Event
) -> None:
    gate.set()
    body = json.dumps(message_to(receiver, "hello")).encode()
    async with Service(folder, TELEFONIST_GRACE="2") as service:
        url = httpx.URL(service.url)
        lines = ["POST /webhook HTTP/1.1", "Host: 127.0.0.1", "Content-Type: application/json"]
        head = "\r\n".join([*lines, f"Content-Length: {len(body)}", "", ""]).encode()
        reader, writer = await asyncio.open_connection(url.host, url.port)
        late_reader, late = await asyncio.open_connection(url.host, url.port)
        for each in (writer, late):
            each.write(head + body[:10])
        await service.client.get("/health")
        stopping = asyncio.create_task(service.stop())
        await service.wait_for_log("stopping")
        writer.write(body[10:])
        assert b" 202 " in await reader.readline()
        assert await stopping == 0
        refusal = await late_reader.read()
        assert b" 503 " in refusal.partition(b"\n")[0]
        assert b"retry-after: " in refusal
        assert b'"code":"shutting_down"' in refusal
        for each in (writer, late):
            each.close()
        await service.start()
        await service.ready()
        await receiver.wait_for(1)
    assert told(receiver) == ["hello"]


async def test_a_start_that_waits_for_its_database_is_broken_off(folder: Path) -> None:
    nowhere = f"postgresql://telefonist@127.0.0.1:{unused_port()}/telefonist"
    waiting = Service(folder, DATABASE_URL=nowhere, TELEFONIST_SECRET="0123456789abcdef" * 2)
    await waiting.start()
    await waiting.wait_for_log("waiting_for_database")
    waiting.send(signal.SIGTERM)
    assert await waiting.ended(AT_ONCE) == 0


async def say(service: Service, receiver: Receiver, text: str, conversation: str = "c") -> None:
    response = await service.client.post("/webhook", json=message_to(receiver, text, conversation))
    assert response.status_code == 202, response.text


async def is_refused(service: Service, receiver: Receiver, texts: list[str]) -> bool:
    """Send one more message, which is taken or finds nobody who listens."""
    try:
        await say(service, receiver, str(len(texts) + 1))
    except httpx.ConnectError:
        return True
    texts.append(str(len(texts) + 1))
    return False


def message_to(receiver: Receiver, text: str, conversation: str = "c") -> dict[str, str]:
    return {"message": text, "callback_url": receiver.url, "conversationId": conversation}


def told(receiver: Receiver) -> list[str]:
    return [request.json["generated_response"] for request in receiver.requests]
