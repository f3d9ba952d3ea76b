"""kill -9 of a process that only serves the web, while another one works."""

from pathlib import Path

from tests.fakes.receiver import unused_port
from tests.faults.conversations import Traffic
from tests.service import Service


async def test_what_the_web_answered_202_is_done_though_the_web_was_killed_right_after(
    folder: Path, traffic: Traffic
) -> None:
    async with Service(folder, "serve", "--no-worker") as web, Service(folder, "worker"):
        await traffic.send(web.url)
        await web.kill()
        assert len(traffic.accepted) == traffic.total > len(traffic.told)
        await traffic.finished()


async def test_the_web_killed_while_it_accepts_takes_a_repetition_for_the_same_task(
    folder: Path, traffic: Traffic
) -> None:
    web = Service(folder, "serve", "--no-worker", TELEFONIST_PORT=str(unused_port()))
    async with web, Service(folder, "worker"), traffic.flowing(web.url):
        assert len(traffic.accepted) < traffic.total
        await web.kill()
        await web.start()
        await web.ready()
