"""Publishes the progress of a run between its events, at a limited rate; the latest value wins."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable

from swallowtail.app.core.events import LiveState, now, stamp
from swallowtail.app.core.ledger.claims import Claim
from swallowtail.signals import progressed, send
from swallowtail.workers.run.step_names import to_percent


class LiveProgress:
    """The progress of one run. It never decreases; at most `rate` values a second are published, the last one always.

    The thread of the run reports values; the thread of the heartbeat, which `on_held_back` wakes, flushes those that
    the rate held back.
    """

    def __init__(
        self,
        claim: Claim,
        rate: float,
        on_held_back: Callable[[], object] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._claim = claim
        self._pause = 1.0 / rate
        self._on_held_back = on_held_back
        self._clock = clock
        self._lock = threading.Lock()
        self._percent = claim.progress
        self._message = ""
        #: Message that the task's row does not have yet; an older one must not replace the message of a durable event.
        self._row_message = ""
        self._base_seq, self._epoch = claim.base_seq, claim.epoch
        self._rev = 0
        self._held_back = False
        self._not_on_row = False
        self._next_at = 0.0

    def report(self, percent: float, message: str) -> None:
        """Store a new value, and publish it unless the last one was published a moment ago."""
        with self._lock:
            self._percent = max(self._percent, _percent(percent))
            if message:
                self._message = self._row_message = message
            waited, self._held_back, self._not_on_row = self._held_back, True, True
            self._publish_if_due()
            newly = self._held_back and not waited
        if newly:
            self._on_held_back()

    def flush(self) -> float | None:
        """Publish a held back value if it is due; return the seconds until then, or None without such a value."""
        with self._lock:
            self._publish_if_due()
            return max(self._next_at - self._clock(), 0.0) if self._held_back else None

    def raise_to(self, percent: float, message: str | None) -> float:
        """Store the progress of a finished step; return the percent to write, never less than was published."""
        with self._lock:
            self._message, self._row_message = message or self._message, ""
            self._percent = max(self._percent, _percent(percent))
            self._held_back = self._not_on_row = False
            return self._percent

    def take_pending(self) -> tuple[float, str] | None:
        """Return percent and message that the task's row does not have yet; the caller writes them."""
        with self._lock:
            if not self._not_on_row:
                return None
            self._not_on_row = False
            message, self._row_message = self._row_message, ""
            return self._percent, message

    def current(self) -> tuple[float, str]:
        """Return percent and message for a heartbeat to write; no message when the row has a later one."""
        with self._lock:
            return self._percent, self._row_message

    def note_event(self, seq: int, epoch: str) -> None:
        """Note that the log has reached `seq`: values that are published from now on are later than that event."""
        with self._lock:
            if epoch and epoch != self._epoch:
                self._base_seq, self._epoch = seq, epoch
            self._base_seq = max(self._base_seq, seq)

    def close(self) -> None:
        """Publish nothing any more: the event of the end replaces it."""
        with self._lock:
            self._held_back = False
            self._next_at = math.inf

    def _publish_if_due(self) -> None:
        moment = self._clock()
        if not self._held_back or moment < self._next_at:
            return
        self._held_back = False
        self._next_at = moment + self._pause
        self._rev += 1
        claim = self._claim
        data = {"progress": self._percent, "message": self._message, "timestamp": stamp(now())}
        state = LiveState(claim.instance_id, claim.task_id, claim.attempt, self._rev, self._base_seq, data, self._epoch)
        send(progressed, None, state=state)


def _percent(value: float) -> float:
    number = to_percent(value)
    if number is None:
        raise ValueError("progress must be a number from 0 to 100")
    return number
