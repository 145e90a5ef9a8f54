"""Records events in a transaction, numbers them, and reads them back.

Numbers are per instance, contiguous and in commit order, because the counter on the instance row is taken last in the
transaction and held until its commit: a reader that sees number n sees every number below it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal

import orjson
from sqlalchemy import Connection, Text, bindparam, cast, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from swallowtail.app.core.audit.writer import AuditRecord
from swallowtail.app.core.errors import NotFound
from swallowtail.app.core.events import COMMON_FIELDS, EventRecord, event_id, limit_depth, now, to_json
from swallowtail.app.core.payload_redaction.rules import rules_of
from swallowtail.app.core.privacy.keyring import KeyMissing, Keyring, Tampered
from swallowtail.app.core.privacy.redaction import redact_facts
from swallowtail.app.core.process.offload import offload_by_size
from swallowtail.app.core.security.actors import SYSTEM_CALLER, Actor, Caller
from swallowtail.app.core.security.permission_version import exclude_changes, read_version
from swallowtail.app.core.security.permissions import confirm, require, require_outside, require_schedule, require_task
from swallowtail.app.core.security.roles import Act
from swallowtail.app.core.tables.base import Base
from swallowtail.app.core.tables.column_encryption import decrypt_value, encrypt_value, keyring_of
from swallowtail.app.core.tables.instances import Instance
from swallowtail.app.core.tables.tasks import Event, Task
from swallowtail.app.core.tables.unreadable import Damaged, Placeholder, deserialize, is_mark
from swallowtail.app.core.validation import LIMITS, check_encoded

# The statements of every commit, on the tables themselves: the ORM would cost several times as much.
_EVENT, _INSTANCE, _TASK = (Base.metadata.tables[model.__tablename__] for model in (Event, Instance, Task))
_FIND_STORED = select(_EVENT.c.id).where(_EVENT.c.id.in_(bindparam("ids", expanding=True)))
_RAISE_SEQ = (
    _INSTANCE.update()
    .where(_INSTANCE.c.id == bindparam("instance"))
    .values(seq=_INSTANCE.c.seq + bindparam("count"))
    .returning(_INSTANCE.c.seq, _INSTANCE.c.epoch)
)
_INSERT = _EVENT.insert()
_COLUMNS = [column for column in _EVENT.c if column.name != "data"]
_SET_LAST_SEQ = _TASK.update().where(_TASK.c.id == bindparam("task")).values(last_seq=bindparam("last"))


@dataclass(frozen=True, slots=True)
class Head:
    """The head of an instance's log: `seq` is the latest number; replay is possible for cursors ≥ `min_seq`."""

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
    """One transaction with its events, audit entries and permission checks. `number` stores the events at its end."""

    def __init__(self, session: Session, caller: Caller = SYSTEM_CALLER) -> None:
        self.session = session
        self.caller = caller
        #: One moment for all rows of this transaction.
        self.now: datetime = now()
        self._pending: list[_Pending] = []
        #: The caller's actor as this transaction read it.
        self._actor: Actor | None = None
        #: What was checked for it, and the permission version before that.
        self._checks: list[Callable[[Actor], object]] = []
        self._version: int | None = None
        self._is_alone = False
        #: Audit entries to write with this transaction.
        self.audited: list[AuditRecord] = []

    def audit(
        self, scope: str, action: str, object_type: str, object_id: str, detail: Mapping[str, Any] | None = None
    ) -> None:
        """Write an audit entry with this transaction; `scope` is the instance, or SYSTEM_SCOPE."""
        self.audited.append(AuditRecord(scope, action, object_type, object_id, detail or {}))

    def require(self, act: Act, instance_id: str) -> None:
        """Check the caller's permission in an instance."""
        require(self.session, self.confirm_actor(), act, instance_id)
        self._repeat_later(act, instance_id)

    def require_task(self, act: Act, task_id: str) -> None:
        """Check the caller's permission for a task."""
        self._repeat_later(act, require_task(self.session, self.confirm_actor(), act, task_id))

    def require_schedule(self, act: Act, schedule_id: str) -> None:
        """Check the caller's permission for a schedule."""
        self._repeat_later(act, require_schedule(self.session, self.confirm_actor(), act, schedule_id))

    def require_outside(self, act: Act) -> None:
        """Check the caller's permission for an act outside of instances."""
        require_outside(self.confirm_actor(), act)
        self._checks.append(lambda actor: require_outside(actor, act))

    def confirm_actor(self) -> Actor:
        """Return the caller's actor as it is now. Raises Unauthenticated."""
        if self._actor is None:
            if not self.caller.actor.is_trusted:
                self._version = read_version(self.session)
            self._actor = confirm(self.session, self.caller.actor)
        return self._actor

    def exclude_changes(self) -> None:
        """Take permissions away alone: call it after the checks, which it repeats, and before the change."""
        exclude_changes(self.session)
        self.check_again()
        self._is_alone = True

    def check_again(self) -> None:
        """Repeat the checks if a permission has changed since. As the last read, it sees all that ended before.

        A permission that ends later ends after this change.
        """
        while not self._is_alone and self._version is not None and read_version(self.session) != self._version:
            self._actor = None
            self.confirm_actor()
            for check in self._checks:
                check(self.confirm_actor())

    def _repeat_later(self, act: Act, instance_id: str) -> None:
        # The instance's id also for a task or a schedule, which this transaction may delete.
        self._checks.append(lambda actor: require(self.session, actor, act, instance_id))

    def record(
        self, task: Task, name: str, data: dict[str, Any], *, fact: str, step: str = "", shown: Sequence[str] = ()
    ) -> None:
        """Record an event of type `name` about a task; `fact` and `step` identify it within the attempt.

        Secrets in `data` are redacted, except in the fields `shown`, which are checked and redacted already. Raises
        InvalidInput or TooLarge if the other fields are too deep or too large.
        """
        kind = f"{fact}@{task.retries}" if task.retries else fact
        identity = event_id(task.id, task.attempt, step, kind)
        # Decoded from JSON, so that live clients and those that replay receive the same.
        encoded = to_json({field: value for field, value in data.items() if field not in shown})
        check_encoded(encoded, name, self.session.info[LIMITS], extra_depth=1)
        shown_data = data | redact_facts(orjson.loads(encoded), rules_of(self.session, task), encoded)
        self._pending.append(_Pending(task.instance_id, task.id, name, task.attempt, shown_data, identity))

    def number(self) -> list[EventRecord]:
        """Number and store the recorded events that are new. Call it last: it locks the counters until the commit.

        Raises NotFound if an instance is gone.
        """
        records: list[EventRecord] = []
        pending, self._pending = self._pending, []
        for instance_id in dict.fromkeys(fact.instance_id for fact in pending):
            records += self._store(instance_id, [fact for fact in pending if fact.instance_id == instance_id])
        return records

    def is_stored_by(self, session: Session, records: list[EventRecord]) -> bool:
        """Return, in a later transaction, whether this one was committed with these records."""
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
                # The savepoint returns the numbers if another transaction has stored the same event.
                with connection.begin_nested():
                    return self._insert(connection, instance_id, fresh)
            except IntegrityError:
                if len(self._not_stored(facts)) == len(fresh):
                    raise

    def _not_stored(self, facts: list[_Pending]) -> list[_Pending]:
        rows = self.session.connection().execute(_FIND_STORED, {"ids": [fact.id for fact in facts]})
        stored = set(rows.scalars())
        return [fact for fact in facts if fact.id not in stored]

    def _insert(self, connection: Connection, instance_id: str, facts: list[_Pending]) -> list[EventRecord]:
        counter = connection.execute(_RAISE_SEQ, {"instance": instance_id, "count": len(facts)}).one_or_none()
        if counter is None:
            raise NotFound("there is no such instance", field="instance_id")
        last, epoch = counter
        first, at = last - len(facts) + 1, self.now.timestamp()
        records = [
            EventRecord(
                instance_id, first + place, epoch, fact.id, fact.task_id, fact.type, fact.attempt, fact.data, at
            )
            for place, fact in enumerate(facts)
        ]
        keyring = keyring_of(self.session)
        connection.execute(_INSERT, [_row(record, self.now, keyring) for record in records])
        latest = {record.task_id: record.seq for record in records}
        connection.execute(_SET_LAST_SEQ, [{"task": task_id, "last": seq} for task_id, seq in latest.items()])
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
        "data": encrypt_value(keyring, Event, record.id, "data", record.data),
        "created_at": moment,
    }


