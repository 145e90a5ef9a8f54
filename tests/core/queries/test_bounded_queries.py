"""What is asked every second, or by anybody, costs what it finds: the size of the tables makes no difference.

On SQLite the steps of its virtual machine are counted, with tables of one size and of four times that. On PostgreSQL
the plans are looked at, as it would make them for large tables.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import event, insert, select, text

from swallowtail.app.core.audit.reader import Wanted, list_entries
from swallowtail.app.core.events import now
from swallowtail.app.core.ledger.event_log import read_events
from swallowtail.app.core.ledger.outbox import LONG_QUEUE
from swallowtail.app.core.maintenance.retention import Policy, is_due, prune
from swallowtail.app.core.queries import rows as queries_rows
from swallowtail.app.core.queries.snapshot import Bounds, snapshot
from swallowtail.app.core.queries.system_status import count_open, read_system_status
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
#: Steps of the virtual machine that are counted as one.
OPS = 20


def _fill(domain: Domain, rows: int) -> None:
    """Ended tasks whose expiry has passed, of two kinds and two ends, with an event and an audit entry each."""
    tasks: list[dict[str, Any]] = []
    events: list[dict[str, Any]] = []
    entries: list[dict[str, Any]] = []
    slots: list[dict[str, Any]] = []
    for number in range(rows):
        task_id = f"{number:08}-0000-4000-8000-000000000000"
        moment = LONG_AGO + timedelta(seconds=number)
        tasks.append(
            {"id": task_id, "instance_id": "demo", "kind": f"kind-{number % 2}", "title": "T", "input": {},
             "status": ("COMPLETED", "CANCELLED")[number // 2 % 2], "progress": 100.0, "message": "", "attempt": 0,
             "losses": 0, "retries": 0, "submitted_by": "test", "fingerprint": "", "last_seq": number + 1,
             "created_at": moment, "updated_at": now(), "finished_at": now(), "expires_at": moment}
        )  # fmt: skip
        events.append(
            {"instance_id": "demo", "seq": number + 1, "id": f"e{number}", "epoch": "one", "task_id": task_id,
             "type": "task_update", "attempt": 0, "data": {}, "created_at": now()}
        )  # fmt: skip
        entries.append(
            {"scope": "demo", "number": number + 1, "at": moment, "actor_kind": "user", "actor_id": "u",
             "actor_name": "n", "entrance": "rest", "address": "", "action": "submit", "object_type": "task",
             "object_id": "much", "detail": {}, "previous_hash": "", "hash": ""}
        )  # fmt: skip
        slots.append(
            {"schedule_id": "s", "planned_at": moment, "outcome": "fired", "task_id": task_id, "created_at": now()}
        )
    schedule: dict[str, Any] = {
        "id": "s",
        "instance_id": "demo",
        "name": "S",
        "kind": "k",
        "input": {},
        "timing": "once",
    }
    schedule["created_at"] = now()
    with domain.db.write() as session:
        session.execute(insert(Schedule), [schedule])
        session.execute(insert(Task), tasks)
        session.execute(insert(Event), events)
        session.execute(insert(AuditEntry), entries)
        session.execute(insert(Slot), slots)
        session.execute(text(f"UPDATE instance SET seq = {rows}, epoch = 'one' WHERE id = 'demo'"))


def _put_off(domain: Domain) -> None:
    """A wish for each task that is not due for long."""
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


def _audit(**wanted: Any) -> Callable[[Domain], Any]:
    return lambda domain: _read(domain, lambda session: list_entries(session, "demo", Wanted(**wanted), limit=10))


def _tasks(**wanted: Any) -> Callable[[Domain], Any]:
    return lambda domain: _read(domain, lambda session: queries_rows.list_tasks(session, "demo", limit=10, **wanted))


#: What is done, and the index, or the indexes, that PostgreSQL may find it by.
WORK: dict[str, tuple[Callable[[Domain], Any], str]] = {
    "expire": (lambda domain: domain.ledger.expire(), "ix_task_expiry"),
    "reap": (lambda domain: domain.rt.reaper.run(), "ix_task_lease|ix_task_open"),
    "relay": (lambda domain: domain.rt.relay.run_due(), "ix_outbox_available_at"),
    "find lost": (lambda domain: domain.rt.relay.find_lost(), "ix_outbox_sent_at"),
    "retention": (_is_due, "ix_task_finished"),
    "list": (_tasks(), "ix_task_list"),
    "list by an unknown kind": (_tasks(kind="nothing"), "ix_task_kind"),
    "list by a status that none has": (_tasks(status=TaskStatus.FAILED), "ix_task_status"),
    "list by a kind and a status that are never together": (
        _tasks(kind="kind-0", status=TaskStatus.FAILED), "ix_task_kind_status",
    ),
    "events of one task": (
        lambda domain: _read(domain, lambda s: read_events(s, "demo", 0, 100, f"{7:08}-0000-4000-8000-000000000000")),
        "ix_event_task",
    ),
    "snapshot": (lambda domain: _read(domain, lambda s: snapshot(s, "demo", Bounds(tasks=10))), "ix_task_list"),
    "audit by an action": (_audit(action="nothing"), "ix_audit_entry_action"),
    "audit by somebody": (_audit(actor="nobody"), "ix_audit_entry_actor"),
    "audit by a thing": (_audit(object_id="nothing"), "ix_audit_entry_object"),
    "audit since a time": (_audit(since=LONG_AGO + timedelta(seconds=9)), "ix_audit_entry_list"),
    "audit until a time": (_audit(until=LONG_AGO + timedelta(seconds=9)), "ix_audit_entry_list|ix_audit_entry_at"),
    "audit in a time of nothing": (
        _audit(since=LONG_AGO + timedelta(seconds=7.2), until=LONG_AGO + timedelta(seconds=7.9)),
        "ix_audit_entry_list|ix_audit_entry_at",
    ),
    "audit by an action until a time": (
        _audit(action="submit", until=LONG_AGO + timedelta(seconds=9)), "ix_audit_entry_action|ix_audit_entry_at",
    ),
    "audit by somebody of many deeds until a time": (
        _audit(actor="u", until=LONG_AGO + timedelta(seconds=9)), "ix_audit_entry_actor|ix_audit_entry_at",
    ),
    "audit by somebody of many deeds": (_audit(actor="n"), "ix_audit_entry_actor|ix_audit_entry_actor_name"),
    "audit by an action of somebody who has done much else": (
        _audit(action="nothing", actor="u"), "ix_audit_entry_action_actor|ix_audit_entry_action",
    ),
    "audit by somebody who never did what many did": (
        _audit(action="submit", actor="nobody"), "ix_audit_entry_action_actor|ix_audit_entry_actor",
    ),
    # Which is all there is, as PostgreSQL knows.
    "audit by an action on a thing": (
        _audit(object_id="much", action="nothing"), "ix_audit_entry_object|ix_audit_entry_list",
    ),
    "audit by somebody on a thing": (
        _audit(object_id="much", actor="nobody", since=LONG_AGO), "ix_audit_entry_object|ix_audit_entry_list",
    ),
    "what waits": (lambda domain: _read(domain, lambda s: read_system_status(s, 10)), "ix_outbox_due_at"),
    "open tasks": (lambda domain: _read(domain, lambda s: count_open(s, 10)), "ix_task_open"),
    "steps of snapshots": (
        lambda domain: _read(domain, lambda s: snapshot(s, "demo", Bounds(tasks=10, steps=5))), "ix_step_position",
    ),
    "messages that may be missing": (lambda domain: domain.rt.relay._count_missing(10), "ix_outbox_sent_at"),
}  # fmt: skip

#: Those that are searched by the clock, and not only held in order by it.
TIMED = frozenset({"ix_task_expiry", "ix_outbox_available_at", "ix_outbox_sent_at"})


def _steps(domain: Domain, work: Callable[[Domain], Any]) -> int:
    """Count what SQLite's virtual machine does, in units of `OPS`, once everything has been seen before."""
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
    """The same domain with tables of one size, and of four times that."""
    made = []
    for times in (1, 4):
        var = tmp_path_factory.mktemp(f"times{times}")
        shutil.copy(sqlite_template / "swallowtail.db", var)
        domain = Domain(make_settings(var_dir=var))
        _fill(domain, ROWS * times)
        _put_off(domain)
        made.append(domain)
    yield made[0], made[1]
    for domain in made:
        domain.rt.close()


