"""Exports an instance as lines of JSON.

The first line says what was exported and when, the last is the manifest: the number of lines of each kind, and the
SHA-256 of every byte before it. A file without it is not whole. Every page is a transaction of its own: events go up to
the head that the first line names, and other rows are as they are when their page is read.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import orjson
from sqlalchemy import literal, select, tuple_
from sqlalchemy.orm import Session, undefer

from swallowtail.app.core.call_context import CallContext
from swallowtail.app.core.errors import NotFound
from swallowtail.app.core.events import bearable, now, stamp, to_json
from swallowtail.app.core.ledger.artifacts import read_artifact
from swallowtail.app.core.ledger.event_log import Head, read_events, read_head
from swallowtail.app.core.payload_redaction.rules import rules_among, rules_for
from swallowtail.app.core.privacy.keyring import KeyMissing, Tampered
from swallowtail.app.core.queries import rows as queries_rows
from swallowtail.app.core.queries.views import view_schedule, view_slot, view_step, view_task
from swallowtail.app.core.schemas.tasks import StepView
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
#: Rows of one page; of tasks with their steps, and of artifacts, fewer.
PAGE, FEW = 500, 20

#: What reads a page: the session and where the last one ended (None: nowhere); gives rows and where this one ends.
_Read = Callable[[Session, Any], tuple[Sequence[Any], Any]]


def export_instance(runtime: CallContext, instance_id: str) -> Iterator[bytes]:
    """Return an instance's export, line by line, with secrets hidden.

    Whether the caller may is decided, and noted in the audit log, before the first line.

    Raises:
        InvalidInput: this is no id.
        NotFound: there is no such instance for the caller; while it is read: any more.
        Unauthenticated, Forbidden: the caller may not.
    """
    instance_id = check_instance_id(instance_id)

    def note(change: Any) -> None:
        change.require(Act.EXPORT, instance_id)
        change.audit(instance_id, Act.EXPORT, "instance", instance_id)

    runtime.commit(note)
    with runtime.db.read() as session:
        head = read_head(session, instance_id)
        if head is None:
            raise NotFound("there is no such instance", field="instance_id")
        first = {
            "kind": "export",
            "version": VERSION,
            "exported_at": stamp(now()),
            "instance": queries_rows.read_instance(session, instance_id),
            "epoch": head.epoch,
            "head": head.seq,
            "min_seq": head.min_seq,
        }
    return _lines(runtime, instance_id, head, first)


def _lines(runtime: CallContext, instance_id: str, head: Head, first: dict[str, Any]) -> Iterator[bytes]:
    digest, counts = hashlib.sha256(), Counter[str]()

    def write(line: dict[str, Any]) -> bytes:
        encoded = to_json(line) + b"\n"
        digest.update(encoded)
        counts[line["kind"]] += 1
        return encoded

    yield write(first)
    for kind, read in _parts(instance_id, head):
        after: Any = None
        while True:
            with runtime.db.read() as session:
                present = read_head(session, instance_id)
                if present is None or present.epoch != head.epoch:
                    raise NotFound("the instance was deleted meanwhile", field="instance_id")
                rows, after = read(session, after)
            for row in rows:
                yield write({"kind": kind, kind: row})
            if after is None:
                break
    manifest = {"kind": "manifest", "lines": dict(counts), "sha256": digest.hexdigest()}
    yield orjson.dumps(manifest) + b"\n"


def _parts(instance_id: str, head: Head) -> list[tuple[str, _Read]]:
    def policy(session: Session, after: Any) -> tuple[Sequence[Any], Any]:
        return [read_own_policy(session, instance_id)], None

    def members(session: Session, after: Any) -> tuple[Sequence[Any], Any]:
        query = select(Membership.role, Membership.created_at, Membership.user_id, User.name).join(
            User, User.id == Membership.user_id
        )
        rows = session.execute(query.where(Membership.instance_id == instance_id).order_by(Membership.user_id)).all()
        return [
            {"user_id": row.user_id, "name": row.name, "role": row.role, "created_at": stamp(row.created_at)}
            for row in rows
        ], None

    def events(session: Session, after: Any) -> tuple[Sequence[Any], Any]:
        found = read_events(session, instance_id, after or head.min_seq, PAGE)
        wires = [event.wire() for event in found if event.seq <= head.seq]
        return wires, wires[-1]["seq"] if len(wires) == PAGE else None

    return [
        ("policy", policy),
        ("member", members),
        ("schedule", lambda session, after: _read_schedules(session, instance_id, after)),
        ("slot", lambda session, after: _read_slots(session, instance_id, after)),
        ("task", lambda session, after: _read_tasks(session, instance_id, after)),
        ("artifact", lambda session, after: _read_artifacts(session, instance_id, after)),
        ("event", events),
        ("audit", lambda session, after: _read_audit(session, instance_id, after)),
    ]


def _read_schedules(session: Session, instance_id: str, after: Any) -> tuple[Sequence[Any], Any]:
    query = select(Schedule).where(Schedule.instance_id == instance_id, Schedule.id > (after or ""))
    rows = session.scalars(query.options(undefer(Schedule.input_shown)).order_by(Schedule.id).limit(PAGE)).all()
    shown = [view_schedule(session, row, rules_for(session, row.instance_id, row.kind)) for row in rows]
    return shown, rows[-1].id if len(rows) == PAGE else None


def _read_slots(session: Session, instance_id: str, after: Any) -> tuple[Sequence[Any], Any]:
    """Read a page of the slots of a page of schedules: of all of an instance's, no index knows the order."""
    begin, moment = after or ("", None)
    others = Schedule.id > begin if moment is None else Schedule.id >= begin
    mine = select(Schedule.id).where(Schedule.instance_id == instance_id, others)
    ids = session.scalars(mine.order_by(Schedule.id).limit(PAGE)).all()
    query = select(Slot).where(Slot.schedule_id.in_(ids))
    if moment is not None:
        query = query.where(tuple_(Slot.schedule_id, Slot.planned_at) > tuple_(begin, literal(moment, Moment())))
    rows = session.scalars(query.order_by(Slot.schedule_id, Slot.planned_at).limit(PAGE)).all()
    shown = [view_slot(row) for row in rows]
    if len(rows) == PAGE:
        return shown, (rows[-1].schedule_id, rows[-1].planned_at)
    return shown, (ids[-1], None) if len(ids) == PAGE else None


