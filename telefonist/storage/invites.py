"""Invites: each lets one account be made, with a role, for one e-mail address or for any."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, delete, func, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from telefonist.storage import audit
from telefonist.storage.database import Database
from telefonist.storage.schema import invites
from telefonist.types import AccountRole, Invite, new_id


class InviteStore:
    """Makes, lists and withdraws invites; they are kept as digests."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def create(
        self, digest: bytes, role: AccountRole, email: str | None, expires_at: datetime, created_by: UUID | None
    ) -> Invite:
        """Store an invite; ``created_by`` is None for the command line."""
        invite_id = new_id()
        row: Mapping[str, Any] = {
            "id": invite_id,
            "digest": digest,
            "role": role.value,
            "email": email,
            "created_by": created_by,
            "expires_at": expires_at,
        }
        async with self._database.begin() as connection:
            stored = (await connection.execute(insert(invites).values(row).returning(invites))).one()
            details = {"role": role.value, "email": email}
            await audit.append(connection, created_by, "invite.created", str(invite_id), details)
        return _invite(stored)

    async def page(self, before: UUID | None, limit: int) -> Sequence[Invite]:
        """List invites, the newest first, from the id ``before`` on (exclusive); raises Unavailable."""
        query = select(invites).order_by(invites.c.id.desc()).limit(limit)
        if before is not None:
            query = query.where(invites.c.id < before)
        async with self._database.begin() as connection:
            return [_invite(row) for row in await connection.execute(query)]

    async def withdraw(self, invite_id: UUID, actor_id: UUID | None) -> bool:
        """Delete an invite that nobody has used, audited; False where there is none. Raises Unavailable."""
        unused = delete(invites).where(invites.c.id == invite_id, invites.c.used_at.is_(None))
        async with self._database.begin() as connection:
            if (await connection.execute(unused)).rowcount == 0:
                return False
            await audit.append(connection, actor_id, "invite.withdrawn", str(invite_id))
            return True


async def claim(connection: AsyncConnection, digest: bytes, email: str) -> tuple[UUID, AccountRole] | None:
    """Take an invite for an address inside the caller's transaction: its id and role, None where it is not good.

    Whoever comes with the same one at the same time waits, and then finds it used.
    """
    row = (
        await connection.execute(
            select(invites.c.id, invites.c.role)
            .where(
                invites.c.digest == digest,
                invites.c.used_at.is_(None),
                invites.c.expires_at > func.now(),
                or_(invites.c.email.is_(None), invites.c.email == email),
            )
            .with_for_update()
        )
    ).one_or_none()
    return None if row is None else (row.id, AccountRole(row.role))


async def use(connection: AsyncConnection, invite_id: UUID, account_id: UUID) -> None:
    """Note whose account an invite that was claimed became."""
    await connection.execute(
        update(invites).where(invites.c.id == invite_id).values(used_by=account_id, used_at=func.now())
    )


def _invite(row: Row[Any]) -> Invite:
    return Invite(
        id=row.id,
        role=AccountRole(row.role),
        email=row.email,
        created_by=row.created_by,
        created_at=row.created_at,
        expires_at=row.expires_at,
        used_by=row.used_by,
        used_at=row.used_at,
    )
