"""``telefonist demo``: the whole trip of a message, watched from outside against the running service."""

import asyncio
import time
from collections.abc import Sequence
from ipaddress import ip_address

from telefonist.app import open_house
from telefonist.channels.signing import verify
from telefonist.commands.terminal import terminal_language
from telefonist.commands.trip_ends import Arrived, RunningService, TripReceiver, stopped
from telefonist.commands.trip_screen import Screen
from telefonist.errors import SignatureInvalid
from telefonist.logs import configure_logging
from telefonist.settings import Settings
from telefonist.texts import render
from telefonist.types import Json, Language, new_id

PATIENCE = 90.0
"""Seconds for one answer to come back: more than a model takes that works at all."""

RECORDED_WITHIN = 10.0
"""Seconds for the service to write down the delivery that we have just answered."""

LOOK_EVERY = 0.2
"""Seconds between two looks at the task while its answer is awaited."""

_STAGES = {"queued": "trip_stage_queued", "running": "trip_stage_running"}


async def show(settings: Settings, *, patience: float = PATIENCE) -> None:
    """Send two messages of one conversation and show everything that happens to them.

    Returns only when all of it was seen: both answers, their signatures, the remembered word and the recorded
    deliveries. Raises ConfigurationError, in the terminal's language, that says what was missed and what to do.
    """
    configure_logging("warning")
    language = terminal_language()
    screen = Screen(language)
    async with RunningService(_address(settings, language), language) as service, TripReceiver() as receiver:
        version = await service.version()
        secrets = await _secrets(settings, language)
        screen.line("trip_on_the_line", version=version, url=service.url)
        screen.line("trip_receiver", url=receiver.url)
        trip = _Trip(screen, service, receiver, secrets, patience)

        screen.heading("trip_first")
        task_id, _ = await trip.ask(render("trip_message", language))
        screen.heading("trip_second")
        _, answer = await trip.ask(render("trip_question", language), briefly=True)
        word = render("trip_word", language)
        if word.casefold() not in answer.casefold():
            raise stopped("trip_forgotten", language, word=word)
        screen.done("trip_remembered", word=word)

        screen.heading("trip_record", path=f"/tasks/{task_id}")
        await trip.show_record(task_id)
        screen.heading("trip_seen")


class _Trip:
    """One conversation with the service, every step of it shown."""

    def __init__(
        self,
        screen: Screen,
        service: RunningService,
        receiver: TripReceiver,
        secrets: Sequence[str],
        patience: float,
    ) -> None:
        self._screen = screen
        self._service = service
        self._receiver = receiver
        self._secrets = secrets
        self._patience = patience
        self._conversation_id = f"demo-{new_id().hex[-8:]}"

    async def ask(self, message: str, *, briefly: bool = False) -> tuple[str, str]:
        """Send a message and see its answer through; gives the task's id and the answer's text.

        ``briefly`` leaves out what looks the same every time.
        """
        request = {
            "message": message,
            "callback_url": self._receiver.url,
            "conversationId": self._conversation_id,
        }
        self._screen.outward(f"POST {self._service.url}/webhook", request)
        started = time.monotonic()
        location, receipt = await self._service.send(request)
        self._screen.done("trip_accepted", milliseconds=_since(started))
        if not briefly:
            self._screen.inward({"Location": location}, receipt)
        started = time.monotonic()
        arrived = await self._await_callback(receipt["task_id"])
        self._screen.done("trip_arrived", milliseconds=_since(started), url=self._receiver.url)
        if briefly:
            self._screen.inward({}, {"generated_response": arrived.json["generated_response"]})
        else:
            self._screen.inward(arrived.shown_headers, arrived.json)
        self._check_signature(arrived)
        return receipt["task_id"], self._text(arrived.json)

    async def show_record(self, task_id: str) -> None:
        """Show what the service has written down, once that includes the delivery we saw."""
        deadline = time.monotonic() + RECORDED_WITHIN
        while (task := await self._service.task(task_id))["delivery"]["state"] != "delivered":
            if time.monotonic() > deadline:
                raise stopped("trip_unrecorded", self._screen.language, state=task["delivery"]["state"])
            await asyncio.sleep(LOOK_EVERY)
        self._screen.attempts(task)

    async def _await_callback(self, task_id: str) -> Arrived:
        deadline = time.monotonic() + self._patience
        awaited = asyncio.create_task(self._receiver.callback_for(task_id))
        try:
            with self._screen.waiting() as tell:
                while not awaited.done():
                    task = await self._service.task(task_id)
                    if time.monotonic() > deadline:
                        raise self._too_late(task)
                    tell(_STAGES.get(task["state"], "trip_stage_delivering"))
                    await asyncio.wait([awaited], timeout=LOOK_EVERY)
            return await awaited
        finally:
            awaited.cancel()

    def _too_late(self, task: Json) -> Exception:
        seconds = f"{self._patience:g}"
        if task["state"] in _STAGES:
            return stopped("trip_no_model", self._screen.language, seconds=seconds, model=task["model"])
        tries = task["attempts"]
        reason = (tries[-1]["error"] or f"HTTP {tries[-1]['status']}") if tries else "—"
        return stopped(
            "trip_no_callback", self._screen.language, seconds=seconds, url=self._receiver.url, reason=reason
        )

    def _check_signature(self, arrived: Arrived) -> None:
        try:
            verify(self._secrets, arrived.headers, arrived.body)
        except SignatureInvalid as error:
            reason = error.text(self._screen.language)
            raise stopped("trip_signature_wrong", self._screen.language, reason=reason) from None
        self._screen.done("trip_signature_right")

    def _text(self, callback: Json) -> str:
        if callback["status"] != "succeeded":
            error = callback["error"]
            raise stopped("trip_model_failed", self._screen.language, model=callback["model"], reason=error["message"])
        return str(callback["generated_response"])


def _address(settings: Settings, language: Language) -> str:
    """Give the address at which a service with these settings is reached from this machine."""
    if not settings.port:
        raise stopped("trip_any_port", language)
    host = settings.host
    try:
        address = ip_address(host)
    except ValueError:
        return f"http://{host}:{settings.port}"
    if address.is_unspecified:
        host = "127.0.0.1" if address.version == 4 else "::1"
    return f"http://[{host}]:{settings.port}" if ":" in host else f"http://{host}:{settings.port}"


async def _secrets(settings: Settings, language: Language) -> Sequence[str]:
    """Read the secrets as ``telefonist webhook secret`` does, but make no database where the service has none."""
    if settings.database_url is None and not settings.data_dir.exists():
        raise stopped("trip_other_folder", language, folder=settings.data_dir)
    async with open_house(settings, "command") as house:
        return await house.secrets.live(None)


def _since(started: float) -> int:
    return round((time.monotonic() - started) * 1000)
