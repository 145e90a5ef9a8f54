"""Reads the revision of an SQLite database in a millisecond, for the supervisor's start.

`swallowtail.app.core.database.migrate` reads it too, and takes a second to import.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path

from swallowtail.app.core.config.settings import Settings

_VERSIONS = Path(__file__).resolve().parents[2] / "migrations" / "versions"


def is_up_to_date(settings: Settings) -> bool:
    """Return whether an SQLite database is known to have the latest revision; False if it is locked or unreadable."""
    path = settings.database_file
    return path is not None and path.is_file() and _read_revision(path) == latest_revision()


def latest_revision() -> str:
    """Return the latest revision: the highest number in the file names of the migrations."""
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
