"""Login sessions: each a family of refresh tokens, of which the newest alone may be used, and once.

Tokens are kept as digests. One that was used already is in two hands, so showing it again ends the whole session
(RFC 9700, section 4.14.2).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

import asyncpg
from sqlalchemy import ColumnElement, delete, func, insert, literal, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from telefonist.storage.database import Database
from telefonist.storage.grouping import Grouped
from telefonist.storage.schema import accounts, refresh_tokens, sessions
from telefonist.types import AccountRole, Credential, new_id

LIFE = timedelta(days=30)
"""How long a refresh token may be used; each use begins it anew."""

PURGED_AT_ONCE = 5000

LOOK_UP = """
SELECT s.id, s.account_id, s.expires_at, a.role, a.metered
FROM sessions s JOIN accounts a ON a.id = s.account_id
WHERE s.id = ANY($1) AND s.revoked_at IS NULL AND s.expires_at > now() AND a.disabled_at IS NULL
"""


@dataclass(frozen=True, slots=True)
class OpenSession:
    """A session that may go on."""

    id: UUID
    account_id: UUID


class SessionStore:
    """Opens, renews, finds and ends login sessions."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lookups: Grouped[UUID, Credential | None] = Grouped(database.line("identify"), _look_up)

    async def find(self, session_id: UUID) -> Credential | None:
        """Give whose session it is; None where it has ended or its account is disabled. Raises Unavailable."""
        return await self._lookups.submit(session_id)

    async def open(self, account_id: UUID, password: str, refresh_digest: bytes) -> UUID | None:
        """Open a session if the account still has that stored password and is not disabled; give its id.

        The account's row is locked, so that a change of password that ends all sessions cannot miss this one.
        """
        session_id = new_id()
        unchanged = (
            select(literal(session_id), accounts.c.id, func.now() + LIFE)
            .where(accounts.c.id == account_id, accounts.c.password == password, accounts.c.disabled_at.is_(None))
            .with_for_update(read=True)
        )
        async with self._database.begin() as connection:
            opened = await connection.execute(
                insert(sessions).from_select(["id", "account_id", "expires_at"], unchanged).returning(sessions.c.id)
            )
            if opened.one_or_none() is None:
                return None
            await _add(connection, session_id, refresh_digest)
            return session_id

    async def renew(self, old_digest: bytes, new_digest: bytes) -> OpenSession | None:
        """Use a refresh token up and put another in its place; None where it is unknown, past or used already."""
        async with self._database.begin() as connection:
            session_id = await connection.scalar(
                update(refresh_tokens)
                .where(refresh_tokens.c.digest == old_digest, refresh_tokens.c.used_at.is_(None))
                .values(used_at=func.now())
                .returning(refresh_tokens.c.session_id)
            )
            if session_id is None:
                await _revoke(connection, sessions.c.id.in_(_session_of(old_digest)))
                return None
            account_id = await connection.scalar(
                update(sessions)
                .where(
                    sessions.c.id == session_id,
                    sessions.c.revoked_at.is_(None),
                    sessions.c.expires_at > func.now(),
                    accounts.c.id == sessions.c.account_id,
                    accounts.c.disabled_at.is_(None),
                )
                .values(expires_at=func.now() + LIFE)
                .returning(sessions.c.account_id)
            )
            if account_id is None:
                return None
            await connection.execute(
                delete(refresh_tokens).where(
                    refresh_tokens.c.session_id == session_id, refresh_tokens.c.used_at < func.now() - LIFE
                )
            )
            await _add(connection, session_id, new_digest)
            return OpenSession(session_id, account_id)

    async def revoke(self, session_id: UUID) -> None:
        """End a session."""
        async with self._database.begin() as connection:
            await _revoke(connection, sessions.c.id == session_id)

    async def purge(self) -> None:
        """Forget sessions that are past their time, with their tokens, some thousands at once."""
        past = (
            select(sessions.c.id)
            .where(sessions.c.expires_at < func.now())
            .order_by(sessions.c.expires_at)
            .limit(PURGED_AT_ONCE)
            .with_for_update(skip_locked=True)
        )
        async with self._database.begin() as connection:
            await connection.execute(delete(sessions).where(sessions.c.id.in_(past)))


async def revoke_all(connection: AsyncConnection, account_id: UUID, keep: UUID | None = None) -> None:
    """End an account's sessions, but one, inside the caller's transaction, which has changed the account's row."""
    of_account = sessions.c.account_id == account_id
    await _revoke(connection, of_account if keep is None else of_account & (sessions.c.id != keep))


async def _revoke(connection: AsyncConnection, which: ColumnElement[bool]) -> None:
    await connection.execute(
        update(sessions).where(which, sessions.c.revoked_at.is_(None)).values(revoked_at=func.now())
    )


async def _add(connection: AsyncConnection, session_id: UUID, digest: bytes) -> None:
    await connection.execute(insert(refresh_tokens).values(digest=digest, session_id=session_id))


def _session_of(digest: bytes) -> Any:
    return select(refresh_tokens.c.session_id).where(refresh_tokens.c.digest == digest)


async def _look_up(connection: asyncpg.Connection, ids: Sequence[UUID]) -> list[Credential | None]:
    found = {
        row["id"]: Credential(
            account_id=row["account_id"],
            role=AccountRole(row["role"]),
            metered=row["metered"],
            expires_at=row["expires_at"],
            session_id=row["id"],
        )
        for row in await connection.fetch(LOOK_UP, ids)
    }
    return [found.get(session_id) for session_id in ids]
