"""kill -9 of a worker, while the web and perhaps another worker live on."""

import time
from pathlib import Path

from tests.fakes.receiver import Exchange, Receiver, reply
from tests.faults.conversations import EchoingModel, Load, Traffic, together
from tests.service import Service

TAKEN_OVER = 10.0
"""Seconds within which the others take over the work of a dead worker."""


async def test_a_worker_killed_and_started_again_finishes_everything(folder: Path, traffic: Traffic) -> None:
    web, worker = Service(folder, "serve", "--no-worker"), Service(folder, "worker")
    async with together(web, worker), traffic.flowing(web.url):
        await worker.kill()
        await worker.start()
        await worker.ready()


async def test_others_take_over_within_ten_seconds_from_a_worker_that_never_comes_back(
    folder: Path, model: EchoingModel, traffic: Traffic
) -> None:
    async with EchoingModel(model.seconds) as model_of_the_other:
        model_of_the_other.configure(folder / "other")
        web = Service(folder, "serve", "--no-worker")
        half = {"TELEFONIST_MAX_IN_FLIGHT": str(traffic.load.conversations // 2)}
        dying = Service(folder, "worker", **half)
        other = Service(folder / "other", "worker", TELEFONIST_DATA_DIR=str(folder / "data"), **half)
        async with together(web, dying, other):
            async with traffic.flowing(web.url):
                left_behind = set(model.pending)
                killed = time.monotonic()
                await dying.kill()
            took = [
                told.at - killed for told in traffic.told.values() if told.json["generated_response"] in left_behind
            ]
        assert len(took) == len(left_behind) > 0
        assert max(took) <= TAKEN_OVER
        assert left_behind & set(
            model_of_the_other.asked
        )  # not all: some were answered while the signal was on its way


async def test_a_callback_sent_by_a_worker_killed_before_it_was_marked_is_sent_again_under_the_same_id(
    folder: Path, receiver: Receiver
) -> None:
    async with EchoingModel() as model:
        model.configure(folder)
        traffic = Traffic(receiver, model, Load(conversations=20, messages=3, model_seconds=0))
        web, worker = Service(folder, "serve", "--no-worker"), Service(folder, "worker")
        async with together(web, worker):
            unmarked: list[str] = []

            async def kill_before_the_answer(exchange: Exchange) -> None:
                unmarked.append(exchange.received.headers["webhook-id"])
                await worker.kill()
                await worker.start()

            async def kill_after_the_answer(exchange: Exchange) -> None:
                unmarked.append(exchange.received.headers["webhook-id"])
                worker.freeze()
                await reply()(exchange)
                await worker.kill()
                await worker.start()

            receiver.script(*[reply()] * 9, kill_before_the_answer, *[reply()] * 29, kill_after_the_answer)
            await traffic.send(web.url)
            await traffic.finished()
            await worker.ready()
    sent = [request.headers["webhook-id"] for request in receiver.requests]
    assert len(unmarked) == 2
    assert all(sent.count(message_id) > 1 for message_id in unmarked)
