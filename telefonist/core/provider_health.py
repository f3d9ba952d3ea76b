"""How models have been answering, and which of them to ask only after their fallbacks.

Each process sees for itself: what it asked, and what came of it.
"""

import asyncio
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from telefonist.errors import (
    ProviderCredentialsRefused,
    ProviderError,
    ProviderFailed,
    ProviderOutOfFunds,
    ProviderProtocolError,
    ProviderTimeout,
    ProviderUnreachable,
)
from telefonist.logs import get_logger
from telefonist.types import utc_now

log = get_logger(__name__)

FAILURES = 5
"""Failures in a row that open a circuit."""

WITHIN = 30.0
"""Seconds in which they must have come."""

FIRST_PAUSE = 10.0
LONGEST_PAUSE = 60.0
"""Seconds for which a circuit is open; each probe that fails doubles them."""

REMEMBERED = 200
"""Answers whose times are kept, of each model."""


class CircuitState(StrEnum):
    """``open``: the model is asked after its fallbacks; ``half_open``: the next request tries it first again."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


@dataclass(frozen=True, slots=True)
class LastError:
    """What went wrong most recently; ``text`` names no key."""

    code: str
    text: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Times:
    """Milliseconds that the last ``count`` answers took."""

    count: int
    median: int
    p95: int


@dataclass(frozen=True, slots=True)
class ModelHealth:
    """How a model has been answering since this process began."""

    state: CircuitState = CircuitState.CLOSED
    since: datetime | None = None
    """When the state last changed; None: never."""
    probe_in: float = 0.0
    """Seconds until an open circuit lets a request try."""
    answers: int = 0
    errors: Mapping[str, int] = field(default_factory=dict)
    """How many there were, by their code."""
    last_error: LastError | None = None
    whole: Times | None = None
    """Until a whole answer was there; None where there was none."""
    first_piece: Times | None = None
    """Until a stream began."""


class ProviderHealth:
    """Watches every request to a model, and keeps a circuit for each of them.

    Five failures in a row within 30 s open the circuit, for 10 s at first: the model is asked after its fallbacks, and
    not twice by one request. Any answer closes it. After that time one request tries it: its answer closes the
    circuit, its failure opens it for twice as long, up to 60 s; what becomes of others, which may have begun long
    before, does neither. Nobody is refused for a circuit: a model that has no fallback, or whose fallbacks all failed,
    is asked all the same.

    What counts is what speaks of the upstream: no connection, silence, 5xx, a key that is refused (401) or has no money
    (402). Another 4xx is an answer to one request: 403, too, which OpenRouter gives to words that its moderation flags,
    and 429: repeating cures it, and an open circuit would deprive a model without fallbacks of that.

    No verdict is what took too long in all (the client may read slowly, or all places of ``max_concurrency`` be taken)
    and an answer that is not the protocol: the words that were asked for can be to blame, as where arguments come out
    wrong or an answer grows too long. Where it is not ``enabled`` it only watches.

    The request that tries is known by its task: it calls ``admits`` and notes its outcome in the same one.
    """

    def __init__(self, *, enabled: bool = True, clock: Callable[[], float] = time.monotonic) -> None:
        self._enabled = enabled
        self._clock = clock
        self._circuits: dict[str, _Circuit] = {}

    def admits(self, model: str) -> bool:
        """Say whether the model is to be asked before its fallbacks; of those who try an open one, it is the first."""
        return self._circuit(model).admits(self._clock())

    def is_open(self, model: str) -> bool:
        """Say whether the model is known to fail, so that repeating a request is of no use."""
        return self._circuit(model).state is not CircuitState.CLOSED

    def begun(self, model: str, seconds: float) -> None:
        """Note that a stream has begun; that it also comes to its end is not said yet."""
        circuit = self._circuit(model)
        circuit.first_piece.append(seconds)
        circuit.close(model)

    def answered(self, model: str, seconds: float | None = None) -> None:
        """Note an answer that came to its end, and how long it took where it came whole."""
        circuit = self._circuit(model)
        circuit.answers += 1
        circuit.failures.clear()
        if seconds is not None:
            circuit.whole.append(seconds)
        circuit.close(model)

    def failed(self, model: str, error: ProviderError) -> None:
        """Note an error."""
        circuit = self._circuit(model)
        circuit.errors[error.code] += 1
        circuit.last_error = LastError(error.code, str(error), utc_now())
        if _speaks_of_the_upstream(error):
            if self._enabled:
                circuit.fail(model, self._clock())
        elif isinstance(error, ProviderProtocolError | ProviderTimeout):
            circuit.leave()
        else:
            circuit.failures.clear()
            circuit.close(model)

    def left(self, model: str) -> None:
        """Note that nobody waited for what would come of a request."""
        self._circuit(model).leave()

    def of(self, model: str) -> ModelHealth:
        """Tell how a model has been answering."""
        circuit = self._circuits.get(model)
        return ModelHealth() if circuit is None else circuit.seen(self._clock())

    def _circuit(self, model: str) -> "_Circuit":
        circuit = self._circuits.get(model)
        if circuit is None:
            circuit = self._circuits[model] = _Circuit()
        return circuit


@dataclass(slots=True)
class _Circuit:
    """One model's."""

    state: CircuitState = CircuitState.CLOSED
    since: datetime | None = None
    until: float = 0.0
    pause: float = 0.0
    probe: asyncio.Task[Any] | None = None
    """The request that tries it, while it is half-open."""
    failures: deque[float] = field(default_factory=lambda: deque(maxlen=FAILURES))
    answers: int = 0
    errors: Counter[str] = field(default_factory=Counter)
    last_error: LastError | None = None
    whole: deque[float] = field(default_factory=lambda: deque(maxlen=REMEMBERED))
    first_piece: deque[float] = field(default_factory=lambda: deque(maxlen=REMEMBERED))

    def admits(self, now: float) -> bool:
        if self.state is CircuitState.CLOSED:
            return True
        if self.state is CircuitState.OPEN and now >= self.until:
            self._become(CircuitState.HALF_OPEN)
        if self.state is CircuitState.OPEN or self.probe is not None:
            return False
        self.probe = asyncio.current_task()
        return True

    def leave(self) -> None:
        """Let another request try it, if this one does."""
        if self._is_tried_here():
            self.probe = None

    def fail(self, model: str, now: float) -> None:
        if self.state is CircuitState.HALF_OPEN:
            if self._is_tried_here():
                self._open(model, now, min(self.pause * 2, LONGEST_PAUSE))
        elif self.state is CircuitState.CLOSED:
            self.failures.append(now)
            if len(self.failures) == FAILURES and now - self.failures[0] <= WITHIN:
                self._open(model, now, FIRST_PAUSE)

    def close(self, model: str) -> None:
        if self.state is CircuitState.OPEN or self._is_tried_here():
            self.probe = None
            self.failures.clear()
            self._become(CircuitState.CLOSED)
            log.info("circuit_closed", model=model)

    def seen(self, now: float) -> ModelHealth:
        return ModelHealth(
            state=self.state,
            since=self.since,
            probe_in=max(0.0, self.until - now) if self.state is CircuitState.OPEN else 0.0,
            answers=self.answers,
            errors=dict(self.errors),
            last_error=self.last_error,
            whole=_times(self.whole),
            first_piece=_times(self.first_piece),
        )

    def _open(self, model: str, now: float, pause: float) -> None:
        self.probe = None
        self.pause = pause
        self.until = now + pause
        self._become(CircuitState.OPEN)
        log.warning("circuit_opened", model=model, seconds=pause)

    def _is_tried_here(self) -> bool:
        return self.probe is not None and self.probe is asyncio.current_task()

    def _become(self, state: CircuitState) -> None:
        self.state = state
        self.since = utc_now()


def _speaks_of_the_upstream(error: ProviderError) -> bool:
    """Tell a failure of the upstream from what may be due to one request alone."""
    if isinstance(error, ProviderFailed):
        return not 400 <= error.values.get("status", 500) < 500
    if isinstance(error, ProviderTimeout):
        return error.values.get("phase") != "total"
    if isinstance(error, ProviderCredentialsRefused):
        return error.values.get("status") != 403
    return isinstance(error, ProviderUnreachable | ProviderOutOfFunds)


def _times(seconds: deque[float]) -> Times | None:
    if not seconds:
        return None
    in_order = sorted(seconds)
    last = len(in_order) - 1
    median, p95 = in_order[last // 2], in_order[round(last * 0.95)]
    return Times(len(in_order), round(median * 1000), round(p95 * 1000))
