"""Beside the road: brings a deployment up to date before its processes start.

`python -m scripts.release` may run any number of times. Migrates the database, publishes the agents' cards and makes
sure that the demo instance exists.
"""

from __future__ import annotations

import subprocess
import sys

from alembic import command
from alembic.config import Config
from sqlalchemy import text

from app.core import actions
from app.core.db import Database
from app.core.errors import Conflict, SwallowtailError
from app.core.runtime import Runtime
from app.core.settings import Settings, load_settings

#: The advisory lock of a migration: any number that nothing else in the database uses.
_LOCK = 0x5357414C4C4F57


def main() -> None:
    """Run every step to its end; exit with 1 and a sentence when one fails."""
    try:
        release(load_settings())
    except SwallowtailError as failure:
        sys.exit(f"release: {failure.message}")


def release(settings: Settings) -> None:
    """Bring the database up to date, fill the catalogue and create the demo instance."""
    migrate(settings)
    # A process of its own: agents are the workers' business, and the scripts do not import them.
    cards = subprocess.run([sys.executable, "-m", "workers.catalogue"], check=False)
    if cards.returncode != 0:
        sys.exit(cards.returncode)
    if settings.demo_instance:
        create_demo(settings)


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


def create_demo(settings: Settings) -> None:
    """Create the demo instance unless it is there."""
    runtime = Runtime.build(settings)
    try:
        actions.create_instance(runtime, "Demo", settings.demo_instance)
        print(f"created the instance {settings.demo_instance}")
    except Conflict:
        print(f"the instance {settings.demo_instance} is there")
    finally:
        runtime.close()


if __name__ == "__main__":
    main()
