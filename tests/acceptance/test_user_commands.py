"""``telefonist user``: accounts from the machine itself, while the service runs."""

import asyncio
import os
import pty
import re
from pathlib import Path

import pytest

from tests.service import COMMAND, Service, home, run

PASSWORD = "correct horse"
SECRET = {"TELEFONIST_SECRET": "s" * 32}


@pytest.fixture
def given(dsn: str) -> dict[str, str]:
    return {"DATABASE_URL": dsn, **SECRET}


async def test_an_administrator_is_made_while_the_service_runs(given: dict[str, str]) -> None:
    with home() as folder:
        async with Service(folder, **given) as service:
            made = await run(
                folder, "user", "create-admin", "Boss@Example.com", TELEFONIST_ADMIN_PASSWORD=PASSWORD, **given
            )
            assert (made.status, made.output) == (0, "An administrator's account was made: boss@example.com")
            form = {"username": "boss@example.com", "password": PASSWORD}
            tokens = (await service.client.post("/auth/login", data=form)).json()
            headers = {"authorization": f"Bearer {tokens['access_token']}"}
            assert (await service.client.get("/me", headers=headers)).json()["role"] == "admin"


async def test_an_invite_is_printed_alone(given: dict[str, str]) -> None:
    with home() as folder:
        made = await run(folder, "user", "invite", "--role", "operator", "--email", "ann@example.com", **given)
    assert (made.status, made.errors) == (0, "")
    assert re.fullmatch(r"[\w-]{43}", made.output)


async def test_what_cannot_be_done_is_said_in_words(given: dict[str, str]) -> None:
    with home() as folder:
        short = await run(folder, "user", "create-admin", "a@example.com", TELEFONIST_ADMIN_PASSWORD="brief", **given)
    assert (short.status, short.output) == (1, "")
    assert "8 to 256 characters" in short.errors
    assert "brief" not in short.errors


async def test_a_password_is_asked_for_twice_and_never_shown(given: dict[str, str]) -> None:
    with home() as folder:
        shown = await typed(folder, ["user", "create-admin", "boss@example.com"], [PASSWORD, PASSWORD], given)
        assert "An administrator's account was made" in shown
        assert "Password: \r\nOnce more: \r\n" in shown
        assert "horse" not in shown


async def typed(folder: Path, arguments: list[str], answers: list[str], environment: dict[str, str]) -> str:
    """Run a command on a terminal of its own, type an answer at each question, and give all that it showed."""
    ours, theirs = pty.openpty()
    process = await asyncio.create_subprocess_exec(
        COMMAND,
        *arguments,
        cwd=folder,
        env={"PATH": os.environ["PATH"], "LANG": "C.UTF-8", "TERM": "dumb", **environment},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    shown = ""
    try:
        async with asyncio.timeout(30):
            while True:
                try:
                    shown += (await asyncio.to_thread(os.read, ours, 1024)).decode()
                except OSError:  # how Linux tells that the other side is gone
                    break
                if answers and shown.endswith(": "):  # the space comes when the terminal is silent already
                    os.write(ours, f"{answers.pop(0)}\n".encode())
            assert await process.wait() == 0, shown
    finally:
        os.close(ours)
        if process.returncode is None:
            process.kill()
            await process.wait()
    return shown
