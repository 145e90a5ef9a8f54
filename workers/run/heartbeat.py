"""Extends the lease of a run, sees cancel requests, and interrupts the run when it has to end.

Two threads of the pool child, from claim to end. One writes heartbeats and may hang with the database; the other only
reads the machine's clock, so that a run stops itself before its lease ends and another worker may claim the task. While
a step holds the interpreter and neither thread runs, `workers/lease_keeper` extends the lease.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from typing import Protocol, Self

import structlog

from swallowtail.app.core.config.settings import Settings
from swallowtail.app.core.errors import SwallowtailError
from swallowtail.app.core.ledger.claims import Claim
from swallowtail.app.core.ledger.runs import LeaseState
from swallowtail.app.core.process.periodic_thread import PeriodicThread
from swallowtail.workers.run.interrupts import Interrupts
from swallowtail.workers.run.live_progress import LiveProgress
from swallowtail.workers.run.outcomes import WORKER_STOPPED, RunOutcome
from swallowtail.workers.run.shared_memory import RunIdentity

log = structlog.get_logger(__name__)

#: A run that ignores its interrupt gets at least this many seconds before its process is killed.
LEAST_GRACE = 1.0


class HeartbeatWriter(Protocol):
    """The part of `core/ledger/runs.RunWriter` that a heartbeat needs; it must time out within about one interval."""

    def heartbeat(self, claim: Claim, progress: float, message: str) -> LeaseState: ...  # noqa: D102


def kill_self() -> None:
    """Kill this process; the worker's main process replaces it."""
    os.kill(os.getpid(), signal.SIGKILL)


class Heartbeat:
    """Keeps one run alive and ends it when it must. A context manager; call `finish` before the run writes its outcome.

    `claimed_at` is the machine's clock just before the claim; `write_outcome` writes how the run ended when its process
    is about to be killed.
    """

    def __init__(
        self,
        claim: Claim,
        claimed_at: float,
        writer: HeartbeatWriter,
        settings: Settings,
        interrupts: Interrupts,
        live: LiveProgress,
        write_outcome: Callable[[RunOutcome], object],
        kill: Callable[[], None] = kill_self,
    ) -> None:
        self._claim = claim
        self._claimed_at = claimed_at
        self._writer = writer
        self._settings = settings
        self._interrupts = interrupts
        self._state = interrupts.state
        self._live = live
        self._write_outcome = write_outcome
        self._kill = kill
        self._interrupted_at: float | None = None
        self._threads = (
            PeriodicThread("heartbeat", self._write_heartbeat, settings.heartbeat_seconds),
            PeriodicThread("lease_watch", self._enforce, self._next_check, woken=self._state.changed),
        )

    def __enter__(self) -> Self:
        self._state.begin(self._claimed_at)
        self._state.slot.open(RunIdentity(os.getpid(), self._claim.task_id, self._claim.token))
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._state.is_finishing = True
        for thread in self._threads:
            thread.stop()
        for thread in self._threads:
            thread.stop(timeout=self._settings.lease_seconds)
        self._state.slot.close()

    def finish(self) -> None:
        """Keep extending the lease but never interrupt the run again: it writes its outcome."""
        self._state.is_finishing = True
        self._live.close()

    def _write_heartbeat(self) -> None:
        began = time.monotonic()
        try:
            beat = self._writer.heartbeat(self._claim, *self._live.current())
        except Exception as error:  # the database is away, or broken: the lease decides how long that may last
            reason = error.message if isinstance(error, SwallowtailError) else repr(error)
            log.warning("heartbeat_failed", task_id=self._claim.task_id, reason=reason)
            return
        if beat.alive:
            self._state.extend(began, beat.cancel_requested)
        else:
            self._state.lose_lease()

    def _next_check(self) -> float:
        progress_due, remaining = self._live.flush(), self._state.lease_until - time.monotonic()
        delay = min(self._settings.heartbeat_seconds, remaining) if remaining > 0 else self._settings.heartbeat_seconds
        return delay if progress_due is None else min(delay, max(progress_due, 0.001))

    def _enforce(self) -> None:
        if self._state.is_finishing:
            return
        moment = time.monotonic()
        forced = self._state.forced_outcome()
        is_stopped = self._state.slot.memory.is_stopping_for(self._settings.shutdown_grace)
        outcome = forced or (WORKER_STOPPED if is_stopped else None)
        if outcome is None:
            self._interrupted_at = None
        elif self._interrupted_at is None:
            self._interrupted_at = moment
            log.warning("run_interrupted", task_id=self._claim.task_id, reason=outcome.error["code"])
            (self._interrupts.interrupt if forced else self._interrupts.announce_stop)()
        elif moment >= self._interrupted_at + max(self._settings.cancel_grace, LEAST_GRACE) and (
            # Only the agent's own code is ended by force: a write has time limits of its own.
            self._interrupts.in_agent
        ):
            self._end_by_force(outcome)

    def _end_by_force(self, outcome: RunOutcome) -> None:
        log.error("run_killed", task_id=self._claim.task_id, reason=outcome.error["code"])
        # In a thread: a database that hangs must not keep this process alive.
        writer = threading.Thread(target=self._write_outcome, args=(outcome,), daemon=True)
        writer.start()
        writer.join(timeout=self._settings.lease_seconds)
        self._kill()
