"""``telefonist demo`` shows the whole trip of a message, or says what stands in its way and what to do."""

import asyncio
import os
import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import pytest_asyncio

from telefonist.channels.address_guard import AddressGuard
from telefonist.commands import trip
from telefonist.errors import ConfigurationError
from telefonist.settings import load_settings
from tests.acceptance.markdown import read
from tests.fakes.openai_upstream import FakeOpenAI, answer
from tests.fakes.receiver import Receiver, unused_port
from tests.service import COMMAND, Service, home, run

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture(scope="module")
def house() -> Iterator[Path]:
    """Give the folder of ``service``."""
    with home() as folder:
        yield folder


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def service(house: Path) -> AsyncIterator[Service]:
    """Run a service without settings but for a rate limit that leaves room for all these tests."""
    async with Service(house, TELEFONIST_WEBHOOK_RATE_LIMIT="1000/minute") as service:
        yield service


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let ``trip.show`` run in this process, in English and without setting up the log."""
    monkeypatch.setattr(trip, "configure_logging", lambda _: None)
    monkeypatch.setenv("LC_ALL", "C")


def names_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def port_of(service: Service) -> str:
    return str(urlsplit(service.url).port)


async def stopped(service: Service, folder: Path, *, patience: float = 10.0, **environment: str) -> str:
    """Run the trip in this process against ``service`` and give the reason why it was not seen to its end."""
    settings = load_settings({"TELEFONIST_PORT": port_of(service), **environment}, folder)
    with pytest.raises(ConfigurationError) as error:
        await trip.show(settings, patience=patience)
    return str(error.value)


async def test_the_whole_trip_is_shown(service: Service, house: Path) -> None:
    seen = await run(house, "demo", TELEFONIST_PORT=port_of(service))
    assert (seen.status, seen.errors) == (0, "")
    task_id = re.search(r"Location: /tasks/(\S+)", seen.output)
    assert task_id
    assert f"POST {service.url}/webhook" in seen.output
    assert re.search(r"webhook-signature: v1,\S{44}\n", seen.output)
    assert "the signature is right" in seen.output
    assert '"generated_response": "You asked me to remember: word — lighthouse."' in seen.output
    assert f"GET /tasks/{task_id[1]}\n    task: succeeded, delivery: delivered\n    attempt 1 at" in seen.output
    assert "\x1b" not in seen.output


@pytest.mark.parametrize(("readme", "language"), [("README.md", "en_GB.UTF-8"), ("README.ru.md", "ru_RU.UTF-8")])
async def test_it_looks_as_the_readme_says_in_the_language_of_the_terminal(
    service: Service, house: Path, readme: str, language: str
) -> None:
    seen = await run(house, "demo", TELEFONIST_PORT=port_of(service), LANG=language)
    said = iter(_without_numbers(seen.output).splitlines())
    shown = next(fence.text for fence in read(readme).fences if fence.language == "text")
    for line in filter(None, _without_numbers(shown).splitlines()):
        assert line in said, line  # "in" an iterator: each after the one before


async def test_a_terminal_gets_colours_and_a_progress_display(service: Service, house: Path) -> None:
    ours, theirs = os.openpty()
    environment = {
        "PATH": os.environ["PATH"],
        "TERM": "xterm-256color",
        "LANG": "C.UTF-8",
        "TELEFONIST_PORT": port_of(service),
    }
    process = await asyncio.create_subprocess_exec(
        COMMAND, "demo", cwd=house, env=environment, stdin=theirs, stdout=theirs, stderr=theirs
    )
    os.close(theirs)
    seen = await asyncio.to_thread(_read_all, ours)
    assert await process.wait() == 0, seen
    assert "\x1b[1;32m  ✓ " in seen
    assert "⠋" in seen
    assert "0:00:00" in seen


async def test_without_a_service_it_says_how_to_start_one_and_leaves_nothing(folder: Path) -> None:
    port = unused_port()
    seen = await run(folder, "demo", TELEFONIST_PORT=str(port))
    assert (seen.status, seen.output) == (1, "")
    assert f"nobody answers at http://127.0.0.1:{port}" in seen.errors
    assert "make run" in seen.errors
    assert names_in(folder) == set()


async def test_any_free_port_has_to_be_named(here: None, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="TELEFONIST_PORT=… telefonist demo"):
        await trip.show(load_settings({"TELEFONIST_PORT": "0"}, tmp_path))


async def test_something_else_on_the_port_is_not_taken_for_telefonist(here: None, tmp_path: Path) -> None:
    async with Receiver() as other:
        with pytest.raises(ConfigurationError, match="is not Telefonist"):
            await trip.show(load_settings({"TELEFONIST_PORT": str(other.port)}, tmp_path))


async def test_from_another_folder_it_finds_no_data_and_makes_none(here: None, service: Service, house: Path) -> None:
    reason = await stopped(service, house, TELEFONIST_DATA_DIR="elsewhere")
    assert str(house / "elsewhere") in reason
    assert "elsewhere" not in names_in(house)


async def test_a_signature_by_another_secret_is_not_passed_over(here: None, service: Service, house: Path) -> None:
    other = f"whsec_{'c2VjcmV0' * 5}"
    reason = await stopped(service, house, TELEFONIST_WEBHOOK_SECRET=other)
    assert "The signature matches none of the secrets" in reason
    assert other not in reason


async def test_where_strangers_are_not_taken_it_says_why(here: None, folder: Path) -> None:
    async with Service(folder, TELEFONIST_ANONYMOUS="off") as service:
        reason = await stopped(service, folder)
    assert "anonymous access is off" in reason
    assert "TELEFONIST_ANONYMOUS=on" in reason


async def test_where_loopback_is_closed_to_callbacks_it_says_which_setting_opens_it(here: None, folder: Path) -> None:
    async with Service(folder, TELEFONIST_HOST="0.0.0.0", TELEFONIST_ANONYMOUS="on") as service:
        reason = await stopped(service, folder, TELEFONIST_HOST="0.0.0.0")
    advice = re.search(r"(TELEFONIST_CALLBACK_ALLOWED_NETWORKS)=([\d./]+\d)", reason)
    assert advice
    AddressGuard(load_settings({advice[1]: advice[2]}, folder).delivery.allowed_networks).check("127.0.0.1")


async def test_a_failing_model_and_the_rate_limit_are_told_with_what_to_do(
    here: None, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    failing = {"TELEFONIST_DEFAULT_MODEL": "demo-failing", "TELEFONIST_PROVIDER_RETRIES": "0"}
    async with Service(folder, **failing, TELEFONIST_WEBHOOK_RATE_LIMIT="1/minute") as service:
        reason = await stopped(service, folder)
        assert "demo-failing always fails" in reason
        assert "TELEFONIST_DEFAULT_MODEL=demo" in reason
        assert '"status": "failed"' in capsys.readouterr().out
        wait = re.search(r"asks to wait (\d+) s", await stopped(service, folder))
        assert wait
        assert 30 <= int(wait[1]) <= 60


async def test_a_model_that_forgets_is_no_success(here: None, folder: Path) -> None:
    async with FakeOpenAI() as upstream:
        upstream.script(answer("I will."), answer("I do not know."))
        (folder / "telefonist.toml").write_text(
            f'[[providers]]\nname = "fake"\nbase_url = "{upstream.base_url}"\napi_key = "env:FAKE_KEY"\n'
            '[[models]]\nname = "forgetful"\nprovider = "fake"\n'
        )
        async with Service(folder, FAKE_KEY=upstream.api_key) as service:
            reason = await stopped(service, folder, FAKE_KEY=upstream.api_key)
    assert "does not name the word “lighthouse”" in reason


async def test_waiting_for_a_model_has_an_end_and_a_reason(here: None, folder: Path) -> None:
    async with Service(folder, "serve", "--no-worker") as service:
        reason = await stopped(service, folder, patience=0.5)
    assert "the model demo did not answer within 0.5 s" in reason
    assert "telefonist worker" in reason


async def test_waiting_for_a_callback_has_an_end_and_a_reason(here: None, folder: Path) -> None:
    async with Service(folder, TELEFONIST_DELIVERY_CONNECT_TIMEOUT="0.000001") as service:
        reason = await stopped(service, folder, patience=1)
    assert "within 1 s. The last attempt: connect timeout" in reason


def _without_numbers(text: str) -> str:
    return re.sub(r"\d+ (ms|мс)|:\d{4,5}\b", "…", text)


def _read_all(descriptor: int) -> str:
    """Read a terminal until its other end is closed, which Linux reports as an error."""
    pieces = []
    try:
        while piece := os.read(descriptor, 65536):
            pieces.append(piece)
    except OSError:
        return b"".join(pieces).decode()
    finally:
        os.close(descriptor)
    return b"".join(pieces).decode()
