"""Answering webhook messages: one by one, in the order in which they came."""

import asyncio
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any
from uuid import UUID

from telefonist.core.conversations import message_tokens, prompt
from telefonist.core.generation import Answer, Generator
from telefonist.core.handoff import Handoffs
from telefonist.core.handoff_policy import Move
from telefonist.core.handoff_tool import TOOL, called_for
from telefonist.core.mailbox import AtHand, Worker, insist
from telefonist.core.metering import Meter, Metering
from telefonist.core.token_counting import counted_usage, estimate_prompt
from telefonist.core.voices import TELEGRAM, scheme_of
from telefonist.core.watched import Asker, Presence
from telefonist.errors import LeaseLost, ProviderError, TelefonistError
from telefonist.logs import get_logger, message_text
from telefonist.storage.turns import Turns
from telefonist.texts import language_of, render
from telefonist.types import (
    TELEGRAM_ACCOUNT,
    Caller,
    Door,
    Failure,
    GenerationState,
    HandoffReason,
    Json,
    Lease,
    Owner,
    PendingDelivery,
    Said,
    Settlement,
    TaskState,
    Turn,
    TurnOutcome,
    TurnReceipt,
    Usage,
    new_id,
)

log = get_logger(__name__)

REMEMBERED_CANCELLATIONS = 100
"""Notices kept, to tell a cancelled task from a stopping worker and one just being loaded from one that may begin."""


Calls = tuple[HandoffReason, str]
"""Why a person is called, and in which words."""


