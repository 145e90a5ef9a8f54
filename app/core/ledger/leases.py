"""Finds runs whose lease is no longer renewed, and proposes that they are lost.

Clocks jump: a machine sleeps, an operator sets the time. So no lease is compared with a clock. Every check notes the
lease of each run; a lease that has stayed the same for its length, by this process's own steady clock, is over. Time in
which this process did not check, because it was stopped or had no database, counts for little: the holders may have been
stopped too, and get the time to renew. So do those whose database took no writes.
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
from swallowtail.app.core.tables.unreadable import alone

# As text in the statement: SQLite uses no partial index for a parameter.
_RUNNING = select(Task.id, Task.attempt, Task.lease_until).where(
    Task.status == literal(TaskStatus.IN_PROGRESS.value, literal_execute=True)
)
#: The part of a lease that passes between two looks at most, however long it was.
_LONGEST_PART = 1 / 3


@dataclass(slots=True)
class Seen:
    """What was seen of one run: its lease, and for how many seconds of watching it has stayed the same."""

    attempt: int
    lease_until: datetime | None
    unrenewed: float = 0.0


class Reaper:
    """One process's watch over every run. Look often: a lease is over only after it was watched for its length."""

    def __init__(
        self, db: Database, proposals: Proposals, settings: Settings, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._db = db
        self._proposals = proposals
        self._lease = settings.lease_seconds
        self._clock = clock
        self._looked_at: float | None = None
        #: Those who live have renewed their lease once the database has taken writes for so long.
        self._grace = 2 * settings.heartbeat_seconds
        #: Since when it is known to take writes, while there are runs to end.
        self.writable_since: float | None = None
        #: By task id.
        self.seen: dict[str, Seen] = {}

    def run(self, limit: int = 100) -> int:
        """Look at every lease; give runs whose is over their next attempt or their end. Returns how many there were.

        Raises:
            Unavailable: the database is away or takes no writes, so that no lease could be renewed.
        """
        self._look()
        lapsed = [(task_id, seen) for task_id, seen in self.seen.items() if seen.unrenewed >= self._lease]
        if not self._is_sure(bool(lapsed)):
            return 0
        for task_id, seen in lapsed[:limit]:
            lost = partial(self._proposals.lost, task_id, seen.attempt, WORKER_LOST, if_still=seen.lease_until)
            alone(task_id, lost)
        return min(len(lapsed), limit)

    def _is_sure(self, is_needed: bool) -> bool:
        """Tell whether the database has taken writes for long enough, by writing to it when that `is_needed`."""
        if not is_needed:
            self.writable_since = None
            return True
        try:
            self._db.run(store_time)
        except Unavailable:
            self.writable_since, self.seen = None, {}
            raise
        if self.writable_since is None:
            self.writable_since = self._clock()
        return self._clock() - self.writable_since >= self._grace

    def _look(self) -> None:
        began = self._clock()
        with self._db.read() as session:
            rows = session.execute(_RUNNING).all()
        passed = 0.0 if self._looked_at is None else min(began - self._looked_at, self._lease * _LONGEST_PART)
        self._looked_at = self._clock()
        before, self.seen = self.seen, {}
        for task_id, attempt, lease_until in rows:
            seen = before.get(task_id)
            if seen is not None and (seen.attempt, seen.lease_until) == (attempt, lease_until):
                seen.unrenewed += passed
            else:
                seen = Seen(attempt, lease_until)
            self.seen[task_id] = seen
