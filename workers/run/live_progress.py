"""Progress inside a step: the latest value wins. On the road between `workers/run/context` and `workers/signals`."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable

from swallowtail.app.core.events import LiveState, now, stamp
from swallowtail.app.core.ledger.runs import Claim
from swallowtail.workers.run.step_names import to_percent
from swallowtail.workers.signals import progressed


class LiveProgress:
    """How far a run is. Never goes back; told at most `rate` times a second, the latest value always in the end.

    The run's thread reports, the heartbeat's thread flushes what the rate held back.
    """

    def __init__(self, claim: Claim, rate: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._claim = claim
        self._pause = 1.0 / rate
        self._clock = clock
        self._lock = threading.Lock()
        self._percent = claim.progress
        self._message = ""
        #: What the task's row has not been told yet; a durable event's own message must not be undone by an older one.
        self._row_message = ""
        self._base_seq, self._epoch = claim.base_seq, claim.epoch
        self._rev = 0
        self._held_back = False
        self._not_on_row = False
        self._next_at = 0.0
        #: Called when a value had to wait, so that whoever flushes looks when it is due.
        self.on_held_back: Callable[[], object] = lambda: None

    def report(self, percent: float, message: str) -> None:
        """Take a new value, and tell it unless the last one was told a moment ago."""
        with self._lock:
            self._percent = max(self._percent, _percent(percent))
            if message:
                self._message = self._row_message = message
            waited, self._held_back, self._not_on_row = self._held_back, True, True
            self._tell_if_due()
            newly = self._held_back and not waited
        if newly:
            self.on_held_back()

    def flush(self) -> float | None:
        """Tell what was held back if its time has come; return the seconds until then, or None if there is nothing."""
        with self._lock:
            self._tell_if_due()
            return max(self._next_at - self._clock(), 0.0) if self._held_back else None

    def raise_to(self, percent: float, message: str | None) -> float:
        """Take what a finished step brings; return the percent to write, which is no less than what was told."""
        with self._lock:
            self._message, self._row_message = message or self._message, ""
            self._percent = max(self._percent, _percent(percent))
            self._held_back = self._not_on_row = False
            return self._percent

    def take_pending(self) -> tuple[float, str] | None:
        """Return percent and message that the task's row has not got yet; the caller writes them."""
        with self._lock:
            if not self._not_on_row:
                return None
            self._not_on_row = False
            message, self._row_message = self._row_message, ""
            return self._percent, message

    def current(self) -> tuple[float, str]:
        """Return percent and message, for a heartbeat to leave on the row; no message when the row has a later one."""
        with self._lock:
            return self._percent, self._row_message

    def follow(self, seq: int, epoch: str) -> None:
        """Note that the task's log has reached `seq`: what is told from now on was measured after that."""
        with self._lock:
            if epoch and epoch != self._epoch:
                self._base_seq, self._epoch = seq, epoch
            self._base_seq = max(self._base_seq, seq)

    def close(self) -> None:
        """Tell nothing any more: an event of the end makes it void."""
        with self._lock:
            self._held_back = False
            self._next_at = math.inf

    def _tell_if_due(self) -> None:
        moment = self._clock()
        if not self._held_back or moment < self._next_at:
            return
        self._held_back = False
        self._next_at = moment + self._pause
        self._rev += 1
        claim = self._claim
        data = {"progress": self._percent, "message": self._message, "timestamp": stamp(now())}
        state = LiveState(claim.instance_id, claim.task_id, claim.attempt, self._rev, self._base_seq, data, self._epoch)
        progressed.send(sender=None, state=state)


def _percent(value: float) -> float:
    number = to_percent(value)
    if number is None:
        raise ValueError("progress must be a number from 0 to 100")
    return number
