"""The one door: whatever submits, cancels or retries goes through here. Second stop on the road, before the ledger.

REST, the web UI, the CLI and beat call the same functions, so that none of them can be laxer than another.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from sqlalchemy.orm import Session

from swallowtail.app.core.config.settings import Settings
from swallowtail.app.core.coordination.worker_registry import find_doubt
from swallowtail.app.core.errors import InvalidInput
from swallowtail.app.core.events import EventRecord, now, to_json
from swallowtail.app.core.ledger.agent_cards import PROBE, find_card, validate_input
from swallowtail.app.core.ledger.artifacts import Told, tell
from swallowtail.app.core.ledger.tasks import NewTask
from swallowtail.app.core.payload_redaction.rules import rules_for, rules_of
from swallowtail.app.core.privacy.text_redaction import redact_text
from swallowtail.app.core.process.worker_thread import Offload, here, looks_small
from swallowtail.app.core.queries.rows import read_instance
from swallowtail.app.core.queries.views import view_instance, view_task
from swallowtail.app.core.runtime import Runtime
from swallowtail.app.core.schemas.instances import InstanceView
from swallowtail.app.core.schemas.tasks import TaskView, WarningView
from swallowtail.app.core.security.permissions import Act, require, require_outside, require_task
from swallowtail.app.core.tables.system import Agent
from swallowtail.app.core.tables.tasks import Task
from swallowtail.app.core.validation import check_instance_id, check_json, check_kept, check_line, check_task_id

#: Longest that a submission may wait for a worker before it expires: a year.
_LONGEST_EXPIRY = 366 * 24 * 3600.0
#: In characters; a marker may be longer than what it hides.
_LONGEST_TITLE = 200


@dataclass(frozen=True, slots=True)
class Submission:
    """What somebody wants done. `expires_in` is seconds from now in which a worker must have taken it."""

    instance_id: str
    kind: str
    input: Any = None
    title: str | None = None
    idempotency_key: str | None = None
    expires_in: float | None = None
    submitted_by: str = "api"


@dataclass(frozen=True, slots=True)
class Outcome:
    """The task after an action, and the latest event that the action caused (or found): its number and its log."""

    task: TaskView
    seq: int
    epoch: str
    created: bool = False
    #: What the caller should know although the action was done: `{code, message}` each.
    warnings: tuple[WarningView, ...] = ()


def create_instance(runtime: Runtime, name: str, instance_id: str | None = None) -> InstanceView:
    """Create a workspace.

    Whoever creates it becomes its owner.

    Raises:
        InvalidInput: the name or the id cannot be used.
        Conflict: the id is taken.
        TooMany: the caller has created as many as one user may.
        Unauthenticated, Forbidden: see `require_outside`.
    """
    require_outside(runtime.caller.actor, Act.CREATE_INSTANCE)
    name = check_line(name, "name", longest=200)
    chosen = check_instance_id(instance_id, "id") if instance_id is not None else uuid.uuid4().hex
    return view_instance(runtime.ledger.create_instance(name, chosen))


def check_submission(runtime: Runtime, wanted: Submission) -> NewTask:
    """Check everything about a submission but whether its instance exists.

    Raises:
        InvalidInput: names the field that is wrong.
        TooLarge: the input is larger than allowed.
    """
    check_instance_id(wanted.instance_id)
    kind = check_line(wanted.kind, "kind", longest=100)
    if kind == PROBE and not runtime.settings.has_probe:
        raise InvalidInput("the agent 'probe' is off here; SWALLOWTAIL_PROBE=on turns it on", field="kind")
    compute = _place(runtime, wanted.input)
    compute(check_json, wanted.input, "input", runtime.settings)
    key = wanted.idempotency_key
    if key is not None:
        key = check_line(key, "Idempotency-Key", longest=200)
    expires_at = _expiry(wanted.expires_in)
    with runtime.db.read() as session:
        card = find_card(session, kind)
        given, encoded = compute(_complete, card, wanted.input, runtime.settings)
        rules = rules_for(session, wanted.instance_id, kind)
    told: Told = compute(tell, encoded, rules, runtime.settings)
    title = card.title if wanted.title is None else check_line(wanted.title, "title", longest=_LONGEST_TITLE)
    return NewTask(
        instance_id=wanted.instance_id,
        kind=kind,
        # Nobody needs a secret in it, and it is shown in many places.
        title=redact_text(title, told.own)[:_LONGEST_TITLE],
        input=given,
        fingerprint=compute(lambda: hashlib.sha256(to_json([kind, given, title, wanted.expires_in])).hexdigest()),
        submitted_by=check_line(wanted.submitted_by, "submitted_by", longest=100),
        idempotency_key=key,
        expires_at=expires_at,
        soft_time_limit=card.soft_time_limit,
        hard_time_limit=card.hard_time_limit,
        told=told,
    )


def _place(runtime: Runtime, given: Any) -> Offload:
    """Return where to compute with an input: a large one is not looked at where that would hold others up."""
    return here if looks_small(given) else runtime.offload


def _complete(card: Agent, given: Any, settings: Settings) -> tuple[Any, bytes]:
    """Return an input with the defaults of its agent's schema, which may make more of it, and the same as JSON."""
    given = validate_input(card, given)
    encoded = to_json(given)
    check_kept(encoded, "input", settings)
    return given, encoded


