"""A database that refuses writes, with the errors of the real one."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, event

from swallowtail.app.core.database.database import Database

#: The answers that are tried, by what makes the database give them: SQLite's pragma, or PostgreSQL's code.
SQLITE_REFUSALS = {
    "query_only=1": "the database takes no writes",
    "max_page_count=1": "the database's disk is full",
}
POSTGRES_REFUSALS = {
    "25006": "the database takes no writes",
    "53100": "the database's disk is full",
    "53200": "the database is out of resources",
    "53300": "the database has no connection left",
    "57014": "the database ended the statement",
    "58030": "the database cannot read or write its disk",
}


class Refusing:
    """Makes every write of a process's database be refused while `how` is set."""

    def __init__(self, db: Database) -> None:
        self.how: str | None = None
        #: How many transactions met it.
        self.met = 0
        self._is_sqlite = db.engine.dialect.name == "sqlite"
        event.listen(db.engine, "begin", self._begin)
        event.listen(db.engine, "checkin", self._restore)
        event.listen(db.engine, "before_cursor_execute", self._before)

    def _begin(self, connection: Connection) -> None:
        if self._is_sqlite and self.how is not None:
            self.met += 1
            connection.connection.cursor().execute(f"PRAGMA {self.how}")

    def _restore(self, connection: Any, _: object) -> None:
        if self._is_sqlite and connection is not None:
            for pragma in ("query_only=0", "max_page_count=1000000"):
                connection.execute(f"PRAGMA {pragma}")

    def _before(self, connection: Connection, cursor: Any, statement: str, *_: Any) -> None:
        if self._is_sqlite or self.how is None or not statement.startswith(("INSERT", "UPDATE", "DELETE")):
            return
        self.met += 1
        cursor.execute(f"DO $$ BEGIN RAISE EXCEPTION 'refused' USING ERRCODE = '{self.how}'; END $$")
