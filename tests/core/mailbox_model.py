"""What the mailboxes promise, written down in memory: the state machine holds the database against it.

Time is counted in whole hours: every wait is a multiple of one, so that the moments which a run really takes do not
matter. Each ``saw_`` method is told what an operation gave, fails when that is not what was promised, and moves on.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from telefonist.errors import Conflict
from telefonist.storage.intake import Receipt
from telefonist.types import (
    DeliveryOutcome,
    DeliveryState,
    HistoryMessage,
    Lease,
    PendingDelivery,
    Role,
    Side,
    TaskState,
    Turn,
    TurnOutcome,
    TurnReceipt,
)

HOUR = 3600
KEYS_KNOWN_FOR = 24
SIDES = (Side.IN, Side.OUT)
"""Of a conversation that programs have; what Telegram brings comes by a third one."""


def agree(seen: object, promised: object, what: str) -> None:
    """Fail unless what was seen is what was promised."""
    if seen != promised:
        raise AssertionError(f"{what}: seen {seen!r}, promised {promised!r}")


@dataclass(frozen=True, slots=True)
class Request:
    """What a client sends; ``wanted`` says whether the process that takes it has room to work on it."""

    conversation: str
    text: str
    url: str
    key: str | None
    wanted: bool

    @property
    def body(self) -> tuple[str, str, str]:
        return self.conversation, self.text, self.url


@dataclass(eq=False, slots=True)
class Callback:
    """An answer on its way to the receiver; ``attempts`` holds the status of each, ``counted`` how many counted."""

    message_id: UUID
    due: int
    state: DeliveryState = DeliveryState.PENDING
    held_until: int | None = None
    attempts: dict[datetime, int | None] = field(default_factory=dict)
    counted: int = 0
    tries: int = 0
    reopened: bool = False
    arrived: bool = False

    @property
    def pending(self) -> bool:
        return self.state is DeliveryState.PENDING

    def holds_back(self, now: int) -> bool:
        return self.held_until is not None and self.held_until > now


@dataclass(eq=False, slots=True)
class Question:
    """A task: it may be cancelled or answered, and is then followed by a callback."""

    request: Request
    task_id: UUID
    state: TaskState = TaskState.QUEUED
    answer: str | None = None
    callback: Callback | None = None

    def __repr__(self) -> str:
        return self.request.text


@dataclass(eq=False, slots=True)
class Box:
    """One side of a conversation; ``epoch`` is that of its last lease."""

    head: int = 0
    tail: int = 0
    epoch: int = 0
    holder: UUID | None = None
    not_before: int = 0

    @property
    def idle(self) -> bool:
        return self.head == self.tail

    def held_under(self, process_id: UUID, lease: Lease) -> bool:
        return self.holder == process_id and self.epoch == lease.epoch

    def take(self, process_id: UUID, lease: Lease | None) -> None:
        if lease is None or lease.epoch <= self.epoch:
            raise AssertionError(f"a new lease was promised, after epoch {self.epoch}: seen {lease!r}")
        self.holder, self.epoch, self.not_before = process_id, lease.epoch, 0

    def release(self, not_before: int = 0) -> None:
        self.holder, self.not_before = None, not_before


class Conversation:
    """Its questions in order, and its two mailboxes."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.id: UUID | None = None
        self.questions: list[Question] = []
        self.inbox, self.outbox = Box(), Box()

    def __repr__(self) -> str:
        return self.name

    @property
    def boxes(self) -> dict[Side, Box]:
        return {Side.IN: self.inbox, Side.OUT: self.outbox}

    @property
    def callbacks(self) -> list[Callback]:
        return [question.callback for question in self.questions if question.callback is not None]

    @property
    def pending(self) -> list[Callback]:
        return [callback for callback in self.callbacks if callback.pending]

    def lease(self, side: Side) -> Lease:
        """Give the lease as its holder should know it now."""
        assert self.id is not None
        box = self.boxes[side]
        return Lease(self.id, side, box.epoch, box.head, box.tail)

    def history(self, turn: int) -> Iterator[HistoryMessage]:
        """Give what the model reads before it answers that turn: nothing cancelled, nothing later."""
        for question in self.questions[:turn]:
            if question.state is not TaskState.CANCELLED:
                yield HistoryMessage(Role.USER, question.request.text)
                if question.answer is not None:
                    yield HistoryMessage(Role.BOT, question.answer)

    def sendable(self, now: int) -> Callback | None:
        """Find the first callback that is due, unless one before it still holds the rest back."""
        for callback in self.pending:
            if callback.due <= now:
                return callback
            if callback.holds_back(now):
                return None
        return None

    def wake_at(self, side: Side, now: int) -> int | None:
        """Say by what hour somebody must have looked at that side; None when nothing is left to do."""
        box = self.boxes[side]
        if box.idle:
            return None
        if side is Side.IN:
            return max(now, box.not_before)
        moments = []
        for callback in self.pending:
            moments.append(callback.due)
            if callback.held_until is not None and callback.holds_back(now):
                moments.append(callback.held_until)
                break
        return max(min(moments), now, box.not_before)


