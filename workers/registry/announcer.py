"""Says again and again that a worker lives and which kinds of task it knows. Beside the road, in its reaper."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Sequence

import structlog

from swallowtail.app.core.coordination.worker_registry import announce, retire
from swallowtail.app.core.errors import SwallowtailError
from swallowtail.app.core.runtime import Runtime

log = structlog.get_logger(__name__)


class Announcer:
    """One worker's voice: a thread that speaks every `announce_interval` until it is told to stop."""

    def __init__(self, runtime: Runtime, worker_id: str, kinds: Sequence[str]) -> None:
        self._db = runtime.db
        self._interval = runtime.settings.announce_interval
        self._worker_id = worker_id
        self._kinds = kinds
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._speak_on, name="announcer", daemon=True)

    def start(self) -> None:
        """Speak from now on."""
        self._thread.start()

    def stop(self) -> None:
        """Say that the worker is going, if the database lets us soon."""
        self._stopping.set()
        self._thread.join(timeout=1.0)
        with contextlib.suppress(Exception):
            retire(self._db, self._worker_id)

    def _speak_on(self) -> None:
        while not self._stopping.is_set():
            try:
                announce(self._db, self._worker_id, self._kinds, self._interval)
            except SwallowtailError as away:
                log.warning("announcement_postponed", reason=away.message)
            except Exception:
                log.exception("announcement_failed")
            self._stopping.wait(self._interval)
