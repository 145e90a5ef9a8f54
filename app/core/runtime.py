"""Constructs the parts of the domain that every process needs; each process's entry point adds its own to them."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Self

from swallowtail.app.core.call_context import CallContext
from swallowtail.app.core.config.settings import Settings
from swallowtail.app.core.coordination.database_clock import ClockMonitor
from swallowtail.app.core.database.database import Database
from swallowtail.app.core.database.engines import PostgresDriver
from swallowtail.app.core.ledger.outbox import Relay
from swallowtail.app.core.ledger.proposals import Proposals
from swallowtail.app.core.ledger.publish_queue import PublishQueue
from swallowtail.app.core.ledger.publisher import Broadcaster
from swallowtail.app.core.ledger.runs import RunWriter
from swallowtail.app.core.ledger.tasks import TaskWriter
from swallowtail.app.core.ledger.unit_of_work import UnitOfWork
from swallowtail.app.core.maintenance.lease_expiry import LeaseExpiry
from swallowtail.app.core.maintenance.sweeper import Sweeper
from swallowtail.app.core.process.offload import NO_OFFLOADS, Offloads
from swallowtail.app.core.security.passwords import Passwords


@dataclass(slots=True, kw_only=True)
class Runtime(CallContext):
    """The domain in one process. Each process builds one, after any fork."""

    broadcast: Broadcaster
    #: None in a process that publishes nothing.
    publisher: PublishQueue | None
    runs: RunWriter
    proposals: Proposals
    relay: Relay
    lease_expiry: LeaseExpiry
    clock: ClockMonitor
    #: Set when an outbox entry is due now; the process's sweeper waits for it.
    due: threading.Event

    @classmethod
    def build(
        cls,
        settings: Settings,
        *,
        driver: PostgresDriver | None = None,
        publish: bool = True,
        has_publisher_thread: bool = True,
        has_sweeper: bool = False,
        for_runs: bool = True,
        offloads: Offloads = NO_OFFLOADS,
    ) -> Self:
        """Construct the parts without opening a connection or starting a thread.

        Args:
            settings: the frozen settings.
            driver: PostgreSQL driver; psycopg2 in a process that eventlet patched.
            publish: whether signals are published to Redis.
            has_publisher_thread: whether a thread publishes them; otherwise the writer waits for Redis.
            has_sweeper: whether a `Sweeper` sends due outbox entries; otherwise the writer sends them itself.
            for_runs: whether it may use the PostgreSQL connections that are reserved for runs.
            offloads: where long computations run.
        """
        db = Database(settings, driver, for_runs=for_runs, offload=offloads.payloads)
        broadcast, due = Broadcaster(settings), threading.Event()
        wait = settings.publish_timeout
        queue = PublishQueue(broadcast, db, text_wait=wait, has_thread=has_publisher_thread) if publish else None
        unit = UnitOfWork(db) if queue is None else UnitOfWork(db, queue.publish_access)
        ledger, proposals = TaskWriter(unit, settings), Proposals(unit, settings)
        relay = Relay(settings, db, ledger)
        return cls(
            settings=settings,
            db=db,
            unit=unit,
            ledger=ledger,
            passwords=Passwords(settings, offloads.passwords),
            is_broker_away=lambda: relay.is_broker_away,
            wake_relay=due.set if has_sweeper else relay.run_due,
            broadcast=broadcast,
            publisher=queue,
            runs=RunWriter(unit, settings),
            proposals=proposals,
            relay=relay,
            lease_expiry=LeaseExpiry(db, proposals, settings),
            clock=ClockMonitor(db),
            due=due,
            offload=offloads.payloads,
        )

    def make_sweeper(self) -> Sweeper:
        """Return the sweeper of a runtime that was built with `has_sweeper`."""
        return Sweeper(self, self.clock, self.relay, self.lease_expiry, self.due)

    def close(self) -> None:
        """Store and publish what is queued, and close every connection."""
        self.store_token_uses(wait=1.0)
        self.relay.close()
        if self.publisher is not None:
            self.publisher.close()
        self.broadcast.close()
        self.db.dispose()
