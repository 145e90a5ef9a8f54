"""Beside the road: a domain on a database of its own, and short ways to bring a task where a test wants it."""

from __future__ import annotations

import math
import uuid
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from swallowtail import signals
from swallowtail.app.core.config.settings import Settings
from swallowtail.app.core.database.database import db_now
from swallowtail.app.core.errors import Conflict
from swallowtail.app.core.events import EventRecord
from swallowtail.app.core.ledger.event_log import Change, read_events
from swallowtail.app.core.ledger.leases import Seen
from swallowtail.app.core.ledger.runs import Claim
from swallowtail.app.core.ledger.tasks import CheckedTask
from swallowtail.app.core.ledger.transitions import lock_task, move
from swallowtail.app.core.process.worker_thread import OFFLOAD, Offload
from swallowtail.app.core.queries.rows import list_steps, read_step
from swallowtail.app.core.runtime import Runtime
from swallowtail.app.core.services.tasks import create_instance
from swallowtail.app.core.states import TaskStatus
from swallowtail.app.core.tables.instances import Instance
from swallowtail.app.core.tables.tasks import Outbox, Step, Task
from tests.core.log_oracle import check, story

ERROR = {"code": "exception", "message": "It broke", "type": "ValueError"}
LOST = {"code": "worker_lost", "message": "The worker that ran this was lost"}
CANCELLED = {"code": "cancelled", "message": "Cancelled"}


