"""The examples of our documents: calls, commands and scripts, each with what is shown to come of it.

A document is followed from its top to its end, as a reader would: ``<key>`` and the like stand for what an answer
before has told.
"""

import ast
import asyncio
import json
import re
import shlex
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import zip_longest
from pathlib import Path
from typing import Literal

import httpx

from tests.acceptance.curl import Curl
from tests.acceptance.markdown import Document, Fence
from tests.acceptance.shown import compare_answer, compare_text
from tests.service import Service, run
from tests.waiting import until

WRITTEN_URL = "http://127.0.0.1:8080"
SETTINGS = "# telefonist.toml\n"
"""How a block of settings begins that the examples of its document need."""

SOON = 10.0
"""Seconds within which what a document says has happened."""

SCRIPT_SECONDS = 60.0

TOLD = ("task_id", "access_token", "refresh_token", "key", "invite")
"""Fields of answers that later examples name."""

IDS = {"/auth/register": "user_id", "/me/keys": "key_id", "/admin/invites": "invite_id"}
"""What the ``id`` in the answer to a POST is called."""

_COMMAND = re.compile(r"(?:\w+=\S+ )*\.venv/bin/telefonist (?!demo)")


@dataclass(frozen=True, slots=True)
class Example:
    """Something to do, and the block with what comes of it."""

    kind: Literal["curl", "command", "python"]
    text: str
    shown: Fence


def examples(document: Document) -> Iterator[Example]:
    """Give a document's examples; a command or a script is one where text is shown for it."""
    fences = document.fences
    for fence, following in zip_longest(fences, fences[1:]):
        if fence.language == "bash" and fence.text.startswith("curl "):
            assert following is not None, fence.text
            assert following.language in ("http", "json", "csv", "text"), f"no answer is shown for {fence.text}"
            yield Example("curl", fence.text, following)
        elif following is not None and following.language == "text":
            if fence.language == "python":
                yield Example("python", fence.text, following)
            elif fence.language == "bash" and _COMMAND.match(fence.text):
                yield Example("command", fence.text, following)


def settings(document: Document) -> str:
    """Give the settings that a document's examples need, where it shows such."""
    return "".join(fence.text for fence in document.fences if fence.text.startswith(SETTINGS))


def missing_packages(script: str) -> set[str]:
    """Name what a script imports and is not installed here."""
    imports = {
        name.partition(".")[0]
        for node in ast.walk(ast.parse(script))
        for name in (
            [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else []
        )
    }
    return {name for name in imports if find_spec(name) is None}


class Reader:
    """Somebody who does what a document says with a service, and looks whether it comes out as shown."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._told: dict[str, str] = {}

    async def follow(self, example: Example) -> None:
        shown = Fence(example.shown.language, self._here(example.shown.text))
        text = self._here(example.text)
        match example.kind:
            case "curl":
                await self._call(Curl.read(text), shown)
            case "command":
                await self._command(shlex.split(text), shown.text)
            case "python":
                if not missing_packages(text):
                    compare_text(shown.text.strip(), (await _output(text)).strip(), text)

    def _here(self, text: str) -> str:
        for name, value in self._told.items():
            text = text.replace(f"<{name}>", value)
        return text.replace(WRITTEN_URL, self._service.url)

    async def _call(self, call: Curl, shown: Fence) -> None:
        """Make a call and compare; one that only looks is repeated until what is shown has happened."""
        if call.method != "GET":
            response = await call.run(self._service.client)
            compare_answer(shown, response, call)
            self._listen(call, response)
            return
        last: list[AssertionError] = []

        async def as_shown() -> bool:
            response = await call.run(self._service.client)
            try:
                compare_answer(shown, response, call)
            except AssertionError as error:
                last[:] = [error]
            else:
                return True
            return False

        try:
            await until(as_shown, SOON)
        except AssertionError:
            raise last[0] from None

    def _listen(self, call: Curl, response: httpx.Response) -> None:
        """Keep what later examples name."""
        if not response.is_success or not response.headers.get("content-type", "").startswith("application/json"):
            return
        answer = json.loads(response.text)
        self._told |= {name: answer[name] for name in TOLD if name in answer}
        if (name := IDS.get(httpx.URL(call.url).path)) is not None:
            self._told[name] = answer["id"]

    async def _command(self, words: list[str], shown: str) -> None:
        environment = {}
        while "=" in words[0]:
            name, _, value = words.pop(0).partition("=")
            environment[name] = value
        finished = await run(self._service.folder, *words[1:], **environment)
        assert finished.status == 0, finished.errors
        compare_text(shown.strip(), finished.output, " ".join(words))


async def _output(script: str) -> str:
    """Run a Python script as a reader would who has installed what it imports."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-",
        env={},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(SCRIPT_SECONDS):
            output, errors = await process.communicate(script.encode())
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0, errors.decode()
    return output.decode()


def write_settings(document: Document, folder: Path) -> None:
    """Put the settings of a document's examples where a service will read them."""
    if text := settings(document):
        (folder / "telefonist.toml").write_text(text, "utf-8")
