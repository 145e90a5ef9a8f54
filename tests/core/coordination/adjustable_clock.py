"""Clocks that tests can set: the clock of a database, and the steady clock of a process."""

from __future__ import annotations

import time
from typing import Any

from sqlalchemy import event, text

from tests.core.domain import Domain

#: An adjustable clock that the search path of PostgreSQL finds before the real one.
FALSE_CLOCK = """
DROP SCHEMA IF EXISTS false_clock CASCADE;
CREATE SCHEMA false_clock;
CREATE TABLE false_clock.off AS SELECT 0::float8 AS seconds;
CREATE FUNCTION false_clock.clock_timestamp() RETURNS timestamptz LANGUAGE sql VOLATILE AS
    'SELECT pg_catalog.clock_timestamp() + make_interval(secs => seconds) FROM false_clock.off';
"""


class AdjustableClock:
    """The clock of a domain's database, which a test can set."""

    def __init__(self, domain: Domain) -> None:
        self.domain = domain
        self.off = 0.0
        self.is_sqlite = domain.db.engine.dialect.name == "sqlite"
        if not self.is_sqlite:
            with domain.db.write() as session:
                session.execute(text(FALSE_CLOCK))
        event.listen(domain.db.engine, "connect", self._falsify)
        domain.db.dispose()

    def _falsify(self, connection: Any, _: object) -> None:
        if self.is_sqlite:
            connection.create_function("julianday", 1, lambda _: (time.time() + self.off) / 86400.0 + 2440587.5)
            return
        connection.cursor().execute("SET search_path = false_clock, pg_catalog, public")
        connection.commit()

    def jump(self, seconds: float) -> None:
        """Set the clock by so many seconds."""
        self.off += seconds
        if not self.is_sqlite:
            with self.domain.db.write() as session:
                session.execute(text("UPDATE false_clock.off SET seconds = :off"), {"off": self.off})

    def close(self) -> None:
        """Remove the adjustable clock from the database."""
        if not self.is_sqlite:
            with self.domain.db.write() as session:
                session.execute(text("DROP SCHEMA false_clock CASCADE"))


class SteadyClock:
    """The steady clock of a process, which a test can move. It runs with the time, unless `runs` is false."""

    def __init__(self, *, runs: bool = True) -> None:
        self.runs = runs
        self.off = 0.0

    def __call__(self) -> float:
        return self.off + (time.monotonic() if self.runs else 0.0)
