"""The cost of frequent queries depends on the rows that they return, and not on the size of the tables.

On SQLite, the tests count the steps of its virtual machine, with tables of one size and of four times that size. On
PostgreSQL, they examine the plans for large tables.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import event, insert, select, text

from swallowtail.app.core.audit.reader import list_entries
from swallowtail.app.core.events import now
from swallowtail.app.core.ledger.event_log import read_events
from swallowtail.app.core.ledger.outbox import LONG_QUEUE
from swallowtail.app.core.maintenance.retention import Policy, is_due, prune
from swallowtail.app.core.queries import rows as queries_rows
from swallowtail.app.core.queries.snapshot import SnapshotLimits, read_snapshot_rows
from swallowtail.app.core.queries.system_status import count_open, read_system_status
from swallowtail.app.core.schemas.identities import AuditFilter
from swallowtail.app.core.states import TaskStatus
from swallowtail.app.core.tables.audit import AuditEntry
from swallowtail.app.core.tables.instances import Instance
from swallowtail.app.core.tables.schedules import Schedule, Slot
from swallowtail.app.core.tables.tasks import Event, Outbox, Task
from tests.core.conftest import NewDomain
from tests.core.domain import Domain
from tests.harness.settings import make_settings

LONG_AGO = now() - timedelta(days=100)
ROWS = 1000
#: Steps of the virtual machine per count.
OPS = 20


def _fill(domain: Domain, rows: int) -> None:
    """Store ended tasks whose expiry has passed, of two kinds and two states, each with an event and an audit entry."""
    schedule: dict[str, Any] = {"id": "s", "instance_id": "demo", "name": "S", "kind": "k", "input": {}}
    with domain.db.write() as session:
        session.execute(insert(Schedule), [{**schedule, "timing": "once", "created_at": now()}])
        for table, row in ((Task, _task), (Event, _event), (AuditEntry, _audit_entry), (Slot, _slot)):
            session.execute(insert(table), [row(number) for number in range(rows)])
        session.execute(text(f"UPDATE instance SET seq = {rows}, epoch = 'one' WHERE id = 'demo'"))


def _task_id(number: int) -> str:
    return f"{number:08}-0000-4000-8000-000000000000"


def _moment(number: int) -> datetime:
    return LONG_AGO + timedelta(seconds=number)


def _task(number: int) -> dict[str, Any]:
    return {
        "id": _task_id(number), "instance_id": "demo", "kind": f"kind-{number % 2}", "title": "T", "input": {},
        "status": ("COMPLETED", "CANCELLED")[number // 2 % 2], "progress": 100.0, "message": "", "attempt": 0,
        "losses": 0, "retries": 0, "submitted_by": "test", "fingerprint": "", "last_seq": number + 1,
        "created_at": _moment(number), "updated_at": now(), "finished_at": now(), "expires_at": _moment(number),
    }  # fmt: skip


def _event(number: int) -> dict[str, Any]:
    return {
        "instance_id": "demo", "seq": number + 1, "id": f"e{number}", "epoch": "one", "task_id": _task_id(number),
        "type": "task_update", "attempt": 0, "data": {}, "created_at": now(),
    }  # fmt: skip


def _audit_entry(number: int) -> dict[str, Any]:
    return {
        "scope": "demo", "number": number + 1, "at": _moment(number), "actor_kind": "user", "actor_id": "u",
        "actor_name": "n", "entrance": "rest", "address": "", "action": "submit", "object_type": "task",
        "object_id": "much", "detail": {}, "previous_hash": "", "hash": "",
    }  # fmt: skip


def _slot(number: int) -> dict[str, Any]:
    moment, task_id = _moment(number), _task_id(number)
    return {"schedule_id": "s", "planned_at": moment, "outcome": "fired", "task_id": task_id, "created_at": now()}


def _put_off(domain: Domain) -> None:
    """Store an outbox entry for each task, due much later."""
    later = now() + timedelta(days=1)
    with domain.db.write() as session:
        rows = [
            {"task_id": task_id, "attempt": 1, "available_at": later, "due_at": later, "created_at": LONG_AGO}
            for task_id in session.scalars(select(Task.id))
        ]
        session.execute(insert(Outbox), rows)


def _read(domain: Domain, read: Callable[[Any], Any]) -> Any:
    with domain.db.read() as session:
        return read(session)


def _is_due(domain: Domain) -> bool:
    return bool(_read(domain, lambda session: is_due(session, "demo", Policy(task_days=10, event_days=10))))


def _audit(**criteria: Any) -> Callable[[Domain], Any]:
    return lambda domain: _read(
        domain, lambda session: list_entries(session, "demo", AuditFilter(**criteria), limit=10)
    )


def _tasks(**criteria: Any) -> Callable[[Domain], Any]:
    return lambda domain: _read(domain, lambda session: queries_rows.list_tasks(session, "demo", limit=10, **criteria))


def _snapshot(**limits: int) -> Callable[[Domain], Any]:
    return lambda domain: _read(domain, lambda s: read_snapshot_rows(s, "demo", SnapshotLimits(**limits)).build())


#: Each query, and the index, or the indexes, that PostgreSQL may use.
WORK: dict[str, tuple[Callable[[Domain], Any], str]] = {
    "expire": (lambda domain: domain.ledger.expire(), "ix_task_expiry"),
    "expire_leases": (lambda domain: domain.rt.lease_expiry.run(), "ix_task_lease|ix_task_open"),
    "relay": (lambda domain: domain.rt.relay.run_due(), "ix_outbox_available_at"),
    "find lost": (lambda domain: domain.rt.relay.find_lost(), "ix_outbox_sent_at"),
    "retention": (_is_due, "ix_task_finished"),
    "list": (_tasks(), "ix_task_list"),
    "list by an unknown kind": (_tasks(kind="nothing"), "ix_task_kind"),
    "list by a status that none has": (_tasks(status=TaskStatus.FAILED), "ix_task_status"),
    "list by a kind and a status that are never together": (
        _tasks(kind="kind-0", status=TaskStatus.FAILED), "ix_task_kind_status",
    ),
    "list in a time of nothing": (
        _tasks(since=LONG_AGO + timedelta(seconds=7.2), until=LONG_AGO + timedelta(seconds=7.9)), "ix_task_list",
    ),
    "events of one task": (
        lambda domain: _read(domain, lambda s: read_events(s, "demo", 0, 100, _task_id(7))), "ix_event_task",
    ),
    "snapshot": (_snapshot(tasks=10), "ix_task_list"),
    "audit by an action": (_audit(action="nothing"), "ix_audit_entry_action"),
    "audit by an actor": (_audit(actor="nobody"), "ix_audit_entry_actor"),
    "audit by an object": (_audit(object_id="nothing"), "ix_audit_entry_object"),
    "audit since a time": (_audit(since=LONG_AGO + timedelta(seconds=9)), "ix_audit_entry_list"),
    "audit until a time": (_audit(until=LONG_AGO + timedelta(seconds=9)), "ix_audit_entry_list|ix_audit_entry_at"),
    "audit in a time of nothing": (
        _audit(since=LONG_AGO + timedelta(seconds=7.2), until=LONG_AGO + timedelta(seconds=7.9)),
        "ix_audit_entry_list|ix_audit_entry_at",
    ),
    "audit by an action until a time": (
        _audit(action="submit", until=LONG_AGO + timedelta(seconds=9)), "ix_audit_entry_action|ix_audit_entry_at",
    ),
    "audit by an actor of many actions until a time": (
        _audit(actor="u", until=LONG_AGO + timedelta(seconds=9)), "ix_audit_entry_actor|ix_audit_entry_at",
    ),
    "audit by an actor of many actions": (_audit(actor="n"), "ix_audit_entry_actor|ix_audit_entry_actor_name"),
    "audit by an action of an actor of many other actions": (
        _audit(action="nothing", actor="u"), "ix_audit_entry_action_actor|ix_audit_entry_action",
    ),
    "audit by an actor without a frequent action": (
        _audit(action="submit", actor="nobody"), "ix_audit_entry_action_actor|ix_audit_entry_actor",
    ),
    # All entries are about this object, as PostgreSQL knows.
    "audit by an action on an object": (
        _audit(object_id="much", action="nothing"), "ix_audit_entry_object|ix_audit_entry_list",
    ),
    "audit by an actor on an object": (
        _audit(object_id="much", actor="nobody", since=LONG_AGO), "ix_audit_entry_object|ix_audit_entry_list",
    ),
    "what waits": (lambda domain: _read(domain, lambda s: read_system_status(s, 10)), "ix_outbox_due_at"),
    "open tasks": (lambda domain: _read(domain, lambda s: count_open(s, 10)), "ix_task_open"),
    "steps of snapshots": (_snapshot(tasks=10, steps=5), "ix_step_position"),
    "messages that may be missing": (lambda domain: domain.rt.relay._count_missing(10), "ix_outbox_sent_at"),
}  # fmt: skip

#: Indexes of conditions on a time, and not only of its order.
TIMED = frozenset({"ix_task_expiry", "ix_outbox_available_at", "ix_outbox_sent_at"})


def _steps(domain: Domain, work: Callable[[Domain], Any]) -> int:
    """Return the steps of SQLite's virtual machine, in units of `OPS`, for a second call of `work`."""
    counted = 0

    def count() -> int:
        nonlocal counted
        counted += 1
        return 0

    def listen(connection: Any, *_: Any) -> None:
        connection.connection.dbapi_connection.set_progress_handler(count, OPS)

    work(domain)
    event.listen(domain.db.engine, "before_cursor_execute", listen)
    counted = 0
    work(domain)
    event.remove(domain.db.engine, "before_cursor_execute", listen)
    return counted


