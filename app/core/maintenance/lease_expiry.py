"""Finds runs whose lease is no longer renewed, and reports them as lost.

Clocks jump, so no lease is compared with a clock. Every check reads the lease of each run; a lease has expired when it
was unchanged for its length, by the monotonic clock of this process. Time without checks (this process was stopped, or
the database was down) counts for little, so that the runs, which may have been stopped too, have time to renew.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from sqlalchemy import literal, select

from swallowtail.app.core.config.settings import Settings
from swallowtail.app.core.coordination.database_clock import store_time
from swallowtail.app.core.database.database import Database
from swallowtail.app.core.errors import Unavailable
from swallowtail.app.core.ledger.proposals import WORKER_LOST, Proposals
from swallowtail.app.core.states import TaskStatus
from swallowtail.app.core.tables.tasks import Task
from swallowtail.app.core.tables.unreadable import isolate

# As text in the statement: SQLite uses no partial index for a parameter.
_RUNNING = select(Task.id, Task.attempt, Task.lease_until).where(
    Task.status == literal(TaskStatus.IN_PROGRESS.value, literal_execute=True)
)
#: The part of a lease that counts as passed between two checks at most.
_LONGEST_PART = 1 / 3


@dataclass(slots=True)
class ObservedLease:
    """The lease of one run, and for how many seconds it was unchanged."""

    attempt: int
    lease_until: datetime | None
    unrenewed: float = 0.0


class LeaseExpiry:
    """Checks the leases of all runs for one process. A lease expires only if it is checked during its length."""

    def __init__(
        self, db: Database, proposals: Proposals, settings: Settings, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._db = db
        self._proposals = proposals
        self._lease = settings.lease_seconds
        self._clock = clock
        self._read_at: float | None = None
        #: Once the database has accepted writes for so long, every live run has renewed its lease.
        self._grace = 2 * settings.heartbeat_seconds
        #: Since when it accepts writes, while there are expired leases.
        self.writable_since: float | None = None
        #: By task id.
        self.leases: dict[str, ObservedLease] = {}

    def run(self, limit: int = 100) -> int:
        """Check every lease; report runs with expired leases as lost. Returns how many there were.

        Raises Unavailable if the database is down or accepts no writes, so that no lease could be renewed.
        """
        self._read_leases()
        expired = [(task_id, lease) for task_id, lease in self.leases.items() if lease.unrenewed >= self._lease]
        if not expired:
            self.writable_since = None
            return 0
        if not self._is_writable_for_long():
            return 0
        for task_id, lease in expired[:limit]:
            report = partial(self._proposals.lost, task_id, lease.attempt, WORKER_LOST, if_still=lease.lease_until)
            isolate(task_id, report)
        return min(len(expired), limit)

    def _is_writable_for_long(self) -> bool:
        """Write to the database; return whether it has accepted writes for long enough."""
        try:
            self._db.run(store_time)
        except Unavailable:
            self.writable_since, self.leases = None, {}
            raise
        if self.writable_since is None:
            self.writable_since = self._clock()
        return self._clock() - self.writable_since >= self._grace

    def _read_leases(self) -> None:
        began = self._clock()
        with self._db.read() as session:
            rows = session.execute(_RUNNING).all()
        passed = 0.0 if self._read_at is None else min(began - self._read_at, self._lease * _LONGEST_PART)
        self._read_at = self._clock()
        before, self.leases = self.leases, {}
        for task_id, attempt, lease_until in rows:
            lease = before.get(task_id)
            if lease is not None and (lease.attempt, lease.lease_until) == (attempt, lease_until):
                lease.unrenewed += passed
            else:
                lease = ObservedLease(attempt, lease_until)
            self.leases[task_id] = lease
