"""Runs the core on a database of its own, and brings tasks into the states that tests need."""

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
from swallowtail.app.core.ledger.claims import Claim
from swallowtail.app.core.ledger.event_log import Change
from swallowtail.app.core.ledger.tasks import CheckedTask
from swallowtail.app.core.ledger.transitions import lock_task, move
from swallowtail.app.core.maintenance.lease_expiry import ObservedLease
from swallowtail.app.core.process.offload import OFFLOAD, Offload
from swallowtail.app.core.queries.rows import list_steps, read_step
from swallowtail.app.core.runtime import Runtime
from swallowtail.app.core.services.instances import create_instance
from swallowtail.app.core.states import TaskStatus
from swallowtail.app.core.tables.tasks import Outbox, Task
from tests.core.domain_reads import DomainReads

ERROR = {"code": "exception", "message": "It broke", "type": "ValueError"}
LOST = {"code": "worker_lost", "message": "The worker that ran this was lost"}
CANCELLED = {"code": "cancelled", "message": "Cancelled"}


class Domain(DomainReads):
    """A runtime on an empty, migrated database with the instance `demo`; `announced` has the events that it sent."""

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
        """Store a task without checks; return its id."""
        return self.ledger.submit(new_task(instance_id, **values))[0].id

    def queued(self, **values: Any) -> str:
        """Store a task whose message has been sent; return its id."""
        task_id = self.submit(**values)
        self.ledger.mark_queued(task_id, 1, 60.0)
        return task_id

    def claim(self, task_id: str, attempt: int = 1, worker: str = "worker") -> Claim:
        """Claim a task; the claim must succeed."""
        claim = self.runs.claim(task_id, attempt, worker)
        assert claim is not None
        return claim

    def running(self, **values: Any) -> Claim:
        """Start a task; return its claim."""
        return self.claim(self.queued(**values))

    def failed(self, **values: Any) -> str:
        """Store a task that failed in its first attempt; return its id."""
        claim = self.running(**values)
        self.runs.fail(claim, ERROR)
        return claim.task_id

    def perform(self, claim: Claim, key: str, output: Any = "out", **more: Any) -> None:
        """Start and finish one step."""
        self.runs.start_step(claim, key, "Agent", "work")
        self.runs.finish_step(claim, key, output, **more)

    def bring_to(self, status: TaskStatus) -> str:
        """Store a task and bring it to a status; return its id."""
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
        """Let a running task wait. No agent can request it yet, so this is only the move."""

        def work(change: Change) -> None:
            task = lock_task(change.session, claim.task_id)
            assert task is not None
            move(change, task, TaskStatus.WAITING, token=None, lease_until=None)

        self.rt.commit(work)

    def make_due(self, task_id: str) -> None:
        """Make the task's outbox entry due."""
        with self.db.write() as session:
            session.execute(update(Outbox).where(Outbox.task_id == task_id).values(available_at=db_now(-1)))

    def lapse(self, task_id: str) -> None:
        """Let the lease of the task's run lapse, as if it was unchanged for its length."""
        with self.db.write() as session:
            session.execute(update(Task).where(Task.id == task_id).values(lease_until=db_now(-1)))
        with self.db.read() as session:
            attempt, until = session.execute(select(Task.attempt, Task.lease_until).where(Task.id == task_id)).one()
        self.rt.lease_expiry.writable_since = -math.inf
        self.rt.lease_expiry.leases[task_id] = ObservedLease(attempt, until, self.settings.lease_seconds)

    def overdue(self, task_id: str) -> None:
        """Let the task expire."""
        with self.db.write() as session:
            session.execute(update(Task).where(Task.id == task_id).values(expires_at=db_now(-1)))

    def close(self) -> None:
        """Close what it opened."""
        self.rt.close()


def new_task(instance_id: str = "demo", **values: Any) -> CheckedTask:
    """Return a checked submission."""
    defaults = {"kind": "probe", "title": "Probe", "input": {"n": 1}, "fingerprint": "f", "id": str(uuid.uuid4())}
    return CheckedTask(instance_id=instance_id, **{**defaults, **values})


def compute_by(domain: Domain, offload: Offload) -> None:
    """Let the domain run long computations by `offload`."""
    domain.rt.offload = domain.db._info[OFFLOAD] = offload


def numbers(events: Sequence[EventRecord]) -> list[int]:
    """Return the numbers of events."""
    return [event.seq for event in events]


def read_outputs(session: Session, task_id: str) -> list[Any]:
    """Return the redacted outputs of a task's steps in their order."""
    return [read_step(session, task_id, step["step_id"])["output"] for step in list_steps(session, task_id)]


class Away:
    """Stands in for a worker thread: computes at once, and sets `is_at_work` meanwhile."""

    is_at_work = False

    def __call__(self, work: Callable[..., Any], /, *arguments: Any) -> Any:
        """Run `work`; work that it offloads runs there too."""
        before, self.is_at_work = self.is_at_work, True
        try:
            return work(*arguments)
        finally:
            self.is_at_work = before
