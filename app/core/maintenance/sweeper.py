"""The sweep: finds again whatever a message, a signal or a process lost. Runs in web processes and beside workers.

Beside it, in a thread of its own so that no wake-up waits for it, goes the pruning of what is no longer kept.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable

import structlog
from prometheus_client import Counter

from swallowtail.app.core.call_context import CallContext
from swallowtail.app.core.coordination.database_clock import ClockWatch
from swallowtail.app.core.deployment import Presence
from swallowtail.app.core.errors import SwallowtailError
from swallowtail.app.core.ledger.leases import Reaper
from swallowtail.app.core.ledger.outbox import Relay
from swallowtail.app.core.maintenance.audit_cleanup import delete_old_entries
from swallowtail.app.core.maintenance.retention import prune_due
from swallowtail.app.core.maintenance.token_cleanup import delete_spent

log = structlog.get_logger(__name__)

#: Wishes that are reserved at once.
BATCH = 100

SWEEPS = Counter("swallowtail_sweeps_total", "Sweeps by outcome", ["outcome"])


class Sweeper:
    """Relays due wishes at once when woken, and otherwise looks for all that is overdue every `sweep_interval`."""

    def __init__(
        self, runtime: CallContext, clock: ClockWatch, relay: Relay, reaper: Reaper, due: threading.Event
    ) -> None:
        """`due` is set when an outbox entry is due now."""
        self._runtime = runtime
        self._clock = clock
        self._relay = relay
        self._reaper = reaper
        self._due = due
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._presence = Presence(runtime.settings, runtime.db)

    def run_once(self) -> int:
        """Send due wishes, reap lapsed leases, expire overdue tasks. Returns how many things there were to do."""
        self._clock.look()
        self._relay.find_lost()
        relayed = self._send_due()
        reaped = self._reaper.run()
        expired = self._runtime.ledger.expire()
        if reaped:
            relayed += self._send_due()
        return relayed + reaped + expired

    def _send_due(self) -> int:
        """Send all that is due, however much it is."""
        relayed = sent = self._relay.run_due(BATCH)
        while sent == BATCH and not self._stopping.is_set():
            sent = self._relay.run_due(BATCH)
            relayed += sent
        return relayed

    def start(self) -> None:
        """Sweep in a thread from now on, and have the runtime wake it after each submission."""
        self._thread = threading.Thread(target=self.run_forever, name="sweeper", daemon=True)
        self._thread.start()
        threading.Thread(target=self._prune_forever, name="pruner", daemon=True).start()

    def stop(self) -> None:
        """End the thread after the sweep it is in."""
        self._stopping.set()
        self._due.set()
        if self._thread is not None:
            self._thread.join(timeout=self._runtime.settings.send_timeout + 1.0)

    def run_forever(self) -> None:
        """Sweep until `stop`. A failed sweep is logged and tried again at the next."""
        while not self._stopping.is_set():
            woken = self._due.wait(self._runtime.settings.sweep_interval)
            self._due.clear()
            try:
                self._presence.note()
                self._send_due() if woken else self.run_once()
            except SwallowtailError as away:
                SWEEPS.labels("away").inc()
                log.warning("sweep_postponed", reason=away.message)
            except Exception:
                # A sweep that dies silently would be worse than any error it meets.
                SWEEPS.labels("failed").inc()
                log.exception("sweep_failed")
            else:
                SWEEPS.labels("done").inc()
            # Whatever became of the sweep: without the database, readiness is to know of the broker all the same.
            self._relay.look()

    def _prune_forever(self) -> None:
        interval = self._runtime.settings.prune_interval
        # Not all processes at the same moment.
        while not self._stopping.wait(interval * random.uniform(0.5, 1.0)):
            for prune in (delete_spent, delete_old_entries, prune_due):
                # One that fails, such as for want of a right to delete, keeps no other from its work.
                try:
                    prune(self._runtime, self._may_go_on_for(interval / 2))
                except SwallowtailError as away:
                    log.warning("pruning_postponed", reason=away.message)
                except Exception:
                    log.exception("pruning_failed", what=prune.__name__)

    def _may_go_on_for(self, seconds: float) -> Callable[[], bool]:
        until = time.monotonic() + seconds
        return lambda: not self._stopping.is_set() and time.monotonic() < until
