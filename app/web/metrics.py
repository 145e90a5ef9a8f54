"""/metrics: what Prometheus reads, and the measuring of requests. Beside the road."""

from __future__ import annotations

import time
from typing import Any

from apiflask import APIBlueprint
from flask import Flask, Response, g, request
from prometheus_client import CONTENT_TYPE_LATEST, Counter, Histogram, generate_latest

REQUESTS = Counter("swallowtail_http_requests_total", "HTTP requests", ["method", "route", "status"])
SECONDS = Histogram("swallowtail_http_request_seconds", "Time until the answer is ready", ["method", "route"])

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


_TAG = {"name": "Metrics", "description": "What this process has counted and measured."}
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
    """Read the metrics of this process"""
    return Response(generate_latest(), content_type=CONTENT_TYPE_LATEST)


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
