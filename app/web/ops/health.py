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

from swallowtail.app.core.health import DEGRADED, DOWN, OK, check_broker, check_database, check_work, component
from swallowtail.app.core.schemas.components import Component
from swallowtail.app.delivery.hub import Hub
from swallowtail.app.web.api.schemas.responses import Health, response
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


@bp.get("/healthz")
@bp.output(response(Health))
def show_health() -> Response:
    """Check that the process runs"""
    return _write_health({"process": component(OK, "responds to requests")})


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


def check_hub(hub: Hub) -> Component:
    """Check that the hub runs and receives messages from Redis."""
    if not hub.head_check.is_running:
        return component(DOWN, "not running")
    if not hub.subscriber.is_connected:
        return component(DEGRADED, "running without Redis messages; events are found by the head check")
    return component(OK, "running")


def check_redis(hub: Hub) -> Component:
    """Check that messages of this process return through Redis. Opens no connection."""
    redis = hub.self_check.state
    if redis.state == "receives":
        return component(OK, redis.detail)
    return component(DEGRADED, f"{redis.detail}; events are found by the head check")


def _write_health(components: dict[str, Component]) -> Response:
    statuses = {component["status"] for component in components.values()}
    status = next(status for status in (DOWN, DEGRADED, OK) if status in statuses)
    health = Health(status=status, components=components, process=os.getpid())
    return write_json(health, 503 if status == DOWN else 200)