class Answerer:
    """Works on incoming mailboxes: asks the model, stores the answer, hands the callback on."""

    def __init__(
        self,
        worker: Worker,
        turns: Turns,
        generator: Generator,
        metering: Metering,
        system_prompt: str,
        handoffs: Handoffs,
        prompts: Mapping[str, str] | None = None,
        presences: Mapping[str, Presence] | None = None,
    ) -> None:
        """By the scheme of destinations: ``prompts`` in place of ``system_prompt``, and who shows the writing."""
        self._worker = worker
        self._turns = turns
        self._generator = generator
        self._metering = metering
        self._system_prompt = system_prompt
        self._handoffs = handoffs
        self._prompts = dict(prompts or {})
        self._asker = Asker(generator, presences or {})
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
            if receipt.overtaken:
                log.info("answer_withheld", task_id=str(turn.task_id))
                turn = None
                continue
            if not receipt.stored:
                raise LeaseLost
            if outcome.left_to_person:
                await insist(self._handoffs.user_wrote, current.conversation_id)
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
        """Find out what becomes of a message; a mistake of ours on the way is a failure like any other."""
        if turn.state is not TaskState.QUEUED or str(turn.task_id) in self._cancelled:
            return _nothing(turn)
        if turn.owner is not Owner.BOT:
            return self._left(turn)
        try:
            return await self._answer_or_call(turn)
        except Exception:
            log.exception("turn_failed", task_id=str(turn.task_id))
            return self._failed(turn, TelefonistError(), None)

    async def _answer_or_call(self, turn: Turn) -> TurnOutcome:
        """Let the bot answer, unless the message, or the failing of every model, calls for a person."""
        if await self._reachable(turn):
            decision = await insist(self._handoffs.decide, turn)
            if decision.move is Move.TRANSFER:
                await insist(self._call, turn, decision.reason, decision.signal.reason, decision.signal.score)
                return _nothing(turn)
        if _is_merged(turn):
            return _nothing(turn)
        outcome, calls = await self._generate(turn)
        if calls is None:
            return outcome
        reason, detail = calls
        await insist(self._call, turn, reason, detail)
        return replace(_nothing(turn), settlement=outcome.settlement)

    async def _reachable(self, turn: Turn) -> bool:
        """Say whether people may be called from here: where there are no operators, programs just get an answer."""
        return scheme_of(turn.callback_url) == TELEGRAM or await insist(self._handoffs.staffed)

    async def _call(self, turn: Turn, reason: HandoffReason, detail: str, score: float | None = None) -> None:
        """Call a person, which takes the task away from the bot; where one was called already, it is away by now."""
        async with self._handoffs.desk() as desk:
            language = language_of(turn.history[-1].content)
            await desk.request(turn.lease.conversation_id, reason, score=score, detail=detail, language=language)

    async def _generate(self, turn: Turn) -> tuple[TurnOutcome, Calls | None]:
        """Ask the model; gives the outcome, and why a person is called in its place, if one is."""
        key = str(turn.task_id)
        self._generating[key] = _current_task()
        meter: Meter | None = None
        staffed = False
        try:
            staffed = await insist(self._handoffs.staffed)
            tools = (TOOL,) if staffed and self._handoffs.rules.tool else ()
            offered = {"tools": tools} if tools else {}
            messages = prompt(self._prompts.get(scheme_of(turn.callback_url), self._system_prompt), turn.history)
            meter = await self._open(turn, messages, offered)
            answer = await self._asker.ask(turn, messages, tools)
            usage = answer.completion.usage
            if usage.estimated:
                usage = await counted_usage(answer.model.upstream, messages, offered, answer.completion.written)
            reason = called_for(answer.completion.body) if tools else None
            if reason is not None:
                paid = meter.settlement(GenerationState.SUCCEEDED, answer.model.name, usage)
                return replace(_nothing(turn), settlement=paid), (HandoffReason.TOOL, reason)
            return await self._succeeded(turn, answer, usage, meter), None
        except TelefonistError as error:
            failed = self._failed(turn, error, _unpaid(meter, GenerationState.FAILED, error.code))
            hopeless = staffed and isinstance(error, ProviderError)
            return failed, (HandoffReason.BOT_FAILED, error.code) if hopeless else None
        except asyncio.CancelledError:
            settlement = _unpaid(meter, GenerationState.CANCELLED)
            if key in self._cancelled and _current_task().uncancel() == 0:
                return replace(_nothing(turn), settlement=settlement), None
            if settlement is not None:
                self._metering.settle_behind(settlement)
            raise
        except Exception:
            log.exception("generation_failed", task_id=key)
            settlement = _unpaid(meter, GenerationState.FAILED, TelefonistError.code)
            return self._failed(turn, TelefonistError(), settlement), None
        finally:
            if self._generating.get(key) is _current_task():
                del self._generating[key]

    async def _open(self, turn: Turn, messages: Sequence[Json], options: Json) -> Meter:
        metered = turn.account_id not in (None, TELEGRAM_ACCOUNT)
        caller = Caller(turn.account_id, address="", metered=metered, key_id=turn.key_id)
        model = self._generator.catalog.known(turn.model)
        door = Door.TELEGRAM if scheme_of(turn.callback_url) == TELEGRAM else Door.WEBHOOK
        tokens = estimate_prompt(messages, options)
        return await insist(self._metering.open, caller, model, door, prompt_tokens=tokens, patient=True)

    async def _succeeded(self, turn: Turn, answer: Answer, usage: Usage, meter: Meter) -> TurnOutcome:
        text = answer.completion.text.replace("\x00", "")
        offers = await self._offers(turn, text)
        if offers:
            text = f"{text}\n\n{render('handoff_offer', language_of(turn.history[-1].content))}".lstrip()
        log.info("task_answered", task_id=str(turn.task_id), model=answer.model.name, text=message_text(text))
        settlement = meter.settlement(GenerationState.SUCCEEDED, answer.model.name, usage)
        said = self._said(turn, text=text, model=answer.model.name, usage=usage, buttons="offer" if offers else None)
        return replace(
            self._outcome(turn, said),
            answer=text,
            answer_tokens=message_tokens(text),
            settlement=settlement,
            offers=offers if offers or turn.offered else None,
        )

    async def _offers(self, turn: Turn, text: str) -> bool:
        """Judge whether the answer shall offer a person; not twice in a row, for a user who did not care."""
        if turn.offered or not await insist(self._handoffs.staffed):
            return False
        return (await insist(self._handoffs.judge, turn, text)).move is Move.OFFER

    def _failed(self, turn: Turn, error: TelefonistError, settlement: Settlement | None) -> TurnOutcome:
        log.warning("task_failed", task_id=str(turn.task_id), code=error.code, reason=str(error))
        language = language_of(turn.history[-1].content) if turn.history else "en"
        failure = Failure(error.code, error.text(language))
        outcome = self._outcome(turn, self._said(turn, status="failed", model=turn.model, failure=failure))
        return replace(outcome, settlement=settlement, offers=False if turn.offered else None)

    def _left(self, turn: Turn) -> TurnOutcome:
        """Leave a message to the operator who has the conversation, or will."""
        said = self._said(turn, status="waiting_for_operator", final=False)
        return replace(self._outcome(turn, said), left_to_person=True)

    def _said(self, turn: Turn, **more: Any) -> Said:
        return Said(
            message_id=new_id(),
            conversation_id=turn.lease.conversation_id,
            external_id=turn.external_id,
            callback_url=turn.callback_url,
            task_id=turn.task_id,
            metadata=turn.metadata,
            language=language_of(turn.history[-1].content) if turn.history else "en",
            **{"text": None, **more},
        )

    def _outcome(self, turn: Turn, said: Said) -> TurnOutcome:
        voices = self._handoffs.voices
        outgoing = voices.say(said)
        return replace(
            _nothing(turn),
            model=said.model,
            usage=said.usage,
            failure=said.failure,
            outgoing=outgoing[0] if outgoing else None,
            more=outgoing[1:],
            host=voices.host(said.callback_url),
        )


def _unpaid(meter: Meter | None, state: GenerationState, error: str | None = None) -> Settlement | None:
    """Settle a generation without an answer, if there was one at all: it costs nothing."""
    return None if meter is None else meter.settlement(state, meter.generation.model, error=error)


def _at_hand(lease: Lease, outcome: TurnOutcome) -> AtHand:
    """Give the callback just stored, where it is the only one that waits: else the mailbox knows whose turn it is."""
    if outcome.outgoing is None or lease.tail - lease.head != 1:
        return None
    return PendingDelivery(outcome.outgoing, outcome.turn.account_id, 0, 0, None)


def _is_merged(turn: Turn) -> bool:
    """Say whether the next message speaks for this one too: people write one thought in several, programs do not."""
    return scheme_of(turn.callback_url) == TELEGRAM and turn.lease.tail > turn.number


def _nothing(turn: Turn) -> TurnOutcome:
    return TurnOutcome(turn=turn, answer=None, answer_tokens=0, model=None, usage=None, failure=None, outgoing=None)


def _current_task() -> asyncio.Task[Any]:
    current = asyncio.current_task()
    assert current is not None, "handlers run as tasks"  # noqa: S101
    return current
