"""Celery beat scheduler that reads schedules from the database and submits a task for each due slot.

    swallowtail beat

Slots are decided in the database (`core/services/schedule_firing`), so any number of beats may run. Beat writes no file
and needs no broker to decide a slot: the outbox holds the task until this process's sweeper, or another one, sends it.
"""

from __future__ import annotations

import sys
from typing import Any

import structlog
from celery import Celery
from celery.beat import Scheduler
from prometheus_client import REGISTRY

from swallowtail.app.core.errors import SettingsError, SwallowtailError
from swallowtail.app.core.maintenance.sweeper import Sweeper
from swallowtail.app.core.queries.system_status import SystemStatusCollector
from swallowtail.app.core.runtime import Runtime
from swallowtail.app.core.services.schedule_firing import fire_due
from swallowtail.workers import metrics_server
from swallowtail.workers.runtime.worker_runtime import deployment_settings

log = structlog.get_logger(__name__)

#: Most schedules that one tick handles; if it reaches this number, the next tick follows at once.
BATCH = 100


class DatabaseScheduler(Scheduler):
    """Celery's beat calls `tick` for ever, and `close` from its signal handler and again at its end."""

    _runtime: Runtime | None = None
    _sweeper: Sweeper | None = None
    _in_tick = False

    def __init__(self, app: Celery, *args: Any, **options: Any) -> None:
        try:
            self._settings = deployment_settings()
        except SwallowtailError as error:
            sys.exit(f"swallowtail: {error.message}")
        options["max_interval"] = self._settings.beat_interval
        super().__init__(app, *args, **options)

    def setup_schedule(self) -> None:
        """Build the runtime and start the sweeper; Celery's own periodic tasks need a result backend."""
        try:
            runtime = self._runtime = Runtime.build(self._settings, has_sweeper=True, for_runs=False)
        except SettingsError as error:
            sys.exit(f"settings: {error.message}")
        if self._settings.beat_metrics_port:
            REGISTRY.register(SystemStatusCollector(runtime.db, self._settings, lambda: runtime.relay.depth))
            metrics_server.serve(self._runtime, self._settings.beat_metrics_port)
        self._sweeper = runtime.make_sweeper()
        self._sweeper.start()
        log.info("beat_started", interval=self._settings.beat_interval)

    def tick(self, *args: Any, **options: Any) -> float:
        """Fire due schedules; return the seconds until the next tick. No error ends beat."""
        if self._runtime is None:
            return self._settings.beat_interval
        self._in_tick = True
        try:
            handled = fire_due(self._runtime, BATCH)
        except SwallowtailError as error:
            log.warning("beat_postponed", reason=error.message)
        except Exception:
            log.exception("beat_failed")
        else:
            return 0.0 if handled == BATCH else self._settings.beat_interval
        finally:
            self._in_tick = False
        return self._settings.beat_interval

    def should_sync(self) -> bool:
        """Return False: Celery has nothing to write to a file."""
        return False

    def close(self) -> None:
        """Stop the sweeper and close every connection; further calls do nothing."""
        if self._in_tick:
            # Called by the signal handler during a tick, whose locks this thread holds. Celery calls again afterwards.
            return
        sweeper, self._sweeper = self._sweeper, None
        runtime, self._runtime = self._runtime, None
        if sweeper is not None:
            sweeper.stop()
        if runtime is not None:
            runtime.close()
            log.info("beat_stopped")

    @property
    def info(self) -> str:
        """The line in Celery's banner."""
        return f"    . checks the database every {self._settings.beat_interval:g} s"
