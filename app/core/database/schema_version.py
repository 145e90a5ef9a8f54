"""Which revision an SQLite database's tables are of, told in a millisecond. Off the road: for whoever starts processes.

`swallowtail.app.core.database.migrate` knows it too, and takes a second to import.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path

from swallowtail.app.core.config.settings import Settings

_VERSIONS = Path(__file__).resolve().parents[2] / "migrations" / "versions"


def is_up_to_date(settings: Settings) -> bool:
    """Tell whether the tables are known to be of the latest revision.

    False also where that cannot be told cheaply: on PostgreSQL, and on a database that is locked or cannot be read.
    """
    path = settings.database_file
    return path is not None and path.is_file() and _read_revision(path) == latest_revision()


def latest_revision() -> str:
    """Return the revision that a release migrates to: migrations are numbered, in the names of their files."""
    return max(path.name.partition("_")[0] for path in _VERSIONS.glob("[0-9]*_*.py"))


def _read_revision(path: Path) -> str | None:
    try:
        connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=0)
        try:
            rows = connection.execute("SELECT version_num FROM alembic_version").fetchall()
        finally:
            connection.close()
    except sqlite3.Error:
        return None
    return str(rows[0][0]) if len(rows) == 1 else None
