"""Finds work that a message, a signal or a process lost, and prunes old data: in web processes and beside workers."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable

import structlog
from prometheus_client import Counter

from swallowtail.app.core.call_context import CallContext
from swallowtail.app.core.coordination.database_clock import ClockMonitor
from swallowtail.app.core.deployment_identity import DeploymentRegistration
from swallowtail.app.core.errors import SwallowtailError
from swallowtail.app.core.ledger.outbox import Relay
from swallowtail.app.core.maintenance.audit_cleanup import delete_old_entries
from swallowtail.app.core.maintenance.lease_expiry import LeaseExpiry
from swallowtail.app.core.maintenance.retention import prune_due
from swallowtail.app.core.maintenance.token_cleanup import delete_ended_tokens
from swallowtail.app.core.process.periodic_thread import PeriodicThread

log = structlog.get_logger(__name__)

#: Outbox entries that are reserved at once.
BATCH = 100

SWEEPS = Counter("swallowtail_sweeps_total", "Sweeps by outcome", ["outcome"])


class Sweeper:
    """Sends due outbox entries when it is woken, and handles everything overdue every `sweep_interval`."""

    def __init__(
        self, context: CallContext, clock: ClockMonitor, relay: Relay, lease_expiry: LeaseExpiry, due: threading.Event
    ) -> None:
        """`due` is set when an outbox entry is due now."""
        self._context = context
        self._clock = clock
        self._relay = relay
        self._lease_expiry = lease_expiry
        self._due = due
        self._registration = DeploymentRegistration(context.settings, context.db)
        interval = context.settings.prune_interval
        self._sweeps = PeriodicThread("sweep", self.sweep, context.settings.sweep_interval, woken=due)
        # Not all processes prune at the same moment.
        self._prunings = PeriodicThread("pruning", self._prune, lambda: interval * random.uniform(0.5, 1.0))

    def run_once(self) -> int:
        """Send due outbox entries, report lapsed runs, expire overdue tasks. Returns how many there were."""
        self._clock.check()
        self._relay.find_lost()
        relayed = self._send_due()
        lost = self._lease_expiry.run()
        expired = self._context.ledger.expire()
        if lost:
            relayed += self._send_due()
        return relayed + lost + expired

    def _send_due(self) -> int:
        """Send due outbox entries, and come back for the rest after one interval: the other work must not wait."""
        until = time.monotonic() + self._context.settings.sweep_interval
        relayed = sent = self._relay.run_due(BATCH)
        while sent == BATCH and not self._sweeps.is_stopping and time.monotonic() < until:
            sent = self._relay.run_due(BATCH)
            relayed += sent
        if sent == BATCH:
            self._due.set()
        return relayed

    def start(self) -> None:
        """Sweep and prune in two threads, so that no wake-up waits for a pruning."""
        self._sweeps.start()
        self._prunings.start()

    def stop(self) -> None:
        """End the threads; wait for the sweep that runs, and send what became due during it."""
        is_due = self._due.is_set()
        self._prunings.stop()
        self._sweeps.stop(timeout=self._context.settings.send_timeout + 1.0)
        if is_due:
            try:
                self._send_due()
            except Exception as fault:  # another process's sweep sends it
                log.warning("sweep_postponed", reason=repr(fault))

    def sweep(self) -> None:
        """Send due outbox entries; after each interval, however many wake-ups were in it, do all of `run_once`."""
        try:
            self._registration.register()
            self.run_once() if self._sweeps.is_due else self._send_due()
            self._context.store_token_uses()
        except Exception as fault:
            SWEEPS.labels("away" if isinstance(fault, SwallowtailError) else "failed").inc()
            raise
        else:
            SWEEPS.labels("done").inc()
        finally:
            # Even without the database, readiness reports the state of the broker.
            self._relay.update_depth()

    def _prune(self) -> None:
        for prune in (delete_ended_tokens, delete_old_entries, prune_due):
            # An error of one, such as a missing right to delete, does not stop the others.
            try:
                prune(self._context, self._may_continue_for(self._context.settings.prune_interval / 2))
            except SwallowtailError as fault:
                log.warning("pruning_postponed", reason=fault.message)
            except Exception:
                log.exception("pruning_failed", what=prune.__name__)

    def _may_continue_for(self, seconds: float) -> Callable[[], bool]:
        until = time.monotonic() + seconds
        return lambda: not self._prunings.is_stopping and time.monotonic() < until
