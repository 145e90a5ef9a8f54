"""Exports an instance as lines of JSON.

The first line describes the export. The last line is the manifest: the number of lines of each kind, and the SHA-256 of
all bytes before it; a file without it is incomplete. Each page of rows is one transaction: events go up to the head in
the first line, and other rows are as they are when their page is read.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import orjson
from sqlalchemy import literal, select, tuple_
from sqlalchemy.orm import Session, undefer

from swallowtail.app.core.call_context import CallContext
from swallowtail.app.core.errors import NotFound
from swallowtail.app.core.events import limit_depth, now, stamp, to_json
from swallowtail.app.core.ledger.artifacts import read_artifact
from swallowtail.app.core.ledger.event_log import Change, Head, read_events, read_head
from swallowtail.app.core.payload_redaction.rules import rules_among, rules_for
from swallowtail.app.core.privacy.keyring import KeyMissing, Tampered
from swallowtail.app.core.queries.rows import read_instance
from swallowtail.app.core.queries.views import view_schedule, view_step, view_task
from swallowtail.app.core.schemas.fields import view_row
from swallowtail.app.core.schemas.schedules import SlotView
from swallowtail.app.core.schemas.tasks import StepView
from swallowtail.app.core.security.permissions import confirm, require
from swallowtail.app.core.security.roles import Act
from swallowtail.app.core.services.instance_policy import read_own_policy
from swallowtail.app.core.tables.artifacts import Artifact
from swallowtail.app.core.tables.audit import AuditEntry
from swallowtail.app.core.tables.auth import Membership, User
from swallowtail.app.core.tables.base import Moment
from swallowtail.app.core.tables.schedules import Schedule, Slot
from swallowtail.app.core.tables.tasks import Step, Task
from swallowtail.app.core.tables.unreadable import Placeholder
from swallowtail.app.core.validation import check_instance_id

VERSION = 1
#: Rows on one page, and fewer for tasks with their steps and for artifacts.
PAGE, FEW = 500, 20

#: Rows of one page, and the position after it; None after the last page.
_Rows = tuple[Sequence[Any], Any]
#: Reads a page of an instance after a position; None for the first page.
_Read = Callable[[Session, str, Any], _Rows]


def export_instance(context: CallContext, instance_id: str) -> Iterator[bytes]:
    """Return an instance's export, line by line, without secrets.

    The permission is checked, and the audit entry written, before the first line; each page checks it again.

    Raises:
        InvalidInput, Unauthenticated, Forbidden: see `require`.
        NotFound: there is no such instance for the caller, or it is deleted during the export.
    """
    instance_id = check_instance_id(instance_id)

    def authorize(change: Change) -> None:
        change.require(Act.EXPORT, instance_id)
        change.audit(instance_id, Act.EXPORT, "instance", instance_id)

    context.commit(authorize)
    with context.db.read() as session:
        head = read_head(session, instance_id)
        if head is None:
            raise NotFound("there is no such instance", field="instance_id")
        first = {
            "kind": "export",
            "version": VERSION,
            "exported_at": stamp(now()),
            "instance": read_instance(session, instance_id),
            "epoch": head.epoch,
            "head": head.seq,
            "min_seq": head.min_seq,
        }
    return _lines(context, instance_id, head, first)


def _lines(context: CallContext, instance_id: str, head: Head, first: dict[str, Any]) -> Iterator[bytes]:
    digest, counts = hashlib.sha256(), Counter[str]()

    def write(line: dict[str, Any]) -> bytes:
        encoded = to_json(line) + b"\n"
        digest.update(encoded)
        counts[line["kind"]] += 1
        return encoded

    yield write(first)
    for kind, read in _parts(head).items():
        after: Any = None
        while True:
            with context.db.read() as session:
                present = read_head(session, instance_id)
                if present is None or present.epoch != head.epoch:
                    raise NotFound("the instance was deleted meanwhile", field="instance_id")
                require(session, confirm(session, context.caller.actor), Act.EXPORT, instance_id)
                rows, after = read(session, instance_id, after)
            for row in rows:
                yield write({"kind": kind, kind: row})
            if after is None:
                break
    manifest = {"kind": "manifest", "lines": dict(counts), "sha256": digest.hexdigest()}
    yield orjson.dumps(manifest) + b"\n"


def _parts(head: Head) -> dict[str, _Read]:
    return {
        "policy": lambda session, instance_id, after: ([read_own_policy(session, instance_id)], None),
        "member": _read_members,
        "schedule": _read_schedules,
        "slot": _read_slots,
        "task": _read_tasks,
        "artifact": _read_artifacts,
        "event": partial(_read_events, head),
        "audit": _read_audit,
    }


def _read_members(session: Session, instance_id: str, after: Any) -> _Rows:
    members = select(Membership.role, Membership.created_at, Membership.user_id, User.name)
    query = members.join(User, User.id == Membership.user_id).where(Membership.instance_id == instance_id)
    rows = session.execute(query.order_by(Membership.user_id))
    return [
        {"user_id": row.user_id, "name": row.name, "role": row.role, "created_at": stamp(row.created_at)}
        for row in rows
    ], None


def _read_events(head: Head, session: Session, instance_id: str, after: Any) -> _Rows:
    events = read_events(session, instance_id, after or head.min_seq, PAGE)
    wires = [event.wire() for event in events if event.seq <= head.seq]
    return wires, wires[-1]["seq"] if len(wires) == PAGE else None


def _read_schedules(session: Session, instance_id: str, after: Any) -> _Rows:
    query = select(Schedule).where(Schedule.instance_id == instance_id, Schedule.id > (after or ""))
    rows = session.scalars(query.options(undefer(Schedule.input_shown)).order_by(Schedule.id).limit(PAGE)).all()
    views = [view_schedule(session, row, rules_for(session, row.instance_id, row.kind)) for row in rows]
    return views, rows[-1].id if len(rows) == PAGE else None


def _read_slots(session: Session, instance_id: str, after: Any) -> _Rows:
    """Read a page of the slots of a page of schedules: no index has the order of all slots of an instance."""
    begin, moment = after or ("", None)
    others = Schedule.id > begin if moment is None else Schedule.id >= begin
    page = select(Schedule.id).where(Schedule.instance_id == instance_id, others)
    ids = session.scalars(page.order_by(Schedule.id).limit(PAGE)).all()
    query = select(Slot).where(Slot.schedule_id.in_(ids))
    if moment is not None:
        query = query.where(tuple_(Slot.schedule_id, Slot.planned_at) > tuple_(begin, literal(moment, Moment())))
    rows = session.scalars(query.order_by(Slot.schedule_id, Slot.planned_at).limit(PAGE)).all()
    views = [view_row(SlotView, row) for row in rows]
    if len(rows) == PAGE:
        return views, (rows[-1].schedule_id, rows[-1].planned_at)
    return views, (ids[-1], None) if len(ids) == PAGE else None


def _read_tasks(session: Session, instance_id: str, after: Any) -> _Rows:
    query = select(Task).where(Task.instance_id == instance_id)
    if after is not None:
        query = query.where(tuple_(Task.created_at, Task.id) > tuple_(literal(after[0], Moment()), after[1]))
    redactions = (undefer(Task.input_shown), undefer(Task.result_shown))
    rows = session.scalars(query.options(*redactions).order_by(Task.created_at, Task.id).limit(FEW)).all()
    rules = rules_among(session, instance_id, rows)
    steps: dict[str, list[StepView]] = {row.id: [] for row in rows}
    of_these = select(Step).where(Step.task_id.in_(steps)).options(undefer(Step.output_shown))
    for step in session.scalars(of_these.order_by(Step.task_id, Step.position)):
        steps[step.task_id].append(view_step(session, step, rules[step.task_id]))
    views = [{**view_task(session, row, rules[row.id]), "steps": steps[row.id]} for row in rows]
    last = (rows[-1].created_at, rows[-1].id) if len(rows) == FEW else None
    # A damaged time is read as the earliest time: no later page can be read.
    return views, None if last is None or (after is not None and last <= tuple(after)) else last


def _read_artifacts(session: Session, instance_id: str, after: Any) -> _Rows:
    query = select(Artifact.id).where(Artifact.instance_id == instance_id, Artifact.id > (after or ""))
    ids = session.scalars(query.order_by(Artifact.id).limit(FEW)).all()
    views = []
    for artifact_id in ids:
        try:
            artifact = read_artifact(session, artifact_id)
        except (KeyMissing, Tampered) as fault:
            views.append({"id": artifact_id, "content": Placeholder(fault)})
            continue
        is_json = artifact.media_type == "application/json"
        content = limit_depth(orjson.loads(artifact.content)) if is_json else artifact.content.decode()
        names = ("id", "task_id", "media_type", "sha256") + ("schedule_id",) * (artifact.schedule_id is not None)
        row = {name: getattr(artifact, name) for name in names}
        views.append({**row, "content": content})
    return views, ids[-1] if len(ids) == FEW else None


def _read_audit(session: Session, instance_id: str, after: Any) -> _Rows:
    query = select(AuditEntry).where(AuditEntry.scope == instance_id, AuditEntry.number > (after or 0))
    rows = session.scalars(query.order_by(AuditEntry.number).limit(PAGE)).all()
    names = [column.name for column in AuditEntry.__table__.columns]
    # With microseconds, as in the hash.
    views = [
        {**{name: getattr(row, name) for name in names}, "at": row.at.isoformat(timespec="microseconds")}
        for row in rows
    ]
    return views, rows[-1].number if len(rows) == PAGE else None
