"""Holds: money set aside before a generation begins, and never more than there is."""

import asyncio
from collections.abc import Sequence
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from telefonist.errors import Unavailable
from telefonist.storage.database import Database
from telefonist.storage.holds import Holds
from telefonist.storage.lines import Line
from telefonist.storage.verification import discrepancies
from telefonist.types import HoldOutcome, NewGeneration, new_id
from tests.storage.money import budget_of, counted, generation, make_key, open_account, purse, settled


async def take(holds: Holds, *generations: NewGeneration) -> list[HoldOutcome]:
    return await asyncio.gather(*(holds.take(each) for each in generations))


async def admitted(holds: Holds, *generations: NewGeneration) -> list[bool]:
    return [outcome.admitted for outcome in await take(holds, *generations)]


async def test_a_hold_that_fits_is_set_aside(database: Database) -> None:
    account = await open_account(database, balance=100)
    outcome = await Holds(database).take(generation(account, 60))
    assert outcome == HoldOutcome(admitted=True, balance=100, held=60)
    assert await purse(database, account) == (100, 60, 1)


async def test_a_hold_that_does_not_fit_beside_another_is_refused_with_what_is_there(database: Database) -> None:
    account, holds = await open_account(database, balance=100), Holds(database)
    await holds.take(generation(account, 60))
    assert await holds.take(generation(account, 41)) == HoldOutcome(admitted=False, balance=100, held=60)
    assert (await holds.take(generation(account, 40))).admitted
    assert await purse(database, account) == (100, 100, 1)


@pytest.mark.parametrize("processes", [1, 2])
async def test_of_two_hundred_at_once_on_a_balance_for_ten_exactly_ten_are_admitted(
    dsn: str, database: Database, processes: int
) -> None:
    """The rule of the last credits lets no eleventh through: it asks that nothing else is held."""
    account = await open_account(database, balance=1000)
    databases = [Database(dsn) for _ in range(processes)]
    doors = [Holds(each) for each in databases]
    crowd = [doors[number % processes].take(generation(account, 100)) for number in range(200)]
    outcomes = await asyncio.gather(*crowd)
    assert sum(outcome.admitted for outcome in outcomes) == 10
    assert {outcome.held for outcome in outcomes if not outcome.admitted} == {1000}, "why, is what they are told"
    assert await purse(database, account) == (1000, 1000, 1)
    assert await counted(database, "holds") == 10
    for each in databases:
        await each.close()


@pytest.mark.parametrize("processes", [1, 2])
async def test_where_the_last_does_not_fit_whole_it_waits_until_nothing_else_is_held(
    dsn: str, database: Database, processes: int
) -> None:
    account = await open_account(database, balance=1050)
    databases = [Database(dsn) for _ in range(processes)]
    doors = [Holds(each) for each in databases]
    crowd = [generation(account, 100) for _ in range(200)]
    outcomes = await asyncio.gather(*(doors[number % processes].take(each) for number, each in enumerate(crowd)))
    begun = [each for each, outcome in zip(crowd, outcomes, strict=True) if outcome.admitted]
    assert len(begun) == 10
    await asyncio.gather(*(doors[0].settle(settled(each, 100)) for each in begun))
    assert await purse(database, account) == (50, 0, 11)
    outcomes = await asyncio.gather(*(door.take(generation(account, 100)) for door in doors * 20))
    assert sum(outcome.admitted for outcome in outcomes) == 1
    assert await purse(database, account) == (50, 100, 11)
    for each in databases:
        await each.close()


async def test_the_last_credits_can_be_spent_and_the_balance_goes_below_zero_once(database: Database) -> None:
    account, holds = await open_account(database, balance=1), Holds(database)
    last = generation(account, 500)
    assert await admitted(holds, last, generation(account, 500), generation(account, 1)) == [True, False, False]
    await holds.settle(settled(last, 450))
    assert await purse(database, account) == (-449, 0, 2)
    assert await holds.take(generation(account, 1)) == HoldOutcome(admitted=False, balance=-449, held=0)


@pytest.mark.parametrize("balance", [0, -5])
async def test_without_credits_nothing_begins(database: Database, balance: int) -> None:
    account = await open_account(database, balance=balance)
    assert await Holds(database).take(generation(account, 1)) == HoldOutcome(False, balance, 0)
    assert await counted(database, "holds") == 0


