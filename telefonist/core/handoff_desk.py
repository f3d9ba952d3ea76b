"""People and the bot changing places in a conversation, one transaction at a time.

Whoever does more in the same transaction (moves a mailbox on, say) has it all stored, or nothing.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol
from uuid import UUID

from telefonist.core.conversations import message_tokens
from telefonist.core.handoff_policy import HandoffRules
from telefonist.core.summaries import LAST_MESSAGES, excerpt
from telefonist.core.voices import Voices
from telefonist.logs import get_logger, message_text
from telefonist.storage import dialogs, handoffs, operators, remarks
from telefonist.storage.dialogs import Place, Transaction
from telefonist.storage.remarks import LeftTask
from telefonist.texts import language_of, render
from telefonist.types import (
    Dialog,
    Handoff,
    HandoffEnd,
    HandoffReason,
    HistoryMessage,
    Language,
    Notice,
    NoticeKind,
    Operator,
    Owner,
    Role,
    Said,
    new_id,
    utc_now,
)

log = get_logger(__name__)

END_TEXTS = {
    HandoffEnd.RETURNED: "handoff_returned",
    HandoffEnd.CLOSED: "handoff_closed",
    HandoffEnd.SILENT: "handoff_silent",
    HandoffEnd.WITHDRAWN: "handoff_withdrawn",
}


class OperatorChannel(Protocol):
    """A way in which operators hear of conversations."""

    async def write(self, connection: Transaction, notice: Notice) -> None:
        """Put what operators are to be told where it will be sent from, inside the transaction that causes it."""
        ...


class Desk:
    """One transaction on conversations and the people in them; its changes stand when the block has been left."""

    def __init__(
        self, connection: Transaction, rules: HandoffRules, voices: Voices, channels: Sequence[OperatorChannel]
    ) -> None:
        self.connection = connection
        self.told: list[tuple[Notice, Owner]] = []
        self.called: list[tuple[Handoff, Language]] = []
        self._rules = rules
        self._voices = voices
        self._channels = channels

    async def request(
        self,
        conversation_id: UUID,
        reason: HandoffReason,
        *,
        score: float | None = None,
        detail: str | None = None,
        language: Language | None = None,
    ) -> Handoff | None:
        """Call a person, telling the user first; None where one was called already, or is there.

        The task that the bot is at is taken away from it and answered by that text. Without a ``language`` the user is
        told in the one they wrote in last. Raises NotFound.
        """
        place = await dialogs.enter(self.connection, conversation_id)
        history = await handoffs.last_messages(self.connection, conversation_id, LAST_MESSAGES)
        language = language or _spoken(history)
        handoff_id = new_id()
        dialog = await dialogs.call(self.connection, place, handoff_id, language)
        if dialog is None:
            return None
        handoff = await handoffs.open_handoff(
            self.connection,
            handoff_id,
            conversation_id,
            reason,
            score=score,
            detail=detail,
            summary=excerpt(history, language),
        )
        code, values, reachable = await self._announcement()
        task = await remarks.leave_running_task(self.connection, place)
        await self._say(place, language, code, values, task=task, back_to_bot=not reachable)
        log.info(
            "person_called",
            conversation_id=str(conversation_id),
            reason=reason.value,
            detail=message_text(detail or ""),
        )
        self.called.append((handoff, language))
        await self.notice(NoticeKind.WAITING, dialog, None)
        if reachable:
            await self._offer(dialog)
        return handoff

    async def take(self, conversation_id: UUID, operator: Operator) -> Dialog | None:
        """Give a conversation to an operator, who may also take it from the bot; None where another one has it.

        Taken twice by the same operator, it is theirs all the same. Raises NotFound.
        """
        place = await dialogs.enter(self.connection, conversation_id)
        before = await dialogs.get(self.connection, conversation_id)
        history = await handoffs.last_messages(self.connection, conversation_id, LAST_MESSAGES)
        stepped_in = new_id()
        language = _spoken(history) if before.owner is Owner.BOT else before.language
        dialog = await dialogs.take(self.connection, place, operator.id, stepped_in, language)
        if dialog is None:
            return before if before.operator_id == operator.id else None
        task = None
        if dialog.handoff_id == stepped_in:
            await handoffs.open_handoff(
                self.connection,
                stepped_in,
                conversation_id,
                HandoffReason.STEPPED_IN,
                score=None,
                detail=None,
                summary=excerpt(history, language),
            )
            task = await remarks.leave_running_task(self.connection, place)
        assert dialog.handoff_id is not None, "a dialog with people has a handoff"  # noqa: S101
        await handoffs.handed_to(self.connection, dialog.handoff_id, operator.id)
        await self._say(place, language, "handoff_operator_joined", task=task)
        log.info("dialog_taken", conversation_id=str(conversation_id), operator=str(operator.id))
        await self.notice(NoticeKind.TAKEN, dialog, operator.id)
        return dialog

    async def pass_on(self, conversation_id: UUID, operator: Operator, to: Operator) -> Dialog | None:
        """Hand an operator's conversation on to another one; None where it is not theirs. Raises NotFound."""
        place = await dialogs.enter(self.connection, conversation_id)
        dialog = await dialogs.pass_on(self.connection, place, operator.id, to.id)
        if dialog is None:
            return None
        assert dialog.handoff_id is not None, "a dialog with people has a handoff"  # noqa: S101
        await handoffs.handed_to(self.connection, dialog.handoff_id, to.id)
        log.info("dialog_passed_on", conversation_id=str(conversation_id), operator=str(to.id))
        await self.notice(NoticeKind.PASSED, dialog, operator.id)
        return dialog

    async def give_back(
        self,
        conversation_id: UUID,
        end: HandoffEnd,
        operator: Operator | None = None,
        *,
        epoch: int | None = None,
        wrong: bool = False,
    ) -> Dialog | None:
        """Let the bot answer again and tell the user; None where it does, or where the dialog is another operator's.

        Without an operator it is the user or the time that ends it; with an ``epoch``, only if nothing changed since
        then. ``wrong``: the operator says that no person was wanted. The history says that the stretch is over, for the
        model not to call a person again at once. Raises NotFound.
        """
        place = await dialogs.enter(self.connection, conversation_id)
        before = await dialogs.get(self.connection, conversation_id)
        dialog = await dialogs.give_back(self.connection, place, operator.id if operator else None, epoch)
        if dialog is None or before.handoff_id is None:
            return None
        await handoffs.close_handoff(self.connection, before.handoff_id, end, wrong=wrong)
        if wrong:
            await handoffs.mark_decisions(self.connection, conversation_id, "wrong")
        nobody = before.owner is Owner.WAITING
        code = "handoff_nobody_came" if nobody and end is HandoffEnd.SILENT else END_TEXTS[end]
        rated = before.handoff_id if end is HandoffEnd.CLOSED and not nobody else None
        await self._say(place, dialog.language, code, rated=rated)
        told = render("handoff_history_nobody" if nobody else "handoff_history_human", dialog.language)
        await remarks.append(self.connection, place, Role.SYSTEM, told, message_tokens(told), new_id())
        log.info("dialog_given_back", conversation_id=str(conversation_id), end=end.value)
        await self.notice(NoticeKind.RETURNED, dialog, before.operator_id)
        return dialog

    async def reply(
        self, conversation_id: UUID, operator: Operator, text: str, message_id: UUID | None = None
    ) -> UUID | None:
        """Send the user what an operator wrote; gives the message's id, None where the dialog is not theirs.

        It goes to the conversation's latest destination. Raises NotFound.
        """
        place = await dialogs.enter(self.connection, conversation_id)
        dialog = await dialogs.operator_wrote(self.connection, place, operator.id)
        if dialog is None:
            return None
        said = Said(
            message_id=message_id or new_id(),
            conversation_id=conversation_id,
            external_id=place.external_id,
            callback_url=place.callback_url,
            text=text,
            author="operator",
            language=dialog.language,
        )
        await self._put(place, said, Role.OPERATOR)
        await self.notice(NoticeKind.MESSAGE, dialog, operator.id)
        return said.message_id

    async def note(self, conversation_id: UUID, operator: Operator, text: str) -> UUID:
        """Keep a remark that neither the user nor a model will read; gives its id. Raises NotFound."""
        place = await dialogs.enter(self.connection, conversation_id)
        dialog = await dialogs.get(self.connection, conversation_id)
        note_id = new_id()
        await remarks.append(self.connection, place, Role.NOTE, text, message_tokens(text), note_id)
        await self.notice(NoticeKind.MESSAGE, dialog, operator.id)
        return note_id

    async def close(self, conversation_id: UUID, operator: Operator) -> Dialog | None:
        """End an operator's conversation; None where it is not theirs. Raises NotFound."""
        return await self.give_back(conversation_id, HandoffEnd.CLOSED, operator)

    async def decline(self, conversation_id: UUID, operator: Operator) -> bool:
        """Offer a waiting conversation to somebody else than this operator; False where it does not wait for them."""
        await dialogs.enter(self.connection, conversation_id)
        if not await handoffs.decline(self.connection, conversation_id, operator.id):
            return False
        await self.offer(conversation_id)
        return True

    async def offer(self, conversation_id: UUID) -> UUID | None:
        """Offer a waiting conversation to the next operator, if it is time to; gives who that is."""
        await dialogs.enter(self.connection, conversation_id)
        return await self._offer(await dialogs.get(self.connection, conversation_id))

    async def notice(
        self, kind: NoticeKind, dialog: Dialog, operator_id: UUID | None, *, changed: UUID | None = None
    ) -> None:
        """Tell operators of something in this transaction, and everybody who listens after it."""
        notice = Notice(kind, dialog.conversation_id, operator_id, dialog.handoff_id, changed)
        self.told.append((notice, dialog.owner))
        for channel in self._channels:
            await channel.write(self.connection, notice)

    async def _offer(self, dialog: Dialog) -> UUID | None:
        patience = self._rules.patience
        chosen = await handoffs.choose_operator(self.connection, dialog.conversation_id, patience)
        if chosen is not None:
            await self.notice(NoticeKind.OFFERED, dialog, chosen)
        return chosen

    async def _announcement(self) -> tuple[str, Mapping[str, Any], bool]:
        """Choose what the user is told, and whether somebody can be expected to come soon."""
        hours = self._rules.hours
        if not hours.open_at(utc_now()):
            return "handoff_out_of_hours", {"hours": str(hours)}, False
        if not await operators.anyone_online(self.connection):
            return "handoff_nobody_online", {}, False
        return "handoff_transferring", {}, True

    async def _say(
        self,
        place: Place,
        language: Language,
        code: str,
        values: Mapping[str, Any] | None = None,
        *,
        task: LeftTask | None = None,
        back_to_bot: bool = False,
        rated: UUID | None = None,
    ) -> None:
        """Tell the user something in the service's own words, in answer to a task where the bot leaves one."""
        awaited = code in ("handoff_transferring", "handoff_nobody_online", "handoff_out_of_hours")
        said = Said(
            message_id=new_id(),
            conversation_id=place.conversation_id,
            external_id=place.external_id,
            callback_url=task.callback_url if task else place.callback_url,
            text=render(code, language, values),
            language=language,
            status="waiting_for_operator" if task or awaited else "succeeded",
            final=not (task or awaited),
            task_id=task.task_id if task else None,
            metadata=task.metadata if task else None,
            buttons="rating" if rated else "back_to_bot" if back_to_bot else None,
            handoff_id=rated,
        )
        await self._put(place, said, Role.BOT)

    async def _put(self, place: Place, said: Said, role: Role) -> None:
        voices, text = self._voices, said.text or ""
        await remarks.append(self.connection, place, role, text, message_tokens(text), said.message_id)
        outgoing = voices.say(said)
        await remarks.send(self.connection, place, outgoing, voices.host(said.callback_url), said.task_id)


def _spoken(history: Sequence[HistoryMessage]) -> Language:
    """Tell the language in which the user wrote last."""
    return next((language_of(each.content) for each in reversed(history) if each.role is Role.USER), "en")
