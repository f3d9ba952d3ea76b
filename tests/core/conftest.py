"""A worker with everything real around it but the model, which each test scripts."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import Literal
from uuid import UUID

import pytest

from telefonist.channels.address_guard import AddressGuard
from telefonist.channels.callback import CallbackChannel
from telefonist.core.admission import Gate
from telefonist.core.answering import Answerer
from telefonist.core.catalog import Catalog, prompt_budget
from telefonist.core.conversations import message_tokens
from telefonist.core.deliveries import Deliverer, RetrySchedule
from telefonist.core.funds import Funds
from telefonist.core.generation import Generator, RetryPolicy
from telefonist.core.handoff import Handoffs
from telefonist.core.handoff_policy import HandoffRules
from telefonist.core.mailbox import Rhythm, Worker
from telefonist.core.metering import Metering
from telefonist.core.prices import Prices
from telefonist.core.tasks import WebhookTasks
from telefonist.core.voices import Voices, callback_voices
from telefonist.core.webhook_secrets import WebhookSecrets
from telefonist.memory.local import open_local_memory
from telefonist.storage.database import Database
from telefonist.storage.deliveries import Deliveries
from telefonist.storage.dialogs import Dialogs
from telefonist.storage.handoffs import HandoffStore
from telefonist.storage.holds import Holds
from telefonist.storage.intake import Intake
from telefonist.storage.mailboxes import Mailboxes
from telefonist.storage.operators import Operators
from telefonist.storage.prices import PriceOverrides
from telefonist.storage.processes import Processes
from telefonist.storage.purses import Purses
from telefonist.storage.tasks import Tasks
from telefonist.storage.turns import Turns
from telefonist.storage.webhook_secrets import WebhookSecretStore
from telefonist.types import (
    AcceptedTask,
    Caller,
    ChatRequest,
    Completion,
    Delta,
    EmbeddingRequest,
    Embeddings,
    Json,
    Model,
    NewTask,
    Side,
    TaskView,
    Usage,
)

CALLER = Caller(None, "127.0.0.1")

SECRET = "whsec_dGVsZWZvbmlzdCB0ZXN0cyBzaWduIHdpdGggdGhpcw=="


class ScriptedModel:
    """A provider whose answers a test decides; by default it repeats the last message."""

    name = "scripted"
    on_disconnect: Literal["cancel", "drain"] = "cancel"

    def __init__(self) -> None:
        self.requests: list[ChatRequest] = []
        self.answer: Callable[[ChatRequest], Awaitable[str]] = self._echo
        self.cancelled = 0
        self.body: Json = {}
        """What its answers look like in OpenAI's shape, for those who read more than the text."""

    async def complete(self, request: ChatRequest) -> Completion:
        self.requests.append(request)
        try:
            text = await self.answer(request)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        return Completion(text, request.model, "stop", Usage(10, 5), self.body, text)

    async def stream(self, request: ChatRequest) -> AsyncGenerator[Sequence[Delta], None]:
        done = await self.complete(request)
        yield [Delta(b"{}", {}, done.text, done.text, done.finish_reason, done.usage)]

    async def embed(self, request: EmbeddingRequest) -> Embeddings:
        return Embeddings({"object": "list", "data": [], "model": request.model}, Usage(3))

    async def aclose(self) -> None:
        return

    async def _echo(self, request: ChatRequest) -> str:
        return f"re: {request.messages[-1]['content']}"


