"""API keys: kept as digests, looked up many at a time."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg
from sqlalchemy import Row, Select, func, insert, select, update

from telefonist.errors import AccessDenied, Conflict
from telefonist.storage.database import Database
from telefonist.storage.grouping import Grouped
from telefonist.storage.schema import accounts, api_keys, key_budgets
from telefonist.types import AccountRole, ApiKey, Credential, KeyTerms, new_id

MOST_KEYS = 100
"""Keys of one account that are not revoked."""

LOOK_UP = """
WITH usable AS (
    SELECT k.id, k.digest, k.account_id, k.expires_at, k.last_used_at, a.role, a.metered,
        k.models, b.budget, k.requests_per_minute, k.tokens_per_minute, k.max_streams
    FROM api_keys k JOIN accounts a ON a.id = k.account_id LEFT JOIN key_budgets b ON b.key_id = k.id
    WHERE k.digest = ANY($1) AND k.revoked_at IS NULL AND a.disabled_at IS NULL
        AND (k.expires_at IS NULL OR k.expires_at > now())
), touched AS (
    UPDATE api_keys SET last_used_at = now() WHERE id IN (
        SELECT k.id FROM api_keys k JOIN usable USING (id)
        WHERE k.last_used_at IS NULL OR k.last_used_at < now() - interval '1 minute'
        FOR UPDATE OF k SKIP LOCKED
    )
)
SELECT * FROM usable
"""
"""Finds keys and notes their use, at most once a minute and without waiting for whoever else does so."""


class ApiKeyStore:
    """Makes, lists, revokes and finds keys."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lookups: Grouped[bytes, Credential | None] = Grouped(database.line("identify"), _look_up)

    async def find(self, digest: bytes) -> Credential | None:
        """Give whose key it is and what for; None for one that is unknown, revoked or past, or of a disabled account.

        Raises Unavailable.
        """
        return await self._lookups.submit(digest)

    async def create(
        self, account_id: UUID, name: str, digest: bytes, hint: str, terms: KeyTerms, expires_at: datetime | None
    ) -> ApiKey:
        """Store a new key; raises Conflict past MOST_KEYS and AccessDenied for a disabled account."""
        key_id = new_id()
        async with self._database.begin() as connection:
            account = await connection.scalar(
                select(accounts.c.id)
                .where(accounts.c.id == account_id, accounts.c.disabled_at.is_(None))
                .with_for_update(key_share=True)
            )
            if account is None:
                raise AccessDenied("account_disabled")
            held = await connection.scalar(
                select(func.count()).where(api_keys.c.account_id == account_id, api_keys.c.revoked_at.is_(None))
            )
            if (held or 0) >= MOST_KEYS:
                raise Conflict("too_many_keys", most=MOST_KEYS)
            created_at = await connection.scalar(
                insert(api_keys)
                .values(
                    id=key_id,
                    account_id=account_id,
                    name=name,
                    digest=digest,
                    hint=hint,
                    models=None if terms.models is None else list(terms.models),
                    requests_per_minute=terms.requests_per_minute,
                    tokens_per_minute=terms.tokens_per_minute,
                    max_streams=terms.max_streams,
                    expires_at=expires_at,
                )
                .returning(api_keys.c.created_at)
            )
            if terms.budget is not None:
                await connection.execute(insert(key_budgets).values(key_id=key_id, budget=terms.budget))
        return ApiKey(key_id, name, hint, terms, 0, created_at, expires_at, None)

    async def of_account(self, account_id: UUID) -> Sequence[ApiKey]:
        """List an account's keys that are not revoked, the newest first."""
        query = _keys().where(api_keys.c.account_id == account_id, api_keys.c.revoked_at.is_(None))
        async with self._database.begin() as connection:
            return [_key(row) for row in await connection.execute(query.order_by(api_keys.c.id.desc()))]

    async def revoke(self, account_id: UUID, key_id: UUID) -> bool:
        """End a key for good; says whether the account had it."""
        ours = (api_keys.c.id == key_id, api_keys.c.account_id == account_id, api_keys.c.revoked_at.is_(None))
        async with self._database.begin() as connection:
            revoked = await connection.execute(update(api_keys).where(*ours).values(revoked_at=func.now()))
            return revoked.rowcount == 1


def _keys() -> Select[Any]:
    return select(api_keys, key_budgets.c.budget, func.coalesce(key_budgets.c.spent, 0).label("spent")).outerjoin(
        key_budgets, key_budgets.c.key_id == api_keys.c.id
    )


def _key(row: Row[Any]) -> ApiKey:
    return ApiKey(
        id=row.id,
        name=row.name,
        hint=row.hint,
        terms=_terms(row._mapping),
        spent=row.spent,
        created_at=row.created_at,
        expires_at=row.expires_at,
        last_used_at=row.last_used_at,
    )


def _terms(row: Any) -> KeyTerms:
    return KeyTerms(
        models=None if row["models"] is None else tuple(row["models"]),
        budget=row["budget"],
        requests_per_minute=row["requests_per_minute"],
        tokens_per_minute=row["tokens_per_minute"],
        max_streams=row["max_streams"],
    )


async def _look_up(connection: asyncpg.Connection, digests: Sequence[bytes]) -> list[Credential | None]:
    found = {
        row["digest"]: Credential(
            account_id=row["account_id"],
            role=AccountRole(row["role"]),
            metered=row["metered"],
            expires_at=row["expires_at"],
            key_id=row["id"],
            terms=_terms(row),
        )
        for row in await connection.fetch(LOOK_UP, digests)
    }
    return [found.get(digest) for digest in digests]
