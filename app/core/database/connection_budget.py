"""Counts PostgreSQL connections: how many are left, how many are reserved for runs, and how many this process has.

Without a reserve, runs would wait whenever many clients use all connections of the server. So a process that performs
no runs checks the rest after each connection that it opens, and closes the connection if too few are left. Behind a
pooler in transaction mode the check is not possible: the pooler decides which connections exist.
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
#: Looked up once: they are set twice in every transaction.
_IN_USE, _IDLE = POOLED.labels("in_use"), POOLED.labels("idle")

#: Also a value of the label `reason` of `core/database/faults.REFUSALS`.
RESERVED = "the connections that the database has left are kept for runs"
#: The limit and the rest, by the limits of the server, the role and the database. Later connections are not counted:
#: of many that are opened at once, each would be one too many. Other roles' sessions may hide their kind and start.
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
    """The connections of one process: in use, idle, and the limit."""

    in_use: int
    idle: int
    limit: int


def count_pool(engine: Engine) -> Pool | None:
    """Count the connections of this process; None for an engine without a pool."""
    pool = engine.pool
    if not isinstance(pool, QueuePool):
        return None
    # SQLAlchemy has no public name for the largest overflow.
    return Pool(pool.checkedout(), pool.checkedin(), pool.size() + max(0, pool._max_overflow))


def measure_pool(engine: Engine) -> None:
    """Set the gauges of `/metrics` to the connections that this process has now."""
    _set_gauges(count_pool(engine) or Pool(0, 0, 0))


def forget_pool() -> None:
    """Set the gauges to none: a new pool child starts with the values of the child that it replaces."""
    _set_gauges(Pool(0, 0, 0))


def _set_gauges(pool: Pool) -> None:
    _IN_USE.set(pool.in_use)
    _IDLE.set(pool.idle)
    POOL_LIMIT.set(pool.limit)


@dataclass(frozen=True, slots=True)
class Budget:
    """How many connections this process's role may have, and how many of them are free."""

    most: int
    left: int

    def reserved_left(self, reserve: int) -> int:
        """Return how many are reserved for runs: at most half, so that other processes can work."""
        return min(reserve, self.most // 2)


class ConnectionReserve:
    """Opens connections for a process that performs no runs."""

    def __init__(self, number: int) -> None:
        """`number` connections are reserved for the runs of workers."""
        self._number = number
        #: Open while the process does without a further connection.
        self._breaker = CircuitBreaker()

    def connect(self, dialect: Any, record: object, args: Any, options: Any) -> Any:
        """Return a new connection, as a listener of `do_connect`. Raises Unavailable if too few are left."""
        if not self._breaker.allows():
            raise Unavailable(RESERVED)
        try:
            connection, budget = _open(dialect, args, options)
        except BaseException:
            # Not a lack of connections: later callers get the error of their own attempt.
            self._breaker.record_success()
            raise
        if budget.left >= budget.reserved_left(self._number):
            self._breaker.record_success()
            return connection
        connection.close()
        self._breaker.record_failure()
        raise Unavailable(RESERVED)


def _open(dialect: Any, args: Any, options: Any) -> tuple[Any, Budget]:
    connection = dialect.connect(*args, **options)
    try:
        with connection.cursor() as cursor:
            cursor.execute(BUDGET.format(later="false"))
            budget = Budget(*cursor.fetchone())
        connection.rollback()
    except BaseException:
        connection.close()
        raise
    return connection, budget
