"""Answering webhook messages: one by one, in the order in which they came."""

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from typing import Any
from uuid import UUID

from telefonist.channels.callback_payload import callback_payload
from telefonist.channels.callback_url import host_of
from telefonist.core.conversations import message_tokens, prompt
from telefonist.core.generation import Answer, Generator
from telefonist.core.mailbox import AtHand, Worker, insist
from telefonist.core.metering import Meter, Metering
from telefonist.core.token_counting import counted_usage, estimate_prompt
from telefonist.errors import LeaseLost, TelefonistError
from telefonist.logs import get_logger, message_text
from telefonist.storage.turns import Turns
from telefonist.texts import language_of
from telefonist.types import (
    Caller,
    Door,
    Failure,
    GenerationState,
    Json,
    Lease,
    Outgoing,
    PendingDelivery,
    Settlement,
    TaskState,
    Turn,
    TurnOutcome,
    TurnReceipt,
    Usage,
    new_id,
    utc_now,
)

log = get_logger(__name__)

REMEMBERED_CANCELLATIONS = 100
"""Notices kept, to tell a cancelled task from a stopping worker and one just being loaded from one that may begin."""


class Answerer:
    """Works on incoming mailboxes: asks the model, stores the answer, hands the callback on."""

    def __init__(
        self, worker: Worker, turns: Turns, generator: Generator, metering: Metering, system_prompt: str
    ) -> None:
        self._worker = worker
        self._turns = turns
        self._generator = generator
        self._metering = metering
        self._system_prompt = system_prompt
        self._generating: dict[str, asyncio.Task[Any]] = {}
        self._cancelled: deque[str] = deque(maxlen=REMEMBERED_CANCELLATIONS)

    async def work(self, lease: Lease, at_hand: AtHand) -> None:
        """Answer what waits, one message after the other, while the lease holds."""
        process_id = self._worker.process_id
        current: Lease | None = lease
        turn = at_hand if isinstance(at_hand, Turn) else None
        while current is not None:
            if self._worker.stopping:
                await self._worker.give_back(current)
                return
            turn = turn or await insist(self._turns.load, current)
            if turn is None:
                raise LookupError("a mailbox counts a message that is not there")
            receipt, outcome = await self._store(process_id, await self._answer(turn))
            if not receipt.stored:
                raise LeaseLost
            if receipt.delivery_lease is not None:
                self._worker.start(receipt.delivery_lease, _at_hand(receipt.delivery_lease, outcome))
            current, turn = receipt.next_lease, None

    async def _store(self, process_id: UUID, outcome: TurnOutcome) -> tuple[TurnReceipt, TurnOutcome]:
        """Store what came of a turn or, where our own mistake is in the way, that it failed; gives what was stored."""
        try:
            return await insist(self._turns.store, process_id, outcome), outcome
        except Exception:
            log.exception("outcome_not_stored", task_id=str(outcome.turn.task_id))
            settlement = outcome.settlement
            if settlement is not None:
                settlement = replace(
                    settlement, state=GenerationState.FAILED, usage=Usage(), charge=0, error=TelefonistError.code
                )
            failed = self._failed(outcome.turn, TelefonistError(), settlement)
            return await insist(self._turns.store, process_id, failed), failed

    def cancel(self, task_id: str) -> None:
        """Stop generating for a task that was cancelled; one that is just being loaded will not begin."""
        self._cancelled.append(task_id)
        generating = self._generating.get(task_id)
        if generating is not None:
            generating.cancel()

    async def _answer(self, turn: Turn) -> TurnOutcome:
        key = str(turn.task_id)
        if turn.state is not TaskState.QUEUED or key in self._cancelled:
            return _nothing(turn)
        self._generating[key] = _current_task()
        meter: Meter | None = None
        try:
            messages = prompt(self._system_prompt, turn.history)
            meter = await self._open(turn, messages)
            answer = await self._generator.complete(turn.model, messages)
            usage = answer.completion.usage
            if usage.estimated:
                usage = await counted_usage(answer.model.upstream, messages, {}, answer.completion.written)
            return self._succeeded(turn, answer, usage, meter)
        except TelefonistError as error:
            return self._failed(turn, error, _unpaid(meter, GenerationState.FAILED, error.code))
        except asyncio.CancelledError:
            settlement = _unpaid(meter, GenerationState.CANCELLED)
            if key in self._cancelled and _current_task().uncancel() == 0:
                return replace(_nothing(turn), settlement=settlement)
            if settlement is not None:
                self._metering.settle_behind(settlement)
            raise
        except Exception:
            log.exception("generation_failed", task_id=key)
            return self._failed(turn, TelefonistError(), _unpaid(meter, GenerationState.FAILED, TelefonistError.code))
        finally:
            if self._generating.get(key) is _current_task():
                del self._generating[key]

    async def _open(self, turn: Turn, messages: Sequence[Json]) -> Meter:
        caller = Caller(turn.account_id, address="", metered=turn.account_id is not None, key_id=turn.key_id)
        model = self._generator.catalog.known(turn.model)
        return await insist(
            self._metering.open, caller, model, Door.WEBHOOK, prompt_tokens=estimate_prompt(messages, {})
        )

    def _succeeded(self, turn: Turn, answer: Answer, usage: Usage, meter: Meter) -> TurnOutcome:
        text = answer.completion.text.replace("\x00", "")
        log.info("task_answered", task_id=str(turn.task_id), model=answer.model.name, text=message_text(text))
        settlement = meter.settlement(GenerationState.SUCCEEDED, answer.model.name, usage)
        return _outcome(turn, answer.model.name, text=text, usage=usage, settlement=settlement)

    def _failed(self, turn: Turn, error: TelefonistError, settlement: Settlement | None) -> TurnOutcome:
        log.warning("task_failed", task_id=str(turn.task_id), code=error.code, reason=str(error))
        language = language_of(turn.history[-1].content) if turn.history else "en"
        failure = Failure(error.code, error.text(language))
        return _outcome(turn, turn.model, failure=failure, settlement=settlement)


