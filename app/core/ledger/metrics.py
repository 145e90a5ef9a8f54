"""Counts and measures committed tasks and steps for `/metrics`.

A process counts what it writes itself: most of it is in the workers' numbers, submissions and cancels in those of the
web processes. docs/metrics.md is the table.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from prometheus_client import Counter, Histogram

from swallowtail.app.core.events import EXECUTION_STEP, EventRecord

_SECONDS = (0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800, 3600)

MOVES = Counter("swallowtail_task_moves_total", "Tasks that came into a status", ["status"])
STEP_SECONDS = Histogram(
    "swallowtail_step_seconds", "From the start of a step's last try to its end", ["status"], buckets=_SECONDS
)
STEP_RETRIES = Counter("swallowtail_step_retries_total", "Tries of steps after the first")
RUN_SECONDS = Histogram("swallowtail_run_seconds", "From a claim to what its task became", ["became"], buckets=_SECONDS)


def measure_events(events: Sequence[EventRecord]) -> None:
    """Count committed events and measure the steps that they end."""
    for event in events:
        data = event.data
        if event.type != EXECUTION_STEP:
            if data.get("status"):
                MOVES.labels(data["status"]).inc()
        elif data.get("completed_at") is None:
            if (data.get("tries") or 0) > 1:
                STEP_RETRIES.inc()
        elif data.get("started_at") is not None:
            took = datetime.fromisoformat(data["completed_at"]) - datetime.fromisoformat(data["started_at"])
            STEP_SECONDS.labels(data["status"]).observe(max(0.0, took.total_seconds()))
