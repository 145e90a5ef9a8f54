"""Records events in a transaction, numbers them, and reads them back.

Numbers are per instance, contiguous and in commit order, because the counter on the instance row is taken last in the
transaction and held until its commit: a reader that sees number n sees every number below it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal

import orjson
from sqlalchemy import Connection, Text, bindparam, cast, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from swallowtail.app.core.audit.writer import AuditRecord
from swallowtail.app.core.errors import NotFound
from swallowtail.app.core.events import PROMISED, EventRecord, bearable, event_id, now, to_json
from swallowtail.app.core.payload_redaction.rules import rules_of
from swallowtail.app.core.privacy.keyring import KeyMissing, Keyring, Tampered
from swallowtail.app.core.privacy.redaction import redact_facts
from swallowtail.app.core.process.worker_thread import offload_by_size
from swallowtail.app.core.security.actors import SYSTEM_CALLER, Actor, Caller
from swallowtail.app.core.security.permissions import confirm, require, require_outside, require_schedule, require_task
from swallowtail.app.core.security.roles import Act
from swallowtail.app.core.tables.base import Base
from swallowtail.app.core.tables.column_encryption import keyring_of, seal, unseal
from swallowtail.app.core.tables.instances import Instance
from swallowtail.app.core.tables.tasks import Event, Task
from swallowtail.app.core.tables.unreadable import Placeholder, damaged, deserialize, is_mark
from swallowtail.app.core.validation import LIMITS, check_kept

# The statements of every commit, on the tables themselves: the ORM's own way to them costs several times what they do.
_EVENT, _INSTANCE, _TASK = (Base.metadata.tables[model.__tablename__] for model in (Event, Instance, Task))
_FIND = select(_EVENT.c.id).where(_EVENT.c.id.in_(bindparam("ids", expanding=True)))
_TAKE = (
    _INSTANCE.update()
    .where(_INSTANCE.c.id == bindparam("instance"))
    .values(seq=_INSTANCE.c.seq + bindparam("count"))
    .returning(_INSTANCE.c.seq, _INSTANCE.c.epoch)
)
_STORE = _EVENT.insert()
#: In the order of an `EventRecord`; its moment and data come after them.
_TOLD = (
    Event.instance_id,
    Event.seq,
    Event.epoch,
    Event.id,
    Event.task_id,
    Event.type,
    Event.attempt,
    Event.created_at,
)
_NOTE = _TASK.update().where(_TASK.c.id == bindparam("task")).values(last_seq=bindparam("last"))


@dataclass(frozen=True, slots=True)
class Head:
    """Where an instance's log stands: `seq` is the latest number, replay is possible for cursors ≥ `min_seq`."""

    epoch: str
    seq: int
    min_seq: int

    def check(self, epoch: str | None, seq: int) -> Literal["epoch", "too_old"] | None:
        """Return why the log cannot be continued after a position; None if it can."""
        if epoch not in (None, self.epoch) or seq > self.seq:
            return "epoch"
        return "too_old" if seq < self.min_seq else None


@dataclass(frozen=True, slots=True)
class _Pending:
    instance_id: str
    task_id: str
    type: str
    attempt: int
    data: dict[str, Any]
    id: str


