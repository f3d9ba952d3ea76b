"""Accounts with money in them, and generations that cost some, for tests of what is held and charged."""

from uuid import UUID

import asyncpg

from telefonist.storage.database import Database
from telefonist.types import Door, GenerationState, NewGeneration, Price, Settlement, Usage, new_id, utc_now

PRICE = Price(input=1000, output=2000, cached_input=500)


async def query(database: Database, statement: str, *values: object) -> list[asyncpg.Record]:
    """Look at what is stored, or change it behind the storage's back."""
    rows: list[asyncpg.Record] = await database.line("test").run(
        lambda connection: connection.fetch(statement, *values)
    )
    return rows


async def open_account(database: Database, balance: int = 0) -> UUID:
    """Register an account and top it up."""
    account_id = new_id()
    await query(
        database,
        "WITH a AS (INSERT INTO accounts (id, role) VALUES ($1, 'client')),"
        " b AS (INSERT INTO balances (account_id, balance, entries) VALUES ($1, $2::bigint, ($2 <> 0)::int))"
        " INSERT INTO ledger (account_id, number, id, kind, amount, balance)"
        " SELECT $1, 1, $3::uuid, 'top_up', $2, $2 WHERE $2 <> 0",
        account_id,
        balance,
        new_id(),
    )
    return account_id


async def make_key(database: Database, account_id: UUID, budget: int | None = None) -> UUID:
    """Make an API key, with a budget or without."""
    key_id = new_id()
    await query(
        database,
        "INSERT INTO api_keys (id, account_id, name, digest, hint) VALUES ($1, $2, 'test', $3, 'tf-…')",
        key_id,
        account_id,
        key_id.bytes,
    )
    if budget is not None:
        await query(database, "INSERT INTO key_budgets (key_id, budget) VALUES ($1, $2)", key_id, budget)
    return key_id


def generation(
    account_id: UUID, hold: int, *, key_id: UUID | None = None, process_id: UUID | None = None
) -> NewGeneration:
    """Begin a generation that may cost as much as ``hold``."""
    return NewGeneration(
        id=new_id(),
        process_id=process_id or new_id(),
        account_id=account_id,
        key_id=key_id,
        door=Door.API,
        model="gpt-4",
        price=PRICE if hold else Price(),
        hold=hold,
        streamed=True,
        started_at=utc_now(),
    )


def settled(
    of: NewGeneration, charge: int, state: GenerationState = GenerationState.SUCCEEDED, error: str | None = None
) -> Settlement:
    """End a generation at a cost."""
    return Settlement(of, state, "gpt-4-turbo", Usage(30, 20, 10), charge, error=error, first_token_ms=7)


async def purse(database: Database, account_id: UUID) -> tuple[int, int, int]:
    """Tell an account's balance, what is held of it, and how many ledger entries it counts."""
    [row] = await query(database, "SELECT balance, held, entries FROM balances WHERE account_id = $1", account_id)
    return row["balance"], row["held"], row["entries"]


async def budget_of(database: Database, key_id: UUID) -> tuple[int, int]:
    """Tell what was spent with a key, and what is held of its budget."""
    [row] = await query(database, "SELECT spent, held FROM key_budgets WHERE key_id = $1", key_id)
    return row["spent"], row["held"]


async def counted(database: Database, table: str) -> int:
    """Count a table's rows."""
    [row] = await query(database, f"SELECT count(*) FROM {table}")
    return int(row["count"])
