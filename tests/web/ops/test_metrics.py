"""Metrics: every request is counted, and arbitrary paths create no series."""

from __future__ import annotations

import importlib
import re
import uuid

from prometheus_client import REGISTRY, Gauge

from tests.harness.program import ROOT
from tests.web.app_fixture import WebApp

ROUTE = "/api/v1/tasks/<task_id>"


def _counted(**labels: str) -> float:
    return REGISTRY.get_sample_value("swallowtail_http_requests_total", labels) or 0.0


def test_requests_are_counted_by_route(web_app: WebApp) -> None:
    labels = {"method": "GET", "route": ROUTE, "status": "404"}
    before = _counted(**labels)
    for _ in range(3):
        web_app.get(f"/tasks/{uuid.uuid4()}")
    assert _counted(**labels) == before + 3
    timed = REGISTRY.get_sample_value("swallowtail_http_request_seconds_count", {"method": "GET", "route": ROUTE})
    assert timed is not None
    assert timed >= 3


def test_made_up_paths_and_methods_create_no_series(web_app: WebApp) -> None:
    labels = {"method": "other", "route": "none", "status": "404"}
    before = _counted(**labels)
    for name in ("ONE", "TWO"):
        web_app.client.open(f"/{uuid.uuid4()}", method=name)
    assert _counted(**labels) == before + 2


def test_the_metrics_are_served_as_text(web_app: WebApp) -> None:
    response = web_app.client.get("/metrics")
    # The plain text format, as workers and beat serve by default.
    assert (response.status_code, response.content_type) == (200, "text/plain; version=0.0.4; charset=utf-8")
    assert "swallowtail_http_requests_total" in response.text
    assert "swallowtail_published_total" in response.text


def test_the_page_about_metrics_names_each_of_them_and_no_others(web_app: WebApp) -> None:
    # The sweeper is part of the server, not of the application.
    importlib.import_module("swallowtail.app.core.maintenance.sweeper")
    # Metrics of workers.
    importlib.import_module("swallowtail.workers.broker.message_check")
    web_app.rt.relay.depth = 0
    served = set(re.findall(r"^# TYPE (swallowtail_\w+) ", web_app.client.get("/metrics").text, re.MULTILINE))
    served = {name for name in served if not name.endswith("_created")}
    body = set(re.findall(r"swallowtail_[a-z_]+", (ROOT / "docs/metrics.md").read_text(encoding="utf-8")))
    assert served == body
    sources = [path.read_text(encoding="utf-8") for part in ("app", "workers") for path in (ROOT / part).rglob("*.py")]
    pattern = r"(?:Counter|Gauge|Histogram|Summary|Family)\(\s*\"(swallowtail_\w+)\""
    assert {name for source in sources for name in re.findall(pattern, source)} <= body


def test_every_gauge_can_be_added_up_over_the_processes_of_an_address(web_app: WebApp) -> None:
    gauges = [metric for metric in set(REGISTRY._collector_to_names) if isinstance(metric, Gauge)]
    assert gauges
    assert {gauge._name: gauge._multiprocess_mode for gauge in gauges} == {
        gauge._name: gauge._multiprocess_mode for gauge in gauges if gauge._multiprocess_mode.startswith("live")
    }
