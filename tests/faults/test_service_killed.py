"""kill -9 of the one process that is all of Telefonist."""

from pathlib import Path

from tests.fakes.receiver import unused_port
from tests.faults.conversations import Traffic
from tests.service import Service


async def test_a_service_killed_while_it_accepts_and_again_right_after_the_last_202_finishes_all_it_accepted(
    folder: Path, traffic: Traffic
) -> None:
    async with Service(folder, TELEFONIST_PORT=str(unused_port())) as service, traffic.flowing(service.url):
        assert len(traffic.accepted) < traffic.total
        await service.kill()
        await service.start()
        await service.ready()
        await traffic.all_accepted()
        await service.kill()
        assert len(traffic.told) < traffic.total
        await service.start()
        await service.ready()
