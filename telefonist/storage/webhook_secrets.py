"""Webhook secrets at rest: encrypted with a key that is not in the database."""

from base64 import urlsafe_b64encode
from datetime import datetime
from uuid import UUID

from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from sqlalchemy import ColumnElement, func, insert, or_, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from telefonist.errors import ConfigurationError
from telefonist.storage.database import Database
from telefonist.storage.schema import webhook_secrets
from telefonist.types import new_id

PURPOSE = b"telefonist stored webhook secrets"
"""Binds the derived key to this use (HKDF's ``info``, RFC 5869)."""


class WebhookSecretStore:
    """Keeps secrets sealed; ``master`` is TELEFONIST_SECRET, from which the key is derived."""

    def __init__(self, database: Database, master: str) -> None:
        self._database = database
        key = HKDF(algorithm=SHA256(), length=32, salt=None, info=PURPOSE).derive(master.encode())
        self._seal = Fernet(urlsafe_b64encode(key))

    async def live(self, account_id: UUID | None, now: datetime, *, first: str) -> tuple[str, ...]:
        """Read the unexpired secrets, the newest first; where there is none, ``first`` becomes it.

        Raises ConfigurationError when they were sealed under another TELEFONIST_SECRET.
        """
        async with self._database.begin() as connection:
            found = await self._read(connection, account_id, now)
            if not found:
                await self._lock(connection)
                found = await self._read(connection, account_id, now)
                if not found:
                    await self._insert(connection, account_id, first)
                    return (first,)
            return found

    async def add(self, account_id: UUID | None, secret: str, *, others_expire_at: datetime) -> None:
        """Store a new secret and let the others end at a moment."""
        async with self._database.begin() as connection:
            await self._lock(connection)
            await connection.execute(
                update(webhook_secrets)
                .where(
                    _owned_by(account_id),
                    webhook_secrets.c.expires_at.is_(None),
                )
                .values(expires_at=others_expire_at)
            )
            await self._insert(connection, account_id, secret)

    async def _read(self, connection: AsyncConnection, account_id: UUID | None, now: datetime) -> tuple[str, ...]:
        rows = await connection.scalars(
            select(webhook_secrets.c.sealed)
            .where(
                _owned_by(account_id),
                or_(webhook_secrets.c.expires_at.is_(None), webhook_secrets.c.expires_at > now),
            )
            .order_by(webhook_secrets.c.id.desc())
        )
        try:
            return tuple(self._seal.decrypt(sealed).decode() for sealed in rows)
        except InvalidToken:
            raise ConfigurationError(
                "The stored webhook secrets were sealed under another TELEFONIST_SECRET. "
                "Give the service the secret it had before."
            ) from None

    async def _insert(self, connection: AsyncConnection, account_id: UUID | None, secret: str) -> None:
        sealed = self._seal.encrypt(secret.encode())
        await connection.execute(insert(webhook_secrets).values(id=new_id(), account_id=account_id, sealed=sealed))

    async def _lock(self, connection: AsyncConnection) -> None:
        await connection.execute(select(func.pg_advisory_xact_lock(text("hashtext('webhook_secrets')"))))


def _owned_by(account_id: UUID | None) -> ColumnElement[bool]:
    """Pick an account's secrets, or the service's; no index serves IS NOT DISTINCT FROM, and this writes IS NULL."""
    return webhook_secrets.c.account_id == account_id