@pytest.mark.unit
@pytest.mark.parametrize("name", WORK)
def test_four_times_the_rows_are_no_more_work(sizes: tuple[Domain, Domain], name: str) -> None:
    few, many = (_steps(domain, WORK[name][0]) for domain in sizes)
    # A B-tree of four times the size may be one level deeper, which costs no step at all.
    assert many <= few * 1.2 + 5, (few, many)


@pytest.mark.unit
def test_the_count_notices_a_query_that_reads_the_table(sizes: tuple[Domain, Domain]) -> None:
    def scan(domain: Domain) -> Any:
        return _read(domain, lambda session: session.scalars(select(Task.id).where(Task.message == "x")).all())

    few, many = (_steps(domain, scan) for domain in sizes)
    assert many > 3 * few


@contextmanager
def _said(domain: Domain) -> Iterator[list[tuple[str, Any]]]:
    said: list[tuple[str, Any]] = []

    def note(_: Any, __: Any, statement: str, given: Any, *___: Any) -> None:
        said.append((statement, given))

    event.listen(domain.db.engine, "before_cursor_execute", note)
    try:
        yield said
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
        with _said(domain) as said:
            work(domain)
        with domain.db.read() as session:
            # As for tables of which a look at every row is out of the question, however few there are here.
            session.execute(text("SET LOCAL enable_seqscan = off"))
            session.execute(text("SET LOCAL enable_bitmapscan = on"))
            cursor = session.connection().connection.cursor()
            lines = []
            for statement, given in said:
                if statement.lstrip().startswith("SELECT"):
                    cursor.execute("EXPLAIN " + statement, given)
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
        kept = set(session.scalars(select(Task.id)))
        assert session.scalar(select(Instance.min_seq)) == 20
        assert len(session.scalars(select(Outbox.task_id)).all()) == 1
    assert kept == {f"{number:08}-0000-4000-8000-000000000000" for number in range(20, 40)} | {waiting}


def test_of_a_long_queue_nobody_counts_what_is_missing_and_one_doubted_message_is_sent_again(
    domain: Domain, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(domain.rt.relay, "_read_depth", lambda: LONG_QUEUE + 1)
    with _said(domain) as said:
        assert domain.rt.relay._count_missing(10) == 1
    assert said == []
