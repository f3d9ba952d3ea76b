"""The composition root: builds everything once, in order, and takes it down in the reverse order."""

import asyncio
import resource
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal
from uuid import UUID

from telefonist.channels.address_guard import AddressGuard
from telefonist.channels.callback import CallbackChannel
from telefonist.channels.telegram_messages import TelegramVoice
from telefonist.core.access_tokens import AccessTokens
from telefonist.core.accounts import Accounts, Registration
from telefonist.core.admission import Gate
from telefonist.core.answering import Answerer
from telefonist.core.api_keys import ApiKeys
from telefonist.core.catalog import Catalog, prompt_budget
from telefonist.core.conversations import message_tokens
from telefonist.core.deliveries import Deliverer, RetrySchedule, Route
from telefonist.core.funds import Funds
from telefonist.core.generation import Generator, RetryPolicy
from telefonist.core.generations import Generations
from telefonist.core.handoff import LOOK_EVERY, Handoffs
from telefonist.core.handoff_policy import HandoffRules
from telefonist.core.identification import Identification
from telefonist.core.logins import Logins
from telefonist.core.mailbox import Worker, insist
from telefonist.core.metering import Metering
from telefonist.core.passwords import Passwords
from telefonist.core.prices import Prices
from telefonist.core.provider_health import ProviderHealth
from telefonist.core.summaries import ModelSummaries
from telefonist.core.tasks import WebhookTasks
from telefonist.core.telegram_commands import Commands
from telefonist.core.telegram_dialogs import TelegramDialogs
from telefonist.core.telegram_operator_chats import CatchUp, OperatorChats
from telefonist.core.telegram_operators import PrivateDesk
from telefonist.core.telegram_polling import Poller
from telefonist.core.telegram_presence import TelegramPresence
from telefonist.core.voices import TELEGRAM, Voices, callback_voices
from telefonist.core.watched import Presence
from telefonist.core.webhook_secrets import WebhookSecrets
from telefonist.errors import ConfigurationError, Unavailable
from telefonist.logs import get_logger
from telefonist.memory.base import Memory
from telefonist.memory.local import open_local_memory
from telefonist.providers.registry import Providers
from telefonist.settings import Settings, read_or_make_secret
from telefonist.storage.accounts import AccountStore
from telefonist.storage.api_keys import ApiKeyStore
from telefonist.storage.database import Database
from telefonist.storage.deliveries import Deliveries
from telefonist.storage.dialogs import Dialogs
from telefonist.storage.embedded import EmbeddedPostgres
from telefonist.storage.handoffs import HandoffStore
from telefonist.storage.holds import Holds
from telefonist.storage.intake import Intake
from telefonist.storage.invites import InviteStore
from telefonist.storage.leadership import Leadership
from telefonist.storage.mailboxes import Mailboxes
from telefonist.storage.migrate import migrate
from telefonist.storage.operators import Operators
from telefonist.storage.prices import PriceOverrides
from telefonist.storage.processes import Processes
from telefonist.storage.purses import Purses
from telefonist.storage.sessions import SessionStore
from telefonist.storage.tasks import Tasks
from telefonist.storage.telegram import TelegramUpdates
from telefonist.storage.turns import Turns
from telefonist.storage.users import Users
from telefonist.storage.webhook_secrets import WebhookSecretStore
from telefonist.types import MICROCREDITS, Door, Side

if TYPE_CHECKING:
    from telefonist.channels.telegram import TelegramBot

log = get_logger(__name__)

ProcessKind = Literal["serve", "web", "worker", "command"]

OUTGOING_PER_WORKER = 5000
"""Conversations whose callbacks one worker has under way at once; one that waits for a slow host costs little."""

LEFT_GRACE = 5.0
"""Seconds that answers get which are still read to their end for clients that left."""

TELEGRAM_SCHEDULE = RetrySchedule(
    waits=(1, 2, 5, 10, 30, 60, 300, 600, 1800, 3600, 7200, 18000, 36000),
    hold_back=86_400.0,
    gone=frozenset({400, 403, 413}),
)
"""When a message to a chat is tried again; later ones wait for it, since they read as one talk."""

LOOK_FOR_UPDATES = 1.0
"""Seconds after which a process looks again whether it is the one that fetches Telegram's updates."""

