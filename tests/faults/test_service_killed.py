"""kill -9 of the one process that is all of Telefonist."""

from pathlib import Path

from tests.fakes.receiver import unused_port
from tests.faults.conversations import Traffic
from tests.service import Service


async def test_a_service_killed_with_all_its_work_accepted_finishes_it_after_its_next_start(
    folder: Path, traffic: Traffic
) -> None:
    async with Service(folder) as service:
        await traffic.send(service.url)
        await service.kill()
        assert len(traffic.accepted) == traffic.total > len(traffic.told)
        await service.start()
        await service.ready()
        await traffic.finished()


async def test_a_service_killed_while_it_accepts_and_answers_forgets_nothing_that_it_answered_202(
    folder: Path, traffic: Traffic
) -> None:
    async with Service(folder, TELEFONIST_PORT=str(unused_port())) as service, traffic.flowing(service.url):
        assert len(traffic.accepted) < traffic.total
        await service.kill()
        await service.start()
        await service.ready()
