"""The audit: what was changed by whom, written in the same transaction as the change."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from telefonist.storage.database import Database
from telefonist.storage.schema import audit
from telefonist.types import AuditEntry, Json, new_id


async def append(
    connection: AsyncConnection,
    actor_id: UUID | None,
    action: str,
    subject: str,
    details: Json | None = None,
) -> None:
    """Write down a change inside the transaction that makes it, so that neither is there without the other.

    ``actor_id`` is the account that changed something, None for the command line. ``action`` is dotted
    (``account.disabled``), ``subject`` an id or a name; ``details`` never hold a secret.
    """
    entry = {"id": new_id(), "actor_id": actor_id, "action": action, "subject": subject, "details": details or {}}
    await connection.execute(insert(audit).values(entry))


class AuditLog:
    """What was written down, to be read."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def entries(self, *, before: UUID | None = None, limit: int = 50) -> Sequence[AuditEntry]:
        """Give a page of entries, the newest first; ``before`` is the id of the last one of the page before."""
        query = select(audit).order_by(audit.c.id.desc()).limit(limit)
        if before is not None:
            query = query.where(audit.c.id < before)
        async with self._database.begin() as connection:
            return [AuditEntry(**row) for row in (await connection.execute(query)).mappings()]