DATABASE_PATIENCE = 30.0
"""Seconds to wait at the start for a database that is away."""


@dataclass(frozen=True, slots=True)
class House:
    """What stands once everything is built.

    ``worker`` is None where this process only serves the web; of commands, ``generations`` and ``processes`` are, too.
    """

    settings: Settings
    database: Database
    embedded: EmbeddedPostgres | None
    secrets: WebhookSecrets
    identification: Identification
    accounts: Accounts
    logins: Logins
    keys: ApiKeys
    catalog: Catalog
    prices: Prices
    guard: AddressGuard
    memory: Memory
    health: ProviderHealth
    generations: Generations | None
    worker: Worker | None
    processes: Processes | None
    tasks: WebhookTasks
    handoffs: Handoffs
    updates: TelegramUpdates
    telegram: TelegramDialogs | None
    notes: tuple[str, ...] = ()

    async def check(self) -> dict[str, str]:
        """Ask each part whether it can take work: ``ok``, or what is wrong with it in a few words."""
        try:
            await self.database.check()
        except Unavailable:
            return {"database": "no connection"}
        if self.worker is None:
            return {"database": "ok"}
        return {"database": "ok", "worker": "stopping" if self.worker.stopping else "ok"}


@asynccontextmanager
async def open_house(settings: Settings, kind: ProcessKind) -> AsyncIterator[House]:
    """Build what a process of that kind needs: database, schema, providers, and the worker where it has one.

    Raises ConfigurationError, which says what to do, when something stands in the way.
    """
    async with AsyncExitStack() as stack:
        master = settings.secret or read_or_make_secret(settings.data_dir)
        embedded = None if settings.database_url else EmbeddedPostgres(settings.data_dir)
        notes = settings.notes
        if embedded is None:
            dsn = settings.database_url or ""
        else:
            stack.push_async_callback(embedded.stop)
            info = await embedded.start()
            dsn, notes = info.dsn, notes + info.notes
        database = Database(dsn)
        stack.push_async_callback(database.close)
        await _reach(database, settings)
        await migrate(database)
        guard = AddressGuard(settings.delivery.allowed_networks, allow_loopback=settings.loopback_is_open)
        secrets = WebhookSecrets(WebhookSecretStore(database, master), settings.delivery.signing_secrets)
        tokens, keys, sessions = AccessTokens(master), ApiKeyStore(database), SessionStore(database)
        identification = Identification(tokens, keys, sessions)
        catalog = Catalog(settings.models, settings.default_model)
        memory = await stack.enter_async_context(_memory(settings, kind))
        prices = Prices(PriceOverrides(database))
        health = ProviderHealth(enabled=settings.limits.provider_circuit)
        doors = settings.doors
        gate = Gate(memory, {Door.API: doors.api.rate_limit, Door.CHAT: doors.chat.rate_limit})
        handoffs = _handoffs(settings, database, memory)
        updates = TelegramUpdates(database)
        worker, processes, generations, telegram = None, None, None, None
        if kind != "command":
            processes = registered = Processes(database, kind)
            stack.push_async_callback(_leave, processes)
            await _take_place(processes, settings, kind, same_machine=embedded is not None)
            providers = await stack.enter_async_context(
                await Providers.open(settings.providers, memory.tokens, memory.slots)
            )
            retry = RetryPolicy(retries=settings.limits.provider_retries)
            generator = Generator(catalog, providers, retry, health)
            metering = Metering(Holds(database), prices, lambda: registered.id)
            stack.push_async_callback(metering.close)
            generations = Generations(generator, metering, gate)
            stack.push_async_callback(generations.close, LEFT_GRACE)
            stack.push_async_callback(handoffs.close, LEFT_GRACE)
            if not _is_demo(settings, catalog.default.provider):
                handoffs.summarise = ModelSummaries(generator, metering)
            if kind != "web":
                routes: dict[str, Route] = {}
                presences: dict[str, Presence] = {}
                channel = await stack.enter_async_context(_callback_channel(settings, guard))
                await secrets.live(None)  # made at the first start; a changed TELEFONIST_SECRET is told at every other
                worker = Worker(processes, Mailboxes(database))
                if settings.telegram.bot_token is not None:
                    bot = await stack.enter_async_context(_telegram_bot(settings))
                    telegram = _employ_telegram(worker, settings, database, catalog, handoffs, updates, bot)
                    telegram.staff.append(PrivateDesk(handoffs, memory.limiter))
                    worker.tidy_with(CatchUp(database, handoffs).look, every=LOOK_EVERY)
                    stack.push_async_callback(telegram.close, LEFT_GRACE)
                    routes[TELEGRAM] = _telegram_route(updates, bot)
                    presences[TELEGRAM] = TelegramPresence(bot)
                _employ(worker, settings, database, generator, metering, channel, secrets, handoffs, routes, presences)
        prompt = settings.system_prompt_for(settings.doors.webhook)
        intake = Intake(database)
        tasks = WebhookTasks(
            intake, Tasks(database), catalog, prompt, worker, gate=gate, funds=Funds(Purses(database), prices)
        )
        if worker is not None:
            worker.tidy_with(intake.purge)
            worker.tidy_with(sessions.purge)
        passwords = Passwords()
        stack.callback(passwords.close)
        store, limiter = AccountStore(database), memory.limiter
        registration = Registration(settings.registration, start=int(settings.start_credits * MICROCREDITS))
        yield House(
            settings=settings,
            database=database,
            embedded=embedded,
            secrets=secrets,
            identification=identification,
            accounts=Accounts(
                store, Users(database), InviteStore(database), passwords, identification, limiter, registration
            ),
            logins=Logins(store, sessions, passwords, tokens, identification, limiter),
            keys=ApiKeys(keys, catalog, identification),
            catalog=catalog,
            prices=prices,
            guard=guard,
            memory=memory,
            health=health,
            generations=generations,
            worker=worker,
            processes=processes,
            tasks=tasks,
            handoffs=handoffs,
            updates=updates,
            telegram=telegram,
            notes=notes,
        )


