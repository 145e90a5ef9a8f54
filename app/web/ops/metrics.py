"""Serves /metrics for Prometheus, and measures requests.

Processes that share an address (`app/web/serving/multiprocess`) write their metrics into one directory, so that each of
them reports the sums: counters and histograms over all processes so far, gauges over the live ones.
"""

from __future__ import annotations

import os
import time
from typing import Any

from apiflask import APIBlueprint
from flask import Flask, Response, g, request
from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

from swallowtail.app.core.queries.system_status import SystemStatusCollector
from swallowtail.app.core.security.permissions import require_outside
from swallowtail.app.core.security.roles import Act
from swallowtail.app.web.container import WebContainer, get_container
from swallowtail.app.web.request.current_caller import get_caller

REQUESTS = Counter("swallowtail_http_requests_total", "HTTP requests", ["method", "route", "status"])
SECONDS = Histogram("swallowtail_http_request_seconds", "Time until the response is ready", ["method", "route"])
CONNECTIONS = Gauge(
    "swallowtail_connections",
    "Open connections of Socket.IO clients",
    ["engine", "transport"],
    multiprocess_mode="livesum",
)

#: The environment variable that prometheus_client reads for the directory of the metrics files.
DIRECTORY = "PROMETHEUS_MULTIPROC_DIR"
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
#: Without escaped names; the latest format of prometheus_client differs between its versions.
_TEXT_FORMAT = "text/plain; version=0.0.4; charset=utf-8"
_TAG = {"name": "Metrics", "description": "Metrics of the processes that share this address."}
_TEXT: dict[int | str, dict[str, str | dict[str, dict[str, Any]]]] = {
    200: {"description": "Text for Prometheus", "content": {"text/plain": {"schema": {"type": "string"}}}}
}

bp = APIBlueprint("metrics", __name__, tag=_TAG)


def register(app: Flask) -> None:
    """Measure every request."""
    app.before_request(_start)
    app.after_request(_count)


@bp.get("/metrics")
@bp.doc(responses=_TEXT)
def show_metrics() -> Response:
    """Read the metrics of all processes that share this address"""
    require_outside(get_caller().actor, Act.READ_METRICS)
    measure(get_container())
    # Metrics of the whole deployment: computed now, and not summed over processes.
    deployment = CollectorRegistry()
    rt = get_container().rt
    deployment.register(SystemStatusCollector(rt.db, rt.settings, lambda: rt.relay.depth))
    text = generate_latest(_registry()) + generate_latest(deployment)
    return Response(text, content_type=_TEXT_FORMAT)


def _registry() -> CollectorRegistry:
    if DIRECTORY not in os.environ:
        return REGISTRY
    registry = CollectorRegistry()
    MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return registry


def measure(web: WebContainer) -> None:
    """Refresh gauges that are computed on demand."""
    web.hub.refresh_gauges()
    websockets, polling = web.sessions.count_stock()
    CONNECTIONS.labels("fast", "websocket").set(0 if web.engine is None else len(web.engine))
    web.budgets.measure()
    CONNECTIONS.labels("stock", "websocket").set(websockets)
    CONNECTIONS.labels("stock", "polling").set(polling)


def _start() -> None:
    g.started = time.perf_counter()


def _count(response: Response) -> Response:
    # Label by rule and known method only: arbitrary paths and methods must not create new series.
    method = request.method if request.method in _METHODS else "other"
    route = request.url_rule.rule if request.url_rule is not None else "none"
    REQUESTS.labels(method, route, response.status_code).inc()
    if "started" in g:
        SECONDS.labels(method, route).observe(time.perf_counter() - g.started)
    return response
