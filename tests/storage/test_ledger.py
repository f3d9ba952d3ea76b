"""Balances and the ledger: changes by hand, one at a time, each written down once."""

import asyncio
from itertools import count
from uuid import UUID

import pytest
from sqlalchemy import insert, select

from telefonist.errors import Conflict, NotFound
from telefonist.storage.database import Database
from telefonist.storage.ledger import LARGEST_BALANCE, Ledger
from telefonist.storage.schema import audit, balances
from telefonist.types import Balance, LedgerEntry, LedgerKind, new_id

ADMIN = new_id()


@pytest.fixture
def ledger(database: Database) -> Ledger:
    return Ledger(database)


@pytest.fixture
async def account(database: Database) -> UUID:
    return await new_account(database)


async def new_account(database: Database, balance: int = 0) -> UUID:
    account_id = new_id()
    async with database.begin() as connection:
        await connection.execute(insert(balances).values(account_id=account_id, balance=balance))
    return account_id


async def audited(database: Database) -> list[dict[str, object]]:
    async with database.begin() as connection:
        return [dict(row._mapping) for row in await connection.execute(select(audit).order_by(audit.c.id))]


async def test_what_is_added_and_taken_away_is_in_the_balance_and_in_the_ledger(ledger: Ledger, account: UUID) -> None:
    added = await ledger.change(account, 5_000_000, "a gift", ADMIN, None)
    taken = await ledger.change(account, -1_500_000, "too much", ADMIN, None)
    assert (added.number, added.kind, added.amount, added.balance) == (1, LedgerKind.TOP_UP, 5_000_000, 5_000_000)
    assert (taken.number, taken.kind, taken.amount, taken.balance) == (2, LedgerKind.ADJUSTMENT, -1_500_000, 3_500_000)
    assert taken.reason == "too much"
    assert taken.created_at.tzinfo is not None
    assert await ledger.balance(account) == Balance(3_500_000, 0)
    assert await ledger.entries(account, None, 10) == [taken, added]


async def test_an_account_that_nothing_is_taken_from_has_nothing(ledger: Ledger) -> None:
    assert await ledger.balance(new_id()) == Balance(0, 0)
    assert await ledger.entries(new_id(), None, 10) == []


async def test_an_unknown_account_gets_nothing(ledger: Ledger, database: Database) -> None:
    with pytest.raises(NotFound):
        await ledger.change(new_id(), 1, "a gift", ADMIN, None)
    assert await audited(database) == []


async def test_a_correction_may_take_what_is_spent_already(ledger: Ledger, account: UUID) -> None:
    entry = await ledger.change(account, -7, "given by mistake", ADMIN, None)
    assert entry.balance == -7


async def test_a_change_is_audited_with_who_made_it_and_why(ledger: Ledger, account: UUID, database: Database) -> None:
    await ledger.change(account, 2_500_000, "a gift", ADMIN, None)
    (row,) = await audited(database)
    assert (row["actor_id"], row["action"], row["subject"]) == (ADMIN, "balance.changed", str(account))
    assert row["details"] == {"entry": 1, "amount": "2.5", "balance": "2.5", "reason": "a gift"}


async def test_the_same_key_at_the_same_time_makes_one_entry(ledger: Ledger, account: UUID, database: Database) -> None:
    entries = await asyncio.gather(*(ledger.change(account, 5, "a gift", ADMIN, "k") for _ in range(8)))
    assert len({entry.id for entry in entries}) == 1
    assert await ledger.balance(account) == Balance(5, 0)
    assert len(await audited(database)) == 1


async def test_a_key_gives_its_entry_also_after_other_changes(ledger: Ledger, account: UUID) -> None:
    first = await ledger.change(account, 5, "a gift", ADMIN, "k")
    await ledger.change(account, 5, "a gift", ADMIN, "another")
    assert await ledger.change(account, 5, "a gift", ADMIN, "k") == first


@pytest.mark.parametrize(("amount", "reason"), [(6, "a gift"), (-5, "a gift"), (5, "another gift")])
async def test_a_key_with_another_body_is_a_conflict(ledger: Ledger, account: UUID, amount: int, reason: str) -> None:
    await ledger.change(account, 5, "a gift", ADMIN, "k")
    with pytest.raises(Conflict, match="Idempotency-Key"):
        await ledger.change(account, amount, reason, ADMIN, "k")
    assert await ledger.balance(account) == Balance(5, 0)


async def test_a_key_belongs_to_one_administrator_and_one_account(
    ledger: Ledger, account: UUID, database: Database
) -> None:
    other = await new_account(database)
    await ledger.change(account, 5, "a gift", ADMIN, "k")
    await ledger.change(account, 5, "a gift", new_id(), "k")
    await ledger.change(other, 5, "a gift", ADMIN, "k")
    assert await ledger.balance(account) == Balance(10, 0)
    assert await ledger.balance(other) == Balance(5, 0)


async def test_changes_at_the_same_time_are_numbered_without_gaps(ledger: Ledger, account: UUID) -> None:
    await asyncio.gather(*(ledger.change(account, amount, "in a crowd", ADMIN, None) for amount in range(1, 31)))
    entries = await ledger.entries(account, None, 100)
    assert [entry.number for entry in entries] == list(range(30, 0, -1))
    total = 0
    for entry in reversed(entries):
        total += entry.amount
        assert entry.balance == total
    assert await ledger.balance(account) == Balance(total, 0)


async def test_a_balance_does_not_overflow(ledger: Ledger, database: Database) -> None:
    rich = await new_account(database, LARGEST_BALANCE - 1)
    await ledger.change(rich, 1, "the last one", ADMIN, None)
    with pytest.raises(Conflict, match="within 1000000000000 credits"):
        await ledger.change(rich, 1, "one too many", ADMIN, None)


async def test_pages_neither_repeat_nor_skip_while_entries_are_added(ledger: Ledger, account: UUID) -> None:
    there = [await ledger.change(account, amount, "before", ADMIN, None) for amount in range(1, 24)]
    read: list[LedgerEntry] = []
    for page in count():
        entries = await ledger.entries(account, read[-1].number if read else None, 5)
        read += entries
        if not entries:
            break
        await ledger.change(account, 1, f"while page {page} is read", ADMIN, None)
    assert read == there[::-1]
