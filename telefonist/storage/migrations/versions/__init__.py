"""Alembic migrations, applied in order by ``storage.migrate``."""
