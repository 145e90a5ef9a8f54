"""Repeats a run's write until the database accepts it, so that an outage costs the run time but no work.

No other run can take the task meanwhile, since a claim is a write too. If one does, the ledger refuses the writes of
this run.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

import structlog

from swallowtail.app.core.errors import Unavailable

log = structlog.get_logger(__name__)

T = TypeVar("T")


class DatabaseWait:
    """Performs the writes of one run, each as often as needed, with `pause` seconds between two tries.

    `extend_lease` is called after a wait: the write may have extended the lease later than its caller assumes.
    """

    def __init__(self, pause: float, may_wait: Callable[[], bool], extend_lease: Callable[[], object]) -> None:
        self._pause = pause
        self._may_wait = may_wait
        self._extend_lease = extend_lease

    def write(self, write: Callable[[], T]) -> T:
        """Repeat a write until the database accepts it. Raises Unavailable when the run may not wait any longer."""
        began = time.monotonic()
        while True:
            try:
                result = write()
                break
            except Unavailable as unavailable:
                if not self._may_wait():
                    log.error("run_abandoned", reason=unavailable.message, lost="its last write")
                    raise
                log.warning("run_paused", reason=unavailable.message)
                time.sleep(self._pause)
        if time.monotonic() - began > self._pause:
            self._extend_lease()
        return result
