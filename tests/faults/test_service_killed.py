"""kill -9 in the middle of the work."""

import asyncio
from pathlib import Path

from tests.fakes.receiver import Receiver
from tests.faults.conversations import EchoingModel, Traffic
from tests.service import Service
from tests.waiting import until


async def test_a_service_killed_with_work_in_flight_finishes_it_after_its_next_start(
    folder: Path, receiver: Receiver, model: EchoingModel
) -> None:
    traffic = Traffic(receiver, conversations=40, messages=5)
    service = Service(folder, TELEFONIST_DELIVERY_RETRY_SCHEDULE="0.5,0.5,0.5")
    async with service:
        await traffic.send(service.url)

        async def in_the_middle() -> bool:
            return len(receiver.requests) >= 20 and len(model.requests) > len(receiver.requests)

        await until(in_the_middle)
        await service.kill()
        assert len({request.json["task_id"] for request in receiver.requests}) < 200
        await service.start()
        await service.ready()
        await traffic.finished()


async def test_a_service_killed_while_it_accepts_forgets_nothing_that_it_answered_202(
    folder: Path, receiver: Receiver, model: EchoingModel
) -> None:
    traffic = Traffic(receiver, conversations=40, messages=5)
    async with Service(folder) as service:
        url = service.url
        sending = asyncio.create_task(traffic.send(url))

        async def some_accepted() -> bool:
            return len(traffic.accepted) > 30

        await until(some_accepted)
        await service.kill()
        port = url.rpartition(":")[2]
        again = Service(folder, TELEFONIST_PORT=port)
        async with again:
            await sending
            await traffic.finished()
