"""Whoever changes the books behind our back is found out."""

from dataclasses import dataclass
from uuid import UUID

from telefonist.storage.database import Database
from telefonist.storage.holds import Holds
from telefonist.storage.verification import Discrepancy, discrepancies
from telefonist.types import ANONYMOUS_ACCOUNT, GenerationState, new_id
from tests.storage.money import generation, make_key, open_account, query, settled

TAMPERING: list[tuple[str, set[tuple[str, str, int | None, int | None]]]] = [
    ("UPDATE balances SET balance = balance + 5", {("balance", "account", 975, 970)}),
    ("UPDATE balances SET held = held + 5", {("held", "account", 45, 40)}),
    ("UPDATE balances SET entries = 3", {("entries", "account", 3, 2)}),
    ("DELETE FROM balances", {("balance", "account", None, 970)}),
    ("UPDATE key_budgets SET spent = 0", {("key_spent", "key", 0, 30)}),
    ("UPDATE key_budgets SET held = 41", {("key_held", "key", 41, 40)}),
    ("UPDATE ledger SET balance = 7 WHERE number = 2", {("entry_balance", "charge_entry", 7, 970)}),
    ("UPDATE ledger SET number = 3 WHERE number = 2", {("entry_number", "charge_entry", 3, 2)}),
    (
        "UPDATE ledger SET amount = -31, balance = 969 WHERE number = 2",
        {("balance", "account", 970, 969), ("charge", "charged", 31, 30)},
    ),
    (
        "UPDATE ledger SET amount = 999 WHERE number = 1",
        {
            ("balance", "account", 970, 969),
            ("entry_balance", "top_up_entry", 1000, 999),
            ("entry_balance", "charge_entry", 970, 969),
        },
    ),
    (
        "DELETE FROM ledger WHERE number = 2",
        {("balance", "account", 970, 1000), ("entries", "account", 2, 1), ("charge", "charged", None, 30)},
    ),
    (
        "UPDATE ledger SET generation_id = NULL WHERE number = 2",
        {("charge", "charged", None, 30), ("charge", "charge_entry", 30, None)},
    ),
    (
        "UPDATE ledger SET kind = 'adjustment', generation_id = NULL WHERE number = 2",
        {("charge", "charged", None, 30)},
    ),
    ("UPDATE generations SET charge = 0", {("charge", "charged", 30, None), ("key_spent", "key", 30, 0)}),
    ("UPDATE generations SET charge = 29", {("charge", "charged", 30, 29), ("key_spent", "key", 30, 29)}),
    ("DELETE FROM generations", {("charge", "charged", 30, None), ("key_spent", "key", 30, 0)}),
    ("DELETE FROM holds", {("held", "account", 40, 0), ("key_held", "key", 40, 0)}),
    ("UPDATE holds SET amount = 39", {("held", "account", 40, 39), ("key_held", "key", 40, 39)}),
    (
        "INSERT INTO generations SELECT generation_id, account_id, key_id, door, model, model, 'failed', streamed,"
        " 0, 0, 0, false, 0, 0, 0, 0, null, null, started_at FROM holds",
        {("hold", "held", 40, 0)},
    ),
]
"""What is changed, and what is then said of whom: what is kept, and what is due."""


@dataclass(frozen=True)
class Books:
    """An account of 1000 with a charge of 30, and a key with one hold of 40 under way."""

    account: UUID
    key: UUID
    charged: UUID
    held: UUID
    top_up_entry: UUID
    charge_entry: UUID


async def keep_books(database: Database) -> Books:
    account, holds = await open_account(database, balance=1000), Holds(database)
    key = await make_key(database, account, budget=500)
    charged, held = (generation(account, 40, key_id=key) for _ in range(2))
    for each in (charged, held):
        assert (await holds.take(each)).admitted
    await holds.settle(settled(charged, 30))
    entries = await query(database, "SELECT id FROM ledger ORDER BY number")
    return Books(account, key, charged.id, held.id, *(entry["id"] for entry in entries))


async def found(database: Database) -> set[Discrepancy]:
    listed = await discrepancies(database)
    assert len(listed) == len(set(listed))
    return set(listed)


async def test_books_that_are_kept_well_agree(database: Database) -> None:
    holds = Holds(database)
    await keep_books(database)
    await open_account(database)
    for account, charge in ((await open_account(database), 0), (ANONYMOUS_ACCOUNT, 70)):
        await holds.settle(settled(generation(account, 0), charge))
    in_debt = await open_account(database, balance=1)
    last = generation(in_debt, 500)
    await holds.take(last)
    await holds.settle(settled(last, 500, GenerationState.CANCELLED))
    assert await found(database) == set()


async def test_what_was_tampered_with_is_named(database: Database) -> None:
    for statement, expected in TAMPERING:
        for table in ("ledger", "generations", "holds", "key_budgets", "balances", "api_keys"):
            await query(database, f"DELETE FROM {table}")
        await query(database, "DELETE FROM accounts WHERE metered")
        books = await keep_books(database)
        await query(database, statement)
        assert await found(database) == {
            Discrepancy(what, getattr(books, subject), kept, due) for what, subject, kept, due in expected
        }, statement


async def test_a_registered_account_without_a_balance_is_named(database: Database) -> None:
    account = new_id()
    await query(database, "INSERT INTO accounts (id, role) VALUES ($1, 'client')", account)
    assert await found(database) == {Discrepancy("balance", account, None, 0)}


async def test_an_entry_in_a_stranger_s_ledger_is_named(database: Database) -> None:
    books = await keep_books(database)
    stranger = await open_account(database)
    await query(database, "UPDATE ledger SET account_id = $1, number = 1 WHERE number = 2", stranger)
    assert await found(database) == {
        Discrepancy("balance", books.account, 970, 1000),
        Discrepancy("entries", books.account, 2, 1),
        Discrepancy("balance", stranger, 0, -30),
        Discrepancy("entries", stranger, 0, 1),
        Discrepancy("entry_balance", books.charge_entry, 970, -30),
        Discrepancy("charge", books.charged, None, 30),
        Discrepancy("charge", books.charged, 30, None),
    }
