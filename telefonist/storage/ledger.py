"""Balances and the ledger: reading them, and the changes that an administrator makes by hand.

What generations cost is written elsewhere, many at a time; both take their turn by the lock on the account's row of
``balances``, which alone gives an entry its number.
"""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Row, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from telefonist.errors import Conflict, NotFound
from telefonist.storage import audit
from telefonist.storage.database import Database
from telefonist.storage.ownership import digest
from telefonist.storage.schema import balances, ledger
from telefonist.types import Balance, LedgerEntry, LedgerKind, format_credits, new_id

LARGEST_BALANCE = 10**18
"""Microcredits, above or below zero: a tenth of what a bigint holds, so that no charge can overflow it."""


class Ledger:
    """What each account has, and how it came to that."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def balance(self, account_id: UUID) -> Balance:
        """Give what an account has; an account that nothing is taken from has nothing. Raises Unavailable."""
        found = select(balances.c.balance, balances.c.held).where(balances.c.account_id == account_id)
        async with self._database.begin() as connection:
            row = (await connection.execute(found)).first()
        return Balance(0, 0) if row is None else Balance(row.balance, row.held)

    async def entries(self, account_id: UUID, before: int | None, limit: int) -> Sequence[LedgerEntry]:
        """List an account's entries, the newest first, from the number ``before`` on (exclusive).

        An account's numbers have no gaps and never change, so pages neither repeat nor skip an entry however many are
        added meanwhile.
        """
        query = select(ledger).where(ledger.c.account_id == account_id)
        if before is not None:
            query = query.where(ledger.c.number < before)
        async with self._database.begin() as connection:
            rows = await connection.execute(query.order_by(ledger.c.number.desc()).limit(limit))
            return [_entry(row) for row in rows]

    async def change(
        self, account_id: UUID, amount: int, reason: str, actor_id: UUID | None, idempotency_key: str | None
    ) -> LedgerEntry:
        """Add ``amount`` microcredits to a balance, or take them away where it is negative, and audit who did.

        An adjustment may take a balance below zero: what was given by mistake may be spent already. The same key of the
        same administrator for the same account gives the entry that it gave first, however long ago. Raises NotFound
        for an account that has no balance, Conflict for a key that was used with another amount or reason, or a balance
        past LARGEST_BALANCE, and Unavailable.
        """
        async with self._database.begin() as connection:
            known = await _locked(connection, account_id)
            key = None
            if idempotency_key is not None:
                key = digest(b"ledger", str(actor_id).encode(), account_id.bytes, idempotency_key.encode())
                first = (await connection.execute(select(ledger).where(ledger.c.idempotency_digest == key))).first()
                if first is not None:
                    return _repeated(first, amount, reason)
            if abs(known.balance + amount) > LARGEST_BALANCE:
                raise Conflict("balance_out_of_range", limit=format_credits(LARGEST_BALANCE))
            entry = await _written(connection, known, amount, reason, actor_id, key)
            details = {
                "entry": entry.number,
                "amount": format_credits(amount),
                "balance": format_credits(entry.balance),
                "reason": reason,
            }
            await audit.append(connection, actor_id, "balance.changed", str(account_id), details)
            return entry


async def _locked(connection: AsyncConnection, account_id: UUID) -> Row[Any]:
    """Read an account's balance and keep every other writer from it until the transaction ends."""
    query = select(balances).where(balances.c.account_id == account_id).with_for_update(key_share=True)
    row = (await connection.execute(query)).first()
    if row is None:
        raise NotFound("user_not_found", user=account_id)
    return row


async def _written(
    connection: AsyncConnection, known: Row[Any], amount: int, reason: str, actor_id: UUID | None, key: bytes | None
) -> LedgerEntry:
    changed = {"balance": known.balance + amount, "entries": known.entries + 1}
    await connection.execute(update(balances).where(balances.c.account_id == known.account_id).values(changed))
    row = await connection.execute(
        insert(ledger)
        .values(
            account_id=known.account_id,
            number=changed["entries"],
            id=new_id(),
            kind=(LedgerKind.TOP_UP if amount > 0 else LedgerKind.ADJUSTMENT).value,
            amount=amount,
            balance=changed["balance"],
            reason=reason,
            actor_id=actor_id,
            idempotency_digest=key,
        )
        .returning(ledger)
    )
    return _entry(row.one())


def _repeated(first: Row[Any], amount: int, reason: str) -> LedgerEntry:
    if (first.amount, first.reason) != (amount, reason):
        raise Conflict("idempotency_conflict")
    return _entry(first)


def _entry(row: Row[Any]) -> LedgerEntry:
    return LedgerEntry(
        id=row.id,
        number=row.number,
        kind=LedgerKind(row.kind),
        amount=row.amount,
        balance=row.balance,
        generation_id=row.generation_id,
        model=row.model,
        reason=row.reason,
        created_at=row.created_at,
    )
