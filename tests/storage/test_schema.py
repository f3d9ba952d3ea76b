"""The tables that the code believes in are the tables that the migrations make."""

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, text

from telefonist.errors import ConfigurationError
from telefonist.storage.database import Database
from telefonist.storage.migrate import migrate
from telefonist.storage.schema import metadata


async def test_migrations_make_exactly_the_declared_tables(database: Database) -> None:
    def differences(connection: Connection) -> list[object]:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": False})
        return list(compare_metadata(context, metadata))

    async with database.begin() as connection:
        assert await connection.run_sync(differences) == []


async def test_migrating_twice_changes_nothing(database: Database) -> None:
    await migrate(database.engine)
    await migrate(database.engine)


async def test_a_database_from_a_newer_program_is_refused_with_words(database: Database) -> None:
    async with database.begin() as connection:
        await connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(ConfigurationError, match="version 9999, newer"):
        await migrate(database.engine)