async def test_an_account_that_is_not_there_has_nothing(database: Database) -> None:
    assert await Holds(database).take(generation(new_id(), 1)) == HoldOutcome(False, 0, 0)


async def test_a_small_one_is_not_refused_because_a_large_one_before_it_was(database: Database) -> None:
    account, holds = await open_account(database, balance=100), Holds(database)
    sizes = (60, 60, 30, 200, 10, 1)
    assert await admitted(holds, *(generation(account, size) for size in sizes)) == [
        True,
        False,
        True,
        False,
        True,
        False,
    ]
    assert await purse(database, account) == (100, 100, 1)


async def test_accounts_do_not_spend_each_other_s_money(database: Database) -> None:
    poor, rich, holds = await open_account(database, 10), await open_account(database, 1000), Holds(database)
    crowd = [generation((poor, rich)[number % 2], 10) for number in range(100)]
    assert sum(await admitted(holds, *crowd)) == 1 + 50
    assert [await purse(database, account) for account in (poor, rich)] == [(10, 10, 1), (1000, 500, 1)]


async def test_a_key_spends_no_more_than_its_budget(database: Database) -> None:
    account, holds = await open_account(database, balance=1000), Holds(database)
    key = await make_key(database, account, budget=100)
    crowd = [generation(account, 30, key_id=key) for _ in range(10)]
    outcomes = await take(holds, *crowd)
    assert [outcome.admitted for outcome in outcomes] == [True] * 3 + [False] * 7
    assert set(outcomes[3:]) == {HoldOutcome(False, 1000, 90, budget_left=10)}
    assert await holds.take(generation(account, 30, key_id=key)) == HoldOutcome(False, 1000, 90, budget_left=10)
    assert await budget_of(database, key) == (0, 90)
    await asyncio.gather(*(holds.settle(settled(each, 20)) for each in crowd[:3]))
    assert await budget_of(database, key) == (60, 0)
    assert await purse(database, account) == (940, 0, 4)


@pytest.mark.parametrize("processes", [1, 2])
async def test_of_two_hundred_at_once_with_a_budget_for_ten_exactly_ten_are_admitted(
    dsn: str, database: Database, processes: int
) -> None:
    account = await open_account(database, balance=1_000_000)
    databases = [Database(dsn) for _ in range(processes)]
    doors = [Holds(each) for each in databases]
    for _ in range(5):
        key = await make_key(database, account, budget=1050)
        crowd = [doors[number % processes].take(generation(account, 100, key_id=key)) for number in range(200)]
        outcomes = await asyncio.gather(*crowd)
        assert sum(outcome.admitted for outcome in outcomes) == 10
        assert await budget_of(database, key) == (0, 1000)
    for each in databases:
        await each.close()


async def test_the_last_of_a_budget_can_be_spent_too(database: Database) -> None:
    account, holds = await open_account(database, balance=1000), Holds(database)
    key = await make_key(database, account, budget=5)
    crowd = [generation(account, 30, key_id=key) for _ in range(5)]
    assert await admitted(holds, *crowd) == [True, False, False, False, False]
    await holds.settle(settled(crowd[0], 30))
    assert await budget_of(database, key) == (30, 0)
    assert await holds.take(generation(account, 1, key_id=key)) == HoldOutcome(False, 970, 0, budget_left=-25)


async def test_keys_without_a_budget_and_logins_go_on_beside_one_that_is_used_up(database: Database) -> None:
    account, holds = await open_account(database, balance=100), Holds(database)
    used_up, free = await make_key(database, account, budget=0), await make_key(database, account)
    crowd = [generation(account, 40, key_id=key) for key in (used_up, used_up, free, None)]
    assert await admitted(holds, *crowd) == [False, False, True, True]
    assert await purse(database, account) == (100, 80, 1)


async def test_one_asked_for_twice_at_once_is_held_once(dsn: str, database: Database) -> None:
    account, other = await open_account(database, balance=100), Database(dsn)
    for _ in range(20):
        begun = generation(account, 1)
        outcomes = await asyncio.gather(*(Holds(each).take(begun) for each in (database, other)))
        twice = await take(Holds(database), begun, begun)
        assert all(outcome.admitted for outcome in (*outcomes, *twice))
    assert await purse(database, account) == (100, 20, 1)
    await other.close()