@pytest.fixture(scope="module")
def sizes(tmp_path_factory: pytest.TempPathFactory, sqlite_template: Any) -> Iterator[tuple[Domain, Domain]]:
    """Return two domains: with tables of one size, and of four times that size."""
    domains = []
    for times in (1, 4):
        var = tmp_path_factory.mktemp(f"times{times}")
        shutil.copy(sqlite_template / "swallowtail.db", var)
        domain = Domain(make_settings(var_dir=var))
        _fill(domain, ROWS * times)
        _put_off(domain)
        domains.append(domain)
    yield domains[0], domains[1]
    for domain in domains:
        domain.rt.close()


@pytest.mark.unit
@pytest.mark.parametrize("name", WORK)
def test_the_work_does_not_grow_with_the_rows(sizes: tuple[Domain, Domain], name: str) -> None:
    few, many = (_steps(domain, WORK[name][0]) for domain in sizes)
    # A B-tree of four times the size may be one level deeper, which costs no step of the machine.
    assert many <= few * 1.2 + 5, (few, many)


@pytest.mark.unit
def test_the_count_notices_a_query_that_reads_the_table(sizes: tuple[Domain, Domain]) -> None:
    def scan(domain: Domain) -> Any:
        return _read(domain, lambda session: session.scalars(select(Task.id).where(Task.message == "x")).all())

    few, many = (_steps(domain, scan) for domain in sizes)
    assert many > 3 * few


