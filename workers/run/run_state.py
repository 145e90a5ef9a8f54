"""Tracks the lease, cancel request, time limit and worker stop of one run."""

from __future__ import annotations

import math
import threading
import time

from swallowtail.app.core.config.settings import Settings
from swallowtail.workers.run.outcomes import CANCELLED, LEASE_LOST, TERMINATED, WORKER_STOPPED, RunOutcome, RunStopped
from swallowtail.workers.run.shared_memory import RunSlot


class RunState:
    """The state of one run that its signal handlers, its heartbeat and its context share."""

    def __init__(self, slot: RunSlot, settings: Settings) -> None:
        self.slot = slot
        #: The soft time limit has passed, even if the agent caught the exception.
        self.timed_out = False
        #: WorkerStopping was raised in the agent's code, even if the agent caught it.
        self.stop_raised = False
        #: The process received SIGTERM.
        self.terminated = False
        #: The run writes its outcome and must not be stopped any more.
        self.is_finishing = False
        #: Set whenever something changes that the heartbeat's watch thread acts on.
        self.changed = threading.Event()
        self._settings = settings
        self._lock = threading.Lock()
        self._extended_at = math.inf
        self._lease_lost = False
        self._cancelled_at: float | None = None

    def begin(self, claimed_at: float) -> None:
        """Begin the lease; `claimed_at` is the machine's clock just before the claim."""
        self._extended_at = claimed_at

    def extend(self, began: float, cancel_requested: bool) -> None:
        """Record a write that extended the lease and began at `began`, and whether it found a cancel request."""
        with self._lock:
            self._extended_at = max(self._extended_at, began) if math.isfinite(self._extended_at) else began
            self.slot.record_heartbeat(self._extended_at)
            if cancel_requested and self._cancelled_at is None:
                self._cancelled_at = time.monotonic()
        self.changed.set()

    def lose_lease(self) -> None:
        """Record that another run may hold the task."""
        self._lease_lost = True
        self.changed.set()

    @property
    def lease_until(self) -> float:
        """When the lease ends at the latest, by the machine's clock."""
        return max(self._extended_at, self.slot.last_extension) + self._settings.lease_seconds

    def outcome(self) -> RunOutcome | None:
        """Return how the run has to end, or None if it may continue."""
        if self.is_finishing:
            return None
        if self._lease_lost or time.monotonic() >= self.lease_until:
            return LEASE_LOST
        if self._cancelled_at is not None:
            return CANCELLED
        if self.terminated:
            return WORKER_STOPPED if self.slot.memory.is_stopping else TERMINATED
        return None

    def forced_outcome(self) -> RunOutcome | None:
        """Return how the run has to end even if the agent's code does not ask; a cancel waits for its grace first."""
        outcome = self.outcome()
        cancel_deadline = (self._cancelled_at or 0.0) + self._settings.cancel_grace
        return None if outcome is CANCELLED and time.monotonic() < cancel_deadline else outcome

    def check(self, *, between_steps: bool = False) -> None:
        """Raise RunStopped if the run has to end; between two steps it also ends when its worker stops."""
        outcome = self.outcome()
        if outcome is None and between_steps and self.slot.memory.is_stopping and not self.is_finishing:
            outcome = WORKER_STOPPED
        if outcome is not None:
            raise RunStopped(outcome)