def _unpaid(meter: Meter | None, state: GenerationState, error: str | None = None) -> Settlement | None:
    """Settle a generation without an answer, if there was one at all: it costs nothing."""
    return None if meter is None else meter.settlement(state, meter.generation.model, error=error)


def _outcome(
    turn: Turn,
    model: str,
    *,
    text: str | None = None,
    usage: Usage | None = None,
    failure: Failure | None = None,
    settlement: Settlement | None = None,
) -> TurnOutcome:
    message_id = new_id()
    body = callback_payload(
        task_id=turn.task_id,
        message_id=message_id,
        conversation_id=turn.external_id,
        status="failed" if failure else "succeeded",
        text=text,
        author="bot",
        model=model,
        usage=usage,
        failure=failure,
        metadata=turn.metadata,
        created_at=utc_now(),
    )
    return TurnOutcome(
        turn=turn,
        answer=text,
        answer_tokens=message_tokens(text) if text is not None else 0,
        model=model,
        usage=usage,
        failure=failure,
        outgoing=Outgoing(message_id, turn.callback_url, body),
        host=host_of(turn.callback_url),
        settlement=settlement,
    )


def _at_hand(lease: Lease, outcome: TurnOutcome) -> AtHand:
    """Give the callback just stored, where it is the only one that waits: else the mailbox knows whose turn it is."""
    if outcome.outgoing is None or lease.tail - lease.head != 1:
        return None
    return PendingDelivery(outcome.outgoing, outcome.turn.account_id, 0, 0, None)


def _nothing(turn: Turn) -> TurnOutcome:
    return TurnOutcome(turn=turn, answer=None, answer_tokens=0, model=None, usage=None, failure=None, outgoing=None)


def _current_task() -> asyncio.Task[Any]:
    current = asyncio.current_task()
    assert current is not None, "handlers run as tasks"  # noqa: S101
    return current
