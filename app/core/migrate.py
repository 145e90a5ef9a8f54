"""Brings the database's tables to the latest revision. Off the road: a release does it before the processes start."""

from __future__ import annotations

from alembic import command
from alembic.config import Config
from sqlalchemy import text

from app.core.db import Database
from app.core.settings import Settings

#: The advisory lock of a migration: any number that nothing else in the database uses.
_LOCK = 0x5357414C4C4F57


def migrate(settings: Settings) -> None:
    """Bring the database's tables to the latest revision. Two releases at once take turns.

    Raises:
        Unavailable: the database stayed locked or away for `database_wait`.
    """
    database = Database(settings)
    try:
        with database.write() as session:
            connection = session.connection()
            if connection.dialect.name == "postgresql":
                connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
            config = Config(attributes={"connection": connection})
            config.set_main_option("script_location", "app:migrations")
            command.upgrade(config, "head")
    finally:
        database.dispose()
