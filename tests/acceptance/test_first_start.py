"""What whoever starts Telefonist sees: the first start, the next one, every way to stop, and commands beside it."""

import os
import re
import shutil
import signal
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.fakes.receiver import Receiver
from tests.service import Service, processes_below, run

SECRET = re.compile(r"whsec_[A-Za-z0-9+/]{32,}={0,2}")


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with Receiver() as receiver:
        yield receiver


async def ask(service: Service, callback_url: str, text: str = "Привет! Запомни слово: маяк") -> str:
    """Send a message and give its task's id."""
    body = {"message": text, "callback_url": callback_url, "conversationId": "first"}
    response = await service.client.post("/webhook", json=body)
    assert response.status_code == 202, response.text
    task_id: str = response.json()["task_id"]
    return task_id


def names_in(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def said(service: Service) -> str:
    return "\n".join(service.output)


def complaints(service: Service) -> list[str]:
    """Give what is no line of the log on standard error, and log lines of errors."""
    plain = [line for line in service.errors if not line.startswith("{")]
    return plain + [str(line) for line in service.log if line["level"] not in ("debug", "info")]


async def test_the_first_start_needs_no_settings_and_answers_a_message(folder: Path) -> None:
    async with Service(folder) as service:
        health = await service.client.get("/health")
        assert (health.status_code, health.json()["status"]) == (200, "ok")
        await ask(service, f"{service.url}/callback")
        await service.wait_for_log("request", method="POST", path="/callback", status=200)
        (arrived,) = (await service.client.get("/callback")).json()["items"]
        assert arrived["body"]["status"] == "succeeded"
        assert "маяк" in arrived["body"]["generated_response"]
        assert f"{service.url}/webhook" in said(service)
    assert names_in(folder) == ["data"]


async def test_ctrl_c_ends_it_quietly_and_the_next_start_goes_on_from_there(folder: Path, receiver: Receiver) -> None:
    async with Service(folder) as service:
        await ask(service, receiver.url)
        await receiver.wait_for(1)
        port = service.url.rpartition(":")[2]
        assert await service.stop(signal.SIGINT) == 0
        assert complaints(service) == []
    assert processes_below(folder) == []
    async with Service(folder, TELEFONIST_PORT=port) as service:
        await ask(service, receiver.url, "Какое слово я просил запомнить?")
        _, second = await receiver.wait_for(2)
        assert "маяк" in second.json["generated_response"]


async def test_sigterm_ends_it_as_quietly_in_any_language(folder: Path) -> None:
    async with Service(folder, LANG="ru_RU.UTF-8") as service:
        assert "Телефонист на линии" in said(service)
        assert await service.stop(signal.SIGTERM) == 0
        assert complaints(service) == []


async def test_after_kill_9_the_next_start_adopts_the_database_and_its_stop_ends_that(folder: Path) -> None:
    async with Service(folder) as service:
        task_id = await ask(service, f"{service.url}/callback")
        await service.kill()
    orphaned = {process.pid for process in processes_below(folder, "postgres")}
    assert orphaned
    async with Service(folder) as service:
        assert (await service.client.get(f"/tasks/{task_id}")).status_code == 200
        assert {process.pid for process in processes_below(folder, "postgres")} & orphaned
    assert processes_below(folder) == []


async def test_a_taken_port_is_told_before_anything_is_started(folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        finished = await run(folder, "serve", TELEFONIST_PORT=str(port))
    assert finished.status == 1
    assert finished.output == ""
    assert len(finished.errors.splitlines()) == 1
    assert f"127.0.0.1:{port}" in finished.errors
    assert "TELEFONIST_PORT=" in finished.errors
    assert names_in(folder) == []


async def test_where_the_database_lives_is_said_when_its_user_cannot_enter_the_data_folder(folder: Path) -> None:
    closed = folder / "closed"
    closed.mkdir(0o700)
    elsewhere: Path | None = None
    try:
        async with Service(closed) as service:
            line = next((line for line in service.output if line.startswith("The database is in ")), None)
            if line is not None:
                elsewhere = Path(line.removeprefix("The database is in ").partition(": ")[0])
            assert (elsewhere is not None) == (os.geteuid() == 0)
            database = elsewhere or closed / "data"
            assert processes_below(database / "postgres", "postgres")
        assert processes_below(database) == []
    finally:
        if elsewhere is not None:
            shutil.rmtree(elsewhere)


async def test_the_web_and_a_worker_run_as_processes_of_their_own(folder: Path, receiver: Receiver) -> None:
    async with Service(folder, "serve", "--no-worker") as web:
        await ask(web, receiver.url)
        async with Service(folder, "worker"):
            (answer,) = await receiver.wait_for(1)
            assert answer.json["status"] == "succeeded"


async def test_the_webhook_secret_is_printed_alone_beside_a_running_service(folder: Path) -> None:
    async with Service(folder) as service:
        first, second = [await run(folder, "webhook", "secret") for _ in range(2)]
        assert SECRET.fullmatch(first.output)
        assert (first.status, first.errors) == (0, "")
        assert second == first
        assert (await service.client.get("/ready")).status_code == 200


async def test_the_webhook_secret_is_printed_with_no_service_and_leaves_nothing_running(folder: Path) -> None:
    finished = await run(folder, "webhook", "secret")
    assert (finished.status, finished.errors) == (0, "")
    assert SECRET.fullmatch(finished.output)
    assert processes_below(folder) == []
    async with Service(folder):
        assert (await run(folder, "webhook", "secret")).output == finished.output


async def test_a_setting_nobody_knows_stops_the_start_with_its_name(folder: Path) -> None:
    finished = await run(folder, "serve", TELEFONIST_PROT="8081")
    assert finished.status == 1
    assert "TELEFONIST_PROT" in finished.errors
    assert "Traceback" not in finished.errors
    assert names_in(folder) == []
