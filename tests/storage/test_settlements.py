"""Settlements: what was held is given back and what was used is charged, once, whatever goes wrong on the way."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg
import pytest

from telefonist.errors import Unavailable
from telefonist.storage.database import Database
from telefonist.storage.holds import Holds
from telefonist.storage.lines import Line
from telefonist.storage.processes import Processes
from telefonist.storage.verification import discrepancies
from telefonist.types import ANONYMOUS_ACCOUNT, GenerationState, NewGeneration, new_id
from tests.storage.money import (
    PRICE,
    budget_of,
    counted,
    generation,
    make_key,
    open_account,
    purse,
    query,
    settled,
)

SUCCEEDED, FAILED, CANCELLED, LOST = GenerationState


async def begin(holds: Holds, *generations: NewGeneration) -> None:
    outcomes = await asyncio.gather(*(holds.take(each) for each in generations))
    assert all(outcome.admitted for outcome in outcomes)


async def test_a_generation_is_charged_written_down_and_entered_into_the_ledger(database: Database) -> None:
    account, holds = await open_account(database, balance=1000), Holds(database)
    key = await make_key(database, account)
    begun = generation(account, 100, key_id=key)
    await begin(holds, begun)
    assert await holds.settle(settled(begun, 65)) is SUCCEEDED
    assert await purse(database, account) == (935, 0, 2)
    assert await counted(database, "holds") == 0
    [row] = map(dict, await query(database, "SELECT * FROM generations"))
    [entry] = map(dict, await query(database, "SELECT * FROM ledger WHERE number = 2"))
    finished_at, created_at, entry_id = row.pop("finished_at"), entry.pop("created_at"), entry.pop("id")
    assert finished_at == created_at > begun.started_at
    assert entry_id.version == 7
    assert row == {
        "id": begun.id,
        "account_id": account,
        "key_id": key,
        "door": "api",
        "model": "gpt-4",
        "served_by": "gpt-4-turbo",
        "state": "succeeded",
        "streamed": True,
        "prompt_tokens": 30,
        "completion_tokens": 20,
        "cached_tokens": 10,
        "estimated": False,
        "input_price": PRICE.input,
        "output_price": PRICE.output,
        "cached_input_price": PRICE.cached_input,
        "charge": 65,
        "error": None,
        "first_token_ms": 7,
        "started_at": begun.started_at,
    }
    assert entry == {
        "account_id": account,
        "number": 2,
        "kind": "charge",
        "amount": -65,
        "balance": 935,
        "generation_id": begun.id,
        "model": "gpt-4",
        "reason": None,
        "actor_id": None,
        "idempotency_digest": None,
    }


async def test_one_that_costs_nothing_gives_its_hold_back_and_enters_nothing(database: Database) -> None:
    account, holds = await open_account(database, balance=1000), Holds(database)
    begun = generation(account, 100)
    await begin(holds, begun)
    assert await holds.settle(settled(begun, 0, FAILED, error="provider_timeout")) is FAILED
    assert await purse(database, account) == (1000, 0, 1)
    assert [row["error"] for row in await query(database, "SELECT error FROM generations")] == ["provider_timeout"]


async def test_one_may_cost_more_than_was_held(database: Database) -> None:
    account, holds = await open_account(database, balance=1000), Holds(database)
    begun = generation(account, 1)
    await begin(holds, begun)
    assert await holds.settle(settled(begun, 1700)) is SUCCEEDED
    assert await purse(database, account) == (-700, 0, 2)


async def test_those_that_end_together_are_entered_in_order_each_with_the_balance_it_left(database: Database) -> None:
    accounts, holds = [await open_account(database, balance=1000) for _ in range(3)], Holds(database)
    begun = [generation(accounts[number % 3], 10) for number in range(30)]
    await begin(holds, *begun)
    costs = [number % 4 for number in range(30)]
    await asyncio.gather(*(holds.settle(settled(each, cost)) for each, cost in zip(begun, costs, strict=True)))
    for place, account in enumerate(accounts):
        entries = await query(
            database, "SELECT number, amount, balance FROM ledger WHERE account_id = $1 ORDER BY number", account
        )
        charged = [cost for cost in costs[place::3] if cost]
        assert [-entry["amount"] for entry in entries[1:]] == charged
        assert [entry["balance"] for entry in entries[1:]] == [
            1000 - sum(charged[: number + 1]) for number in range(len(charged))
        ]
    assert await discrepancies(database) == []


@pytest.mark.parametrize("processes", [1, 4])
async def test_settled_sixteen_times_at_once_a_generation_is_charged_once(
    dsn: str, database: Database, processes: int
) -> None:
    accounts, holds = [await open_account(database, balance=10_000) for _ in range(4)], Holds(database)
    key = await make_key(database, accounts[0], budget=10_000)
    begun = [generation(accounts[number % 4], 10, key_id=None if number % 4 else key) for number in range(400)]
    await begin(holds, *begun)
    databases = [Database(dsn) for _ in range(processes)]
    doors = [Holds(each) for each in databases]
    states = await asyncio.gather(
        *(doors[time % processes].settle(settled(each, 7)) for time in range(16) for each in begun)
    )
    assert set(states) == {SUCCEEDED}
    assert [await purse(database, account) for account in accounts] == [(10_000 - 700, 0, 101)] * 4
    assert await budget_of(database, key) == (700, 0)
    assert await counted(database, "generations") == 400
    assert await discrepancies(database) == []
    for each in databases:
        await each.close()


async def test_settled_in_two_ways_at_once_the_first_counts_and_the_other_hears_of_it(
    dsn: str, database: Database
) -> None:
    account, other = await open_account(database, balance=1000), Database(dsn)
    mine, theirs = Holds(database), Holds(other)
    begun = [generation(account, 10) for _ in range(20)]
    await begin(mine, *begun)
    states = await asyncio.gather(
        *(mine.settle(settled(each, 3)) for each in begun),
        *(theirs.settle(settled(each, 0, CANCELLED)) for each in begun),
    )
    assert states[:20] == states[20:]
    assert await purse(database, account) == (
        1000 - 3 * states[:20].count(SUCCEEDED),
        0,
        1 + states.count(SUCCEEDED) // 2,
    )
    assert await discrepancies(database) == []
    await other.close()


async def test_told_twice_in_one_group_the_first_telling_counts(database: Database) -> None:
    account, holds = await open_account(database, balance=1000), Holds(database)
    begun = generation(account, 10)
    await begin(holds, begun)
    twice = settled(begun, 3), settled(begun, 0, CANCELLED)
    assert await asyncio.gather(*map(holds.settle, twice)) == [SUCCEEDED, SUCCEEDED]
    assert await purse(database, account) == (997, 0, 2)


async def test_one_without_a_hold_is_only_written_down_and_once(database: Database) -> None:
    account, holds = await open_account(database, balance=1000), Holds(database)
    free, anonymous = generation(account, 0), generation(ANONYMOUS_ACCOUNT, 0)
    for _ in range(2):
        told = settled(free, 0), settled(anonymous, 40, CANCELLED), settled(free, 0)
        assert list(await asyncio.gather(*map(holds.settle, told))) == [SUCCEEDED, CANCELLED, SUCCEEDED]
    assert await holds.settle(settled(free, 0, FAILED)) is SUCCEEDED
    assert await purse(database, account) == (1000, 0, 1)
    assert (await counted(database, "generations"), await counted(database, "ledger")) == (2, 1)
    assert await discrepancies(database) == []


async def test_one_that_was_never_begun_is_neither_charged_nor_written_down(database: Database) -> None:
    account = await open_account(database, balance=1000)
    assert await Holds(database).settle(settled(generation(account, 10), 5)) is LOST
    assert await purse(database, account) == (1000, 0, 1)
    assert await counted(database, "generations") == 0


async def test_a_settlement_of_which_we_never_heard_is_found_when_it_is_told_again(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    account, holds = await open_account(database, balance=1000), Holds(database)
    begun = generation(account, 10)
    await begin(holds, begun)
    with monkeypatch.context() as patch:
        run = Line.run

        async def lose_the_reply(line: Line, work: Callable[..., Awaitable[Any]]) -> None:
            await run(line, work)
            raise Unavailable(seconds=1)

        patch.setattr(Line, "run", lose_the_reply)
        with pytest.raises(Unavailable):
            await holds.settle(settled(begun, 5))
    assert await holds.settle(settled(begun, 0, CANCELLED)) is SUCCEEDED
    assert await purse(database, account) == (995, 0, 2)


async def test_a_mistake_in_one_settlement_leaves_the_others_alone(database: Database) -> None:
    account, holds = await open_account(database, balance=1000), Holds(database)
    good, bad = generation(account, 10), generation(account, 10)
    await begin(holds, good, bad)
    results = await asyncio.gather(
        holds.settle(settled(bad, 2**70)), holds.settle(settled(good, 5)), return_exceptions=True
    )
    assert isinstance(results[0], asyncpg.DataError)
    assert results[1] is SUCCEEDED
    assert await purse(database, account) == (995, 10, 2)


async def test_one_that_was_lost_and_is_held_again_is_still_not_charged(database: Database) -> None:
    """A process that was taken for dead while it asked for the hold a second time."""
    account, holds = await open_account(database, balance=1000), Holds(database)
    begun = generation(account, 10)
    await begin(holds, begun)
    await holds.release([begun.id])
    await begin(holds, begun)
    assert await holds.settle(settled(begun, 5)) is LOST
    assert await purse(database, account) == (1000, 0, 1)
    assert await discrepancies(database) == []


@pytest.mark.parametrize("dead", ["silent", "gone"])
async def test_what_a_dead_process_had_under_way_costs_nothing_and_is_given_back(database: Database, dead: str) -> None:
    account, holds = await open_account(database, balance=1000), Holds(database)
    key = await make_key(database, account, budget=500)
    killed, alive = Processes(database, "web"), Processes(database, "worker")
    for each in (killed, alive):
        await each.register(same_machine=False)
    lost = [generation(account, 50, key_id=key, process_id=killed.id) for _ in range(3)]
    going_on = generation(account, 20, key_id=key, process_id=alive.id)
    await begin(holds, *lost, going_on)
    if dead == "gone":
        await query(database, "DELETE FROM processes WHERE id = $1", killed.id)
    else:
        await query(
            database, "UPDATE processes SET heartbeat_at = now() - interval '1 minute' WHERE id = $1", killed.id
        )
    await alive.reap(silent_for=30)
    assert await purse(database, account) == (1000, 20, 1)
    assert await budget_of(database, key) == (0, 20)
    rows = await query(database, "SELECT id, state, charge, prompt_tokens, completion_tokens FROM generations")
    assert {tuple(row) for row in rows} == {(each.id, "lost", 0, 0, 0) for each in lost}
    assert await holds.settle(settled(lost[0], 40)) is LOST
    assert await holds.settle(settled(going_on, 15)) is SUCCEEDED
    assert await purse(database, account) == (985, 0, 2)
    assert await discrepancies(database) == []


async def test_of_many_that_find_a_process_dead_at_once_each_hold_is_given_back_once(
    dsn: str, database: Database
) -> None:
    account, holds = await open_account(database, balance=10_000), Holds(database)
    begun = [generation(account, 10, process_id=new_id()) for _ in range(200)]
    await begin(holds, *begun)
    databases = [Database(dsn) for _ in range(4)]
    await asyncio.gather(
        *(Processes(each, "worker").reap(silent_for=30) for each in databases),
        *(holds.settle(settled(each, 1)) for each in begun[:50]),
    )
    balance, held, entries = await purse(database, account)
    assert (held, 10_000 - balance) == (0, entries - 1)
    assert await counted(database, "generations") == 200
    assert await discrepancies(database) == []
    for each in databases:
        await each.close()