class Domain:
    """One domain on an empty, migrated database with the instance `demo`. `announced` is what it told the world."""

    def __init__(self, settings: Settings, driver: Any = None, *, publish: bool = False) -> None:
        self.settings = settings
        self.announced: list[EventRecord] = []
        self.rt = Runtime.build(settings, driver=driver, publish=publish, has_sweeper=True)
        signals.event_recorded.connect(self._record, self.rt.db)
        self.ledger, self.runs, self.db = self.rt.ledger, self.rt.runs, self.rt.db
        self.proposals = self.rt.proposals
        with suppress(Conflict):
            self.create_instance("Demo", "demo")

    def _record(self, sender: object, events: Sequence[EventRecord]) -> None:
        self.announced.extend(events)

    def create_instance(self, name: str, instance_id: str) -> None:
        """Create an instance."""
        create_instance(self.rt, name, instance_id)

    def submit(self, instance_id: str = "demo", **values: Any) -> str:
        """Store a task, past the door; its id."""
        return self.ledger.submit(new_task(instance_id, **values))[0].id

    def queued(self, **values: Any) -> str:
        """A task whose message has been sent; its id."""
        task_id = self.submit(**values)
        self.ledger.mark_queued(task_id, 1, 60.0)
        return task_id

    def claim(self, task_id: str, attempt: int = 1, worker: str = "worker") -> Claim:
        """A claim that must succeed."""
        claim = self.runs.claim(task_id, attempt, worker)
        assert claim is not None
        return claim

    def running(self, **values: Any) -> Claim:
        """The claim of a task that has just been started."""
        return self.claim(self.queued(**values))

    def failed(self, **values: Any) -> str:
        """A task that has failed in its first attempt; its id."""
        claim = self.running(**values)
        self.runs.fail(claim, ERROR)
        return claim.task_id

    def perform(self, claim: Claim, key: str, output: Any = "out", **more: Any) -> None:
        """One step from its start to its end."""
        self.runs.start_step(claim, key, "Agent", "work")
        self.runs.finish_step(claim, key, output, **more)

    def bring_to(self, status: TaskStatus) -> str:
        """A task in a status of the test's choice; its id."""
        task_id = self.submit()
        match status:
            case TaskStatus.QUEUED:
                self.ledger.mark_queued(task_id, 1, 10.0)
            case TaskStatus.IN_PROGRESS:
                self.claim(task_id)
            case TaskStatus.WAITING:
                self.park(self.claim(task_id))
            case TaskStatus.COMPLETED:
                self.runs.complete(self.claim(task_id), {})
            case TaskStatus.FAILED:
                self.runs.fail(self.claim(task_id), ERROR)
            case TaskStatus.RETRYING:
                self.runs.retry_later(self.claim(task_id), ERROR, 10.0)
            case TaskStatus.CANCELLED:
                self.ledger.request_cancel(task_id)
            case TaskStatus.EXPIRED:
                self.overdue(task_id)
                self.ledger.expire()
        return task_id

    def park(self, claim: Claim) -> None:
        """Let a running task wait. No agent can ask for it yet, so this is the move alone."""

        def work(change: Change) -> None:
            task = lock_task(change.session, claim.task_id)
            assert task is not None
            move(change, task, TaskStatus.WAITING, token=None, lease_until=None)

        self.rt.commit(work)

    def task(self, task_id: str) -> Task:
        """The row of a task."""
        with self.db.read() as session:
            return session.scalars(select(Task).where(Task.id == task_id)).one()

    def steps(self, task_id: str) -> list[Step]:
        """The rows of a task's steps."""
        with self.db.read() as session:
            return list(session.scalars(select(Step).where(Step.task_id == task_id).order_by(Step.position)))

    def wishes(self) -> dict[str, tuple[int, int]]:
        """What is in the outbox: by task id, the attempt wished for and how often it was sent."""
        with self.db.read() as session:
            return {row.task_id: (row.attempt, row.sends) for row in session.scalars(select(Outbox))}

    def due_in(self, task_id: str) -> float:
        """Seconds until the task's wish is due, by the database's clock."""
        with self.db.read() as session:
            due, clock = session.execute(
                select(Outbox.available_at, db_now().label("clock")).where(Outbox.task_id == task_id)
            ).one()
            return float((due - clock).total_seconds())

    def make_due(self, task_id: str) -> None:
        """Let the time of the task's wish come."""
        with self.db.write() as session:
            session.execute(update(Outbox).where(Outbox.task_id == task_id).values(available_at=db_now(-1)))

    def lapse(self, task_id: str) -> None:
        """Let the lease of the task's run lapse: for as long as it is, nobody has renewed it."""
        with self.db.write() as session:
            session.execute(update(Task).where(Task.id == task_id).values(lease_until=db_now(-1)))
        with self.db.read() as session:
            attempt, until = session.execute(select(Task.attempt, Task.lease_until).where(Task.id == task_id)).one()
        self.rt.reaper.writable_since = -math.inf
        self.rt.reaper.seen[task_id] = Seen(attempt, until, self.settings.lease_seconds)

    def overdue(self, task_id: str) -> None:
        """Let the expiry of the task pass."""
        with self.db.write() as session:
            session.execute(update(Task).where(Task.id == task_id).values(expires_at=db_now(-1)))

    def events(self, task_id: str | None = None, instance_id: str = "demo") -> list[EventRecord]:
        """The log, after the oracle has found it and the rows in order."""
        check(self.db, instance_id)
        with self.db.read() as session:
            return read_events(session, instance_id, 0, 1_000_000, task_id)

    def log(self, instance_id: str = "demo") -> list[EventRecord]:
        """The log as it is."""
        with self.db.read() as session:
            return read_events(session, instance_id, 0, 1_000_000)

    def story(self, task_id: str | None = None, *, after: int = 0) -> list[str]:
        """The log in words, from its event number `after` on (see `oracle.story`)."""
        return story(self.events(task_id))[after:]

    def head(self, instance_id: str = "demo") -> int:
        """The number of the latest event."""
        with self.db.read() as session:
            return session.scalars(select(Instance.seq).where(Instance.id == instance_id)).one()

    def close(self) -> None:
        """Close what it opened."""
        self.rt.close()


def new_task(instance_id: str = "demo", **values: Any) -> CheckedTask:
    """A submission that has been checked."""
    given = {"kind": "probe", "title": "Probe", "input": {"n": 1}, "fingerprint": "f", "id": str(uuid.uuid4())}
    return CheckedTask(instance_id=instance_id, **{**given, **values})


def compute_by(domain: Domain, offload: Offload) -> None:
    """Have the domain compute what takes long elsewhere."""
    domain.rt.offload = domain.db._info[OFFLOAD] = offload


def numbers(events: Sequence[EventRecord]) -> list[int]:
    """The numbers of events, in their order."""
    return [event.seq for event in events]


def read_outputs(session: Session, task_id: str) -> list[Any]:
    """The outputs of a task's steps as they are shown, in the order of the steps."""
    return [read_step(session, task_id, step["step_id"])["output"] for step in list_steps(session, task_id)]


class Away:
    """Stands for a thread that work is given to: does it at once, and tells meanwhile that it is at work."""

    is_at_work = False

    def __call__(self, work: Callable[..., Any], /, *arguments: Any) -> Any:
        """Do some work; what it gives away itself is done there too."""
        before, self.is_at_work = self.is_at_work, True
        try:
            return work(*arguments)
        finally:
            self.is_at_work = before
