"""Announces in the database that a worker lives and which kinds of task it can run."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Sequence

import structlog

from swallowtail.app.core.coordination.worker_registry import announce, retire
from swallowtail.app.core.errors import SwallowtailError
from swallowtail.app.core.runtime import Runtime

log = structlog.get_logger(__name__)


class WorkerAnnouncer:
    """A thread that announces one worker every `announce_interval` until it is stopped."""

    def __init__(self, runtime: Runtime, worker_id: str, kinds: Sequence[str]) -> None:
        self._db = runtime.db
        self._interval = runtime.settings.announce_interval
        self._worker_id = worker_id
        self._kinds = kinds
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="announcer", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Stop the thread and remove the worker from the database, if the database is reachable."""
        self._stopping.set()
        self._thread.join(timeout=1.0)
        with contextlib.suppress(Exception):
            retire(self._db, self._worker_id)

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                announce(self._db, self._worker_id, self._kinds, self._interval)
            except SwallowtailError as error:
                log.warning("announcement_postponed", reason=error.message)
            except Exception:
                log.exception("announcement_failed")
            self._stopping.wait(self._interval)
