"""The event log: contiguous numbers per instance in the order of commits, from any writer, each event once."""

from __future__ import annotations

import subprocess
import sys
import threading
from functools import partial
from typing import Any, NoReturn

import pytest
from sqlalchemy import insert, text, update

from swallowtail.app.core.database.database import Database
from swallowtail.app.core.errors import NotFound
from swallowtail.app.core.events import now
from swallowtail.app.core.ledger.event_log import Change, Head, read_events, read_head, read_heads
from swallowtail.app.core.ledger.transitions import lock_task
from swallowtail.app.core.tables.instances import Instance
from swallowtail.app.core.tables.tasks import Event, Task
from tests.core.concurrent_writers import EVENTS_OF_A_TASK, Follower, Skipped, crowd
from tests.core.domain import Domain, numbers
from tests.harness.program import ROOT, clean_environment
from tests.harness.waiting import PATIENCE, wait_until


def test_a_reader_skips_nothing_during_writes_of_six_threads(domain: Domain) -> None:
    writers = crowd(domain, 6, 4)
    reader = Follower(domain.db)
    reader.follow(6 * 4 * EVENTS_OF_A_TASK)
    for writer in writers:
        writer.join()
    reader.read()
    assert numbers(reader.seen) == list(range(1, 6 * 4 * EVENTS_OF_A_TASK + 1))
    assert reader.seen == domain.events()


@pytest.mark.long
def test_a_reader_skips_nothing_during_writes_of_several_processes(domain: Domain) -> None:
    command = [sys.executable, "-m", "tests.core.concurrent_writers", domain.settings.database, "3", "3"]
    processes = [subprocess.Popen(command, cwd=ROOT, env=clean_environment({})) for _ in range(2)]
    reader = Follower(domain.db)
    try:
        reader.follow(6 * 3 * EVENTS_OF_A_TASK)
        assert [process.wait(PATIENCE) for process in processes] == [0, 0]
    finally:
        for process in processes:
            process.kill()
            process.wait()
    assert reader.seen == domain.events()


def test_the_reader_detects_numbers_from_outside_of_the_transaction(domain: Domain) -> None:
    """Control: with the numbers of a database sequence, a reader misses events."""
    task_id = domain.submit()
    reader = Follower(domain.db)
    reader.read()
    first, second = _take_number(domain.db), _take_number(domain.db)
    _store(domain.db, task_id, second)
    with pytest.raises(Skipped, match="3 after 1"):
        reader.read()
    _store(domain.db, task_id, first)
    reader = Follower(domain.db)
    reader.read()
    assert numbers(reader.seen) == [1, 2, 3]


def _take_number(db: Database) -> int:
    with db.write() as session:
        number = update(Instance).where(Instance.id == "demo").values(seq=Instance.seq + 1).returning(Instance.seq)
        return int(session.scalars(number).one())


def _store(db: Database, task_id: str, seq: int) -> None:
    with db.write() as session:
        row = {"instance_id": "demo", "seq": seq, "id": str(seq), "epoch": "e", "task_id": task_id}
        data = {"type": "task_update", "attempt": 0, "data": {}, "created_at": now()}
        session.execute(insert(Event).values(**row, **data))


def test_a_rollback_leaves_no_gap(domain: Domain) -> None:
    claim = domain.running()
    for _ in range(3):
        with pytest.raises(ZeroDivisionError):
            _take_numbers_and_give_up(domain.db, claim.task_id)
    domain.runs.complete(claim, None)
    assert numbers(domain.events()) == [1, 2, 3, 4]


def _take_numbers_and_give_up(db: Database, task_id: str) -> NoReturn:
    with db.write() as session:
        change = Change(session)
        _record(change, task_id, "one", "two")
        assert numbers(change.number()) == [4, 5]
        raise ZeroDivisionError


def test_a_fact_recorded_twice_in_one_transaction_or_two_is_stored_once(domain: Domain) -> None:
    claim = domain.running()
    with domain.db.write() as session:
        change = Change(session)
        _record(change, claim.task_id, "one")
        assert numbers(change.number()) == [4]
        _record(change, claim.task_id, "one")
        assert change.number() == []
        assert change.number() == []
    with domain.db.write() as session:
        change = Change(session)
        _record(change, claim.task_id, "one", "two")
        assert numbers(change.number()) == [5]


@pytest.mark.service
def test_a_fact_that_two_open_transactions_record_is_stored_once(new_postgres_domain: Any) -> None:
    domain: Domain = new_postgres_domain()
    claim = domain.running()
    recorded: list[list[int]] = []

    def write() -> None:
        with domain.db.write() as session:
            change = Change(session)
            _record(change, claim.task_id, "same", "own", lock=False)
            recorded.append(numbers(change.number()))

    with domain.db.write() as session:
        change = Change(session)
        _record(change, claim.task_id, "same", lock=False)
        recorded.append(numbers(change.number()))
        other = threading.Thread(target=write)
        other.start()
        wait_until(lambda: _waiting_for_locks(domain.db), "the other transaction waits for the counter")
    other.join()
    assert recorded == [[4], [5]]
    with domain.db.read() as session:
        assert numbers(read_events(session, "demo", 0, 100)) == [1, 2, 3, 4, 5]