@contextmanager
def _statements(domain: Domain) -> Iterator[list[tuple[str, Any]]]:
    statements: list[tuple[str, Any]] = []

    def note(_: Any, __: Any, statement: str, parameters: Any, *___: Any) -> None:
        statements.append((statement, parameters))

    event.listen(domain.db.engine, "before_cursor_execute", note)
    try:
        yield statements
    finally:
        event.remove(domain.db.engine, "before_cursor_execute", note)


@pytest.mark.service
def test_postgresql_plans_with_these_indexes(new_postgres_domain: NewDomain) -> None:
    domain = new_postgres_domain()
    _fill(domain, 4 * ROWS)
    _put_off(domain)
    for table in ("task", "event", "outbox", "audit_entry"):
        with domain.db.write() as session:
            session.execute(text(f"ANALYZE {table}"))
    plans = {}
    for name, (work, index) in WORK.items():
        with _statements(domain) as statements:
            work(domain)
        with domain.db.read() as session:
            # Plan as for large tables, of which the database cannot read every row.
            session.execute(text("SET LOCAL enable_seqscan = off"))
            session.execute(text("SET LOCAL enable_bitmapscan = on"))
            cursor = session.connection().connection.cursor()
            lines = []
            for statement, parameters in statements:
                if statement.lstrip().startswith("SELECT"):
                    cursor.execute("EXPLAIN " + statement, parameters)
                    lines += [row[0] for row in cursor.fetchall()]
        uses = any(f"{one} " in f"{line} " for line in lines for one in index.split("|"))
        if index in TIMED:
            uses = uses and "Index Cond" in "".join(lines)
        if not uses or any("Seq Scan on task" in line or "Seq Scan on event" in line for line in lines):
            plans[name] = lines
    assert not plans


def test_pruning_takes_ended_tasks_by_when_they_ended_and_leaves_the_others(domain: Domain) -> None:
    _fill(domain, 40)
    waiting = domain.submit()
    with domain.db.write() as session:
        session.execute(text("UPDATE task SET finished_at = created_at WHERE id < '00000020'"))
        session.execute(text("UPDATE event SET created_at = created_at - 8640000000000 WHERE seq <= 20"))
    assert prune(domain.rt, "demo", Policy(task_days=10, event_days=10)).tasks == 20
    with domain.db.read() as session:
        ids = set(session.scalars(select(Task.id)))
        assert session.scalar(select(Instance.min_seq)) == 20
        assert len(session.scalars(select(Outbox.task_id)).all()) == 1
    assert ids == {_task_id(number) for number in range(20, 40)} | {waiting}


def test_with_a_long_queue_missing_messages_are_not_counted_and_one_is_sent_again(
    domain: Domain, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(domain.rt.relay, "_read_depth", lambda: LONG_QUEUE + 1)
    with _statements(domain) as statements:
        assert domain.rt.relay._count_missing(10) == 1
    assert statements == []