@dataclass(frozen=True, slots=True)
class _Known:
    question: Question
    since: int


class Model:
    """Every conversation, who is alive, and what time it is."""

    def __init__(self) -> None:
        self.now = 0
        self.conversations: dict[str, Conversation] = {}
        self.beats: dict[UUID, int] = {}
        self.rested: set[Conversation] = set()
        """What was just put to rest, and has to be looked at exactly when something can be sent."""
        self._keys: dict[str, _Known] = {}

    def pass_time(self, hours: int, beating: Sequence[UUID]) -> None:
        """Let hours pass, in which only some showed that they live."""
        self.now += hours
        for process_id in beating:
            self.beats[process_id] += hours

    def of(self, lease: Lease) -> Conversation:
        return next(each for each in self.conversations.values() if each.id == lease.conversation_id)

    @property
    def boxes(self) -> list[Box]:
        return [box for conversation in self.conversations.values() for box in conversation.boxes.values()]

    @property
    def questions(self) -> list[Question]:
        return [question for conversation in self.conversations.values() for question in conversation.questions]

    @property
    def callbacks(self) -> list[Callback]:
        return [callback for conversation in self.conversations.values() for callback in conversation.callbacks]

    def saw_accept(self, process_id: UUID, requests: Sequence[Request], receipts: Sequence[Receipt | Conflict]) -> None:
        """Requests taken together: each is put once, a key stands for its first request for a day."""
        busy = [each for each in self.conversations.values() if not each.inbox.idle]
        fresh = []
        for request, receipt in zip(requests, receipts, strict=True):
            known = self._keys.get(request.key) if request.key else None
            told_apart = known is not None and known.question.request.body != request.body
            if known is None or self.now - known.since >= KEYS_KNOWN_FOR:
                assert isinstance(receipt, Receipt), receipt
                fresh.append((*self._put(request, receipt), receipt))
            elif told_apart or isinstance(receipt, Conflict):
                agree((type(receipt), told_apart), (Conflict, True), "a key used with another body")
            else:
                agree(receipt.accepted.task_id, known.question.task_id, "the task of a known key")
                agree((receipt.accepted.repeated, receipt.lease, receipt.turn), (True, None, None), "a repetition")
        for conversation, question, receipt in fresh:
            box = conversation.inbox
            if question.request.wanted and box.holder is None and conversation not in busy:
                box.take(process_id, receipt.lease)
                if receipt.lease is not None and conversation.id is None:
                    conversation.id = receipt.lease.conversation_id
        for conversation, question, receipt in fresh:
            ours = question.request.wanted and conversation.inbox.holder == process_id
            agree(receipt.lease, conversation.lease(Side.IN) if ours else None, "the lease given at accept")
            first = ours and question is conversation.questions[0]
            agree(receipt.turn is not None, first, "a turn at hand")
            if receipt.turn is not None:
                self.saw_turn(receipt.turn.lease, receipt.turn)

    def _put(self, request: Request, receipt: Receipt) -> tuple[Conversation, Question]:
        agree(receipt.accepted.repeated, False, "repeated")
        conversation = self.conversations.setdefault(request.conversation, Conversation(request.conversation))
        question = Question(request, receipt.accepted.task_id)
        conversation.questions.append(question)
        conversation.inbox.tail += 1
        if request.key:
            self._keys[request.key] = _Known(question, self.now)
        return conversation, question

    def saw_claim(self, process_id: UUID, side: Side, limit: int, leases: Sequence[Lease]) -> None:
        """Only what is free and has work, and all of it that needs somebody now."""
        for lease in leases:
            conversation = self.of(lease)
            box = conversation.boxes[side]
            agree((box.holder, box.idle), (None, False), f"claimed {conversation} {side}")
            box.take(process_id, lease)
            agree(lease, conversation.lease(side), "the lease claimed")
        if len(leases) < limit:
            for conversation in self.conversations.values():
                waiting = conversation.boxes[side].holder is None and conversation.wake_at(side, self.now) == self.now
                agree(waiting, False, f"{conversation} {side} was left waiting")

    def saw_turn(self, lease: Lease, turn: Turn) -> None:
        """The first message that waits, with everything said before it."""
        conversation = self.of(lease)
        question = conversation.questions[lease.head]
        seen = (turn.number, turn.task_id, turn.state, turn.callback_url, turn.history)
        history = tuple(conversation.history(turn.number))
        promised = (lease.head + 1, question.task_id, question.state, question.request.url, history)
        agree(seen, promised, "a turn")

    def saw_store(self, process_id: UUID, outcome: TurnOutcome, receipt: TurnReceipt) -> None:
        """Stored once, by whoever holds the lease; a cancelled question only moves the mailbox on."""
        lease, number = outcome.turn.lease, outcome.turn.number
        conversation = self.of(lease)
        inbox, outbox = conversation.inbox, conversation.outbox
        if not inbox.held_under(process_id, lease) or inbox.head != number - 1:
            agree(receipt, TurnReceipt(False, None, None), "storing without the lease")
            return
        question = conversation.questions[number - 1]
        inbox.head = number
        delivery_lease = None
        if question.state is TaskState.QUEUED:
            assert outcome.outgoing is not None
            question.state = TaskState.FAILED if outcome.failure else TaskState.SUCCEEDED
            question.answer = outcome.answer
            question.callback = Callback(outcome.outgoing.message_id, self.now)
            if outbox.idle and outbox.holder is None:
                outbox.take(process_id, receipt.delivery_lease)
            outbox.tail += 1
            delivery_lease = conversation.lease(Side.OUT) if outbox.holder == process_id else None
        next_lease = None if inbox.idle else conversation.lease(Side.IN)
        agree(receipt, TurnReceipt(True, next_lease, delivery_lease), "the receipt of a store")
        if inbox.idle:
            inbox.release()

    def saw_next(self, lease: Lease, pending: PendingDelivery | None) -> None:
        """The first callback that may be sent."""
        callback = self.of(lease).sendable(self.now)
        seen = pending and (pending.outgoing.message_id, pending.attempts, pending.tries)
        promised = callback and (callback.message_id, callback.counted, callback.tries)
        agree(seen, promised, "the next delivery")

    def arrived(self, outcome: DeliveryOutcome) -> None:
        """A receiver took a callback: the ones before it came first, were given up, sent again, or had their time."""
        callbacks = self.of(outcome.lease).callbacks
        place = next(place for place, each in enumerate(callbacks) if each.message_id == outcome.message_id)
        if not callbacks[place].arrived:
            for earlier in callbacks[:place]:
                expired = earlier.held_until is not None and not earlier.holds_back(self.now)
                excused = earlier.arrived or earlier.reopened or not earlier.pending or expired
                agree(excused, True, "an earlier callback came first")
            callbacks[place].arrived = True

    def callback(self, outcome: DeliveryOutcome) -> Callback:
        """Find what was tried."""
        return next(each for each in self.of(outcome.lease).callbacks if each.message_id == outcome.message_id)

    def saw_record(
        self, process_id: UUID, outcome: DeliveryOutcome, hours: int, hold: int, was_pending: bool, kept: Lease | None
    ) -> None:
        """An attempt is kept, and counts once, under the lease; what is left keeps the lease.

        One that ended while its callback was withdrawn does not count, even if it is sent again in the same moment.
        """
        conversation = self.of(outcome.lease)
        box = conversation.outbox
        callback = self.callback(outcome)
        told_before = outcome.attempt.started_at in callback.attempts
        callback.attempts[outcome.attempt.started_at] = outcome.attempt.status
        if not box.held_under(process_id, outcome.lease):
            agree(kept, None, "recording without the lease")
            return
        if was_pending and callback.pending and not told_before:
            callback.counted += 1
            callback.tries += 1
            callback.state = outcome.state
            if outcome.state is DeliveryState.PENDING:
                callback.due = self.now + hours
                callback.held_until = self.now + hold if callback.held_until is None else callback.held_until
            else:
                box.head += 1
        agree(kept, None if box.idle else conversation.lease(Side.OUT), "the lease after a record")
        if box.idle:
            box.release()

    def saw_rest(self, process_id: UUID, lease: Lease, kept: Lease | None) -> None:
        """The lease ends, unless something changed since it was last looked at."""
        conversation = self.of(lease)
        box = conversation.outbox
        ours = box.held_under(process_id, lease)
        changed = ours and lease.tail != box.tail
        agree(kept, conversation.lease(Side.OUT) if changed else None, "the lease after a rest")
        if ours and not changed:
            box.release()
            self.rested.add(conversation)

    def saw_let_go(self, process_id: UUID, lease: Lease, hours: int) -> None:
        """Free again, after so many hours."""
        box = self.of(lease).boxes[lease.side]
        if box.held_under(process_id, lease):
            box.release(self.now + hours)

    def saw_cancel(self, question: Question, cancelled: bool) -> None:
        """What has no answer gets none; what has one and was not delivered is withdrawn: put and done."""
        queued = question.state is TaskState.QUEUED
        callback = question.callback
        agree(cancelled, queued or (callback is not None and callback.pending), f"cancelling {question}")
        if queued:
            question.state = TaskState.CANCELLED
        elif cancelled and callback is not None:
            callback.state = DeliveryState.CANCELLED
            box = self.conversations[question.request.conversation].outbox
            box.tail += 1
            box.head += 2
            box.not_before = 0

    def saw_redeliver(self, questions: Sequence[Question], count: int) -> None:
        """Every callback asked for is sent again now, with all its tries before it."""
        chosen = [(question, question.callback) for question in questions if question.callback is not None]
        agree(count, len(chosen), "callbacks sent again")
        for question, callback in chosen:
            box = self.conversations[question.request.conversation].outbox
            box.tail += 1
            box.head += callback.pending
            box.not_before = 0
            callback.state, callback.due, callback.held_until = DeliveryState.PENDING, self.now, None
            callback.tries, callback.reopened = 0, True

    def saw_reap(self, freed: int) -> None:
        """Whoever was silent is struck off, and what nobody alive holds is free, under a new epoch."""
        self.beats = {process_id: beat for process_id, beat in self.beats.items() if beat == self.now}
        orphans = [box for box in self.boxes if box.holder is not None and box.holder not in self.beats]
        agree(freed, len(orphans), "mailboxes freed")
        for box in orphans:
            box.release()
            box.epoch += 1
