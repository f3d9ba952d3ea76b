"""Accounts as administrators see and change them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import Row, Select, func, null, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from telefonist.errors import Conflict, NotFound
from telefonist.storage import audit, sessions
from telefonist.storage.accounts import account_of
from telefonist.storage.database import Database
from telefonist.storage.schema import accounts, balances
from telefonist.types import Account, AccountRole, Balance


@dataclass(frozen=True, slots=True)
class User:
    """An account beside what it has."""

    account: Account
    balance: Balance


class Users:
    """The accounts of people and their programs; those that the service keeps for itself are not among them."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def page(self, search: str, role: AccountRole | None, before: UUID | None, limit: int) -> Sequence[User]:
        """List users, the newest first, from the id ``before`` on (exclusive).

        ``search`` is a part of the address, in any case of letters. Raises Unavailable.
        """
        query = _users().order_by(accounts.c.id.desc()).limit(limit)
        if search:
            query = query.where(accounts.c.email.icontains(search, autoescape=True))
        if role is not None:
            query = query.where(accounts.c.role == role.value)
        if before is not None:
            query = query.where(accounts.c.id < before)
        async with self._database.begin() as connection:
            return [_user(row) for row in await connection.execute(query)]

    async def get(self, account_id: UUID) -> User:
        """Read one user; raises NotFound and Unavailable."""
        async with self._database.begin() as connection:
            return await _read(connection, account_id)

    async def change(
        self, account_id: UUID, role: AccountRole | None, disabled: bool | None, actor_id: UUID | None
    ) -> User:
        """Give a user another role, shut them out or let them in; None leaves a thing as it is.

        What changes is audited; who is shut out loses every login. Raises NotFound, Unavailable, and Conflict where
        nobody would be left to administrate.
        """
        async with self._database.begin() as connection:
            await connection.execute(select(func.pg_advisory_xact_lock(text("hashtext('administrators')"))))
            account = (await _read(connection, account_id)).account
            new_role = role or account.role
            new_disabled = account.disabled if disabled is None else disabled
            if new_role is not AccountRole.ADMIN or new_disabled:
                await _keep_an_administrator(connection, account)
            if new_role is not account.role:
                await _store(connection, account_id, role=new_role.value)
                details = {"from": account.role.value, "to": new_role.value}
                await audit.append(connection, actor_id, "account.role_changed", str(account_id), details)
            if new_disabled and not account.disabled:
                await _store(connection, account_id, disabled_at=func.now())
                await sessions.revoke_all(connection, account_id)
                await audit.append(connection, actor_id, "account.disabled", str(account_id))
            if account.disabled and not new_disabled:
                await _store(connection, account_id, disabled_at=null())
                await audit.append(connection, actor_id, "account.enabled", str(account_id))
            return await _read(connection, account_id)


async def _keep_an_administrator(connection: AsyncConnection, leaving: Account) -> None:
    if leaving.role is not AccountRole.ADMIN or leaving.disabled:
        return
    others = select(accounts.c.id).where(
        accounts.c.role == AccountRole.ADMIN.value, accounts.c.disabled_at.is_(None), accounts.c.id != leaving.id
    )
    if (await connection.execute(others.limit(1))).first() is None:
        raise Conflict("last_admin")


async def _store(connection: AsyncConnection, account_id: UUID, **values: Any) -> None:
    await connection.execute(update(accounts).where(accounts.c.id == account_id).values(**values))


async def _read(connection: AsyncConnection, account_id: UUID) -> User:
    row = (await connection.execute(_users().where(accounts.c.id == account_id))).first()
    if row is None:
        raise NotFound("user_not_found", user=account_id)
    return _user(row)


def _users() -> Select[Any]:
    return (
        select(accounts, balances.c.balance, balances.c.held)
        .join(balances, balances.c.account_id == accounts.c.id)
        .where(accounts.c.email.is_not(None))
    )


def _user(row: Row[Any]) -> User:
    return User(account_of(row), Balance(row.balance, row.held))
