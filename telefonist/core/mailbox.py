"""Who works on a conversation: claiming, working, giving back.

A worker claims conversations that have work, starts a handler for each and lets it run until the mailbox is empty.
Each claim raises the mailbox's epoch, and everything a handler writes carries the epoch it was claimed under: a worker
that was frozen, cut off or declared dead cannot write any more, whatever it believes.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from contextvars import Context
from dataclasses import dataclass, field
from typing import ParamSpec, Protocol, TypeVar
from uuid import UUID

from telefonist.core.heartbeat import Heartbeat
from telefonist.errors import LeaseLost, Unavailable
from telefonist.logs import get_logger, log_context
from telefonist.storage.mailboxes import Mailboxes
from telefonist.storage.processes import Processes
from telefonist.types import Lease, PendingDelivery, Side, Turn

log = get_logger(__name__)

Result = TypeVar("Result")
Given = ParamSpec("Given")

CLAIM_AT_ONCE = 200
"""Conversations that one statement claims."""

INSIST_EVERY = 0.3
"""Seconds between two tries to write what must not be lost."""

AFTER_A_MISTAKE = 10.0
"""Seconds after which work that met a mistake of ours is tried again: at once, the same mistake would spin."""

PARTING = 1.0
"""Seconds in which work whose lease has gone to other work here may end by itself: mostly its mailbox was empty, and it
is only about to hear of its last commit."""


@dataclass(frozen=True, slots=True)
class Rhythm:
    """How often a worker shows that it lives and looks around, in seconds."""

    heartbeat: float = 1.0
    poll: float = 1.0
    silent: float = 5.0
    """A process without a heartbeat for so long is struck off."""
    reconcile: float = 5.0
    """How often the leases in the database are compared with the work under way here."""
    retry: float = 0.3
    """Wait before asking a database again that was away."""
    tidy: float = 60.0
    """How often what is past its time is cleared away."""


AtHand = Turn | PendingDelivery | None
"""The first item of a mailbox, where whoever took the lease had it in hand and it need not be read again."""


class Handler(Protocol):
    """Works on one side of a conversation."""

    async def work(self, lease: Lease, at_hand: AtHand) -> None:
        """Work until the mailbox is empty, has to wait, or the lease is lost (LeaseLost)."""
        ...


@dataclass(slots=True)
class _Lane:
    """What one worker has under way on one side."""

    limit: int
    handler: Handler
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    running: dict[UUID, tuple[int, "asyncio.Task[None]"]] = field(default_factory=dict)
    reserved: int = 0
    more_waits: bool = False
    """The last look found no room for all there was: whoever finishes makes us look again."""

    @property
    def room(self) -> int:
        return self.limit - self.reserved - len(self.running)


class Worker:
    """Takes work from the mailboxes for as long as it runs."""

    def __init__(self, processes: Processes, mailboxes: Mailboxes, rhythm: Rhythm | None = None) -> None:
        self._processes = processes
        self._mailboxes = mailboxes
        self._rhythm = rhythm or Rhythm()
        self._lanes: dict[Side, _Lane] = {}
        self._heard: dict[str, Callable[[str], None]] = {}
        self._superseded: set[asyncio.Task[None]] = set()
        self._chores: list[tuple[Callable[[], Awaitable[None]], float]] = []
        self._stopping = False
        self._heartbeat = Heartbeat(
            processes,
            every=self._rhythm.heartbeat,
            silent=self._rhythm.silent,
            when_struck_off=self._abandon,
            when_freed=self._look_everywhere,
        )

    @property
    def process_id(self) -> UUID:
        """The id under which leases are held now."""
        return self._processes.id

    @property
    def stopping(self) -> bool:
        """Handlers give back what they have not begun."""
        return self._stopping

    async def give_back(self, lease: Lease, due_in: float = 0.0) -> None:
        """Let go of a lease with its work undone, to be taken up again after ``due_in`` seconds by anybody."""
        await self._mailboxes.let_go(self.process_id, [lease], due_in)

    async def sure(self) -> None:
        """Return as soon as nobody else can have our leases: nobody takes them while our heartbeat is that young.

        A worker that slept does not know it. It finds out here, before it does what no epoch can refuse.
        """
        await self._heartbeat.sure()

    @property
    def in_flight(self) -> Mapping[Side, int]:
        """How many conversations are being worked on."""
        return {side: len(lane.running) for side, lane in self._lanes.items()}

    def is_full(self, side: Side) -> bool:
        """Whether as many conversations as ``add`` allowed, or more, are being worked on."""
        return self._lanes[side].room <= 0

    def add(self, side: Side, handler: Handler, limit: int) -> None:
        """Let ``handler`` work on up to ``limit`` conversations at once."""
        self._lanes[side] = _Lane(limit, handler)

    def on_notice(self, prefix: str, react: Callable[[str], None]) -> None:
        """Call ``react`` with the rest of every notification that starts with ``prefix``."""
        self._heard[prefix] = react

    def tidy_with(self, chore: Callable[[], Awaitable[None]], every: float | None = None) -> None:
        """Let ``chore`` see to what is past its time, again and again; ``every`` so many seconds, or as all do."""
        self._chores.append((chore, every or self._rhythm.tidy))

    @contextmanager
    def place(self, side: Side) -> Iterator[UUID | None]:
        """Keep a place for a conversation about to be leased; gives the process id to lease it to, None when full."""
        lane = self._lanes[side]
        if self._stopping or lane.room <= 0:
            yield None
            return
        lane.reserved += 1
        try:
            yield self.process_id
        finally:
            lane.reserved -= 1

    def start(self, lease: Lease, at_hand: AtHand = None) -> None:
        """Begin to work under a lease that this process holds; nothing happens when it is already at it.

        The work has a context of its own: its log lines do not carry the ids of the request that happened to start it.
        """
        lane = self._lanes[lease.side]
        epoch, before = lane.running.get(lease.conversation_id, (0, None))
        if epoch >= lease.epoch:
            return
        if before is not None:
            self._superseded.add(before)
            before.add_done_callback(self._superseded.discard)
        task = asyncio.create_task(self._work(lane, lease, at_hand, before), context=Context())
        lane.running[lease.conversation_id] = (lease.epoch, task)

    async def run(self) -> None:
        """Work until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._heartbeat.run())
            group.create_task(self._reconcile())
            for chore, every in self._chores:
                group.create_task(_repeat(chore, every))
            group.create_task(self._mailboxes.listen(self._hear))
            for side, lane in self._lanes.items():
                group.create_task(self._claim(side, lane))

    def close(self) -> None:
        """Take nothing new from here on; what is under way goes on."""
        self._stopping = True

    async def stop(self, grace: float) -> None:
        """Take nothing new, let what is under way finish for ``grace`` seconds, give the rest back."""
        self.close()
        with suppress(TimeoutError):
            async with asyncio.timeout(grace):
                while running := self._tasks():
                    await asyncio.wait(running)
        leases = [
            Lease(conversation_id, side, epoch, 0, 0)
            for side, lane in self._lanes.items()
            for conversation_id, (epoch, _) in lane.running.items()
        ]
        await self._abandon()
        for side in self._lanes:
            with suppress(Unavailable):
                await self._mailboxes.let_go(self.process_id, [lease for lease in leases if lease.side is side])
        with suppress(Unavailable):
            await self._processes.leave()

    async def _work(self, lane: _Lane, lease: Lease, at_hand: AtHand, before: "asyncio.Task[None] | None") -> None:
        with log_context(conversation_id=str(lease.conversation_id)):
            try:
                if before is not None:
                    await _see_off(before)
                await lane.handler.work(lease, at_hand)
            except LeaseLost:
                log.info("lease_lost", side=lease.side, epoch=lease.epoch)
                with suppress(Unavailable):  # it may be ours after all, where the answer to a commit was lost
                    await self.give_back(lease)
            except Unavailable:
                log.warning("given_back_later", side=lease.side, epoch=lease.epoch)
            except Exception:
                log.exception("handler_failed", side=lease.side)
                with suppress(Unavailable):
                    await self.give_back(lease, AFTER_A_MISTAKE)
            finally:
                known = lane.running.get(lease.conversation_id)
                if known is not None and known[0] == lease.epoch:
                    del lane.running[lease.conversation_id]
                if lane.more_waits:
                    lane.wake.set()

    async def _claim(self, side: Side, lane: _Lane) -> None:
        while not self._stopping:
            lane.wake.clear()
            room = max(0, min(lane.room, CLAIM_AT_ONCE))
            claimed = 0
            if room:
                lane.reserved += room
                try:
                    leases = await self._mailboxes.claim(self.process_id, side, room)
                    claimed = len(leases)
                except Unavailable:
                    await asyncio.sleep(self._rhythm.retry)
                    continue
                finally:
                    lane.reserved -= room
                for lease in leases:
                    self.start(lease)
            lane.more_waits = claimed == room
            if not room or claimed < room:
                with suppress(TimeoutError):
                    async with asyncio.timeout(self._rhythm.poll):
                        await lane.wake.wait()

    def _look_everywhere(self) -> None:
        for lane in self._lanes.values():
            lane.wake.set()

    async def _reconcile(self) -> None:
        """Give back leases that the database knows and we do not: a commit whose answer never reached us.

        A lease counts as forgotten when two looks in a row find nobody working under it.
        """
        suspects: set[tuple[UUID, Side, int]] = set()
        while True:
            await asyncio.sleep(self._rhythm.reconcile)
            try:
                held = await self._mailboxes.held(self.process_id)
                idle = {
                    (lease.conversation_id, lease.side, lease.epoch): lease
                    for lease in held
                    if not self._works_under(lease)
                }
                forgotten = [lease for key, lease in idle.items() if key in suspects]
                for side in self._lanes:
                    await self._mailboxes.let_go(self.process_id, [lease for lease in forgotten if lease.side is side])
                suspects = set(idle)
            except Unavailable:
                suspects = set()

    def _works_under(self, lease: Lease) -> bool:
        lane = self._lanes.get(lease.side)
        known = lane.running.get(lease.conversation_id) if lane else None
        return known is not None and known[0] == lease.epoch

    async def _abandon(self) -> None:
        tasks = self._tasks()
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    def _tasks(self) -> set["asyncio.Task[None]"]:
        return {task for lane in self._lanes.values() for _, task in lane.running.values()} | self._superseded

    def _hear(self, notice: str) -> None:
        for prefix, react in self._heard.items():
            if notice.startswith(prefix):
                react(notice.removeprefix(prefix))
                return
        with suppress(ValueError, KeyError):
            self._lanes[Side(notice)].wake.set()


async def _repeat(chore: Callable[[], Awaitable[None]], every: float) -> None:
    while True:
        await asyncio.sleep(every)
        with suppress(Unavailable):
            await chore()


async def _see_off(work: "asyncio.Task[None]") -> None:
    """Let work whose lease has gone end by itself for a moment, then stop it; it could not write any more."""
    try:
        await asyncio.wait([work], timeout=PARTING)
    finally:
        work.cancel()


async def insist(write: Callable[Given, Awaitable[Result]], *given: Given.args, **named: Given.kwargs) -> Result:
    """Write something that must not be lost: while the database is away, try again until it is back."""
    while True:
        try:
            return await write(*given, **named)
        except Unavailable:
            await asyncio.sleep(INSIST_EVERY)