async def _reach(database: Database, settings: Settings) -> None:
    """Wait for a database that starts at the same time as we do, as containers' databases like to."""
    deadline = time.monotonic() + DATABASE_PATIENCE
    while True:
        try:
            await database.check()
        except Unavailable as error:
            if settings.database_url is None or time.monotonic() > deadline:
                raise ConfigurationError(
                    f"The database cannot be reached ({error.__cause__}). Check that PostgreSQL runs, and that "
                    "DATABASE_URL names its host, port, database, user and password."
                ) from error
            log.warning("waiting_for_database", seconds_left=round(deadline - time.monotonic()))
            await asyncio.sleep(1.0)
        else:
            return


def _memory(settings: Settings, kind: ProcessKind) -> AbstractAsyncContextManager[Memory]:
    if settings.redis_url is None or kind == "command":
        return open_local_memory()
    from telefonist.memory.redis import open_redis_memory  # most services run without: a tenth of the start-up time

    return open_redis_memory(settings.redis_url, settings.redis.away)


async def _take_place(processes: Processes, settings: Settings, kind: ProcessKind, *, same_machine: bool) -> None:
    """Enter the list of processes; raises ConfigurationError for a second one that would need Redis and has none."""
    if kind == "worker" or settings.redis_url is not None:
        await processes.register(same_machine=same_machine)
        return
    other = await processes.register_alone(same_machine=same_machine)
    if other is not None:
        raise ConfigurationError(
            f"Another process serves the web on this database: pid {other.pid} on host {other.host}, since "
            f"{other.started_at:%Y-%m-%d %H:%M:%S} UTC. Several of them share rate limits and live events through "
            "Redis: set REDIS_URL for each of them, or stop that one first. Workers need no Redis: telefonist worker."
        )


async def _leave(processes: Processes) -> None:
    with suppress(Unavailable):
        await processes.leave()


