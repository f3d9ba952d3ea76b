"""Storing what came of a turn: only under the lease that is good now."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from uuid import UUID

import asyncpg
import pytest

from telefonist.storage.database import Database
from telefonist.storage.holds import Holds
from telefonist.storage.intake import Intake
from telefonist.storage.turns import Turns
from telefonist.storage.verification import discrepancies
from telefonist.types import GenerationState, NewGeneration, Turn, TurnOutcome, new_id
from tests.storage.money import generation, open_account, purse, query, settled
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


async def begin(database: Database, account: UUID, hold: int) -> NewGeneration:
    begun = generation(account, hold)
    assert (await Holds(database).take(begun)).admitted
    return begun


async def test_a_stored_answer_is_charged_in_the_same_commit(database: Database) -> None:
    me, turns, account = new_id(), Turns(database, {"demo": 1000}), await open_account(database, balance=100)
    turn = await take(Intake(database), me, account=account)
    outcome = replace(answered(turn), settlement=settled(await begin(database, account, 40), 30))
    assert (await turns.store(me, outcome)).stored
    assert await purse(database, account) == (70, 0, 2)
    [row] = await query(database, "SELECT g.xmin = t.xmin AS together FROM generations g, tasks t")
    assert row["together"]


async def test_an_answer_whose_lease_has_gone_costs_nothing_and_is_lost(database: Database) -> None:
    me, turns, account = new_id(), Turns(database, {"demo": 1000}), await open_account(database, balance=100)
    turn = await take(Intake(database), me, account=account)
    await query(database, "UPDATE mailboxes SET epoch = epoch + 1")
    stale = replace(answered(turn), settlement=settled(await begin(database, account, 40), 30))
    good = replace(
        answered(under(turn, turn.lease.epoch + 1)), settlement=settled(await begin(database, account, 50), 20)
    )
    receipts = await asyncio.gather(turns.store(me, stale), turns.store(me, good))
    assert [receipt.stored for receipt in receipts] == [False, True]
    assert await purse(database, account) == (80, 0, 2)
    rows = await query(database, "SELECT state, charge, prompt_tokens, completion_tokens FROM generations ORDER BY id")
    assert [tuple(row) for row in rows] == [("lost", 0, 0, 0), ("succeeded", 20, 30, 20)]
    assert await discrepancies(database) == []


async def test_an_answer_stored_twice_is_charged_once(database: Database) -> None:
    me, turns, account = new_id(), Turns(database, {"demo": 1000}), await open_account(database, balance=100)
    turn = await take(Intake(database), me, account=account)
    outcome = replace(answered(turn), settlement=settled(await begin(database, account, 40), 30))
    receipts = [await turns.store(me, outcome) for _ in range(2)]
    assert [receipt.stored for receipt in receipts] == [True, False]
    assert await purse(database, account) == (70, 0, 2)
    [row] = await query(database, "SELECT state FROM generations")
    assert row["state"] == "succeeded"


async def test_an_answer_to_a_task_that_was_cancelled_meanwhile_is_charged_for_what_was_made_of_it(
    database: Database,
) -> None:
    me, turns, account = new_id(), Turns(database, {"demo": 1000}), await open_account(database, balance=100)
    turn = await take(Intake(database), me, account=account)
    await query(database, "UPDATE tasks SET state = 'cancelled'")
    cut = settled(await begin(database, account, 40), 10, GenerationState.CANCELLED)
    assert (await turns.store(me, replace(dropped(turn), settlement=cut))).stored
    assert await purse(database, account) == (90, 0, 2)


async def test_an_answer_that_cannot_be_settled_is_not_stored_either(database: Database) -> None:
    me, turns, account = new_id(), Turns(database, {"demo": 1000}), await open_account(database, balance=100)
    turn = await take(Intake(database), me, account=account)
    begun = await begin(database, account, 40)
    with pytest.raises(asyncpg.DataError):
        await turns.store(me, replace(answered(turn), settlement=settled(begun, 2**70)))
    assert [row["state"] for row in await query(database, "SELECT state FROM tasks")] == ["queued"]
    assert (await turns.store(me, replace(answered(turn), settlement=settled(begun, 30)))).stored
    assert await purse(database, account) == (70, 0, 2)
