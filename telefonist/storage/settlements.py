"""Settlements: a generation that ended gives its hold back, is charged and written down, exactly once."""

from collections.abc import Sequence
from uuid import UUID

import asyncpg

from telefonist.types import Door, GenerationState, NewGeneration, Price, Settlement, Usage, new_id

SETTLE = """
WITH ended AS MATERIALIZED (
    SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::text[], $5::text[], $6::text[], $7::text[],
                         $8::boolean[], $9::int[], $10::int[], $11::int[], $12::boolean[], $13::bigint[],
                         $14::bigint[], $15::bigint[], $16::bigint[], $17::text[], $18::int[], $19::timestamptz[],
                         $20::boolean[], $21::uuid[]) WITH ORDINALITY
        AS t (id, account_id, key_id, door, model, served_by, state, streamed, prompt_tokens, completion_tokens,
              cached_tokens, estimated, input_price, output_price, cached_input_price, charge, error, first_token_ms,
              started_at, needs_hold, entry_id, ord)
), freed AS (
    DELETE FROM holds WHERE generation_id = ANY($1) RETURNING generation_id, account_id, key_id, amount
), written AS (
    INSERT INTO generations (id, account_id, key_id, door, model, served_by, state, streamed, prompt_tokens,
                             completion_tokens, cached_tokens, estimated, input_price, output_price,
                             cached_input_price, charge, error, first_token_ms, started_at)
    SELECT e.id, e.account_id, e.key_id, door, model, served_by, state, streamed, prompt_tokens, completion_tokens,
           cached_tokens, estimated, input_price, output_price, cached_input_price, charge, error, first_token_ms,
           started_at
    FROM ended e LEFT JOIN freed f ON f.generation_id = e.id
    WHERE f.generation_id IS NOT NULL OR NOT needs_hold
    ON CONFLICT (id) DO NOTHING
    RETURNING id
), due AS MATERIALIZED (
    SELECT f.account_id, f.key_id, f.amount, e.id, e.model, e.entry_id, e.ord,
        CASE WHEN w.id IS NULL THEN 0 ELSE e.charge END AS charge
    FROM freed f JOIN ended e ON e.id = f.generation_id LEFT JOIN written w ON w.id = f.generation_id
), purses AS (
    SELECT account_id FROM balances
    WHERE account_id IN (SELECT account_id FROM due) ORDER BY account_id FOR NO KEY UPDATE
), paid AS (
    UPDATE balances b SET balance = b.balance - d.charge, held = b.held - d.amount, entries = b.entries + d.entries
    FROM purses JOIN (
        SELECT account_id, sum(charge)::bigint AS charge, sum(amount)::bigint AS amount,
            count(*) FILTER (WHERE charge > 0) AS entries
        FROM due GROUP BY account_id
    ) d USING (account_id)
    WHERE b.account_id = purses.account_id
    RETURNING b.account_id, b.balance, b.entries
), booked AS (
    INSERT INTO ledger (account_id, number, id, kind, amount, balance, generation_id, model)
    SELECT account_id, paid.entries + 1 - row_number() OVER later, entry_id, 'charge', -charge,
           paid.balance + sum(charge) OVER later - charge, d.id, d.model
    FROM due d JOIN paid USING (account_id) WHERE charge > 0
    WINDOW later AS (PARTITION BY account_id ORDER BY ord DESC)
), budgets AS (
    SELECT key_id FROM key_budgets
    WHERE key_id IN (SELECT key_id FROM due) AND (SELECT count(*) FROM paid) > 0 ORDER BY key_id FOR NO KEY UPDATE
), spent AS (
    UPDATE key_budgets k SET spent = k.spent + d.charge, held = k.held - d.amount
    FROM budgets JOIN (
        SELECT key_id, sum(charge)::bigint AS charge, sum(amount)::bigint AS amount FROM due GROUP BY key_id
    ) d USING (key_id)
    WHERE k.key_id = budgets.key_id
)
SELECT id FROM written
"""

ORPHANED = "SELECT * FROM holds WHERE process_id NOT IN (SELECT id FROM processes) LIMIT 1000"


async def settle(connection: asyncpg.Connection, settlements: Sequence[Settlement]) -> list[GenerationState]:
    """Settle generations on a connection, which may be in a transaction; what that commits is settled.

    Whoever deletes a hold gives it back, and whoever writes the generation down charges it: the keys of the two tables
    make sure that each happens once.
    """
    ended: dict[UUID, Settlement] = {}
    for settlement in settlements:
        ended.setdefault(settlement.generation.id, settlement)
    rows = await connection.fetch(SETTLE, *_settlement_columns(list(ended.values())))
    states = {row["id"]: ended[row["id"]].state for row in rows}
    if len(states) < len(ended):
        missing = [generation_id for generation_id in ended if generation_id not in states]
        known = await connection.fetch("SELECT id, state FROM generations WHERE id = ANY($1)", missing)
        states |= {row["id"]: GenerationState(row["state"]) for row in known}
    return [states.get(settlement.generation.id, GenerationState.LOST) for settlement in settlements]


async def release_orphaned(connection: asyncpg.Connection) -> int:
    """Give back the holds of processes that are not on the list; say how many generations that were lost."""
    lost = await connection.fetch(ORPHANED)
    if lost:
        await settle(connection, [_lost(row) for row in lost])
    return len(lost)


async def release(connection: asyncpg.Connection, generation_ids: Sequence[UUID]) -> None:
    """Give back the holds of generations of which nobody knows any more."""
    lost = await connection.fetch("SELECT * FROM holds WHERE generation_id = ANY($1)", generation_ids)
    if lost:
        await settle(connection, [_lost(row) for row in lost])


def _settlement_columns(settlements: Sequence[Settlement]) -> list[list[object]]:
    generations = [settlement.generation for settlement in settlements]
    usages = [settlement.usage for settlement in settlements]
    return [
        [generation.id for generation in generations],
        [generation.account_id for generation in generations],
        [generation.key_id for generation in generations],
        [generation.door for generation in generations],
        [generation.model for generation in generations],
        [settlement.served_by for settlement in settlements],
        [settlement.state for settlement in settlements],
        [generation.streamed for generation in generations],
        [usage.prompt_tokens for usage in usages],
        [usage.completion_tokens for usage in usages],
        [usage.cached_tokens for usage in usages],
        [usage.estimated for usage in usages],
        [generation.price.input for generation in generations],
        [generation.price.output for generation in generations],
        [generation.price.cached_input for generation in generations],
        [settlement.charge for settlement in settlements],
        [settlement.error for settlement in settlements],
        [settlement.first_token_ms for settlement in settlements],
        [generation.started_at for generation in generations],
        [generation.hold > 0 for generation in generations],
        [new_id() if settlement.charge else None for settlement in settlements],
    ]


def _lost(row: asyncpg.Record) -> Settlement:
    generation = NewGeneration(
        id=row["generation_id"],
        process_id=row["process_id"],
        account_id=row["account_id"],
        key_id=row["key_id"],
        door=Door(row["door"]),
        model=row["model"],
        price=Price(row["input_price"], row["output_price"], row["cached_input_price"]),
        hold=row["amount"],
        streamed=row["streamed"],
        started_at=row["started_at"],
    )
    return Settlement(generation, GenerationState.LOST, served_by=row["model"], usage=Usage(), charge=0)
