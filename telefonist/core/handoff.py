"""When a person takes over, and when the bot comes back: the rules, the time-outs, and who is told."""

import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from uuid import UUID

from telefonist.core.background import Background
from telefonist.core.handoff_desk import Desk, OperatorChannel
from telefonist.core.handoff_policy import Decision, HandoffRules, Move, on_answer, on_message
from telefonist.core.summaries import LAST_MESSAGES, Summariser
from telefonist.core.voices import Voices
from telefonist.errors import Unavailable
from telefonist.logs import get_logger
from telefonist.memory.base import DialogStatuses, Events
from telefonist.storage import dialogs
from telefonist.storage.dialogs import Dialogs
from telefonist.storage.handoffs import HandoffStore
from telefonist.storage.operators import Operators
from telefonist.types import Handoff, HandoffEnd, Language, NoticeKind, Owner, Turn, utc_now

log = get_logger(__name__)

LOOK_EVERY = 5.0
"""Seconds between two looks for dialogs that are to be offered on, or have been silent for too long."""

INBOX = "inbox"
"""The topic of events about all conversations; ``data`` is a conversation's id."""

STATUS_KEPT = 3600.0
"""Seconds for which it is remembered who answers in a conversation."""

STAFF_KNOWN = 3.0
"""Seconds for which it is remembered whether there is any operator."""


def dialog_topic(conversation_id: UUID) -> str:
    """Name the topic of events about one conversation; ``data`` is the kind of a notice."""
    return f"dialog:{conversation_id}"


class Handoffs:
    """People and the bot in the same conversations: rules, time-outs, and who is told."""

    def __init__(
        self,
        store: Dialogs,
        handoff_store: HandoffStore,
        staff: Operators,
        voices: Voices,
        events: Events,
        statuses: DialogStatuses,
        rules: HandoffRules | None = None,
    ) -> None:
        self.rules = rules or HandoffRules()
        self.voices = voices
        self.channels: list[OperatorChannel] = []
        """Added while the service is built, before anything happens."""
        self.summarise: Summariser | None = None
        """Set then, too, where there is a model that can."""
        self.store = store
        self.handoffs = handoff_store
        self.staff = staff
        self._events = events
        self._statuses = statuses
        self._behind = Background("summaries for operators")
        self._staffed = (False, 0.0)

    @asynccontextmanager
    async def desk(self) -> AsyncIterator[Desk]:
        """Open a transaction in which people and the bot change places; raises Unavailable."""
        async with self.store.begin() as connection:
            desk = Desk(connection, self.rules, self.voices, self.channels)
            yield desk
        await self._tell(desk)

    async def owner(self, conversation_id: UUID) -> Owner:
        """Say who answers, as far as is remembered; what depends on it is checked again where it is stored."""
        known = await self._statuses.get(conversation_id)
        if known is None:
            known = (await self.store.get(conversation_id)).owner
            await self._statuses.set(conversation_id, known, STATUS_KEPT)
        return known

    async def staffed(self) -> bool:
        """Say whether anybody is registered who could be called, as of a few seconds ago."""
        answer, until = self._staffed
        if time.monotonic() > until:
            answer = await self.staff.any_registered()
            self._staffed = (answer, time.monotonic() + STAFF_KNOWN)
        return answer

    async def decide(self, turn: Turn) -> Decision:
        """Judge a message before a model sees it; a decision to transfer is written down."""
        decision = on_message(turn.history, self.rules, offered=turn.offered)
        await self._keep(turn, "wants_person", decision)
        return decision

    async def judge(self, turn: Turn, answer: str) -> Decision:
        """Judge an answer before it is stored; a decision to offer a person is written down."""
        decision = on_answer(turn.history, answer, self.rules, offered=turn.offered)
        await self._keep(turn, "cannot_help", decision)
        return decision

    async def user_wrote(self, conversation_id: UUID) -> None:
        """Tell operators that the user of a conversation with a person wrote something, which is stored already."""
        async with self.desk() as desk:
            await dialogs.enter(desk.connection, conversation_id)
            dialog = await dialogs.get(desk.connection, conversation_id)
            if dialog.owner is not Owner.BOT:
                await desk.notice(NoticeKind.MESSAGE, dialog, dialog.operator_id)

    async def look_after(self) -> None:
        """Offer what waits to the next operator, and end what has been silent for too long; raises Unavailable."""
        rules = self.rules
        if rules.hours.open_at(utc_now()):
            for conversation_id in await self.handoffs.to_offer(rules.patience):
                with _apart(conversation_id):
                    async with self.desk() as desk:
                        await desk.offer(conversation_id)
        for overdue in await self.handoffs.overdue(rules.silence, rules.wait):
            with _apart(overdue.conversation_id):
                async with self.desk() as desk:
                    await desk.give_back(overdue.conversation_id, HandoffEnd.SILENT, epoch=overdue.epoch)

    async def close(self, grace: float) -> None:
        """Wait for summaries that are being written, then leave them."""
        await self._behind.close(grace)

    async def _keep(self, turn: Turn, detector: str, decision: Decision) -> None:
        if decision.move is Move.NOTHING:
            return
        signal = decision.signal
        await self.handoffs.decided(
            turn.lease.conversation_id, turn.number, detector, signal.score, signal.reason, decision.move.value
        )

    async def _tell(self, desk: Desk) -> None:
        for notice, owner in desk.told:
            if notice.kind is not NoticeKind.MESSAGE:
                await self._statuses.set(notice.conversation_id, owner, STATUS_KEPT)
            await self._events.publish(dialog_topic(notice.conversation_id), notice.kind.value)
            await self._events.publish(INBOX, str(notice.conversation_id))
        for handoff, language in desk.called:
            if self.summarise is not None:
                self._behind.start(self._improve(handoff, language, self.summarise))

    async def _improve(self, handoff: Handoff, language: Language, summarise: Summariser) -> None:
        history = await self.handoffs.last_messages(handoff.conversation_id, LAST_MESSAGES)
        summary = await summarise(history, language)
        if summary:
            await self.handoffs.summarise(handoff.id, summary)
            async with self.desk() as desk:
                await dialogs.enter(desk.connection, handoff.conversation_id)
                dialog = await dialogs.get(desk.connection, handoff.conversation_id)
                if dialog.handoff_id == handoff.id:
                    await desk.notice(NoticeKind.SUMMARISED, dialog, dialog.operator_id)


@contextmanager
def _apart(conversation_id: UUID) -> Iterator[None]:
    """Keep a mistake that one conversation meets from the others; raises Unavailable, which meets them all."""
    try:
        yield
    except Unavailable:
        raise
    except Exception:
        log.exception("dialog_not_attended", conversation_id=str(conversation_id))
