"""A worker that stands still past its lease, as a suspended machine does, and wakes up when another has its work."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from tests.fakes.receiver import Exchange, Receiver, reply
from tests.faults.conversations import EchoingModel, together
from tests.service import Service

ASKING = [f"asking-{number}" for number in range(10)]
"""Conversations that the sleeper asks its model for."""

TELLING = [f"telling-{number}" for number in range(10)]
"""Conversations whose answers the sleeper has, and sends two at a time."""

TAKEN_OVER = 30.0
"""Seconds for the other to start, to watch long enough to know a silent one, and to do the sleeper's work."""


async def test_a_worker_that_slept_past_its_lease_neither_stores_nor_sends_what_another_has_taken_over(
    folder: Path, receiver: Receiver
) -> None:
    released = asyncio.Event()

    async def hold_the_sleeper(exchange: Exchange) -> None:
        if exchange.received.headers["x-worker"] == "sleeper":
            await released.wait()
        await reply()(exchange)

    receiver.behaviour = hold_the_sleeper
    async with EchoingModel(mark=" by the sleeper") as model, EchoingModel(mark=" by the other") as model_of_the_other:
        model.configure(folder)
        model_of_the_other.configure(folder / "other")
        sleeper = Service(
            folder, "worker", TELEFONIST_CALLBACK_HEADERS="X-Worker: sleeper", TELEFONIST_DELIVERY_PER_HOST="2"
        )
        other = Service(
            folder / "other",
            "worker",
            TELEFONIST_CALLBACK_HEADERS="X-Worker: other",
            TELEFONIST_DATA_DIR=str(folder / "data"),
        )
        web = Service(folder, "serve", "--no-worker")
        async with together(web, sleeper):
            await say(web, receiver, TELLING, "1")
            await sleeper.wait_for(lambda: answered_by(sleeper) == len(TELLING))
            on_their_way = {request.headers["webhook-id"] for request in await receiver.wait_for(2)}
            model.gate = asyncio.Event()
            await say(web, receiver, ASKING, "1")
            await model.received(len(TELLING) + len(ASKING))
            sleeper.freeze()
            model.gate.set()
            async with other:
                taken_over = (await receiver.wait_for(2 + len(TELLING) + len(ASKING), TAKEN_OVER))[2:]
                released.set()
                sleeper.thaw()
                await sleeper.wait_for_log("struck_off")
                await say(web, receiver, TELLING + ASKING, "2")
                received = await receiver.wait_for(2 + 2 * len(TELLING) + 2 * len(ASKING))
    assert Counter(request.json["generated_response"] for request in taken_over) == Counter(
        [f"{name} 1 by the sleeper" for name in TELLING] + [f"{name} 1 by the other" for name in ASKING]
    )
    sent = Counter(request.headers["webhook-id"] for request in received)
    assert {message_id for message_id, times in sent.items() if times > 1} == on_their_way
    for name in TELLING + ASKING:
        told = [request.json["generated_response"] for request in received if request.json["conversation_id"] == name]
        assert [text.partition(" by")[0] for text in dict.fromkeys(told)] == [f"{name} 1", f"{name} 2"]


def answered_by(worker: Service) -> int:
    return sum(line["event"] == "task_answered" for line in worker.log)


async def say(web: Service, receiver: Receiver, conversations: Sequence[str], text: str) -> None:
    """Send a message to each of the conversations."""
    for name in conversations:
        body = {"message": f"{name} {text}", "callback_url": receiver.url, "conversationId": name}
        response = await web.client.post("/webhook", json=body)
        assert response.status_code == 202, response.text