def submit(runtime: Runtime, wanted: Submission) -> Outcome:
    """Store a task and its wish to run. The same `idempotency_key` again gives the task it gave before.

    A kind that no running worker knows any more is accepted, since one may be about to start, but not without a word.

    Raises:
        InvalidInput, TooLarge: see `check_submission`.
        NotFound: there is no such instance.
        Conflict: the idempotency key was used for something else.
        Unauthenticated, Forbidden: the caller may not.
    """
    check_instance_id(wanted.instance_id)
    with runtime.db.read() as session:
        require(session, runtime.caller.actor, Act.SUBMIT, wanted.instance_id)
    task, events, created = runtime.ledger.submit(check_submission(runtime, wanted))
    runtime.hurry()
    return replace(_outcome(runtime, task, events, created=created), warnings=find_warnings(runtime, task.kind))


def find_warnings(runtime: Runtime, kind: str) -> tuple[WarningView, ...]:
    """Return what somebody should know who asks for tasks of a kind: `{code, message}` each."""
    # Often asked after something was stored: that must not look as if it had failed.
    doubt = runtime.db.run(lambda session: find_doubt(session, kind), write=False)
    return () if doubt is None else ({"code": "no_worker", "message": doubt},)


def cancel(runtime: Runtime, task_id: str) -> Outcome:
    """Cancel a task: at once if it has not started, otherwise as soon as its run notices.

    Raises:
        NotFound: there is no such task.
        Conflict: the task has already ended in another way.
        Unauthenticated, Forbidden: the caller may not.
    """
    task_id = check_task_id(task_id)
    with runtime.db.read() as session:
        require_task(session, runtime.caller.actor, Act.CANCEL, task_id)
    return _outcome(runtime, *runtime.ledger.request_cancel(task_id))


def retry(runtime: Runtime, task_id: str, from_step: str | None = None) -> Outcome:
    """Give an ended task another attempt. Finished steps are kept, up to `from_step` (a step's key) if that is given.

    Raises:
        NotFound: there is no such task.
        InvalidInput: the task has no such step.
        Conflict: the task has not ended, or has completed.
        Unauthenticated, Forbidden: the caller may not.
    """
    if from_step is not None:
        from_step = check_line(from_step, "from_step", longest=200)
    task_id = check_task_id(task_id)
    with runtime.db.read() as session:
        require_task(session, runtime.caller.actor, Act.RETRY, task_id)
    task, events = runtime.ledger.retry(task_id, from_step)
    outcome = _outcome(runtime, task, events)
    runtime.hurry()
    return replace(outcome, warnings=find_warnings(runtime, task.kind))


def _outcome(runtime: Runtime, task: Task, events: Sequence[EventRecord], *, created: bool = False) -> Outcome:
    def read(session: Session) -> Outcome:
        view = view_task(session, task, rules_of(session, task))
        if events:
            view["last_seq"] = events[-1].seq
            return Outcome(view, events[-1].seq, events[-1].epoch, created)
        return Outcome(view, task.last_seq, read_instance(session, task.instance_id)["epoch"], created)

    outcome: Outcome = runtime.db.run(read, write=False)
    return outcome


def _expiry(seconds: float | None) -> Any:
    if seconds is None:
        return None
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 < seconds <= _LONGEST_EXPIRY:
        raise InvalidInput("expires_in must be seconds, more than 0 and at most a year", field="expires_in")
    return now() + timedelta(seconds=seconds)
