"""What the documentation shows is what happens: its commands are run against a real service, its answers compared."""

import asyncio
import json
import re
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from itertools import zip_longest
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.acceptance.curl import Curl
from tests.acceptance.markdown import Document, documents, read
from tests.fakes.receiver import unused_port
from tests.service import Service, run
from tests.waiting import until

WRITTEN_URL = "http://127.0.0.1:8080"
SOON = 10.0
"""Seconds within which what a document says has happened."""

_VOLATILE = re.compile(
    r"""[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}     # ids
    | \d{4}-\d\d-\d\dT[\d:.]+(?:Z|\+00:00)              # times
    | \b\d{10}\b                                        # Unix times
    | v1,[\w+/=]{44}                                    # signatures""",
    re.VERBOSE,
)


def examples(document: Document) -> Iterator[tuple[str, str]]:
    """Give each curl command with the answer that is shown below it."""
    fences = document.fences
    for fence, following in zip_longest(fences, fences[1:]):
        if fence.language == "bash" and fence.text.startswith("curl "):
            assert following is not None, fence.text
            assert following.language in ("http", "json"), f"no answer is shown for {fence.text}"
            yield fence.text, following.text


WITH_EXAMPLES = [document for document in documents() if any(examples(document))]


def test_the_readmes_and_the_contract_have_examples() -> None:
    assert {str(document) for document in WITH_EXAMPLES} == {"README.md", "README.ru.md", "docs/webhook.md"}


@pytest.mark.parametrize("document", WITH_EXAMPLES, ids=str)
async def test_every_request_is_answered_as_shown(document: Document, folder: Path) -> None:
    task_id = ""
    async with Service(folder, TELEFONIST_WEBHOOK_RATE_LIMIT="1000/minute") as service:
        for command, shown in examples(document):
            call = Curl.read(command.replace(WRITTEN_URL, service.url).replace("<task_id>", task_id))
            response = await _answered_as(shown.replace(WRITTEN_URL, service.url), call, service.client)
            if call.url.endswith("/webhook") and response.status_code == 202:
                task_id = response.json()["task_id"]


async def test_the_receiver_of_the_readme_verifies_what_it_gets(folder: Path, tmp_path: Path) -> None:
    (source,) = (fence.text for fence in read("README.md").fences if fence.language == "python")
    port = unused_port()
    script = tmp_path / "receiver.py"
    script.write_text(source.replace("9000", str(port)), "utf-8")
    async with Service(folder) as service:
        secret = (await run(folder, "webhook", "secret")).output
        async with _running(script, WEBHOOK_SECRET=secret) as receiver:
            await until(lambda: _listens(port))
            url = f"http://127.0.0.1:{port}/"
            ask = {"message": "Hello! Remember the word: lighthouse", "callback_url": url, "conversationId": "first"}
            task = (await service.client.post("/webhook", json=ask)).json()
            async with asyncio.timeout(SOON):
                said = (await receiver.readline()).decode()
            assert said == "first I will remember: word — lighthouse. Ask me about it later.\n"
            forged = await service.client.post(url, json={"conversation_id": "first", "generated_response": "forged"})
            assert forged.status_code == 401

            async def delivered() -> bool:
                seen = (await service.client.get(f"/tasks/{task['task_id']}")).json()
                return bool(seen["delivery"]["state"] == "delivered")

            await until(delivered)


@asynccontextmanager
async def _running(script: Path, **environment: str) -> AsyncIterator[asyncio.StreamReader]:
    """Run a Python script and give its standard output."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, script, env=environment, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
    )
    assert process.stdout is not None
    try:
        yield process.stdout
    finally:
        process.kill()
        await process.wait()


async def _listens(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except ConnectionRefusedError:
        return False
    writer.close()
    await writer.wait_closed()
    return True


async def _answered_as(shown: str, call: Curl, client: httpx.AsyncClient) -> httpx.Response:
    """Run a call and compare; one that only looks is repeated until what is shown has happened."""
    if call.method != "GET":
        response = await call.run(client)
        _compare(shown, response, call)
        return response
    last: list[AssertionError] = []

    async def as_shown() -> httpx.Response | None:
        response = await call.run(client)
        try:
            _compare(shown, response, call)
        except AssertionError as error:
            last[:] = [error]
            return None
        return response

    try:
        found: httpx.Response | None = await until(as_shown, SOON)
    except AssertionError:
        raise last[0] from None
    assert found is not None
    return found


def _compare(shown: str, response: httpx.Response, call: Curl) -> None:
    head, _, body = shown.partition("\n\n") if call.shows_headers else ("", "", shown)
    if head:
        status_line, *header_lines = head.strip().splitlines()
        assert status_line.split()[:2] == ["HTTP/1.1", str(response.status_code)]  # phrases differ between Pythons
        for line in header_lines:
            name, _, value = line.partition(": ")
            assert _steady(value) == _steady(response.headers[name])
    else:
        assert response.is_success, response.text
    if body:
        _contains(response.json(), json.loads(body), "body")


def _contains(real: Any, shown: Any, where: str) -> None:
    """Check that what is shown is there: of objects some fields, of lists the first entries, all else entire."""
    if isinstance(shown, dict):
        assert isinstance(real, dict), where
        for name, value in shown.items():
            assert name in real, f"{where}.{name}"
            _contains(real[name], value, f"{where}.{name}")
    elif isinstance(shown, list):
        assert isinstance(real, list), where
        assert len(real) >= len(shown), where
        for number, value in enumerate(shown):
            _contains(real[number], value, f"{where}[{number}]")
    else:
        assert _steady(real) == _steady(shown), where


def _steady(value: Any) -> Any:
    return _VOLATILE.sub("…", value) if isinstance(value, str) else value