@pytest.mark.parametrize("balance", [100, 60, 5])
async def test_a_hold_of_which_we_never_heard_is_found_when_it_is_asked_for_again(
    database: Database, monkeypatch: pytest.MonkeyPatch, balance: int
) -> None:
    account, holds = await open_account(database, balance), Holds(database)
    begun = generation(account, 60)
    with monkeypatch.context() as patch:
        run = Line.run

        async def lose_the_reply(line: Line, work: object) -> object:
            await run(line, work)  # type: ignore[arg-type]
            raise Unavailable(seconds=1)

        patch.setattr(Line, "run", lose_the_reply)
        with pytest.raises(Unavailable):
            await holds.take(begun)
    again = [begun, generation(account, 60), begun, generation(account, 40)]
    assert await admitted(holds, *again) == [True, False, True, balance == 100]
    assert await purse(database, account) == (balance, 100 if balance == 100 else 60, 1)


async def test_what_a_process_holds_can_be_listed_and_given_back(database: Database) -> None:
    account, holds, me = await open_account(database, balance=100), Holds(database), new_id()
    mine = [generation(account, 10, process_id=me) for _ in range(3)]
    await take(holds, *mine, generation(account, 10))
    assert set(await holds.of_process(me)) == {each.id for each in mine}
    await holds.release([mine[0].id, mine[1].id, new_id()])
    assert await holds.of_process(me) == [mine[2].id]
    assert await purse(database, account) == (100, 20, 1)
    assert await discrepancies(database) == []


asked = st.tuples(st.integers(0, 1), st.sampled_from([None, 0, 1, 2]), st.integers(1, 12))
"""An account, one of its keys, and the amount to hold."""


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    balances=st.tuples(st.integers(-3, 30), st.integers(-3, 30)),
    budgets=st.tuples(st.integers(0, 20), st.integers(0, 20)),
    groups=st.lists(st.lists(asked, min_size=1, max_size=12), min_size=1, max_size=3),
)
async def test_whatever_is_asked_nothing_is_overdrawn_and_what_is_refused_did_not_fit(
    database: Database,
    balances: tuple[int, int],
    budgets: tuple[int, int],
    groups: Sequence[Sequence[tuple[int, int | None, int]]],
) -> None:
    holds = Holds(database)
    accounts = [await open_account(database, balance) for balance in balances]
    keys = [[*[await make_key(database, account, budget) for budget in budgets], None] for account in accounts]
    limits = dict(zip(accounts, balances, strict=True)) | {
        key: budget for of_account in keys for key, budget in zip(of_account, budgets, strict=False) if key
    }
    held: dict[UUID, list[int]] = {purse: [] for purse in limits}

    def fits(purse: UUID | None, amount: int) -> bool:
        if purse not in held:
            return True
        return sum(held[purse]) + amount <= limits[purse] or (limits[purse] > 0 and not held[purse])

    for group in groups:
        crowd = [
            generation(accounts[account], amount, key_id=None if key is None else keys[account][key])
            for account, key, amount in group
        ]
        outcomes = await take(holds, *crowd)
        for each, outcome in zip(crowd, outcomes, strict=True):
            if outcome.admitted:
                for amounts in (held.get(each.account_id), held.get(each.key_id or each.id)):
                    if amounts is not None:
                        amounts.append(each.hold)
        for each, outcome in zip(crowd, outcomes, strict=True):
            assert outcome.admitted or not (fits(each.account_id, each.hold) and fits(each.key_id, each.hold))
        for limited, amounts in held.items():
            assert sum(amounts) <= max(0, limits[limited]) or (limits[limited] > 0 and len(amounts) == 1)
    assert await discrepancies(database) == []


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(balance=st.integers(0, 40), amounts=st.lists(st.integers(1, 20), max_size=20))
async def test_who_comes_first_is_served_first(database: Database, balance: int, amounts: Sequence[int]) -> None:
    account = await open_account(database, balance)
    held, expected = 0, []
    for amount in amounts:
        expected.append(held + amount <= balance or (balance > 0 and held == 0))
        held += amount if expected[-1] else 0
    assert await admitted(Holds(database), *(generation(account, amount) for amount in amounts)) == expected
    assert (await purse(database, account))[1] == held