def _employ(
    worker: Worker,
    settings: Settings,
    database: Database,
    generator: Generator,
    metering: Metering,
    channel: CallbackChannel,
    secrets: WebhookSecrets,
    handoffs: Handoffs,
    routes: Mapping[str, Route],
    presences: Mapping[str, Presence],
) -> None:
    prompt = settings.system_prompt_for(settings.doors.webhook)
    reserved = max(message_tokens(each) if each else 0 for each in (prompt, settings.telegram_prompt))
    turns = Turns(database, {model.name: prompt_budget(model) - reserved for model in generator.catalog.models})
    answerer = Answerer(
        worker, turns, generator, metering, prompt, handoffs, {TELEGRAM: settings.telegram_prompt}, presences
    )
    delivery = settings.delivery
    schedule = RetrySchedule(
        delivery.retry_schedule, delivery.jitter, delivery.retry_after_cap, hold_back=delivery.hold_back
    )
    deliverer = Deliverer(worker, Deliveries(database), channel, secrets, schedule, delivery.per_host, routes)
    worker.add(Side.IN, answerer, settings.limits.max_in_flight)
    worker.add(Side.OUT, deliverer, _outgoing_limit())
    worker.on_notice("cancel:", answerer.cancel)
    worker.tidy_with(handoffs.look_after, every=LOOK_EVERY)


def _telegram_bot(settings: Settings) -> "AbstractAsyncContextManager[TelegramBot]":
    from telefonist.channels.telegram import open_telegram  # aiogram is 2 s and 100 MB that most services never need

    return open_telegram(settings.telegram.bot_token or "", settings.telegram.api_base)


def _employ_telegram(
    worker: Worker,
    settings: Settings,
    database: Database,
    catalog: Catalog,
    handoffs: Handoffs,
    updates: TelegramUpdates,
    bot: "TelegramBot",
) -> TelegramDialogs:
    prompt, own = settings.telegram_prompt, settings.telegram
    dialogs = TelegramDialogs(
        worker,
        updates,
        handoffs,
        Commands(catalog, own.own_texts),
        bot,
        system_tokens=message_tokens(prompt) if prompt else 0,
        operator_group=own.operator_group_id,
    )
    worker.add(Side.UPDATES, dialogs, settings.limits.max_in_flight)
    worker.tidy_with(updates.purge)
    if own.webhook_secret is None:
        poller = Poller(bot, updates, Leadership(database, "telegram updates"))
        worker.tidy_with(poller.run, every=LOOK_FOR_UPDATES)
    return dialogs


def _telegram_route(updates: TelegramUpdates, bot: "TelegramBot") -> Route:
    from telefonist.channels.telegram import TelegramChannel

    async def sent(message_id: UUID, chat_id: int, telegram_id: int) -> None:
        await insist(updates.sent, message_id, chat_id, telegram_id)

    async def moved(old: int, new: int) -> None:
        await insist(updates.moved, old, new)

    channel = TelegramChannel(bot, sent, moved)
    return Route(channel, TELEGRAM_SCHEDULE)


def _handoffs(settings: Settings, database: Database, memory: Memory) -> Handoffs:
    wanted = settings.handoff
    rules = HandoffRules(
        transfer_above=wanted.transfer_above,
        offer_above=wanted.offer_above,
        patience=wanted.patience,
        silence=wanted.silence,
        wait=wanted.wait,
        capacity=wanted.capacity,
        hours=wanted.working_hours,
        tool=wanted.tool,
    )
    voices = Voices({**callback_voices(), TELEGRAM: TelegramVoice()})
    staff = Operators(database)
    store = HandoffStore(database)
    handoffs = Handoffs(Dialogs(database), store, staff, voices, memory.events, memory.statuses, rules)
    if settings.telegram.bot_token is not None:
        handoffs.channels.append(OperatorChats())
    return handoffs


def _is_demo(settings: Settings, provider: str) -> bool:
    """Tell the built-in model, which can summarise nothing."""
    return any(row.name == provider and row.kind == "demo" for row in settings.providers)


def _outgoing_limit() -> int:
    """Leave half of the files that this process may open to everything else: each callback under way is one."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return OUTGOING_PER_WORKER if files == resource.RLIM_INFINITY else min(OUTGOING_PER_WORKER, files // 2)


def _callback_channel(settings: Settings, guard: AddressGuard) -> CallbackChannel:
    delivery = settings.delivery
    return CallbackChannel(
        guard,
        headers=delivery.headers,
        connect_timeout=delivery.connect_timeout,
        total_timeout=delivery.total_timeout,
        places_per_host=delivery.per_host,
    )
