"""Operators: who they are, who is there, and the invites that make them."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Row, exists, func, literal, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from telefonist.errors import NotFound
from telefonist.storage import audit
from telefonist.storage.database import Database
from telefonist.storage.schema import accounts, operator_invites, operators
from telefonist.types import Language, Operator, new_id


class Operators:
    """The people who answer in the bot's place."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def of_account(self, account_id: UUID, capacity: int, language: Language) -> Operator | None:
        """Give the operator that an account is, made with the first look; None for one that was shut out.

        A new one has the account's address for a name. Raises Unavailable.
        """
        made = (
            insert(operators)
            .from_select(
                ["id", "name", "account_id", "capacity", "language"],
                select(literal(new_id()), accounts.c.email, accounts.c.id, literal(capacity), literal(language)).where(
                    accounts.c.id == account_id
                ),
            )
            .on_conflict_do_nothing(index_elements=["account_id"])
        )
        query = select(operators).where(operators.c.account_id == account_id)
        async with self._database.begin() as connection:
            row = (await connection.execute(query)).one_or_none()
            if row is None:
                await connection.execute(made)
                row = (await connection.execute(query)).one()
        return None if row.disabled_at is not None else operator_of(row)

    async def of_telegram(self, telegram_id: int) -> Operator | None:
        """Give the operator that a Telegram user is; None for anybody else. Raises Unavailable."""
        return await self._one(operators.c.telegram_id == telegram_id)

    async def get(self, operator_id: UUID) -> Operator:
        """Give an operator by id; raises NotFound, also for one that was shut out, and Unavailable."""
        found = await self._one(operators.c.id == operator_id)
        if found is None:
            raise NotFound("operator_not_found", operator=operator_id)
        return found

    async def all(self) -> Sequence[Operator]:
        """List them, the oldest first; raises Unavailable."""
        query = select(operators).where(operators.c.disabled_at.is_(None)).order_by(operators.c.id)
        async with self._database.begin() as connection:
            return [operator_of(row) for row in await connection.execute(query)]

    async def any_registered(self) -> bool:
        """Say whether there is anybody at all who could be called; raises Unavailable."""
        async with self._database.begin() as connection:
            return bool(await connection.scalar(select(exists().where(operators.c.disabled_at.is_(None)))))

    async def set_online(self, operator_id: UUID, *, online: bool) -> Operator:
        """Note that an operator came or left; raises NotFound and Unavailable."""
        change = (
            update(operators)
            .where(operators.c.id == operator_id, operators.c.disabled_at.is_(None))
            .values(online=online)
            .returning(operators)
        )
        async with self._database.begin() as connection:
            row = (await connection.execute(change)).one_or_none()
        if row is None:
            raise NotFound("operator_not_found", operator=operator_id)
        return operator_of(row)

    async def invite(self, digest: bytes, expires_at: datetime, created_by: UUID | None, *, may_invite: bool) -> None:
        """Store an invite by its digest, audited; ``created_by`` is an operator, None for the command line."""
        invite_id = new_id()
        row = {
            "id": invite_id,
            "digest": digest,
            "created_by": created_by,
            "may_invite": may_invite,
            "expires_at": expires_at,
        }
        async with self._database.begin() as connection:
            await connection.execute(insert(operator_invites).values(row))
            await audit.append(connection, None, "operator.invited", str(invite_id), {"may_invite": may_invite})

    async def _one(self, which: ColumnElement[bool]) -> Operator | None:
        query = select(operators).where(which, operators.c.disabled_at.is_(None))
        async with self._database.begin() as connection:
            row = (await connection.execute(query)).one_or_none()
        return None if row is None else operator_of(row)


async def anyone_online(connection: AsyncConnection) -> bool:
    """Say whether an operator is there now."""
    online = select(exists().where(operators.c.online, operators.c.disabled_at.is_(None)))
    return bool(await connection.scalar(online))


async def redeem(
    connection: AsyncConnection, digest: bytes, telegram_id: int, name: str, capacity: int, language: Language
) -> Operator | None:
    """Make a Telegram user an operator by an invite, inside the caller's transaction; None where it is not good.

    Whoever comes with the same one at the same time waits, and then finds it used. An operator who was shut out comes
    back by a new invite.
    """
    good = (
        select(operator_invites.c.id, operator_invites.c.may_invite)
        .where(
            operator_invites.c.digest == digest,
            operator_invites.c.used_at.is_(None),
            operator_invites.c.expires_at > func.now(),
        )
        .with_for_update()
    )
    invite = (await connection.execute(good)).one_or_none()
    if invite is None:
        return None
    made = insert(operators).values(
        id=new_id(),
        name=name,
        telegram_id=telegram_id,
        capacity=capacity,
        may_invite=invite.may_invite,
        language=language,
    )
    changed = made.on_conflict_do_update(
        index_elements=["telegram_id"],
        set_={
            "name": made.excluded.name,
            "may_invite": operators.c.may_invite | made.excluded.may_invite,
            "disabled_at": None,
        },
    ).returning(operators)
    row = (await connection.execute(changed)).one()
    await connection.execute(
        update(operator_invites).where(operator_invites.c.id == invite.id).values(used_by=row.id, used_at=func.now())
    )
    await audit.append(connection, None, "operator.registered", str(row.id), {"invite": str(invite.id)})
    return operator_of(row)


def operator_of(row: Row[Any]) -> Operator:
    """Read an operator from its row."""
    return Operator(
        id=row.id,
        name=row.name,
        account_id=row.account_id,
        telegram_id=row.telegram_id,
        online=row.online,
        capacity=row.capacity,
        may_invite=row.may_invite,
        language=row.language,
    )
