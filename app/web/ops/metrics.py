"""/metrics: what Prometheus reads, and the measuring of requests. Beside the road.

Processes that share an address (`app/web/serving/multiprocess`) write their numbers into files of one directory, so that any of them
can answer for all: counters and histograms are added up over every process there has been, gauges over those that live.
"""

from __future__ import annotations

import os
import time
from typing import Any

from apiflask import APIBlueprint
from flask import Flask, Response, g, request
from prometheus_client import (
    REGISTRY,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
)
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.multiprocess import MultiProcessCollector

from swallowtail.app.core.queries.system_status import VitalsCollector
from swallowtail.app.core.security.permissions import Act
from swallowtail.app.web.api.permission_scope import enter_outside
from swallowtail.app.web.container import Web, get_web

REQUESTS = Counter("swallowtail_http_requests_total", "HTTP requests", ["method", "route", "status"])
SECONDS = Histogram("swallowtail_http_request_seconds", "Time until the answer is ready", ["method", "route"])
CONNECTIONS = Gauge(
    "swallowtail_connections",
    "Open connections of Socket.IO clients",
    ["engine", "transport"],
    multiprocess_mode="livesum",
)

#: The variable by which prometheus_client is told where processes write their numbers.
DIRECTORY = "PROMETHEUS_MULTIPROC_DIR"
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


_TAG = {"name": "Metrics", "description": "What the processes of this address have counted and measured."}
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
    """Read the metrics of this process, or of all that share its address"""
    enter_outside(Act.READ_METRICS)
    measure(get_web())
    # Of the deployment, not of this process: asked for now, and never added up.
    deployment = CollectorRegistry()
    deployment.register(VitalsCollector(get_web().rt))
    text = generate_latest(_registry()) + generate_latest(deployment)
    return Response(text, content_type=CONTENT_TYPE_PLAIN_0_0_4)


def _registry() -> CollectorRegistry:
    if DIRECTORY not in os.environ:
        return REGISTRY
    registry = CollectorRegistry()
    MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return registry


def measure(web: Web) -> None:
    """Bring up to date what is counted only when somebody asks."""
    web.hub.refresh_gauges()
    stock = list(web.socketio.server.eio.sockets.values())
    upgraded = sum(socket.upgraded for socket in stock)
    CONNECTIONS.labels("fast", "websocket").set(0 if web.engine is None else len(web.engine))
    web.budgets.measure()
    CONNECTIONS.labels("stock", "websocket").set(upgraded)
    CONNECTIONS.labels("stock", "polling").set(len(stock) - upgraded)


def _start() -> None:
    g.started = time.perf_counter()


def _count(response: Response) -> Response:
    # By rule and known method only: what callers make up must not become new series.
    method = request.method if request.method in _METHODS else "other"
    route = request.url_rule.rule if request.url_rule is not None else "none"
    REQUESTS.labels(method, route, response.status_code).inc()
    if "started" in g:
        SECONDS.labels(method, route).observe(time.perf_counter() - g.started)
    return response
