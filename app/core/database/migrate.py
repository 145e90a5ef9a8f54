"""Migrates the database to the latest revision, before the processes of a release start.

Each revision is a transaction of its own, so that no table is locked for longer than its own change takes. The next
release continues after an interruption.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import structlog
from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import text
from sqlalchemy.orm import Session

from swallowtail.app.core.config.settings import Settings
from swallowtail.app.core.database.database import Database
from swallowtail.app.core.database.schema_version import latest_revision

log = structlog.get_logger(__name__)

#: The advisory lock of migrations: an arbitrary number.
_LOCK = 0x5357414C4C4F57
#: Milliseconds that a change of a table waits for its users, while later users wait behind it. Then it retries.
_LOCK_WAIT = 200


def migrate(settings: Settings) -> None:
    """Migrate the database to the latest revision. Tables of a later version stay unchanged. Raises Unavailable.

    Concurrent releases alternate, revision by revision.
    """
    database = Database(settings)
    config = Config()
    config.set_main_option("script_location", "swallowtail.app:migrations")
    upgrade = partial(_upgrade, config, ScriptDirectory.from_config(config))
    try:
        while database.run(upgrade):
            pass
    finally:
        database.dispose()


def _upgrade(config: Config, scripts: ScriptDirectory, session: Session) -> bool:
    """Apply the next revision. Returns whether there was one."""
    connection = session.connection()
    if connection.dialect.name == "postgresql":
        # For this transaction: behind a pooler the next one may use another connection of the server.
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
        connection.execute(text(f"SET LOCAL lock_timeout = {_LOCK_WAIT}"))
    current = MigrationContext.configure(connection).get_current_revision()
    if current is not None and current > latest_revision():
        # Processes of an older version accept the tables of a newer one, too.
        log.warning(
            "database_is_newer", database=current, this=latest_revision(), consequence="its tables are not changed"
        )
        return False
    pending = [script.revision for script in scripts.iterate_revisions("head", current or "base")]
    if pending:
        config.attributes["connection"] = connection
        # As `command.upgrade`, which would read every script again for each revision.
        steps = partial(_steps, scripts, pending[-1])
        with EnvironmentContext(config, scripts, fn=steps, destination_rev=pending[-1]):
            scripts.run_env()
    return bool(pending)


def _steps(scripts: ScriptDirectory, revision: str, current: Any, _: MigrationContext) -> Any:
    return scripts._upgrade_revs(revision, current)
