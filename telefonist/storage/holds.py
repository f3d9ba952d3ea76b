"""Holds: what a generation may cost is set aside before it begins; concurrent requests share a statement and a commit.

Rows are locked in one order, here and in settlements: ``holds``, ``balances`` by account id, ``key_budgets`` by key id.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from uuid import UUID

import asyncpg

from telefonist.storage.database import Database
from telefonist.storage.grouping import Grouped
from telefonist.storage.settlements import release, settle
from telefonist.types import GenerationState, HoldOutcome, NewGeneration, Settlement

TAKE = """
WITH asked AS MATERIALIZED (
    SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::uuid[], $5::text[], $6::text[], $7::bigint[],
                         $8::bigint[], $9::bigint[], $10::bigint[], $11::boolean[], $12::timestamptz[]) WITH ORDINALITY
        AS t (generation_id, process_id, account_id, key_id, door, model, input_price, output_price,
              cached_input_price, amount, streamed, started_at, ord)
), purses AS MATERIALIZED (
    SELECT account_id, balance, held FROM balances
    WHERE account_id = ANY($3) ORDER BY account_id FOR NO KEY UPDATE
), budgets AS MATERIALIZED (
    SELECT key_id, budget - spent AS unspent, held FROM key_budgets
    WHERE key_id = ANY($4) AND (SELECT count(*) FROM purses) > 0 ORDER BY key_id FOR NO KEY UPDATE
), judged AS MATERIALIZED (
    SELECT asked.*, coalesce(p.balance, 0) AS balance, coalesce(p.held, 0) AS held, k.unspent, k.held AS key_held,
        coalesce(p.held, 0) + sum(amount) OVER (PARTITION BY account_id ORDER BY ord) AS holding,
        k.held + sum(amount) OVER (PARTITION BY key_id ORDER BY ord) AS key_holding
    FROM asked LEFT JOIN purses p USING (account_id) LEFT JOIN budgets k USING (key_id)
), taken AS (
    INSERT INTO holds (generation_id, process_id, account_id, key_id, door, model, input_price, output_price,
                       cached_input_price, amount, streamed, started_at)
    SELECT generation_id, process_id, account_id, key_id, door, model, input_price, output_price,
           cached_input_price, amount, streamed, started_at
    FROM judged
    WHERE (holding <= balance OR (balance > 0 AND holding = amount))
      AND (unspent IS NULL OR key_holding <= unspent OR (unspent > 0 AND key_holding = amount))
    ON CONFLICT (generation_id) DO NOTHING
    RETURNING generation_id, account_id, key_id, amount
), held_of_balances AS (
    UPDATE balances b SET held = b.held + t.amount
    FROM (SELECT account_id, sum(amount)::bigint AS amount FROM taken GROUP BY account_id) t
    WHERE b.account_id = t.account_id
), held_of_keys AS (
    UPDATE key_budgets k SET held = k.held + t.amount
    FROM (SELECT key_id, sum(amount)::bigint AS amount FROM taken GROUP BY key_id) t
    WHERE k.key_id = t.key_id
)
SELECT t.generation_id IS NOT NULL AS taken, balance, held, unspent, key_held
FROM judged LEFT JOIN taken t USING (generation_id) ORDER BY ord
"""

KNOWN = "SELECT generation_id FROM holds WHERE generation_id = ANY($1)"


class Holds:
    """The money set aside for generations under way."""

    def __init__(self, database: Database) -> None:
        self._line = database.line("settlements")
        self._taking: Grouped[NewGeneration, HoldOutcome] = Grouped(database.line("holds"), _take)
        self._settling: Grouped[Settlement, GenerationState] = Grouped(self._line, settle)

    async def take(self, generation: NewGeneration) -> HoldOutcome:
        """Set a generation's hold aside if it fits what its account has and what its key may spend.

        The last credits can be spent: a hold that does not fit is admitted where there is something left and nothing
        else is held, so that a balance goes below zero by one generation and never by a race. To ask again after
        Unavailable is safe: a hold that was taken after all is found. Whoever does not ask again, or is cancelled
        here, may have left a hold behind: it is to be settled, or found by ``of_process`` and released.
        """
        return await self._taking.submit(generation)

    async def settle(self, settlement: Settlement) -> GenerationState:
        """Give the hold back, charge the account and write the generation down, in one commit and once.

        Gives the state that is stored, which is another than the settlement's where the generation was settled before
        (LOST: its process was taken for dead, and nothing is charged). A generation without a hold is only written
        down. Raises Unavailable; to settle again then is safe.
        """
        return await self._settling.submit(settlement)

    async def of_process(self, process_id: UUID) -> list[UUID]:
        """List the generations for which a process has holds."""
        rows = await self._line.run(
            lambda connection: connection.fetch("SELECT generation_id FROM holds WHERE process_id = $1", process_id)
        )
        return [row["generation_id"] for row in rows]

    async def release(self, generation_ids: Sequence[UUID]) -> None:
        """Give back the holds of generations of which nobody knows any more; they are written down as lost."""
        await self._line.run(lambda connection: release(connection, generation_ids))


async def _take(connection: asyncpg.Connection, generations: Sequence[NewGeneration]) -> list[HoldOutcome]:
    """Take the holds that fit, in the order in which they came.

    The statement counts whatever comes before a hold as held, also what it refuses. So one that was refused and would
    fit beside those that were taken goes into another statement; the first of each is judged exactly, which ends this.
    """
    outcomes: dict[UUID, HoldOutcome] = {}
    waiting = list({generation.id: generation for generation in generations}.values())
    while waiting:
        rows = await connection.fetch(TAKE, *_hold_columns(waiting))
        judged = list(zip(waiting, rows, strict=True))
        taken = _taken(judged)
        outcomes |= {generation.id: _outcome(generation, row, taken) for generation, row in judged}
        refused = [generation.id for generation, row in judged if not row["taken"]]
        waiting = []
        if refused:
            known = {row["generation_id"] for row in await connection.fetch(KNOWN, refused)}
            outcomes |= {found: replace(outcomes[found], admitted=True) for found in known}
            waiting = [generation for generation in _fitting(judged, taken) if generation.id not in known]
    return [outcomes[generation.id] for generation in generations]


def _taken(judged: Sequence[tuple[NewGeneration, asyncpg.Record]]) -> Mapping[UUID | None, int]:
    """Sum up what was taken now, by account and by key."""
    taken: defaultdict[UUID | None, int] = defaultdict(int)
    for generation, row in judged:
        if row["taken"]:
            taken[generation.account_id] += generation.hold
            taken[generation.key_id] += generation.hold
    return taken


def _fitting(
    judged: Sequence[tuple[NewGeneration, asyncpg.Record]], taken: Mapping[UUID | None, int]
) -> list[NewGeneration]:
    """List those that were not taken although each, alone, would fit beside those that were."""
    return [
        generation
        for generation, row in judged
        if not row["taken"]
        and _fits(generation.hold, row["balance"], row["held"] + taken[generation.account_id])
        and (
            row["unspent"] is None or _fits(generation.hold, row["unspent"], row["key_held"] + taken[generation.key_id])
        )
    ]


def _fits(amount: int, available: int, held: int) -> bool:
    return held + amount <= available or (available > 0 and held == 0)


def _outcome(generation: NewGeneration, row: asyncpg.Record, taken: Mapping[UUID | None, int]) -> HoldOutcome:
    """Tell what became of a hold; what was taken beside it counts as held, or who is refused would not see why."""
    held = row["held"] + taken[generation.account_id]
    budget_left = None if row["unspent"] is None else row["unspent"] - row["key_held"] - taken[generation.key_id]
    return HoldOutcome(row["taken"], row["balance"], held, budget_left)


def _hold_columns(generations: Sequence[NewGeneration]) -> list[list[object]]:
    return [
        [generation.id for generation in generations],
        [generation.process_id for generation in generations],
        [generation.account_id for generation in generations],
        [generation.key_id for generation in generations],
        [generation.door for generation in generations],
        [generation.model for generation in generations],
        [generation.price.input for generation in generations],
        [generation.price.output for generation in generations],
        [generation.price.cached_input for generation in generations],
        [generation.hold for generation in generations],
        [generation.streamed for generation in generations],
        [generation.started_at for generation in generations],
    ]
