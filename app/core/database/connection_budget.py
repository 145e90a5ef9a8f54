"""Connections to PostgreSQL: how many are left, and how many of them are kept for runs; and how many a process has.

Below `core/database/engines`.

Without a share of their own, runs would wait for a connection whenever a crowd of clients has taken all that the server
gives. So a process that performs no runs looks, whenever it has opened a connection, what is left, and gives it back if
too few are. It looks at no other time. Behind a pooler in transaction mode there is nothing to see: which connections
there are, the pooler decides.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

from prometheus_client import Gauge
from sqlalchemy import Engine
from sqlalchemy.pool import QueuePool

from swallowtail.app.core.errors import Unavailable
from swallowtail.app.core.process.circuit_breaker import CircuitBreaker

POOLED = Gauge(
    "swallowtail_database_connections",
    "Connections of this process to the database",
    ["state"],
    multiprocess_mode="livesum",
)
POOL_LIMIT = Gauge(
    "swallowtail_database_pool_limit",
    "Connections that this process may have to the database",
    multiprocess_mode="livesum",
)
#: Found once: they are set twice in every transaction.
_IN_USE, _IDLE = POOLED.labels("in_use"), POOLED.labels("idle")

RESERVED = "the connections that the database has left are kept for runs"
#: By the three limits that there are, the server's, the role's and the database's: what there may be, and what is left.
#: Those that came later are not counted, or of many that are opened at once each would be one too many. Of other roles'
#: sessions neither kind nor beginning is shown to all.
BUDGET = """
    WITH mine AS (SELECT backend_start AS since FROM pg_stat_activity WHERE pid = pg_backend_pid()),
    used AS (
        SELECT count(*) AS whole, count(*) FILTER (WHERE usename = current_user) AS role,
            count(*) FILTER (WHERE datname = current_database()) AS base
        FROM pg_stat_activity WHERE datid IS NOT NULL AND coalesce(backend_type, 'client backend') = 'client backend'
            AND (backend_start IS NULL OR backend_start <= (SELECT since FROM mine) OR {later})
    ),
    most AS (
        SELECT current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int
                - coalesce(current_setting('reserved_connections', true)::int, 0) AS whole,
            (SELECT nullif(rolconnlimit, -1) FROM pg_roles WHERE rolname = current_user) AS role,
            (SELECT nullif(datconnlimit, -1) FROM pg_database WHERE datname = current_database()) AS base
    )
    SELECT least(most.whole, most.role, most.base),
        greatest(0, least(most.whole - used.whole, most.role - used.role, most.base - used.base))
    FROM most, used
"""


class Pool(NamedTuple):
    """The connections of one process: those that are used, those that wait to be, and how many there may be."""

    in_use: int
    idle: int
    limit: int


def count_pool(engine: Engine) -> Pool | None:
    """Count the connections of this process; None when it keeps none."""
    pool = engine.pool
    if not isinstance(pool, QueuePool):
        return None
    # SQLAlchemy tells the size, and the overflow only once it is used.
    return Pool(pool.checkedout(), pool.checkedin(), pool.size() + max(0, pool._max_overflow))


def measure_pool(engine: Engine) -> None:
    """Note for `/metrics` how many connections this process has now. For whoever has taken one, or given one back."""
    _note(count_pool(engine) or Pool(0, 0, 0))


def forget_pool() -> None:
    """Note that this process has none. A pool child goes on with the numbers of the one whose place it takes."""
    _note(Pool(0, 0, 0))


def _note(pool: Pool) -> None:
    _IN_USE.set(pool.in_use)
    _IDLE.set(pool.idle)
    POOL_LIMIT.set(pool.limit)


@dataclass(frozen=True, slots=True)
class Budget:
    """How many connections there may be for this process's role, and how many of them nobody has."""

    most: int
    left: int

    def keeps(self, reserve: int) -> int:
        """Return how many are kept for runs: of few, at most half, so that the others can work at all."""
        return min(reserve, self.most // 2)


class Reserve:
    """Opens connections for a process that performs no runs."""

    def __init__(self, number: int) -> None:
        """`number` connections are left to the runs of workers."""
        self._number = number
        #: Open while the process does without a further connection.
        self._breaker = CircuitBreaker()

    def connect(self, dialect: Any, record: object, args: Any, options: Any) -> Any:
        """Return a new connection. For SQLAlchemy's event of that name.

        Raises:
            Unavailable: there are too few left.
        """
        if not self._breaker.allows():
            raise Unavailable(RESERVED)
        connection = dialect.connect(*args, **options)
        try:
            with connection.cursor() as cursor:
                cursor.execute(BUDGET.format(later="false"))
                budget = Budget(*cursor.fetchone())
            connection.rollback()
        except BaseException:
            connection.close()
            raise
        if budget.left >= budget.keeps(self._number):
            self._breaker.record_success()
            return connection
        connection.close()
        self._breaker.record_failure()
        raise Unavailable(RESERVED)
