"""kill -9 of a process that only serves the web, while another one works."""

from pathlib import Path

from tests.fakes.receiver import unused_port
from tests.faults.conversations import Traffic, together
from tests.service import Service


async def test_a_web_process_killed_while_it_accepts_and_again_right_after_the_last_202_leaves_all_work_to_the_worker(
    folder: Path, traffic: Traffic
) -> None:
    web = Service(folder, "serve", "--no-worker", TELEFONIST_PORT=str(unused_port()))
    async with together(web, Service(folder, "worker")), traffic.flowing(web.url):
        assert len(traffic.accepted) < traffic.total
        await web.kill()
        await web.start()
        await web.ready()
        await traffic.all_accepted()
        await web.kill()
        assert len(traffic.told) < traffic.total
