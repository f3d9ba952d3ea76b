"""Storing what came of a turn: only under the lease that is good now."""

import asyncio
from collections.abc import Callable

import pytest

from telefonist.storage.database import Database
from telefonist.storage.intake import Intake
from telefonist.storage.turns import Turns
from telefonist.types import Turn, TurnOutcome, new_id
from tests.storage.turns import answered, dropped, take, under


@pytest.mark.parametrize(("outcome", "callbacks"), [(answered, 1), (dropped, 0)])
async def test_a_stale_handler_that_writes_in_the_same_group_as_the_one_after_it_changes_nothing(
    database: Database, outcome: Callable[[Turn], TurnOutcome], callbacks: int
) -> None:
    me, turns = new_id(), Turns(database, {"demo": 1000})
    turn = await take(Intake(database), me)
    async with database.begin() as connection:  # taken over by others and claimed again by the same process
        await connection.exec_driver_sql("UPDATE mailboxes SET epoch = epoch + 1")
    stale, good = dropped(turn), outcome(under(turn, turn.lease.epoch + 1))
    receipts = await asyncio.gather(turns.store(me, stale), turns.store(me, good))
    assert [receipt.stored for receipt in receipts] == [False, True]
    async with database.begin() as connection:
        model = (await connection.exec_driver_sql("SELECT answered_by FROM tasks")).scalar()
        sent = (await connection.exec_driver_sql("SELECT count(*) FROM deliveries")).scalar()
    assert (model, sent) == (good.model, callbacks)