class Change:
    """The facts of one transaction. Record them as the rows change; `number` gives them their numbers at its end."""

    def __init__(self, session: Session, caller: Caller = SYSTEM_CALLER) -> None:
        self.session = session
        self.caller = caller
        #: One moment for everything in this transaction.
        self.now: datetime = now()
        self._pending: list[_Pending] = []
        #: The caller's actor as it is in this transaction, once that was asked.
        self._actor: Actor | None = None
        #: What the caller did in this transaction, for the audit log.
        self.audited: list[AuditRecord] = []

    def audit(
        self, scope: str, action: str, object_type: str, object_id: str, detail: Mapping[str, Any] | None = None
    ) -> None:
        """Write an audit entry with this transaction; `scope` is the instance, or SYSTEM_SCOPE."""
        self.audited.append(AuditRecord(scope, action, object_type, object_id, detail or {}))

    def require(self, act: Act, instance_id: str) -> None:
        """Let the caller do something in an instance; nothing that allows it changes before the commit."""
        require(self.session, self._confirmed(), act, instance_id, hold=True)

    def require_task(self, act: Act, task_id: str) -> None:
        """Let the caller do something with a task, likewise."""
        require_task(self.session, self._confirmed(), act, task_id, hold=True)

    def require_schedule(self, act: Act, schedule_id: str) -> None:
        """Let the caller do something with a schedule, likewise."""
        require_schedule(self.session, self._confirmed(), act, schedule_id, hold=True)

    def require_outside(self, act: Act) -> None:
        """Let the caller do something that belongs to no instance, likewise."""
        require_outside(self._confirmed(alone=act is Act.CREATE_INSTANCE), act)

    def _confirmed(self, *, alone: bool = False) -> Actor:
        if self._actor is None:
            self._actor = confirm(self.session, self.caller.actor, alone=alone)
        return self._actor

    def record(
        self, task: Task, name: str, data: dict[str, Any], *, fact: str, step: str = "", shown: Sequence[str] = ()
    ) -> None:
        """Note one fact about `task`, to be sent as event `name`; `fact` and `step` set it apart within the attempt.

        Secrets are hidden here. The fields in `shown` are JSON values that were checked, and are as they
        may be seen already: not looked at again.

        Raises:
            InvalidInput, TooLarge: there is more in the rest, or deeper, than any reader could be given.
        """
        kind = f"{fact}@{task.retries}" if task.retries else fact
        identity = event_id(task.id, task.attempt, step, kind)
        # As it will be read back: live clients and those that replay must get the same.
        encoded = to_json({field: value for field, value in data.items() if field not in shown})
        check_kept(encoded, name, self.session.info[LIMITS], around=1)
        told = data | redact_facts(orjson.loads(encoded), rules_of(self.session, task), encoded)
        self._pending.append(_Pending(task.instance_id, task.id, name, task.attempt, told, identity))

    def number(self) -> list[EventRecord]:
        """Take numbers and store what is not stored yet. Call it last: the counter is locked from here to the commit.

        Raises:
            NotFound: an instance is gone.
        """
        records: list[EventRecord] = []
        pending, self._pending = self._pending, []
        for instance_id in dict.fromkeys(fact.instance_id for fact in pending):
            records += self._store(instance_id, [fact for fact in pending if fact.instance_id == instance_id])
        return records

    def is_stored_by(self, session: Session, records: list[EventRecord]) -> bool:
        """Tell, in a later transaction, whether the one that these records came from was committed."""
        if not records:
            return False
        same = (Event.id == records[0].id, Event.seq == records[0].seq, Event.created_at == self.now)
        return session.scalar(select(Event.id).where(*same)) is not None

    def _store(self, instance_id: str, facts: list[_Pending]) -> list[EventRecord]:
        self.session.flush()
        connection = self.session.connection()
        while True:
            fresh = self._not_stored(facts)
            if not fresh:
                return []
            try:
                # The savepoint gives the numbers back when another transaction has stored the same event.
                with connection.begin_nested():
                    return self._insert(connection, instance_id, fresh)
            except IntegrityError:
                if len(self._not_stored(facts)) == len(fresh):
                    raise

    def _not_stored(self, facts: list[_Pending]) -> list[_Pending]:
        rows = self.session.connection().execute(_FIND, {"ids": [fact.id for fact in facts]})
        stored = set(rows.scalars())
        return [fact for fact in facts if fact.id not in stored]

    def _insert(self, connection: Connection, instance_id: str, facts: list[_Pending]) -> list[EventRecord]:
        taken = connection.execute(_TAKE, {"instance": instance_id, "count": len(facts)}).one_or_none()
        if taken is None:
            raise NotFound("there is no such instance", field="instance_id")
        last, epoch = taken
        first, at = last - len(facts) + 1, self.now.timestamp()
        records = [
            EventRecord(
                instance_id, first + place, epoch, fact.id, fact.task_id, fact.type, fact.attempt, fact.data, at
            )
            for place, fact in enumerate(facts)
        ]
        keyring = keyring_of(self.session)
        connection.execute(_STORE, [_row(record, self.now, keyring) for record in records])
        latest = {record.task_id: record.seq for record in records}
        connection.execute(_NOTE, [{"task": task_id, "last": seq} for task_id, seq in latest.items()])
        return records


def _row(record: EventRecord, moment: datetime, keyring: Keyring) -> dict[str, Any]:
    return {
        "instance_id": record.instance_id,
        "seq": record.seq,
        "id": record.id,
        "epoch": record.epoch,
        "task_id": record.task_id,
        "type": record.type,
        "attempt": record.attempt,
        "data": seal(keyring, Event, record.id, "data", record.data),
        "created_at": moment,
    }


def read_head(session: Session, instance_id: str) -> Head | None:
    """Return where the instance's log stands, or None when there is no such instance."""
    row = session.execute(
        select(Instance.epoch, Instance.seq, Instance.min_seq).where(Instance.id == instance_id)
    ).one_or_none()
    return None if row is None else Head(row.epoch, row.seq, row.min_seq)


def read_heads(session: Session, instance_ids: list[str]) -> dict[str, Head]:
    """Return the heads of those instances that exist, by id: one query for every watched instance."""
    rows = session.execute(
        select(Instance.id, Instance.epoch, Instance.seq, Instance.min_seq).where(Instance.id.in_(instance_ids))
    )
    return {row.id: Head(row.epoch, row.seq, row.min_seq) for row in rows}


def read_events(
    session: Session, instance_id: str, after: int, limit: int, task_id: str | None = None
) -> list[EventRecord]:
    """Return up to `limit` events with numbers above `after`, in order; of one task only when `task_id` is given."""
    query = select(*_TOLD, cast(Event.data, Text)).where(Event.instance_id == instance_id, Event.seq > after)
    if task_id is not None:
        query = query.where(Event.task_id == task_id)
    rows = session.execute(query.order_by(Event.seq).limit(limit)).all()
    # As text, which is parsed in a thread: a page of events may be megabytes.
    size = sum(len(row[-1] or "") for row in rows)
    records: list[EventRecord] = offload_by_size(session, size)(_records, rows, keyring_of(session))
    return records


def _records(rows: Sequence[Sequence[Any]], keyring: Keyring) -> list[EventRecord]:
    records = []
    for instance_id, seq, epoch, identity, task_id, name, attempt, moment, text in rows:
        row = EventRecord(instance_id, seq, epoch, identity, task_id, name, attempt, {}, moment.timestamp())
        records.append(replace(row, data=bearable(_data(row, text, keyring))))
    return records


def _data(row: EventRecord, text: str | None, keyring: Keyring) -> dict[str, Any]:
    """Return an event's data; of one that cannot be read its mark, beside null for what clients are promised."""
    try:
        data = unseal(keyring, Event, row.id, "data", None if text is None else deserialize(text))
    except (KeyMissing, Tampered) as fault:
        data = Placeholder(fault)
    data = data if isinstance(data, dict) else damaged()
    return {**dict.fromkeys(PROMISED.get(row.type, ())), **data} if is_mark(data) else data
