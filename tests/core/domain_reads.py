"""Reads rows and events of a domain, for the tests of the core."""

from __future__ import annotations

from sqlalchemy import select

from swallowtail.app.core.database.database import Database, db_now
from swallowtail.app.core.events import EventRecord
from swallowtail.app.core.ledger.event_log import read_events
from swallowtail.app.core.tables.instances import Instance
from swallowtail.app.core.tables.tasks import Outbox, Step, Task
from tests.core.log_oracle import check, story


class DomainReads:
    """The rows and events in one database."""

    db: Database

    def task(self, task_id: str) -> Task:
        """Return the row of a task."""
        with self.db.read() as session:
            return session.scalars(select(Task).where(Task.id == task_id)).one()

    def steps(self, task_id: str) -> list[Step]:
        """Return the rows of a task's steps."""
        with self.db.read() as session:
            return list(session.scalars(select(Step).where(Step.task_id == task_id).order_by(Step.position)))

    def outbox(self) -> dict[str, tuple[int, int]]:
        """Return the attempt and the number of sends of every outbox entry, by task id."""
        with self.db.read() as session:
            return {row.task_id: (row.attempt, row.sends) for row in session.scalars(select(Outbox))}

    def due_in(self, task_id: str) -> float:
        """Return the seconds until the task's outbox entry is due, by the database's clock."""
        with self.db.read() as session:
            due, clock = session.execute(
                select(Outbox.available_at, db_now().label("clock")).where(Outbox.task_id == task_id)
            ).one()
            return float((due - clock).total_seconds())

    def events(self, task_id: str | None = None, instance_id: str = "demo") -> list[EventRecord]:
        """Return the log, after the oracle has checked it and the rows."""
        check(self.db, instance_id)
        with self.db.read() as session:
            return read_events(session, instance_id, 0, 1_000_000, task_id)

    def log(self, instance_id: str = "demo") -> list[EventRecord]:
        """Return the log without a check."""
        with self.db.read() as session:
            return read_events(session, instance_id, 0, 1_000_000)

    def story(self, task_id: str | None = None, *, after: int = 0) -> list[str]:
        """Return the log in words, after its first `after` events (see `log_oracle.story`)."""
        return story(self.events(task_id))[after:]

    def head(self, instance_id: str = "demo") -> int:
        """Return the number of the latest event."""
        with self.db.read() as session:
            return session.scalars(select(Instance.seq).where(Instance.id == instance_id)).one()
