"""What accounts and keys have left, read many at a time."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

import asyncpg

from telefonist.storage.database import Database
from telefonist.storage.grouping import Grouped

READ = """
SELECT coalesce(b.balance, 0) AS balance, coalesce(b.held, 0) AS held, k.budget - k.spent - k.held AS budget_left
FROM unnest($1::uuid[], $2::uuid[]) WITH ORDINALITY AS asked (account_id, key_id, ord)
LEFT JOIN balances b USING (account_id) LEFT JOIN key_budgets k USING (key_id)
ORDER BY asked.ord
"""


@dataclass(frozen=True, slots=True)
class Purse:
    """Microcredits of an account; ``budget_left`` is None where the key has no budget, or there is no key."""

    balance: int
    held: int
    budget_left: int | None

    @property
    def available(self) -> int:
        return self.balance - self.held


class Purses:
    """Reads without waiting for anybody's lock: a hold decides, this only spares work that could not be paid."""

    def __init__(self, database: Database) -> None:
        self._reading: Grouped[tuple[UUID, UUID | None], Purse] = Grouped(database.line("identify"), _read)

    async def read(self, account_id: UUID, key_id: UUID | None) -> Purse:
        """Give what is left; raises Unavailable."""
        return await self._reading.submit((account_id, key_id))


async def _read(connection: asyncpg.Connection, asked: Sequence[tuple[UUID, UUID | None]]) -> list[Purse]:
    rows = await connection.fetch(READ, [account for account, _ in asked], [key for _, key in asked])
    return [Purse(row["balance"], row["held"], row["budget_left"]) for row in rows]
