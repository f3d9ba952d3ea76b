"""Accounts as they are made, and as whoever logs in is compared with them."""

from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from sqlalchemy import Row, Select, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from telefonist.errors import AccessDenied, Conflict
from telefonist.storage import audit, invites, sessions
from telefonist.storage.database import Database
from telefonist.storage.schema import accounts, balances, ledger
from telefonist.types import Account, AccountRole, LedgerKind, new_id

START_CREDITS = "start credits"
"""The reason in the ledger of what a new account is given."""


@dataclass(frozen=True, slots=True)
class StoredLogin:
    """An account and its password as it is stored, hashed; None: nobody can log in."""

    account: Account
    password: str | None = field(repr=False)


class AccountStore:
    """Makes and finds accounts, each together with its balance, and keeps their passwords."""

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
        return account_of(row)

    async def find(self, email: str) -> StoredLogin | None:
        """Find an account by its address, in the form in which addresses are stored."""
        return await self._one(accounts.c.email == email)

    async def get(self, account_id: UUID) -> StoredLogin | None:
        """Find an account by its id."""
        return await self._one(accounts.c.id == account_id)

    async def set_password(
        self,
        account_id: UUID,
        password: str,
        *,
        actor: UUID | None,
        replacing: str | None = None,
        keep_session: UUID | None = None,
    ) -> bool:
        """Store another password's hash, and end every session but one: whoever knew the old one is out.

        With ``replacing`` only where that hash is still the stored one; says whether it was.
        """
        change = update(accounts).where(accounts.c.id == account_id).values(password=password)
        if replacing is not None:
            change = change.where(accounts.c.password == replacing)
        async with self._database.begin() as connection:
            if (await connection.execute(change)).rowcount == 0:
                return False
            await audit.append(connection, actor, "account.password_changed", str(account_id))
            await sessions.revoke_all(connection, account_id, keep_session)
            return True

    async def _one(self, which: Any) -> StoredLogin | None:
        query: Select[Any] = select(accounts).where(which)
        async with self._database.begin() as connection:
            row = (await connection.execute(query)).one_or_none()
        return None if row is None else StoredLogin(account_of(row), row.password)


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


def account_of(row: Row[Any]) -> Account:
    """Read an account from a row that has all of its columns."""
    return Account(
        id=row.id,
        email=row.email,
        role=AccountRole(row.role),
        disabled=row.disabled_at is not None,
        metered=row.metered,
        created_at=row.created_at,
    )
