"""A domain with one instance and one agent on an empty database, for the tests of schedules."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import text

from swallowtail import signals
from swallowtail.app.core.config.settings import Settings
from swallowtail.app.core.database.schema_version import latest_revision
from swallowtail.app.core.events import EventRecord
from swallowtail.app.core.ledger.agent_cards import AgentCard, register
from swallowtail.app.core.ledger.event_log import read_events
from swallowtail.app.core.queries.rows import list_slots, list_tasks, read_schedule, read_task
from swallowtail.app.core.runtime import Runtime
from swallowtail.app.core.schemas.schedules import NewSchedule, ScheduleView
from swallowtail.app.core.schemas.tasks import TaskView
from swallowtail.app.core.services.instances import create_instance
from swallowtail.app.core.services.schedule_firing import fire_due
from swallowtail.app.core.services.schedules import add_schedule
from tests.harness.database.tables import create_tables
from tests.harness.settings import make_settings

ECHO = AgentCard(
    kind="echo",
    title="Echo",
    description="",
    version="1",
    input_schema={
        "type": "object",
        "properties": {"message": {"type": "string", "minLength": 1}, "times": {"type": "integer", "default": 1}},
        "required": ["message"],
        "additionalProperties": False,
    },
)


class Bench:
    """A runtime; `announced` has the events that it sent, and `relay_wakes` how often it woke the relay."""

    def __init__(self, settings: Settings, *, publish: bool = False) -> None:
        self.announced: list[EventRecord] = []
        self.relay_wakes = 0
        self.runtime = Runtime.build(settings, publish=publish)
        signals.event_recorded.connect(self._record, self.runtime.db)
        self.runtime.wake_relay = self._count_wake

    def _record(self, sender: object, events: Sequence[EventRecord]) -> None:
        self.announced.extend(events)

    def prepare(self) -> None:
        """Create the tables, the agent and the instance."""
        create_tables(self.runtime.db.engine)
        with self.runtime.db.write() as session:
            session.execute(text("CREATE TABLE alembic_version (version_num VARCHAR(32))"))
            session.execute(text("INSERT INTO alembic_version VALUES (:it)"), {"it": latest_revision()})
        register(self.runtime.db, [ECHO])
        create_instance(self.runtime, "Demo", "demo")

    def add(self, at: str, *, instance_id: str = "demo", **fields: Any) -> ScheduleView:
        """Add a schedule at this moment, by default with the name `plan`."""
        values = {"name": "plan", "kind": "echo", "input": {"message": "hello"}, **fields}
        return add_schedule(self.runtime, instance_id, NewSchedule(**values), at=moment(at))

    def fire(self, at: str) -> int:
        """Fire due slots at this moment."""
        return fire_due(self.runtime, at=moment(at))

    def schedule(self, schedule_id: str) -> ScheduleView:
        """Return the view of a schedule."""
        with self.runtime.db.read() as session:
            return read_schedule(session, schedule_id)

    def slots(self, schedule_id: str) -> list[tuple[str, str, str]]:
        """Return every slot, the earliest first, as time of day, outcome and reason."""
        with self.runtime.db.read() as session:
            rows = list_slots(session, schedule_id, 10_000)
        return [((row["planned_at"] or "")[11:19], row["outcome"], row["reason"]) for row in reversed(rows)]

    def tasks(self) -> list[TaskView]:
        """Return every task, the latest first."""
        with self.runtime.db.read() as session:
            return [read_task(session, task["id"]) for task in list_tasks(session, "demo", limit=10_000)[0]]

    def events_of(self, task_id: str) -> list[EventRecord]:
        """Return every event of one task."""
        with self.runtime.db.read() as session:
            return read_events(session, "demo", 0, 10_000, task_id)

    def _count_wake(self) -> None:
        self.relay_wakes += 1


@contextmanager
def open_bench(directory: Path, database_url: str | None = None, **more: Any) -> Iterator[Bench]:
    """Yield a prepared bench on SQLite in `directory`, or on the database of `database_url`."""
    settings = make_settings(var_dir=directory, database_url=database_url, **more)
    bench = Bench(settings)
    bench.prepare()
    try:
        yield bench
    finally:
        bench.runtime.close()


def moment(text: str) -> datetime:
    """Return a moment of a time of day on the day of these tests, or of a full text."""
    return datetime.fromisoformat(text if "T" in text else f"2026-06-01T{text}+00:00")