@dataclass
class Office:
    """A running worker and the door's view of it."""

    database: Database
    tasks: WebhookTasks
    worker: Worker
    model: ScriptedModel
    processes: Processes
    mailboxes: Mailboxes
    handoffs: Handoffs
    loops: list["asyncio.Task[None]"] = field(default_factory=list)

    async def ask(
        self, message: str, callback_url: str, conversation: str = "c", account: UUID | None = None, **more: str
    ) -> AcceptedTask:
        """Accept a task as the door would."""
        task = NewTask(message, callback_url, conversation, more.pop("model", "scripted"))
        return await self.tasks.accept(replace(task, **more), replace(CALLER, account_id=account))

    async def see(self, accepted: AcceptedTask) -> TaskView:
        """Look at a task as its owner would."""
        return await self.tasks.get(accepted.task_id, CALLER)

    async def freeze(self) -> None:
        """Stop everything without letting go of anything, as kill -9 would."""
        for loop in self.loops:
            loop.cancel()
        await asyncio.gather(*self.loops, return_exceptions=True)
        await self.worker._abandon()


MODELS = (
    Model("scripted", "scripted", "scripted-1", fallbacks=("spare",)),
    Model("spare", "scripted", "spare-1"),
    Model("tiny", "scripted", "tiny-1", context_window=100, max_output=20),
    Model("wide", "scripted", "wide-1", fallbacks=("tiny",)),
)


@asynccontextmanager
async def open_office(
    dsn: str,
    model: ScriptedModel,
    *,
    schedule: RetrySchedule | None = None,
    rhythm: Rhythm | None = None,
    in_flight: int = 100,
    places_per_host: int = 50,
    system_prompt: str = "",
    loopback: bool = True,
    rules: HandoffRules | None = None,
) -> AsyncIterator[Office]:
    """Run a worker on a database until the block ends."""
    async with AsyncExitStack() as stack:
        database = Database(dsn)
        stack.push_async_callback(database.close)
        channel = await stack.enter_async_context(
            CallbackChannel(
                AddressGuard((), allow_loopback=loopback),
                connect_timeout=1,
                total_timeout=2,
                places_per_host=places_per_host,
            )
        )
        processes = Processes(database, "worker")
        await processes.register(same_machine=False)
        mailboxes = Mailboxes(database)
        worker = Worker(processes, mailboxes, rhythm or Rhythm(0.05, 0.05, 0.5, 0.2, 0.05))
        catalog = Catalog(MODELS, "scripted")
        reserved = message_tokens(system_prompt) if system_prompt else 0
        turns = Turns(database, {entry.name: prompt_budget(entry) - reserved for entry in MODELS})
        generator = Generator(catalog, {"scripted": model}, RetryPolicy(2, 0.01, 0.2))
        prices = Prices(PriceOverrides(database))
        metering = Metering(Holds(database), prices, lambda: processes.id)
        stack.push_async_callback(metering.close)
        memory = await stack.enter_async_context(open_local_memory())
        handoffs = Handoffs(
            Dialogs(database),
            HandoffStore(database),
            Operators(database),
            Voices(callback_voices()),
            memory.events,
            memory.statuses,
            rules,
        )
        answerer = Answerer(worker, turns, generator, metering, system_prompt, handoffs)
        secrets = WebhookSecrets(WebhookSecretStore(database, "master"), [SECRET])
        deliverer = Deliverer(
            worker, Deliveries(database), channel, secrets, schedule or RetrySchedule((0.05, 0.05)), places_per_host
        )
        worker.add(Side.IN, answerer, in_flight)
        worker.add(Side.OUT, deliverer, in_flight)
        worker.on_notice("cancel:", answerer.cancel)
        tasks = WebhookTasks(
            Intake(database),
            Tasks(database),
            catalog,
            system_prompt,
            worker,
            gate=Gate(memory, {}),
            funds=Funds(Purses(database), prices),
        )
        office = Office(database, tasks, worker, model, processes, mailboxes, handoffs)
        office.loops.append(asyncio.create_task(worker.run()))
        try:
            yield office
        finally:
            with suppress(Exception):
                await worker.stop(0.0)
            await office.freeze()


@pytest.fixture
def model() -> ScriptedModel:
    """Give a model that repeats what it is told."""
    return ScriptedModel()


@pytest.fixture
async def office(dsn: str, model: ScriptedModel) -> AsyncIterator[Office]:
    """Run one worker with quick retries."""
    async with open_office(dsn, model) as office:
        yield office
