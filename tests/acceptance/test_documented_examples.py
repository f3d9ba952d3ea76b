"""What the documentation shows is what happens: its commands are run against a real service, its answers compared."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.acceptance.examples import SOON, Reader, examples, missing_packages, write_settings
from tests.acceptance.markdown import Document, documents, read
from tests.fakes.receiver import unused_port
from tests.service import Service, run
from tests.waiting import until

WITH_EXAMPLES = [document for document in documents() if any(examples(document))]


def test_the_readmes_and_the_contracts_have_examples() -> None:
    contracts = {"accounts", "administration", "billing", "model-api", "plain-chat", "webhook"}
    assert {str(document) for document in WITH_EXAMPLES} == {
        "README.md",
        "README.ru.md",
        *(f"docs/{name}.md" for name in contracts),
    }


def test_only_what_needs_langchain_is_not_run_where_that_is_not_installed() -> None:
    scripts = [example.text for document in WITH_EXAMPLES for example in examples(document) if example.kind == "python"]
    assert len(scripts) == 6
    assert {name for script in scripts for name in missing_packages(script)} <= {"langchain_openai"}


@pytest.mark.parametrize("document", WITH_EXAMPLES, ids=str)
async def test_what_a_document_shows_is_what_happens(document: Document, folder: Path) -> None:
    write_settings(document, folder)
    async with Service(folder, TELEFONIST_WEBHOOK_RATE_LIMIT="1000/minute") as service:
        reader = Reader(service)
        for example in examples(document):
            await reader.follow(example)


async def test_the_receiver_of_the_readme_verifies_what_it_gets(folder: Path, tmp_path: Path) -> None:
    (source,) = (fence.text for fence in read("README.md").fences if "WebhookVerificationError" in fence.text)
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
