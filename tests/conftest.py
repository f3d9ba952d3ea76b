"""What every room's tests share: a real PostgreSQL, a fresh database for each test that asks for one."""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import asyncpg
import pytest
import structlog

from telefonist.storage.database import Database
from telefonist.storage.embedded import EmbeddedPostgres
from telefonist.storage.migrate import migrate
from telefonist.types import new_id

TEMPLATE = "migrated"


def log_plainly() -> None:
    """Log as structlog does where nobody told it how, but without drawing tracebacks, which takes seconds."""
    structlog.reset_defaults()
    *processors, renderer = structlog.get_config()["processors"]
    assert isinstance(renderer, structlog.dev.ConsoleRenderer)
    plain = structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
    structlog.configure(processors=[*processors, plain])


log_plainly()


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """Run the embedded PostgreSQL for the whole session; gives the DSN of a database to connect to first."""
    with open_folder() as folder:
        server = EmbeddedPostgres(folder)
        info = asyncio.run(server.start())
        try:
            asyncio.run(_make_template(info.dsn))
            yield info.dsn
        finally:
            asyncio.run(server.stop())


@contextmanager
def open_folder() -> Iterator[Path]:
    """Make a temporary folder that PostgreSQL's own user can enter, unlike pytest's; it is removed in the end."""
    with tempfile.TemporaryDirectory(prefix="telefonist-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder


@pytest.fixture
async def dsn(postgres: str) -> AsyncIterator[str]:
    """Give the DSN of a new database with every migration applied."""
    async with new_database(postgres) as dsn:
        yield dsn


@asynccontextmanager
async def new_database(postgres: str) -> AsyncIterator[str]:
    """Make a database with every migration applied, which is dropped in the end; gives its DSN."""
    name = f"test_{new_id().hex}"
    await _command(postgres, f"CREATE DATABASE {name} TEMPLATE {TEMPLATE}")
    yield with_database(postgres, name)
    await _command(postgres, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
async def database(dsn: str) -> AsyncIterator[Database]:
    """Give an open database with every migration applied."""
    database = Database(dsn)
    yield database
    await database.close()


def with_database(dsn: str, name: str) -> str:
    """Point a DSN to another database of the same server."""
    head, _, query = dsn.partition("?")
    return f"{head.rpartition('/')[0]}/{name}?{query}"


async def _make_template(dsn: str) -> None:
    await _command(dsn, "ALTER SYSTEM SET fsync = off")  # these databases end with the session
    await _command(dsn, "SELECT pg_reload_conf()")
    await _command(dsn, f"CREATE DATABASE {TEMPLATE}")
    database = Database(with_database(dsn, TEMPLATE))
    await migrate(database)
    await database.close()


async def _command(dsn: str, statement: str) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()
