"""Accounts: each is made together with its balance, and what is changed about one is audited with the change."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from sqlalchemy import Row, Select, func, null, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from telefonist.errors import AccessDenied, Conflict
from telefonist.storage import audit, invites, sessions
from telefonist.storage.database import Database
from telefonist.storage.schema import accounts, balances, ledger
from telefonist.types import Account, AccountRole, Balance, Json, LedgerKind, new_id

START_CREDITS = "start credits"
"""The reason in the ledger of what a new account is given."""


@dataclass(frozen=True, slots=True)
class StoredLogin:
    """An account and its password as it is stored, hashed; None: nobody can log in."""

    account: Account
    password: str | None = field(repr=False)


class AccountStore:
    """Makes, finds and changes accounts."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def create(
        self,
        email: str,
        password: str,
        role: AccountRole = AccountRole.CLIENT,
        *,
        start: int = 0,
        invite: bytes | None = None,
        by_command: bool = False,
    ) -> Account:
        """Make an account with ``start`` microcredits; ``password`` is a hash and ``invite`` the digest of one.

        Who made it is the account itself or, ``by_command``, whoever runs the service. An invite gives its own role.
        Raises Conflict where the address has an account, and AccessDenied for an invite that is unknown, used, past, or
        somebody else's.
        """
        account_id = new_id()
        async with self._database.begin() as connection:
            claimed = None
            if invite is not None:
                claimed = await invites.claim(connection, invite, email)
                if claimed is None:
                    raise AccessDenied("invite_not_accepted")
                role = claimed[1]
            row = (
                await connection.execute(
                    insert(accounts)
                    .values(id=account_id, email=email, password=password, role=role.value)
                    .on_conflict_do_nothing(index_elements=["email"])
                    .returning(accounts)
                )
            ).one_or_none()
            if row is None:
                raise Conflict("email_taken", email=email)
            if claimed is not None:
                await invites.use(connection, claimed[0], account_id)
            await _open_balance(connection, account_id, start)
            actor = None if by_command else account_id
            await audit.append(connection, actor, "account.created", str(account_id), {"role": role.value})
        return _account(row)

    async def find(self, email: str) -> StoredLogin | None:
        """Find an account by its address, in the form in which addresses are stored."""
        return await self._one(accounts.c.email == email)

    async def get(self, account_id: UUID) -> StoredLogin | None:
        """Find an account by its id."""
        return await self._one(accounts.c.id == account_id)

    async def page(
        self, *, search: str = "", before: UUID | None = None, limit: int = 50
    ) -> Sequence[tuple[Account, Balance]]:
        """List accounts with their balances, the newest first; those that the service keeps for itself are left out.

        ``search`` is a part of the address, ``before`` the id of the last account of the page before.
        """
        query = (
            select(accounts, balances.c.balance, balances.c.held)
            .join(balances, balances.c.account_id == accounts.c.id)
            .where(accounts.c.email.is_not(None))
            .order_by(accounts.c.id.desc())
            .limit(limit)
        )
        if search:
            query = query.where(accounts.c.email.contains(search.lower(), autoescape=True))
        if before is not None:
            query = query.where(accounts.c.id < before)
        async with self._database.begin() as connection:
            rows = (await connection.execute(query)).all()
        return [(_account(row), Balance(row.balance, row.held)) for row in rows]

    async def set_password(
        self, account_id: UUID, password: str, *, actor: UUID | None, keep_session: UUID | None = None
    ) -> None:
        """Store another password's hash, and end every session but one: whoever knew the old one is out."""
        async with self._database.begin() as connection:
            await _change(connection, account_id, {"password": password}, "account.password_changed", actor)
            await sessions.revoke_all(connection, account_id, keep_session)

    async def set_role(self, account_id: UUID, role: AccountRole, *, actor: UUID | None) -> None:
        """Give an account another role."""
        async with self._database.begin() as connection:
            await _change(
                connection, account_id, {"role": role.value}, "account.role_changed", actor, {"role": role.value}
            )

    async def disable(self, account_id: UUID, *, actor: UUID | None) -> None:
        """Shut an account out: its sessions end, its keys wait for it to be enabled."""
        async with self._database.begin() as connection:
            since = func.coalesce(accounts.c.disabled_at, func.now())
            await _change(connection, account_id, {"disabled_at": since}, "account.disabled", actor)
            await sessions.revoke_all(connection, account_id)

    async def enable(self, account_id: UUID, *, actor: UUID | None) -> None:
        """Let an account in again."""
        async with self._database.begin() as connection:
            await _change(connection, account_id, {"disabled_at": null()}, "account.enabled", actor)

    async def _one(self, which: Any) -> StoredLogin | None:
        query: Select[Any] = select(accounts).where(which)
        async with self._database.begin() as connection:
            row = (await connection.execute(query)).one_or_none()
        return None if row is None else StoredLogin(_account(row), row.password)


async def _open_balance(connection: AsyncConnection, account_id: UUID, start: int) -> None:
    await connection.execute(insert(balances).values(account_id=account_id, balance=start, entries=1 if start else 0))
    if start:
        await connection.execute(
            insert(ledger).values(
                account_id=account_id,
                number=1,
                id=new_id(),
                kind=LedgerKind.TOP_UP.value,
                amount=start,
                balance=start,
                reason=START_CREDITS,
            )
        )


async def _change(
    connection: AsyncConnection,
    account_id: UUID,
    values: Json,
    action: str,
    actor: UUID | None,
    details: Json | None = None,
) -> None:
    await connection.execute(update(accounts).where(accounts.c.id == account_id).values(**values))
    await audit.append(connection, actor, action, str(account_id), details)


def _account(row: Row[Any]) -> Account:
    return Account(
        id=row.id,
        email=row.email,
        role=AccountRole(row.role),
        disabled=row.disabled_at is not None,
        metered=row.metered,
        created_at=row.created_at,
    )
