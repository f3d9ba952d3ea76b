"""The tables that the code believes in are the tables that the migrations make."""

import asyncio

import asyncpg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, text

from telefonist.errors import ConfigurationError
from telefonist.storage.database import Database
from telefonist.storage.migrate import NEWEST, migrate
from telefonist.storage.schema import metadata
from telefonist.types import new_id
from tests.conftest import with_database


async def test_migrations_make_exactly_the_declared_tables(database: Database) -> None:
    def differences(connection: Connection) -> list[object]:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": False})
        return list(compare_metadata(context, metadata))

    async with database.begin() as connection:
        assert await connection.run_sync(differences) == []


async def test_migrating_twice_changes_nothing(database: Database) -> None:
    await migrate(database)
    await migrate(database)


async def test_a_database_from_a_newer_program_is_refused_with_words(database: Database) -> None:
    async with database.begin() as connection:
        await connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(ConfigurationError, match="version 9999, newer"):
        await migrate(database)


async def test_processes_that_start_at_once_migrate_once(postgres: str) -> None:
    connection = await asyncpg.connect(postgres)
    name = f"test_{new_id().hex}"
    await connection.execute(f"CREATE DATABASE {name}")
    databases = [Database(with_database(postgres, name)) for _ in range(4)]
    await asyncio.gather(*(migrate(database) for database in databases))
    async with databases[0].begin() as open_one:
        assert await open_one.scalar(text("SELECT version_num FROM alembic_version")) == NEWEST
    for database in databases:
        await database.close()
    await connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
    await connection.close()
