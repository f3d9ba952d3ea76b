"""Running Alembic, without an ini file, on a connection that is already open."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from telefonist.errors import ConfigurationError


def upgrade(connection: Connection, folder: Path) -> None:
    """Apply what is missing; raises ConfigurationError for a database that is newer than this program."""
    config = Config()
    config.set_main_option("script_location", str(folder))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
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
