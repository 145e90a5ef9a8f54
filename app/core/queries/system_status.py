"""Reads the state of the deployment from database and broker, for readiness and metrics.

Reads open tasks only; ended tasks are counted as they end (`core/ledger/metrics`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime

import structlog
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from sqlalchemy import func, literal, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from swallowtail.app.core.config.settings import Settings
from swallowtail.app.core.database.database import Database, db_now, db_now_once
from swallowtail.app.core.errors import SwallowtailError
from swallowtail.app.core.states import TERMINAL, TaskStatus
from swallowtail.app.core.tables.schedules import Schedule
from swallowtail.app.core.tables.system import Worker
from swallowtail.app.core.tables.tasks import IS_OPEN, Outbox, Task

log = structlog.get_logger(__name__)

#: Longest wait for the database, in seconds.
LONGEST_WAIT = 1.0
_OPEN = [status.value for status in TaskStatus if status not in TERMINAL]


@dataclass(frozen=True, slots=True)
class SystemStatus:
    """Numbers of live workers and of waiting tasks; the longest wait and the lag of beat, in seconds."""

    workers: int
    waiting: int
    oldest_wait: float
    beat_lag: float


def read_system_status(session: Session, most: int) -> SystemStatus:
    """Read the system status; no count exceeds `most`, so that frequent reads stay cheap."""
    due = select(Outbox.due_at).where(Outbox.due_at <= db_now_once()).order_by(Outbox.due_at)
    waiting = session.scalar(select(func.count()).select_from(due.limit(most).subquery())) or 0
    since = session.scalar(due.limit(1))
    late = (Schedule.paused.is_(False), Schedule.next_slot_at <= db_now_once())
    slot = session.scalar(select(Schedule.next_slot_at).where(*late).order_by(Schedule.next_slot_at).limit(1))
    clock = session.scalars(select(db_now())).one()
    workers = session.scalar(select(func.count()).where(Worker.good_until > db_now_once())) or 0
    return SystemStatus(workers, waiting, _seconds(clock, since), _seconds(clock, slot))


def count_open(session: Session, most: int) -> dict[str, int]:
    """Return the number of tasks by open status; no count exceeds `most`."""
    return {status: _count_open(session, status, most) for status in _OPEN}


def _count_open(session: Session, status: str, most: int) -> int:
    # Both are literals: SQLite uses a partial index only for conditions in the text of the statement.
    same = Task.status == literal(status, literal_execute=True)
    some = select(Task.status).where(IS_OPEN, same).limit(most).subquery()
    return session.scalar(select(func.count()).select_from(some)) or 0


def _seconds(clock: datetime, since: datetime | None) -> float:
    return 0.0 if since is None else max(0.0, (clock - since).total_seconds())


class SystemStatusCollector(Collector):
    """The system status as gauges, read at each request for metrics."""

    def __init__(self, db: Database, settings: Settings, queue_depth: Callable[[], int | None]) -> None:
        """`queue_depth` returns the number of messages in the broker's queue, None if unknown."""
        self._db = db
        self._settings = settings
        self._queue_depth = queue_depth

    def describe(self) -> Iterable[Metric]:
        """Return nothing, so that registration reads nothing."""
        return []

    def collect(self) -> Iterable[Metric]:
        """Read the status. Without the database, gauges are missing and `swallowtail_database_readable` is 0."""
        yield from self._read_status()
        depth = self._queue_depth()
        if depth is not None:
            yield _gauge("queue_depth", "Messages that wait in the broker's queue", depth)

    def _read_status(self) -> Iterable[Metric]:
        most = self._settings.count_limit
        try:
            with self._db.read(wait=LONGEST_WAIT) as session:
                status, open_tasks = read_system_status(session, most), count_open(session, most)
        except (SwallowtailError, SQLAlchemyError) as error:
            log.info("system_status_not_read", reason=type(error).__name__)
            yield _gauge("database_readable", "1 when the database could be read for these metrics", 0)
            return
        yield _gauge("database_readable", "1 when the database could be read for these metrics", 1)
        tasks = GaugeMetricFamily("swallowtail_tasks", "Tasks that have not ended, by status", labels=["status"])
        for name, count in open_tasks.items():
            tasks.add_metric([name], count)
        yield tasks
        yield _gauge("workers", "Workers with a recent heartbeat", status.workers)
        yield _gauge("tasks_waiting", "Tasks whose next run is due and has not started", status.waiting)
        yield _gauge("tasks_oldest_wait_seconds", "How long the first of these has waited", status.oldest_wait)
        yield _gauge("beat_lag_seconds", "How late the first undecided slot of a schedule is", status.beat_lag)


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(f"swallowtail_{name}", text, value=value)