def _read_tasks(session: Session, instance_id: str, after: Any) -> tuple[Sequence[Any], Any]:
    query = select(Task).where(Task.instance_id == instance_id)
    if after is not None:
        query = query.where(tuple_(Task.created_at, Task.id) > tuple_(literal(after[0], Moment()), after[1]))
    kept = (undefer(Task.input_shown), undefer(Task.result_shown))
    rows = session.scalars(query.options(*kept).order_by(Task.created_at, Task.id).limit(FEW)).all()
    rules = rules_among(session, instance_id, rows)
    steps: dict[str, list[StepView]] = {row.id: [] for row in rows}
    of_these = select(Step).where(Step.task_id.in_(steps)).options(undefer(Step.output_shown))
    for step in session.scalars(of_these.order_by(Step.task_id, Step.position)):
        steps[step.task_id].append(view_step(session, step, rules[step.task_id]))
    shown = [{**view_task(session, row, rules[row.id]), "steps": steps[row.id]} for row in rows]
    last = (rows[-1].created_at, rows[-1].id) if len(rows) == FEW else None
    # A damaged moment is read as the first one there is: nothing goes on from there.
    return shown, None if last is None or (after is not None and last <= tuple(after)) else last


def _read_artifacts(session: Session, instance_id: str, after: Any) -> tuple[Sequence[Any], Any]:
    query = select(Artifact.id).where(Artifact.instance_id == instance_id, Artifact.id > (after or ""))
    ids = session.scalars(query.order_by(Artifact.id).limit(FEW)).all()
    shown = []
    for artifact_id in ids:
        try:
            found = read_artifact(session, artifact_id)
        except (KeyMissing, Tampered) as fault:
            shown.append({"id": artifact_id, "content": Placeholder(fault)})
            continue
        is_json = found.media_type == "application/json"
        content = bearable(orjson.loads(found.content)) if is_json else found.content.decode()
        row: dict[str, Any] = {
            "id": found.id,
            "task_id": found.task_id,
            "media_type": found.media_type,
            "sha256": found.sha256,
        }
        row |= {} if found.schedule_id is None else {"schedule_id": found.schedule_id}
        shown.append({**row, "content": content})
    return shown, ids[-1] if len(ids) == FEW else None


def _read_audit(session: Session, instance_id: str, after: Any) -> tuple[Sequence[Any], Any]:
    query = select(AuditEntry).where(AuditEntry.scope == instance_id, AuditEntry.number > (after or 0))
    rows = session.scalars(query.order_by(AuditEntry.number).limit(PAGE)).all()
    names = [column.name for column in AuditEntry.__table__.columns]
    # The moment as it is in the hash: with microseconds.
    shown = [
        {**{name: getattr(row, name) for name in names}, "at": row.at.isoformat(timespec="microseconds")}
        for row in rows
    ]
    return shown, rows[-1].number if len(rows) == PAGE else None
