"""Announces in the database that a worker lives and which kinds of task it can run."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

from swallowtail.app.core.coordination.worker_registry import announce, retire
from swallowtail.app.core.process.periodic_thread import PeriodicThread
from swallowtail.app.core.runtime import Runtime


class WorkerAnnouncer:
    """A thread that announces one worker every `announce_interval` until it is stopped."""

    def __init__(self, runtime: Runtime, worker_id: str, kinds: Sequence[str]) -> None:
        self._db = runtime.db
        self._interval = runtime.settings.announce_interval
        self._worker_id = worker_id
        self._kinds = kinds
        self._thread = PeriodicThread("announcement", self._announce, self._interval)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()
        self._thread.wake()

    def stop(self) -> None:
        """Stop the thread and remove the worker from the database, if the database is reachable."""
        self._thread.stop(timeout=1.0)
        with contextlib.suppress(Exception):
            retire(self._db, self._worker_id)

    def _announce(self) -> None:
        announce(self._db, self._worker_id, self._kinds, self._interval)
