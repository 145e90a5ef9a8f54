"""Serves /healthz and /readyz: whether this process runs, and whether it delivers events to clients.

Ready means that delivery works. It needs the database and the hub: if one of them is down, the response is 503 and a
load balancer sends clients to another process. Without Redis the hub still finds events in the database at its next
head check, so the status is `degraded` with 200: all web processes share that Redis, and taking them all out of service
would stop what is only slower. The same applies to the broker, to workers that start nothing, and to beat.
"""

from __future__ import annotations

import os
from typing import Any

from apiflask import APIBlueprint
from flask import Response
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from swallowtail.app.core.database.connection_budget import Budget, count_pool
from swallowtail.app.core.database.faults import reason_of
from swallowtail.app.core.errors import SwallowtailError, Unavailable
from swallowtail.app.core.queries.system_status import LONGEST_WAIT, read_system_status
from swallowtail.app.core.runtime import Runtime
from swallowtail.app.delivery.hub import Hub
from swallowtail.app.web.api.schemas.responses import Component, Health, response
from swallowtail.app.web.container import get_container
from swallowtail.app.web.request.json_body import write_json

_TAG = {"name": "Health", "description": "State of this process."}
_NOT_READY: dict[int | str, dict[str, str | dict[str, dict[str, Any]]]] = {
    503: {
        "description": "This process does not deliver events",
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Health"}}},
    }
}

bp = APIBlueprint("health", __name__, tag=_TAG)

OK, DEGRADED, DOWN = "ok", "degraded", "down"


@bp.get("/healthz")
@bp.output(response(Health))
def show_health() -> Response:
    """Check that the process runs"""
    return _write_health({"process": _state(OK, "responds to requests")})


@bp.get("/readyz")
@bp.output(response(Health))
@bp.doc(responses=_NOT_READY)
def show_readiness() -> Response:
    """Check that the process delivers events

    503 if this process does not deliver events; `degraded` if it delivers them later than usual.
    """
    web = get_container()
    return _write_health(
        {
            "database": check_database(web.rt),
            "hub": check_hub(web.hub),
            "redis": check_redis(web.hub),
            "broker": check_broker(web.rt),
            **check_work(web.rt),
        }
    )


def check_database(runtime: Runtime) -> Component:
    """Check that the database can be read, without waiting for it."""
    try:
        runtime.db.ping()
        budget = runtime.db.read_budget()
    except SQLAlchemyError as fault:
        reason = reason_of(fault) if isinstance(fault, DBAPIError) else None
        return _state(DOWN, f"cannot be read: {reason or type(fault).__name__}")
    except Unavailable as away:
        return _state(DOWN, f"cannot be read: {away.message}")
    if runtime.db.write_fault is not None:
        return _state(DEGRADED, f"can be read, but {runtime.db.write_fault}; tasks wait until it takes writes again")
    if budget is None:
        return _state(OK, "can be read")
    return _count_connections(runtime, budget)


def _count_connections(runtime: Runtime, budget: Budget) -> Component:
    db, limits = runtime.db, runtime.settings
    pool = count_pool(db.engine)
    reserve = f", {budget.reserved_left(db.reserve)} of them kept for runs" if db.reserve else ""
    own = f"; this process has {pool.in_use + pool.idle} of at most {pool.limit}" if pool else ""
    usage = f"{budget.left} of {budget.most} connections left{reserve}{own}"
    if budget.left < limits.database_spare:
        return _state(DEGRADED, f"can be read, but has {usage}; tasks may wait for one")
    return _state(OK, f"can be read, and has {usage}")


def check_hub(hub: Hub) -> Component:
    """Check that the hub runs and receives messages from Redis."""
    if not hub.head_check.is_running:
        return _state(DOWN, "not running")
    if not hub.subscriber.is_connected:
        return _state(DEGRADED, "running without Redis messages; events are found by the head check")
    return _state(OK, "running")


def check_redis(hub: Hub) -> Component:
    """Check that messages of this process return through Redis. Opens no connection."""
    redis = hub.self_check.state
    if redis.state == "receives":
        return _state(OK, redis.detail)
    return _state(DEGRADED, f"{redis.detail}; events are found by the head check")


def check_broker(runtime: Runtime) -> Component:
    """Report the broker's last reply to the sweeper of this process. Opens no connection."""
    relay = runtime.relay
    if relay.read_at is None:
        return _state(OK, "not checked yet")
    if relay.depth is None:
        return _state(DEGRADED, "does not respond; tasks wait in the outbox until it accepts messages")
    return _state(OK, f"responds; {relay.depth} messages queued")


def check_work(runtime: Runtime) -> dict[str, Component]:
    """Check that tasks start and schedule slots fire in time."""
    try:
        with runtime.db.read(wait=LONGEST_WAIT) as session:
            status = read_system_status(session, runtime.settings.count_limit)
    except (SwallowtailError, SQLAlchemyError):
        return {name: _state(DEGRADED, "unknown without the database") for name in ("workers", "tasks", "schedules")}
    most = runtime.settings.ready_wait
    waiting = f"{status.waiting} or more" if status.waiting == runtime.settings.count_limit else f"{status.waiting}"
    return {
        "workers": _state(
            OK if status.workers else DEGRADED, f"{status.workers} running" if status.workers else "none running"
        ),
        "tasks": _in_time(status.oldest_wait, most, f"{waiting} waiting for a worker", "for"),
        "schedules": _in_time(status.beat_lag, most, "beat fires slots", "the earliest is late by"),
    }


def _in_time(seconds: float, most: float, what: str, how: str) -> Component:
    return _state(DEGRADED if seconds > most else OK, f"{what}, {how} {seconds:.0f} s" if seconds else what)


def _state(status: str, detail: str) -> Component:
    return Component(status=status, detail=detail)


def _write_health(components: dict[str, Component]) -> Response:
    statuses = {component["status"] for component in components.values()}
    status = next(status for status in (DOWN, DEGRADED, OK) if status in statuses)
    health = Health(status=status, components=components, process=os.getpid())
    return write_json(health, 503 if status == DOWN else 200)
