"""Recording attempts: each is kept, and only the lease that is good now changes what comes next."""

import asyncio
from datetime import timedelta
from uuid import UUID

import pytest

from telefonist.storage.database import Database
from telefonist.storage.deliveries import Deliveries
from telefonist.storage.intake import Intake
from telefonist.storage.turns import Turns
from telefonist.types import DeliveryAttempt, DeliveryOutcome, DeliveryState, Lease, new_id, utc_now
from tests.storage.turns import answered, of_epoch, take


async def stored_answer(database: Database, me: UUID) -> tuple[Lease, UUID]:
    """Answer a message; gives the lease of its delivery and the id of the callback."""
    outcome = answered(await take(Intake(database), me))
    receipt = await Turns(database, {"demo": 1000}).store(me, outcome)
    assert receipt.delivery_lease is not None
    assert outcome.outgoing is not None
    return receipt.delivery_lease, outcome.outgoing.message_id


@pytest.mark.parametrize("stale_first", [True, False])
async def test_a_stale_attempt_recorded_in_the_same_group_is_kept_and_changes_nothing(
    database: Database, stale_first: bool
) -> None:
    me, deliveries = new_id(), Deliveries(database)
    old, message_id = await stored_answer(database, me)
    async with database.begin() as connection:  # taken over by others and claimed again by the same process
        await connection.exec_driver_sql("UPDATE mailboxes SET epoch = epoch + 1 WHERE side = 'out'")
    started = utc_now()
    refused = DeliveryAttempt(started, 1, 500)
    taken = DeliveryAttempt(started + timedelta(milliseconds=1), 1, 200)
    stale = DeliveryOutcome(old, message_id, refused, DeliveryState.PENDING, 60.0, 600.0)
    good = DeliveryOutcome(of_epoch(old, old.epoch + 1), message_id, taken, DeliveryState.DELIVERED)
    in_order = (stale, good) if stale_first else (good, stale)
    assert await asyncio.gather(*(deliveries.record(me, outcome) for outcome in in_order)) == [None, None]
    async with database.begin() as connection:
        row = (await connection.exec_driver_sql("SELECT state, attempts, held_until FROM deliveries")).one()
        box = (await connection.exec_driver_sql("SELECT head, tail FROM mailboxes WHERE side = 'out'")).one()
        kept = (await connection.exec_driver_sql("SELECT status FROM delivery_attempts ORDER BY number")).scalars()
        assert (tuple(row), tuple(box), list(kept)) == (("delivered", 1, None), (1, 1), [500, 200])