def test_a_fact_stored_between_check_and_insert_returns_its_number(
    domain: Domain, monkeypatch: pytest.MonkeyPatch
) -> None:
    claim = domain.running()
    real = Change._not_stored
    blind = [True]
    monkeypatch.setattr(
        Change, "_not_stored", lambda change, facts: facts if blind and blind.pop() else real(change, facts)
    )
    with domain.db.write() as session:
        change = Change(session)
        _record(change, claim.task_id, "one", "two")
        blind.clear()
        assert numbers(change.number()) == [4, 5]
        _record(change, claim.task_id, "two", "three")
        blind.append(True)
        assert numbers(change.number()) == [6]
        assert not blind


def test_each_instance_in_a_transaction_has_its_own_numbers(domain: Domain) -> None:
    domain.create_instance("Other", "other")
    here, there = domain.running(), domain.claim(domain.submit("other"))
    with domain.db.write() as session:
        change = Change(session)
        _record(change, there.task_id, "a")
        _record(change, here.task_id, "b")
        _record(change, there.task_id, "c")
        records = change.number()
    assert [(record.instance_id, record.seq) for record in records] == [("other", 4), ("other", 5), ("demo", 4)]
    assert len({record.epoch for record in records}) == 2


def test_changes_that_lock_two_instances_crosswise_all_succeed(domain: Domain) -> None:
    domain.create_instance("Other", "other")
    here, there = domain.running().task_id, domain.claim(domain.submit("other")).task_id

    def write(order: tuple[str, str], name: str) -> None:
        for turn in range(5):
            domain.rt.commit(partial(_record_each, task_ids=order, fact=f"{name}{turn}"))

    threads = [
        threading.Thread(target=write, args=((here, there), "x")),
        threading.Thread(target=write, args=((there, here), "y")),
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with domain.db.read() as session:
        assert numbers(read_events(session, "demo", 0, 100)) == list(range(1, 14))
        assert numbers(read_events(session, "other", 0, 100)) == list(range(1, 14))


def test_a_fact_of_a_deleted_instance_is_refused(domain: Domain) -> None:
    task_id = domain.submit()

    def work(change: Change) -> None:
        _record(change, task_id, "x")
        change.session.execute(text("DELETE FROM instance WHERE id = 'demo'"))

    with pytest.raises(NotFound) as refused:
        domain.rt.commit(work)
    assert refused.value.field == "instance_id"
    assert domain.story() == ["SUBMITTED"]


def test_events_are_read_in_pages_and_by_task(domain: Domain) -> None:
    first, second = domain.submit(), domain.submit()
    domain.ledger.mark_queued(first, 1, 1.0)
    domain.ledger.mark_queued(second, 1, 1.0)
    with domain.db.read() as session:
        assert numbers(read_events(session, "demo", 0, 3)) == [1, 2, 3]
        assert numbers(read_events(session, "demo", 3, 3)) == [4]
        assert numbers(read_events(session, "demo", 4, 3)) == []
        assert numbers(read_events(session, "demo", 0, 10, first)) == [1, 3]
        assert numbers(read_events(session, "demo", 1, 10, second)) == [2, 4]
        assert read_events(session, "nowhere", 0, 10) == []


def test_the_head_has_the_position_of_a_log(domain: Domain) -> None:
    domain.create_instance("Other", "other")
    domain.submit()
    with domain.db.read() as session:
        demo, other = read_head(session, "demo"), read_head(session, "other")
        assert read_head(session, "nowhere") is None
        assert read_heads(session, ["demo", "nowhere", "other"]) == {"demo": demo, "other": other}
        assert read_heads(session, []) == {}
    assert demo is not None
    assert other is not None
    assert (demo.seq, demo.min_seq, other) == (1, 0, Head(other.epoch, 0, 0))
    assert demo.epoch != other.epoch


def test_a_row_knows_the_number_of_its_latest_event(domain: Domain) -> None:
    first, second = domain.submit(), domain.submit()
    domain.ledger.mark_queued(first, 1, 1.0)
    assert (domain.task(first).last_seq, domain.task(second).last_seq) == (3, 2)


def _record(change: Change, task_id: str, *facts: str, lock: bool = True) -> None:
    task: Any = lock_task(change.session, task_id) if lock else change.session.get(Task, task_id)
    for fact in facts:
        change.record(task, "task_update", {"progress": 0.0}, fact=fact)


def _record_each(change: Change, task_ids: tuple[str, str], fact: str) -> None:
    for task_id in task_ids:
        _record(change, task_id, fact)


def _waiting_for_locks(db: Database) -> bool:
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    with db.read() as session:
        return bool(session.scalar(text(waiting)))
