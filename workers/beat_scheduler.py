"""Beat: looks for due slots in the database, again and again. A beginning of the road, beside `web/api` and the CLI.

    celery -A swallowtail.workers.celery_app beat -S swallowtail.workers.beat_scheduler:DatabaseScheduler

The schedules are rows and their slots are decided in the database (`core/services/schedule_firing`), so any number of beats may run.
Beat keeps no file, and needs no broker to decide a slot: the wish to run waits in the outbox, and a sweeper beside
beat, like those of the web processes and the workers, sends it when it can.
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
from swallowtail.app.core.queries.system_status import VitalsCollector
from swallowtail.app.core.runtime import Runtime
from swallowtail.app.core.services.schedule_firing import fire_due
from swallowtail.workers import metrics_server
from swallowtail.workers.worker_runtime import named

log = structlog.get_logger(__name__)

#: Schedules that one look takes on; when there were as many, the next look follows at once.
BATCH = 100


class DatabaseScheduler(Scheduler):
    """Celery's beat calls `tick` for ever and `close` at its end, and before that from its signal handler."""

    _runtime: Runtime | None = None
    _sweeper: Sweeper | None = None
    _looking = False

    def __init__(self, app: Celery, *args: Any, **options: Any) -> None:
        try:
            self._settings = named()
        except SwallowtailError as wrong:
            sys.exit(f"swallowtail: {wrong.message}")
        options["max_interval"] = self._settings.beat_interval
        super().__init__(app, *args, **options)

    def setup_schedule(self) -> None:
        """Put the domain together. Celery's own periodic tasks are not ours: there is no result backend to clean."""
        try:
            self._runtime = Runtime.build(self._settings, for_runs=False)
        except SettingsError as wrong:
            sys.exit(f"settings: {wrong.message}")
        if self._settings.beat_metrics_port:
            REGISTRY.register(VitalsCollector(self._runtime))
            metrics_server.serve(self._runtime, self._settings.beat_metrics_port)
        self._sweeper = Sweeper(self._runtime)
        self._sweeper.start()
        log.info("beat_started", interval=self._settings.beat_interval)

    def tick(self, *args: Any, **options: Any) -> float:
        """Fire what is due; return the seconds until the next look. Nothing that goes wrong ends beat."""
        if self._runtime is None:
            return self._settings.beat_interval
        self._looking = True
        try:
            handled = fire_due(self._runtime, BATCH)
        except SwallowtailError as away:
            log.warning("beat_postponed", reason=away.message)
        except Exception:
            log.exception("beat_failed")
        else:
            return 0.0 if handled == BATCH else self._settings.beat_interval
        finally:
            self._looking = False
        return self._settings.beat_interval

    def should_sync(self) -> bool:
        """Never: what Celery would write to a file is in the database."""
        return False

    def close(self) -> None:
        """Stop the sweeper and close every connection; more calls do nothing."""
        if self._looking:
            # From the signal handler in the middle of a look, whose locks this thread holds. Celery closes again when
            # the look has been left.
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
        """The line that Celery's banner shows."""
        return f"    . looks every {self._settings.beat_interval:g} s, in the database"
