"""Brings the tables to the newest shape, once however many processes start together."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import AsyncEngine

from telefonist.errors import ConfigurationError

ADVISORY_LOCK = 0x7E1EF0
"""The key of the PostgreSQL advisory lock under which migrations run."""


async def migrate(engine: AsyncEngine) -> None:
    """Apply the migrations that are missing, under an advisory lock that ends with the transaction.

    Raises ConfigurationError when the database is newer than this program.
    """
    async with engine.begin() as connection:
        await connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": ADVISORY_LOCK})
        await connection.run_sync(_upgrade)


def alembic_config(connection: Connection) -> Config:
    """Make Alembic's configuration for a connection, without an ini file."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config


def _upgrade(connection: Connection) -> None:
    config = alembic_config(connection)
    scripts = ScriptDirectory.from_config(config)
    current = MigrationContext.configure(connection).get_current_revision()
    known = {revision.revision for revision in scripts.walk_revisions()}
    if current is not None and current not in known:
        raise ConfigurationError(
            f"The database has schema version {current}, newer than this program knows. "
            "Run the newer Telefonist, or restore a backup made by this version."
        )
    if current != scripts.get_current_head():
        command.upgrade(config, "head")
