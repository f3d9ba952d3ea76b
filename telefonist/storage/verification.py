"""Whether the books agree: everything that is kept as a sum is computed again from what it is the sum of."""

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import text

from telefonist.storage.database import Database

BALANCES = """
WITH booked AS (
    SELECT account_id, sum(amount) AS balance, count(*) AS entries FROM ledger GROUP BY account_id
), held AS (
    SELECT account_id, sum(amount) AS held FROM holds GROUP BY account_id
), compared AS (
    SELECT account_id, b.account_id IS NOT NULL AS known, b.balance, b.held, b.entries,
        coalesce(booked.balance, 0) AS balance_due, coalesce(held.held, 0) AS held_due,
        coalesce(booked.entries, 0) AS entries_due
    FROM balances b FULL JOIN booked USING (account_id) FULL JOIN held USING (account_id)
    FULL JOIN (SELECT id AS account_id FROM accounts WHERE metered) a USING (account_id)
)
SELECT what, account_id, found, due FROM compared CROSS JOIN LATERAL (
    VALUES ('balance', balance, balance_due), ('held', held, held_due), ('entries', entries, entries_due)
) AS each (what, found, due)
WHERE found IS DISTINCT FROM due AND (known OR what = 'balance')
ORDER BY account_id, what
"""

ENTRIES = """
WITH counted AS (
    SELECT id, number, balance, row_number() OVER so_far AS number_due, sum(amount) OVER so_far AS balance_due
    FROM ledger WINDOW so_far AS (PARTITION BY account_id ORDER BY number ROWS UNBOUNDED PRECEDING)
)
SELECT what, id, found, due FROM counted CROSS JOIN LATERAL (
    VALUES ('entry_number', number, number_due), ('entry_balance', balance, balance_due)
) AS each (what, found, due)
WHERE found <> due
ORDER BY id, what
"""

CHARGES = """
WITH charged AS (
    SELECT id, account_id, charge FROM generations WHERE charge <> 0 AND account_id IN (
        SELECT account_id FROM balances UNION SELECT id FROM accounts WHERE metered
    )
), booked AS (
    SELECT id AS entry_id, generation_id, account_id, -amount AS charge FROM ledger
    WHERE kind = 'charge' OR generation_id IS NOT NULL
)
SELECT 'charge', coalesce(c.id, b.generation_id, b.entry_id), b.charge, c.charge
FROM charged c FULL JOIN booked b ON b.generation_id = c.id AND b.account_id = c.account_id
WHERE b.charge IS DISTINCT FROM c.charge
ORDER BY 2
"""

BUDGETS = """
WITH held AS (
    SELECT key_id, sum(amount) AS held FROM holds GROUP BY key_id
), spent AS (
    SELECT key_id, sum(charge) AS spent FROM generations JOIN key_budgets USING (key_id) GROUP BY key_id
)
SELECT what, key_id, found, coalesce(due, 0)
FROM key_budgets k LEFT JOIN held h USING (key_id) LEFT JOIN spent s USING (key_id) CROSS JOIN LATERAL (
    VALUES ('key_held', k.held, h.held), ('key_spent', k.spent, s.spent)
) AS each (what, found, due)
WHERE found <> coalesce(due, 0)
ORDER BY key_id, what
"""

UNENDED = (
    "SELECT 'hold', h.generation_id, h.amount, 0 FROM holds h JOIN generations g ON g.id = h.generation_id ORDER BY 2"
)


@dataclass(frozen=True, slots=True)
class Discrepancy:
    """Something that is kept and should be another; amounts are microcredits.

    ``what`` names it, and what ``id`` is: ``balance``, ``held`` and ``entries`` are of an account, ``entry_number`` and
    ``entry_balance`` of a ledger entry, ``key_held`` and ``key_spent`` of a key with a budget; a ``charge`` is what the
    ledger has for a generation, whose id it is (for a charge without one, the entry's); a ``hold`` is of a generation
    that has ended. ``kept`` is None for what is not there at all, ``due`` for what should not be.
    """

    what: str
    id: UUID
    kept: int | None
    due: int | None


async def discrepancies(database: Database) -> list[Discrepancy]:
    """List what differs; nothing does, also while holds are taken and settled: all is seen at the same moment."""
    found: list[Discrepancy] = []
    async with database.snapshot() as connection:
        for question in (BALANCES, ENTRIES, CHARGES, BUDGETS, UNENDED):
            for what, subject, kept, due in await connection.execute(text(question)):
                found.append(Discrepancy(what, subject, _whole(kept), _whole(due)))
    return found


def _whole(amount: int | None) -> int | None:
    return None if amount is None else int(amount)
