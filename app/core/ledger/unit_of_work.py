"""Stop 4 of 12: Changes the database in one transaction, which audits, numbers and, once committed, sends events."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from sqlalchemy.orm import Session

from swallowtail import signals
from swallowtail.app.core.audit import writer
from swallowtail.app.core.database.database import Database
from swallowtail.app.core.events import EventRecord
from swallowtail.app.core.ledger.event_log import Change
from swallowtail.app.core.ledger.event_order import EventBatch, EventOrder
from swallowtail.app.core.ledger.metrics import measure_events
from swallowtail.app.core.security.actors import SYSTEM_CALLER, Caller
from swallowtail.app.core.security.permission_version import is_raised

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Try(Generic[T]):
    """One try of a transaction that reached its commit."""

    change: Change
    outcome: T
    events: list[EventRecord]
    batches: list[EventBatch]


class UnitOfWork:
    """Commits changes for one process. Safe to share between threads and greenlets."""

    def __init__(self, db: Database, on_access_change: Callable[[], object] = lambda: None) -> None:
        """`on_access_change` is called after a commit that changed permissions; it must not raise."""
        self.db = db
        self._on_access_change = on_access_change
        self._order = EventOrder(self._send)

    def commit(
        self, work: Callable[[Change], T], caller: Caller = SYSTEM_CALLER, *, wait: float | None = None
    ) -> tuple[T, list[EventRecord]]:
        """Run `work` in one transaction for `caller`; return its outcome and the numbered events.

        `work` runs again if the database was locked or down. When a connection breaks during the commit, the event log
        shows whether the commit happened. Changes of the system itself are not audited. `wait` is how many seconds to
        wait for the database, by default `database_wait`; after that, it raises Unavailable.
        """
        tries: list[_Try[T]] = []

        def transact(session: Session) -> _Try[T]:
            for earlier in tries:
                if earlier.change.is_stored_by(session, earlier.events):
                    return earlier
                self._order.settle(earlier.batches, is_committed=False)
            change = Change(session, caller)
            outcome = work(change)
            if change.audited and caller.actor.kind != "system":
                writer.append(session, caller, change.audited, change.now)
            # Last: the instances' counters are locked from here to the commit.
            events = change.number()
            change.check_again()
            tries.append(_Try(change, outcome, events, self._order.reserve(events)))
            return tries[-1]

        try:
            last_try: _Try[T] = self.db.run(transact, wait=wait)
            if last_try.events:
                measure_events(last_try.events)
            self._order.settle(last_try.batches, is_committed=True)
        finally:
            for each in tries:
                self._order.settle(each.batches, is_committed=False)
        if is_raised(last_try.change.session):
            self._on_access_change()
        return last_try.outcome, last_try.events

    def _send(self, events: list[EventRecord]) -> None:
        signals.send(signals.event_recorded, self.db, events=events)
