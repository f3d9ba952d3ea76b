"""What a worker writes about a turn, for tests that play the worker by hand."""

from dataclasses import replace
from uuid import UUID

from telefonist.storage.intake import Intake
from telefonist.types import Lease, NewTask, Outgoing, Turn, TurnOutcome, new_id

URL = "https://example.com/callback"


async def take(intake: Intake, worker: UUID, *, account: UUID | None = None) -> Turn:
    """Accept the first message of a conversation under a lease of that worker."""
    receipt = await intake.accept(NewTask("hello", URL, "c", "demo"), account, 5, worker)
    assert receipt.turn is not None
    return receipt.turn


def answered(turn: Turn) -> TurnOutcome:
    """Say that the model answered."""
    return TurnOutcome(
        turn, "hi", 5, turn.model, None, None, Outgoing(new_id(), turn.callback_url, b"{}"), "example.com:443"
    )


def dropped(turn: Turn) -> TurnOutcome:
    """Say that there is nothing to tell, as of a cancelled task."""
    return TurnOutcome(turn, None, 0, None, None, None, None)


def under(turn: Turn, epoch: int) -> Turn:
    """Show the same turn under another epoch of its lease."""
    return replace(turn, lease=of_epoch(turn.lease, epoch))


def of_epoch(lease: Lease, epoch: int) -> Lease:
    """Show the same lease under another epoch."""
    return replace(lease, epoch=epoch)
