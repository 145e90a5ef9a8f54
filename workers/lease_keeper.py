"""Extends the leases of runs whose steps hold the interpreter, so that their own heartbeats cannot.

Runs in a thread of the worker's sweeper process, which no step can block. It reads the shared memory and extends the
lease of each run that has not done so itself for a while, as long as the process of the run lives. It also ends a run
that has to end and whose process does not react.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import structlog

from swallowtail.app.core.config.settings import Settings
from swallowtail.app.core.errors import LeaseLost
from swallowtail.app.core.ledger.claims import Claim
from swallowtail.app.core.process.periodic_thread import PeriodicThread
from swallowtail.app.core.states import TaskStatus
from swallowtail.workers.run.heartbeat import LEAST_GRACE, HeartbeatWriter
from swallowtail.workers.run.outcomes import WORKER_STOPPED, Error
from swallowtail.workers.run.shared_memory import RunIdentity, RunSlot, SharedMemory

log = structlog.get_logger(__name__)


class LeaseWriter(HeartbeatWriter, Protocol):
    """The part of `core/ledger/runs.RunWriter` that a lease keeper needs, with timeouts of about one interval."""

    def cancelled(self, claim: Claim) -> TaskStatus: ...  # noqa: D102

    def retry_later(self, claim: Claim, error: Error, delay: float) -> TaskStatus: ...  # noqa: D102


def is_alive(pid: int) -> bool:
    """Return whether a process exists and is not a zombie."""
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except PermissionError:
        return True
    except FileNotFoundError:
        # Not Linux, or it ended at this moment: the next check sees that.
        return not Path("/proc/self").exists()
    except OSError:
        return False


def kill(pid: int) -> None:
    """Kill a process."""
    os.kill(pid, signal.SIGKILL)


class LeaseKeeper:
    """Extends the leases of silent runs of one worker."""

    def __init__(
        self,
        memory: SharedMemory,
        writer: LeaseWriter,
        settings: Settings,
        alive: Callable[[int], bool] = is_alive,
        end: Callable[[int], None] = kill,
    ) -> None:
        self._memory = memory
        self._writer = writer
        self._settings = settings
        self._alive = alive
        self._end = end
        #: Since when each silent run that is cancelled, or whose lease is lost, should have ended.
        self._due_since: dict[RunIdentity, float] = {}
        #: A run that missed a heartbeat is silent; its lease must not end before that is noticed.
        self._patience = min(2 * settings.heartbeat_seconds, (settings.heartbeat_seconds + settings.lease_seconds) / 2)
        self._thread = PeriodicThread("lease_keeper", self.check_runs, settings.heartbeat_seconds / 2)

    def start(self) -> None:
        """Check every half heartbeat until `stop`."""
        self._thread.start()

    def stop(self, timeout: float) -> None:
        """End the checks, and wait up to `timeout` seconds for one that is running."""
        self._thread.stop(timeout)

    def check_runs(self) -> None:
        """Extend the lease of every run that is silent and alive."""
        silent = [(slot, run) for slot in self._memory.open_slots() if (run := self._silent_run(slot))]
        self._due_since = {run: self._due_since[run] for _, run in silent if run in self._due_since}
        for slot, run in silent:
            if time.monotonic() - slot.last_extension >= self._patience:
                self._extend(slot, run)

    def _silent_run(self, slot: RunSlot) -> RunIdentity | None:
        run = slot.read()
        is_silent = time.monotonic() - slot.last_heartbeat >= self._patience
        return run if run is not None and is_silent and self._alive(run.pid) else None

    def _extend(self, slot: RunSlot, run: RunIdentity) -> None:
        claim = Claim(run.task_id, "", "", None, 0, run.token, 0.0, 0)
        began = time.monotonic()
        beat = self._writer.heartbeat(claim, 0.0, "")
        if beat.alive:
            slot.record_extension(began)
        last_grace = max(self._settings.cancel_grace, LEAST_GRACE)
        if beat.alive and not beat.cancel_requested:
            if self._memory.is_stopping_for(self._settings.shutdown_grace + last_grace):
                self._end_by_force(claim, run, is_requeued=True)
        elif began - self._due_since.setdefault(run, began) >= self._settings.cancel_grace + last_grace:
            self._end_by_force(claim, run, is_requeued=False)

    def _end_by_force(self, claim: Claim, run: RunIdentity, *, is_requeued: bool) -> None:
        log.error("run_killed", task_id=run.task_id, reason="it has to end, and its step holds the interpreter")
        try:
            if is_requeued:
                self._writer.retry_later(claim, WORKER_STOPPED.error, 0.0)
            else:
                self._writer.cancelled(claim)
        except LeaseLost:
            # Another run holds the task, so there is nothing to write.
            pass
        finally:
            self._end(run.pid)
