"""Deliveries: what is sent where, when again, and when no more."""

import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from telefonist.channels.callback import CallbackChannel
from telefonist.channels.callback_url import host_of
from telefonist.core.mailbox import AtHand, Worker, insist
from telefonist.core.voices import scheme_of
from telefonist.core.webhook_secrets import WebhookSecrets
from telefonist.logs import get_logger
from telefonist.storage.deliveries import Deliveries
from telefonist.types import (
    DeliveryAttempt,
    DeliveryOutcome,
    DeliveryState,
    Lease,
    Outgoing,
    PendingDelivery,
    Side,
    utc_now,
)

log = get_logger(__name__)

GONE = 410
"""HTTP status by which a receiver says that it is not coming back (RFC 9110, section 15.5.11)."""

CALLBACKS = ("http", "https")
"""Schemes of destinations that get signed callbacks."""

CROWD = 4
"""How many sends for one host, in multiples of its places, a worker keeps waiting before it gives more back."""

CROWDED_WAIT = 5.0
"""Seconds after which a delivery for a crowded host is looked at again."""

BUSY = 5
"""How many times larger the crowd may grow at a host that answers."""

SILENT_HOST = 1.0
"""Seconds without an answer after which a host with a crowd is no longer waited for."""


@dataclass(frozen=True, slots=True)
class RetrySchedule:
    """When a failed delivery is tried again; all times are seconds."""

    waits: Sequence[float] = (5, 60, 300, 1800, 7200, 18000, 36000)
    jitter: float = 0.2
    retry_after_cap: float = 3600.0
    """The longest Retry-After that is honoured."""
    hold_back: float = 600.0
    """How long, from its first failure, a message holds back later ones of its conversation."""
    gone: frozenset[int] = frozenset({GONE})
    """Statuses by which a receiver refuses for good."""

    def after(self, attempt: DeliveryAttempt, tries: int) -> tuple[DeliveryState, float]:
        """Give the state that an attempt leaves and the wait before the next; ``tries`` counts those before it.

        A receiver's Retry-After is honoured where it asks for more patience than the schedule has.
        """
        if attempt.succeeded:
            return DeliveryState.DELIVERED, 0.0
        if attempt.status in self.gone:
            return DeliveryState.GONE, 0.0
        if tries >= len(self.waits):
            return DeliveryState.PARKED, 0.0
        wait = self.waits[tries] * random.uniform(1 - self.jitter, 1 + self.jitter)  # noqa: S311  jitter
        return DeliveryState.PENDING, max(wait, min(attempt.retry_after or 0.0, self.retry_after_cap))


class Channel(Protocol):
    """A way out besides callbacks."""

    async def send(self, outgoing: Outgoing, ready: Callable[[], Awaitable[None]]) -> DeliveryAttempt:
        """Make one attempt and say how it went; ``ready`` is awaited when nothing is left to do but to send."""
        ...


@dataclass(frozen=True, slots=True)
class Route:
    """Where destinations of one scheme are sent, and when again."""

    channel: Channel
    schedule: RetrySchedule


class Deliverer:
    """Works on outgoing mailboxes: sends, records, and decides what comes next.

    ``routes`` has the channels of other schemes than those of callbacks.
    """

    def __init__(
        self,
        worker: Worker,
        deliveries: Deliveries,
        channel: CallbackChannel,
        secrets: WebhookSecrets,
        schedule: RetrySchedule,
        places_per_host: int,
        routes: Mapping[str, Route] | None = None,
    ) -> None:
        self._worker = worker
        self._deliveries = deliveries
        self._channel = channel
        self._secrets = secrets
        self._schedule = schedule
        self._routes = dict(routes or {})
        self._crowd = places_per_host * CROWD
        self._sending: Counter[str] = Counter()
        self._answered_at: dict[str, float] = {}

    async def work(self, lease: Lease, at_hand: AtHand) -> None:
        """Send what may be sent, in order, until nothing is left or all of it has to wait."""
        process_id = self._worker.process_id
        current: Lease | None = lease
        pending = at_hand if isinstance(at_hand, PendingDelivery) else None
        while current is not None:
            if pending is None:
                pending = await insist(self._deliveries.next, current)
            if pending is None:
                current = await insist(self._deliveries.rest, process_id, current)
                continue
            host = _receiver(pending.outgoing.callback_url)
            if self._is_stuck(host):
                await self._worker.give_back(current, CROWDED_WAIT * random.uniform(0.5, 1.5))  # noqa: S311  jitter
                return
            if self._worker.stopping and at_hand is None:
                await self._worker.give_back(current)
                return
            self._sending[host] += 1
            self._answered_at.setdefault(host, time.monotonic())
            try:
                outcome = await self._attempt(current, pending)
            finally:
                self._sending[host] -= 1
                if not self._sending[host]:
                    del self._sending[host]
                    del self._answered_at[host]
            current = await insist(self._deliveries.record, process_id, outcome)
            pending = at_hand = None

    def _is_stuck(self, host: str) -> bool:
        """Tell whether sends pile up at a host that has stopped answering; one that is merely busy is waited for.

        Once the worker has all it may take on, a single send is a pile: many silent hosts are as bad as a large one.
        """
        waiting = self._sending[host]
        if waiting < (1 if self._worker.is_full(Side.OUT) else self._crowd):
            return False
        silent = time.monotonic() - self._answered_at[host]
        return silent > SILENT_HOST or waiting >= self._crowd * BUSY

    async def _attempt(self, lease: Lease, pending: PendingDelivery) -> DeliveryOutcome:
        number = pending.attempts + 1
        attempt = await self._send(pending, number)
        if attempt.status is not None:
            self._answered_at[_receiver(pending.outgoing.callback_url)] = time.monotonic()
        route = self._routes.get(scheme_of(pending.outgoing.callback_url))
        schedule = route.schedule if route else self._schedule
        state, wait = schedule.after(attempt, pending.tries)
        log.info(
            "callback_sent",
            message_id=str(pending.outgoing.message_id),
            attempt=number,
            status=attempt.status,
            error=attempt.error,
            ms=attempt.milliseconds,
            state=state.value,
        )
        return DeliveryOutcome(
            lease=lease,
            message_id=pending.outgoing.message_id,
            attempt=attempt,
            state=state,
            retry_in=wait,
            hold_back=schedule.hold_back,
        )

    async def _send(self, pending: PendingDelivery, number: int) -> DeliveryAttempt:
        started = utc_now()
        scheme = scheme_of(pending.outgoing.callback_url)
        try:
            if route := self._routes.get(scheme):
                return await route.channel.send(pending.outgoing, self._worker.sure)
            if scheme not in CALLBACKS:
                return DeliveryAttempt(started, 0, None, error=f"nothing is set up here that sends to {scheme}")
            secrets = await insist(self._secrets.live, pending.account_id)
            return await self._channel.send(pending.outgoing, secrets, number, self._worker.sure)
        except Exception:
            log.exception("callback_not_sent", message_id=str(pending.outgoing.message_id))
            return DeliveryAttempt(started, 0, None, error="not sent: a mistake of ours, see the log")


def _receiver(callback_url: str) -> str:
    """Name the receiver whose silence does not hold up others: a host, or a chat."""
    return host_of(callback_url) if scheme_of(callback_url) in CALLBACKS else callback_url
