"""Changes of an instance's log for the races: many events at once, rollbacks, pruning, new epochs."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Sequence

from sqlalchemy import delete, update

from swallowtail import signals
from swallowtail.app.core.events import TASK_UPDATE, EventRecord
from swallowtail.app.core.ledger.event_log import Change
from swallowtail.app.core.maintenance import retention
from swallowtail.app.core.runtime import Runtime
from swallowtail.app.core.tables.instances import Instance
from swallowtail.app.core.tables.tasks import Event, Task
from tests.journey.event_writer import Author


class Undone(Exception):
    """Rolls a transaction back."""


def note(rt: Runtime, task_id: str, count: int, *, fact: str | None = None) -> None:
    """Commit `count` events of one task in one transaction."""
    rt.commit(lambda change: _record(change, task_id, count, fact))


def note_and_undo(rt: Runtime, task_id: str, count: int) -> None:
    """Number `count` events and roll everything back."""

    def work(change: Change) -> None:
        _record(change, task_id, count, None)
        change.number()
        raise Undone

    try:
        rt.commit(work)
    except Undone:
        return


def _record(change: Change, task_id: str, count: int, fact: str | None) -> None:
    task = change.session.get_one(Task, task_id)
    for number in range(count):
        data = {"progress": task.progress, "message": f"note {number}", "timestamp": "2026-01-01T00:00:00.000Z"}
        change.record(task, TASK_UPDATE, data, fact=f"{fact or uuid.uuid4().hex}:{number}")


def prune(rt: Runtime, instance_id: str, keep: int) -> None:
    """Delete all but the latest events."""
    retention.prune(rt, instance_id, retention.Policy(events=keep))


def begin_epoch(rt: Runtime, instance_id: str) -> str:
    """Restart the log, as a restored database does: no events, numbers from one again. Returns the new epoch."""
    epoch = uuid.uuid4().hex
    with rt.db.write() as session:
        session.execute(delete(Event).where(Event.instance_id == instance_id))
        session.execute(update(Instance).where(Instance.id == instance_id).values(epoch=epoch, seq=0, min_seq=0))
    return epoch


class Overtaking:
    """Publishes for several publishers so that each group of messages arrives in reverse order."""

    def __init__(self, publish: Callable[[Sequence[EventRecord]], None], group: int = 4) -> None:
        self._publish = publish
        self._group = group
        self._groups: list[Sequence[EventRecord]] = []
        self._lock = threading.Lock()

    def announce(self, events: Sequence[EventRecord]) -> None:
        """Hold a message until its group is complete."""
        with self._lock:
            self._groups.append(events)
            if len(self._groups) == self._group:
                self._flush()

    def flush(self) -> None:
        """Publish the held messages."""
        with self._lock:
            self._flush()

    def _flush(self) -> None:
        for events in reversed(self._groups):
            self._publish(events)
        self._groups.clear()


def author_with(author: Author, announce: Callable[[Sequence[EventRecord]], None]) -> Author:
    """Return another author of the same instance, with its own database connections and publication."""
    other = Author(author.deployment, author.instance_id)
    other.rt = Runtime.build(author.deployment.runtime().settings, publish=False)
    signals.event_recorded.connect(lambda sender, events: announce(events), other.rt.db, weak=False)
    return other
