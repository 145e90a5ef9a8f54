"""/healthz and /readyz: whether this process lives, and whether clients get their events from it. Beside the road.

Ready means: delivery works. The database and the hub are what it stands on, so without either of them the answer is 503
and a load balancer sends clients elsewhere. Redis is only the doorbell: without it the hub finds events in the database
at its next head check, and submissions are kept until a worker can be woken. That is `degraded`, and still 200: every
other web process has lost the same Redis, and taking them all out of service would turn slower into nothing. The
same goes for the broker, for workers that begin nothing, and for beat.
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
from swallowtail.app.core.queries.system_status import PATIENCE, read_vitals
from swallowtail.app.core.runtime import Runtime
from swallowtail.app.delivery.hub import Hub
from swallowtail.app.web.api.schemas.responses import Component, Health, response
from swallowtail.app.web.container import get_web
from swallowtail.app.web.request.json_body import write_json

_TAG = {"name": "Health", "description": "Whether this process works."}
_NOT_READY: dict[int | str, dict[str, str | dict[str, dict[str, Any]]]] = {
    503: {
        "description": "Clients would not get events from this process",
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Health"}}},
    }
}

bp = APIBlueprint("health", __name__, tag=_TAG)

OK, DEGRADED, DOWN = "ok", "degraded", "down"


@bp.get("/healthz")
@bp.output(response(Health))
def show_health() -> Response:
    """Tell that the process lives"""
    return _write({"process": _state(OK, "answers requests")})


@bp.get("/readyz")
@bp.output(response(Health))
@bp.doc(responses=_NOT_READY)
def show_readiness() -> Response:
    """Tell whether delivery works

    503 when clients would not get events from this process; `degraded` when they get them later than usual.
    """
    web = get_web()
    return _write(
        {
            "database": check_database(web.rt),
            "hub": check_hub(web.hub),
            "redis": check_redis(web.hub),
            "broker": check_broker(web.rt),
            **check_work(web.rt),
        }
    )


def check_database(runtime: Runtime) -> Component:
    """Read from it once, without waiting for it to come back."""
    try:
        runtime.db.ping()
        budget = runtime.db.read_budget()
    except SQLAlchemyError as fault:
        reason = reason_of(fault) if isinstance(fault, DBAPIError) else None
        return _state(DOWN, f"cannot be read: {reason or type(fault).__name__}")
    except Unavailable as away:
        return _state(DOWN, f"cannot be read: {away.message}")
    if runtime.db.trouble is not None:
        return _state(DEGRADED, f"can be read, but {runtime.db.trouble}; tasks wait until it takes writes again")
    if budget is None:
        return _state(OK, "can be read")
    return _count_connections(runtime, budget)


def _count_connections(runtime: Runtime, budget: Budget) -> Component:
    db, limits = runtime.db, runtime.settings
    pool = count_pool(db.engine)
    kept = f", {budget.keeps(db.reserve)} of them kept for runs" if db.reserve else ""
    own = f"; this process has {pool.in_use + pool.idle} of at most {pool.limit}" if pool else ""
    told = f"{budget.left} of {budget.most} connections left{kept}{own}"
    if budget.left < limits.database_spare:
        return _state(DEGRADED, f"can be read, but has {told}; tasks may wait for one")
    return _state(OK, f"can be read, and has {told}")


def check_hub(hub: Hub) -> Component:
    """Ask whether it delivers, and whether it is told of events or has to look for them."""
    if not hub.is_running:
        return _state(DOWN, "does not run")
    if not hub.is_subscribed:
        return _state(DEGRADED, "runs, without hints; events come by the head check")
    return _state(OK, "runs")


def check_redis(hub: Hub) -> Component:
    """Ask whether what this process publishes comes back to it. Opens no connection."""
    redis = hub.redis_state
    if redis.state == "receives":
        return _state(OK, redis.detail)
    return _state(DEGRADED, f"{redis.detail}; events come by the head check")


def check_broker(runtime: Runtime) -> Component:
    """Tell what the sweep beside this process was answered. Opens no connection."""
    relay = runtime.relay
    if relay.asked_at is None:
        return _state(OK, "not asked yet")
    if relay.depth is None:
        return _state(DEGRADED, "does not answer; tasks are kept until it takes messages again")
    return _state(OK, f"answers; {relay.depth} messages wait")


def check_work(runtime: Runtime) -> dict[str, Component]:
    """Look whether tasks are begun and slots are decided in time."""
    try:
        with runtime.db.read(wait=PATIENCE) as session:
            seen = read_vitals(session, runtime.settings.count_limit)
    except (SwallowtailError, SQLAlchemyError):
        return {name: _state(DEGRADED, "unknown without the database") for name in ("workers", "tasks", "schedules")}
    most = runtime.settings.ready_wait
    waiting = f"{seen.waiting} or more" if seen.waiting == runtime.settings.count_limit else f"{seen.waiting}"
    return {
        "workers": _state(OK if seen.workers else DEGRADED, f"{seen.workers} live" if seen.workers else "none lives"),
        "tasks": _in_time(seen.oldest_wait, most, f"{waiting} wait for a worker", "for"),
        "schedules": _in_time(seen.beat_lag, most, "slots are decided by beat", "the first is late by"),
    }


def _in_time(seconds: float, most: float, what: str, how: str) -> Component:
    return _state(DEGRADED if seconds > most else OK, f"{what}, {how} {seconds:.0f} s" if seconds else what)


def _state(status: str, detail: str) -> Component:
    return Component(status=status, detail=detail)


def _write(components: dict[str, Component]) -> Response:
    found = {component["status"] for component in components.values()}
    status = next(status for status in (DOWN, DEGRADED, OK) if status in found)
    health = Health(status=status, components=components, process=os.getpid())
    return write_json(health, 503 if status == DOWN else 200)
