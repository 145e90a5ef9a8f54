"""Checks the database, the broker, and whether work is done in time: for readiness and for `swallowtail doctor`."""

from __future__ import annotations

from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from swallowtail.app.core.database.connection_budget import Budget, count_pool
from swallowtail.app.core.database.faults import reason_of
from swallowtail.app.core.errors import SwallowtailError, Unavailable
from swallowtail.app.core.queries.system_status import LONGEST_WAIT, read_system_status
from swallowtail.app.core.runtime import Runtime
from swallowtail.app.core.schemas.components import Component

OK, DEGRADED, DOWN = "ok", "degraded", "down"


def component(status: str, detail: str) -> Component:
    """Return the state of a component."""
    return Component(status=status, detail=detail)


def check_database(runtime: Runtime) -> Component:
    """Check that the database can be read, without waiting for it."""
    try:
        runtime.db.ping()
        budget = runtime.db.read_budget()
    except SQLAlchemyError as fault:
        reason = reason_of(fault) if isinstance(fault, DBAPIError) else None
        return component(DOWN, f"cannot be read: {reason or type(fault).__name__}")
    except Unavailable as away:
        return component(DOWN, f"cannot be read: {away.message}")
    if runtime.db.write_fault is not None:
        return component(DEGRADED, f"can be read, but {runtime.db.write_fault}; tasks wait until it takes writes again")
    if budget is None:
        return component(OK, "can be read")
    return _count_connections(runtime, budget)


def _count_connections(runtime: Runtime, budget: Budget) -> Component:
    db, limits = runtime.db, runtime.settings
    pool = count_pool(db.engine)
    reserve = f", {budget.reserved_left(db.reserve)} of them kept for runs" if db.reserve else ""
    own = f"; this process has {pool.in_use + pool.idle} of at most {pool.limit}" if pool else ""
    usage = f"{budget.left} of {budget.most} connections left{reserve}{own}"
    if budget.left < limits.database_spare:
        return component(DEGRADED, f"can be read, but has {usage}; tasks may wait for one")
    return component(OK, f"can be read, and has {usage}")


def check_broker(runtime: Runtime) -> Component:
    """Report the broker's last reply to the sweeper of this process. Opens no connection."""
    relay = runtime.relay
    if relay.read_at is None:
        return component(OK, "not checked yet")
    if relay.depth is None:
        return component(DEGRADED, "does not respond; tasks wait in the outbox until it accepts messages")
    return component(OK, f"responds; {relay.depth} messages queued")


def check_work(runtime: Runtime) -> dict[str, Component]:
    """Check that tasks start and schedule slots fire in time."""
    try:
        with runtime.db.read(wait=LONGEST_WAIT) as session:
            status = read_system_status(session, runtime.settings.count_limit)
    except (SwallowtailError, SQLAlchemyError):
        return {name: component(DEGRADED, "unknown without the database") for name in ("workers", "tasks", "schedules")}
    most = runtime.settings.ready_wait
    waiting = f"{status.waiting} or more" if status.waiting == runtime.settings.count_limit else f"{status.waiting}"
    return {
        "workers": component(
            OK if status.workers else DEGRADED, f"{status.workers} running" if status.workers else "none running"
        ),
        "tasks": _in_time(status.oldest_wait, most, f"{waiting} waiting for a worker", "for"),
        "schedules": _in_time(status.beat_lag, most, "beat fires slots", "the earliest is late by"),
    }


def _in_time(seconds: float, most: float, what: str, how: str) -> Component:
    return component(DEGRADED if seconds > most else OK, f"{what}, {how} {seconds:.0f} s" if seconds else what)
