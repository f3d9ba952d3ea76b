"""Operators beside a running worker, and what they do in one line each."""

from dataclasses import replace
from typing import Any
from uuid import UUID

from sqlalchemy import insert, text

from telefonist.core.handoff_detection import Dialogue, Signal
from telefonist.storage import dialogs
from telefonist.storage.database import Database
from telefonist.storage.schema import operators
from telefonist.types import Dialog, Handoff, HandoffEnd, HandoffReason, Operator, new_id
from tests.core.conftest import Office
from tests.fakes.receiver import Received, Receiver
from tests.waiting import until


async def hire(
    database: Database, name: str = "Olga", *, online: bool = True, capacity: int = 5, telegram_id: int | None = None
) -> Operator:
    """Register an operator."""
    operator = Operator(new_id(), name, None, telegram_id, online, capacity, may_invite=False)
    row = {
        "id": operator.id,
        "name": name,
        "telegram_id": telegram_id,
        "online": online,
        "capacity": capacity,
        "language": operator.language,
    }
    async with database.begin() as connection:
        await connection.execute(insert(operators).values(row))
    return operator


async def absent(database: Database, operator: Operator) -> Operator:
    """Let an operator leave."""
    async with database.begin() as connection:
        await connection.execute(text("UPDATE operators SET online = false WHERE id = :id"), {"id": operator.id})
    return replace(operator, online=False)


def wants_person(text: str, context: Dialogue) -> Signal:
    """Stand in for the detector of wishes: who writes of an operator wants one, or says yes to an offer."""
    if context.offered:
        return Signal(0.98, "offer_accepted") if text == "да" else Signal(0.02, "offer_declined")
    if "оператор" in text.lower() or "operator" in text.lower():
        return Signal(0.9, "asks_for_person")
    if "ну " in text and any("оператор" in said for said in context.said):
        return Signal(0.8, "asked_again")
    return Signal(0.1, "nothing")


def cannot_help(question: str, answer: str, context: Dialogue) -> Signal:
    """Stand in for the detector of answers that are no help."""
    return Signal(0.9, "cannot_act") if "не могу помочь" in answer else Signal(0.1, "helps")


class Desk:
    """Each call is a transaction of its own."""

    def __init__(self, office: Office) -> None:
        self._office = office
        self.handoffs = office.handoffs

    async def conversation(self, receiver: Receiver, name: str = "c") -> UUID:
        """Find the conversation of a test's callers."""
        found = await self.handoffs.store.find(None, receiver.url, name)
        assert found is not None
        return found

    async def request(
        self, conversation: UUID, reason: HandoffReason = HandoffReason.PROGRAM, **more: Any
    ) -> Handoff | None:
        async with self.handoffs.desk() as desk:
            return await desk.request(conversation, reason, **more)

    async def take(self, conversation: UUID, operator: Operator) -> Dialog | None:
        async with self.handoffs.desk() as desk:
            return await desk.take(conversation, operator)

    async def reply(self, conversation: UUID, operator: Operator, words: str) -> UUID | None:
        async with self.handoffs.desk() as desk:
            return await desk.reply(conversation, operator, words)

    async def note(self, conversation: UUID, operator: Operator, words: str) -> UUID:
        async with self.handoffs.desk() as desk:
            return await desk.note(conversation, operator, words)

    async def pass_on(self, conversation: UUID, operator: Operator, to: Operator) -> Dialog | None:
        async with self.handoffs.desk() as desk:
            return await desk.pass_on(conversation, operator, to)

    async def give_back(
        self, conversation: UUID, end: HandoffEnd = HandoffEnd.RETURNED, operator: Operator | None = None, **more: Any
    ) -> Dialog | None:
        async with self.handoffs.desk() as desk:
            return await desk.give_back(conversation, end, operator, **more)

    async def dialog(self, conversation: UUID) -> Dialog:
        async with self._office.database.begin() as connection:
            return await dialogs.get(connection, conversation)

    async def offered_to(self, conversation: UUID) -> UUID | None:
        found: UUID | None = await self.value(
            "SELECT offered_to FROM dialogs WHERE conversation_id = :id", id=conversation
        )
        return found

    async def age(self, conversation: UUID, seconds: float) -> None:
        """Make everything that happened in a dialog so much older."""
        shift = "- make_interval(secs => :seconds)"
        moments = ("changed_at", "offered_at", "user_wrote_at", "operator_wrote_at")
        changes = ", ".join(f"{moment} = {moment} {shift}" for moment in moments)
        await self.do(f"UPDATE dialogs SET {changes} WHERE conversation_id = :id", id=conversation, seconds=seconds)

    async def value(self, statement: str, **values: Any) -> Any:
        async with self._office.database.begin() as connection:
            return await connection.scalar(text(statement), values)

    async def settled(self) -> str:
        """Wait until a generation has ended; say how."""
        state: str = await until(lambda: self.value("SELECT state FROM generations WHERE state <> 'running'"))
        return state

    async def do(self, statement: str, **values: Any) -> None:
        async with self._office.database.begin() as connection:
            await connection.execute(text(statement), values)

    async def history(self, conversation: UUID) -> list[tuple[str, str]]:
        """Read everything that was said, in order, hidden or not."""
        query = "SELECT role, content FROM messages WHERE conversation_id = :id ORDER BY turn, part"
        async with self._office.database.begin() as connection:
            return [(row.role, row.content) for row in await connection.execute(text(query), {"id": conversation})]


def told(callbacks: list[Received]) -> list[tuple[str, str | None]]:
    """Say who said what to the user, in order."""
    return [(callback.json["author"], callback.json["generated_response"]) for callback in callbacks]
