"""What one process needs of the domain, put together once: settings, database, ledger, relay, broadcaster."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from swallowtail.app.core.config.settings import Settings
from swallowtail.app.core.coordination.database_clock import ClockWatch
from swallowtail.app.core.database.database import Database
from swallowtail.app.core.database.engines import PostgresDriver
from swallowtail.app.core.ledger.leases import Reaper
from swallowtail.app.core.ledger.outbox import Relay
from swallowtail.app.core.ledger.publisher import Broadcaster
from swallowtail.app.core.ledger.runs import RunLedger
from swallowtail.app.core.ledger.tasks import Announce, Ledger
from swallowtail.app.core.process.worker_thread import Offload, here
from swallowtail.app.core.security.passwords import Passwords
from swallowtail.app.core.security.permissions import THE_SYSTEM, Caller


@dataclass(slots=True)
class Runtime:
    """The parts of the domain in one process. Build one per process, after any fork."""

    settings: Settings
    db: Database
    broadcast: Broadcaster
    ledger: Ledger
    runs: RunLedger
    relay: Relay
    reaper: Reaper
    clock: ClockWatch
    passwords: Passwords
    #: Called after a commit that left a wish due now. A process with a sweeper wakes it; others send at once.
    hurry: Callable[[], object]
    #: For whom `core/services/tasks` and `core/services/schedules` do what they do, and who has to be allowed to.
    caller: Caller = THE_SYSTEM
    #: A process of greenlets puts its thread pool here (`app/web/serving`).
    offload: Offload = here

    def by(self, caller: Caller) -> Runtime:
        """Return the same parts, acting for somebody: what they may not do is refused, what they do is audited."""
        return replace(self, caller=caller, ledger=self.ledger.by(caller))

    @classmethod
    def build(
        cls,
        settings: Settings,
        *,
        driver: PostgresDriver | None = None,
        announce: Announce | None = None,
        for_runs: bool = True,
    ) -> Runtime:
        """Put the parts together without opening a connection.

        Args:
            settings: the frozen settings.
            driver: PostgreSQL driver; psycopg2 in a process that eventlet patched.
            announce: told of committed events; publishes them to Redis by default.
            for_runs: may use the connections to PostgreSQL that are kept for runs.
        """
        db = Database(settings, driver, for_runs=for_runs)
        broadcast = Broadcaster(settings)
        ledger = Ledger(db, settings, announce or broadcast.publish)
        ledger.announce_access = broadcast.publish_access
        relay = Relay(settings, ledger)
        reaper, clock = Reaper(ledger, settings), ClockWatch(db)
        runs, passwords = RunLedger(ledger), Passwords(settings)
        return cls(settings, db, broadcast, ledger, runs, relay, reaper, clock, passwords, relay.run_due)

    def close(self) -> None:
        """Close every connection."""
        self.relay.close()
        self.broadcast.close()
        self.db.dispose()