def read_head(session: Session, instance_id: str) -> Head | None:
    """Return the head of an instance's log; None if there is no such instance."""
    return read_heads(session, [instance_id]).get(instance_id)


def read_heads(session: Session, instance_ids: list[str]) -> dict[str, Head]:
    """Return the heads of those instances that exist, by id, with one query."""
    query = select(Instance.id, Instance.epoch, Instance.seq, Instance.min_seq).where(Instance.id.in_(instance_ids))
    return {row.id: Head(row.epoch, row.seq, row.min_seq) for row in session.execute(query)}


def read_events(
    session: Session, instance_id: str, after: int, limit: int, task_id: str | None = None
) -> list[EventRecord]:
    """Return up to `limit` events with numbers above `after`, in order; of one task only with `task_id`."""
    query = select(*_COLUMNS, cast(Event.data, Text)).where(Event.instance_id == instance_id, Event.seq > after)
    if task_id is not None:
        query = query.where(Event.task_id == task_id)
    rows = session.execute(query.order_by(Event.seq).limit(limit)).all()
    # As text, which a thread parses: a page of events may be megabytes.
    size = sum(len(row[-1] or "") for row in rows)
    records: list[EventRecord] = offload_by_size(session, size)(_records, rows, keyring_of(session))
    return records


def _records(rows: Sequence[Sequence[Any]], keyring: Keyring) -> list[EventRecord]:
    records = []
    for instance_id, seq, identity, epoch, task_id, name, attempt, moment, text in rows:
        row = EventRecord(instance_id, seq, epoch, identity, task_id, name, attempt, {}, moment.timestamp())
        records.append(replace(row, data=limit_depth(_data(row, text, keyring))))
    return records


def _data(row: EventRecord, text: str | None, keyring: Keyring) -> dict[str, Any]:
    """Return an event's data; if it is unreadable, a mark of that, and null in the fields that clients expect."""
    try:
        data = decrypt_value(keyring, Event, row.id, "data", None if text is None else deserialize(text))
    except (KeyMissing, Tampered) as fault:
        data = Placeholder(fault)
    data = data if isinstance(data, dict) else Damaged()
    return {**dict.fromkeys(COMMON_FIELDS.get(row.type, ())), **data} if is_mark(data) else data
