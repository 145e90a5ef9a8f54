"""Stop 2 of 12: Submits, cancels and retries tasks, for every entry point.

Each action is one transaction, which checks the caller's permission with the rows that it reads.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Container
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import inspect
from sqlalchemy.orm import Session

from swallowtail.app.core.call_context import CallContext
from swallowtail.app.core.coordination.worker_registry import find_kind_warning, live_kinds
from swallowtail.app.core.errors import NotFound
from swallowtail.app.core.ledger.event_log import Change, read_head
from swallowtail.app.core.ledger.tasks import CheckedTask, SubmissionBasis
from swallowtail.app.core.payload_redaction.rules import rules_of
from swallowtail.app.core.privacy.redaction_rules import Rules
from swallowtail.app.core.process.offload import OFFLOAD, looks_small
from swallowtail.app.core.queries.views import view_task
from swallowtail.app.core.queries.waits import find_wait
from swallowtail.app.core.schemas.tasks import NewTask, TaskView, WarningView
from swallowtail.app.core.security.permissions import require
from swallowtail.app.core.security.roles import Act
from swallowtail.app.core.services.submissions import check_against, read_basis
from swallowtail.app.core.tables.tasks import Task
from swallowtail.app.core.validation import check_instance_id, check_line, check_task_id


@dataclass(frozen=True, slots=True)
class ActionResult:
    """The task after an action, and the number and epoch of its latest event."""

    task: TaskView
    seq: int
    epoch: str
    created: bool = False
    warnings: tuple[WarningView, ...] = ()


def submit(
    context: CallContext,
    instance_id: str,
    new: NewTask,
    *,
    idempotency_key: str | None = None,
    submitted_by: str = "api",
    basis: SubmissionBasis | None = None,
) -> ActionResult:
    """Store a task and its outbox entry. The same `idempotency_key` again returns the first task.

    A kind that no running worker knows is accepted with a warning, since such a worker may be about to start.
    `basis` is what `find_basis` returned, if the caller has read it.

    Raises:
        InvalidInput, TooLarge: see `check_submission`.
        Conflict: the idempotency key was used for another submission.
        Unauthenticated, NotFound, Forbidden: see `require`.
    """
    instance_id, task_id = check_instance_id(instance_id), str(uuid.uuid4())

    def check(basis: SubmissionBasis) -> CheckedTask:
        return check_against(
            basis, context, instance_id, new, idempotency_key=idempotency_key, submitted_by=submitted_by
        )

    if basis is None and not looks_small(new.input):
        with context.db.read() as session:
            basis = find_basis(session, context, instance_id, new.kind, new.input)
    # Before the transaction, which blocks others.
    early = None if basis is None else check(basis)

    def work(change: Change) -> tuple[Task, bool]:
        change.require(Act.SUBMIT, instance_id)
        present = read_basis(change.session, context, instance_id, new.kind)
        checked = early if early is not None and present == basis else check(present)
        return context.ledger.add_task(change, replace(checked, id=task_id))

    outcome = _act(context, work)
    context.wake_relay()
    return outcome


def find_basis(
    session: Session, context: CallContext, instance_id: str, kind: Any, payload: Any
) -> SubmissionBasis | None:
    """Return what a submission is checked against before its transaction; None for a small input, checked in it.

    Raises InvalidInput if there is no such agent, and as `require` does.
    """
    if looks_small(payload):
        return None
    require(session, context.caller.actor, Act.SUBMIT, check_instance_id(instance_id))
    return read_basis(session, context, instance_id, kind)


def cancel(context: CallContext, task_id: str) -> ActionResult:
    """Cancel a task: at once if it has not started, otherwise as soon as its run reacts.

    Raises:
        Conflict: the task has already ended in another way.
        InvalidInput, Unauthenticated, NotFound, Forbidden: see `require_task`.
    """
    task_id = check_task_id(task_id)

    def work(change: Change) -> tuple[Task, bool]:
        change.require_task(Act.CANCEL, task_id)
        return context.ledger.cancel_task(change, task_id), False

    return _act(context, work, is_to_run=False)


def retry(context: CallContext, task_id: str, from_step: str | None = None) -> ActionResult:
    """Start another attempt of an ended task. Finished steps are kept; with `from_step` (a key), those before it.

    Raises:
        InvalidInput: the task has no such step.
        Conflict: the task has not ended, or has completed.
        Unauthenticated, NotFound, Forbidden: see `require_task`.
    """
    task_id = check_task_id(task_id)

    def work(change: Change) -> tuple[Task, bool]:
        change.require_task(Act.RETRY, task_id)
        key = None if from_step is None else check_line(from_step, "from_step", longest=200)
        return context.ledger.retry_task(change, task_id, key), False

    outcome = _act(context, work)
    context.wake_relay()
    return outcome


def find_warnings(context: CallContext, kind: str) -> tuple[WarningView, ...]:
    """Return the warnings about tasks of a kind."""
    # Called after a commit: a lost connection must not look as if the commit had failed.
    warnings: tuple[WarningView, ...] = context.db.run(lambda session: _find_warnings(session, kind), write=False)
    return warnings


def _find_warnings(session: Session, kind: str, live: Container[str] | None = None) -> tuple[WarningView, ...]:
    warning = find_kind_warning(session, kind, live)
    return () if warning is None else (WarningView(code="no_worker", message=warning),)


def _act(context: CallContext, work: Callable[[Change], tuple[Task, bool]], *, is_to_run: bool = True) -> ActionResult:
    """Commit an action on a task, and make its view afterwards from the row that the transaction read."""

    def act(change: Change) -> tuple[Task, bool, Rules, str, dict[str, int], tuple[WarningView, ...]]:
        task, created = work(change)
        head = read_head(change.session, task.instance_id)
        if head is None:
            raise NotFound("there is no such instance", field="instance_id")
        live = live_kinds(change.session) if is_to_run else {}
        warnings = _find_warnings(change.session, task.kind, live) if is_to_run else ()
        rules = rules_of(change.session, task)
        if unloaded := inspect(task).unloaded:
            change.session.refresh(task, unloaded)
        return task, created, rules, head.epoch, live, warnings

    (task, created, rules, epoch, live, warnings), events = context.unit.commit(act, context.caller)
    # A session without a database: everything was loaded.
    view = view_task(Session(info={OFFLOAD: context.offload}), task, rules)
    view["waiting"] = find_wait(view["status"], view["kind"], live, is_broker_away=context.is_broker_away())
    if events:
        view["last_seq"], epoch = events[-1].seq, events[-1].epoch
    return ActionResult(view, view["last_seq"], epoch, created, warnings)
