"""Brings the tables to the newest shape, once however many processes start together."""

from pathlib import Path

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from telefonist.storage.database import Database

ADVISORY_LOCK = 0x7E1EF0
"""The key of the PostgreSQL advisory lock under which migrations run."""

MIGRATIONS = Path(__file__).parent / "migrations"
NEWEST = max(path.name.partition("_")[0] for path in (MIGRATIONS / "versions").glob("[0-9]*.py"))
"""The version that this program wants; migrations are numbered in their order."""


async def migrate(database: Database) -> None:
    """Apply the migrations that are missing, under an advisory lock that ends with the transaction.

    Raises ConfigurationError when the database is newer than this program, and Unavailable.
    """
    async with database.begin() as connection:
        if await _version(connection) == NEWEST:
            return
        # Alembic costs a tenth of our memory and start-up time; nearly every start does without.
        from telefonist.storage.migrations.upgrade import upgrade

        await connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": ADVISORY_LOCK})
        await connection.run_sync(upgrade, MIGRATIONS)


async def _version(connection: AsyncConnection) -> str | None:
    if await connection.scalar(text("SELECT to_regclass('alembic_version')")) is None:
        return None
    version: str | None = await connection.scalar(text("SELECT version_num FROM alembic_version"))
    return version
