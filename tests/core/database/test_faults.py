"""Faults of the database inside a transaction: it runs again if nothing was stored, and only then."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

import pytest
from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError, OperationalError, ProgrammingError

from swallowtail.app.core.errors import Unavailable
from swallowtail.app.core.ledger.runs import StepWrite
from swallowtail.app.core.states import TaskStatus
from tests.core.domain import ERROR, LOST, Domain, new_task
from tests.core.log_oracle import story
from tests.harness.settings import make_settings

NewDomain = Callable[..., Domain]


class Breaker:
    """Breaks the next commits of writes: before the commit, or after it without a confirmation."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.left = 0
        self.after = False
        real = Connection.commit

        def commit(connection: Connection) -> None:
            if self.left == 0 or not connection.get_execution_options().get("swallowtail_write"):
                real(connection)
                return
            self.left -= 1
            if self.after:
                real(connection)
            _break()

        monkeypatch.setattr(Connection, "commit", commit)


def _break() -> NoReturn:
    raise OperationalError("COMMIT", {}, sqlite3.OperationalError("database is locked"))


@pytest.fixture
def breaker(monkeypatch: pytest.MonkeyPatch) -> Breaker:
    return Breaker(monkeypatch)


class Scene:
    """Tasks in every state, for the methods under test."""

    def __init__(self, domain: Domain) -> None:
        self.submitted = domain.submit(id="00000000-0000-4000-8000-000000000001")
        self.queued = domain.queued(id="00000000-0000-4000-8000-000000000002")
        self.run = domain.running(id="00000000-0000-4000-8000-000000000003")
        domain.runs.start_step(self.run, "open", "Agent", "work")
        self.failed = domain.failed(id="00000000-0000-4000-8000-000000000004")
        self.late = domain.submit(id="00000000-0000-4000-8000-000000000005")
        domain.overdue(self.late)
        self.lapsed = domain.running(id="00000000-0000-4000-8000-000000000006").task_id
        domain.lapse(self.lapsed)


def of_any_log(wrote: StepWrite) -> StepWrite:
    """Return a result without the epoch: each of the two databases has its own."""
    assert wrote.epoch
    return replace(wrote, epoch="")


ACTS: dict[str, Callable[[Domain, Scene], Any]] = {
    "submit": lambda domain, scene: domain.submit(id="00000000-0000-4000-8000-000000000009"),
    "submit, with its outcome": lambda domain, scene: domain.ledger.submit(new_task(id="0" * 36))[2],
    "mark_queued": lambda domain, scene: domain.ledger.mark_queued(scene.submitted, 1, 60.0),
    "claim": lambda domain, scene: domain.claim(scene.queued).base_seq,
    "heartbeat": lambda domain, scene: domain.runs.heartbeat(scene.run, 20.0, "on"),
    "start_step": lambda domain, scene: of_any_log(domain.runs.start_step(scene.run, "a", "Agent", "work")),
    "finish_step": lambda domain, scene: of_any_log(
        domain.runs.finish_step(scene.run, "open", [1], progress=50, message="m")
    ),
    "skip_step": lambda domain, scene: of_any_log(domain.runs.skip_step(scene.run, "a", "Agent", "work", "why")),
    "fail_step": lambda domain, scene: of_any_log(domain.runs.fail_step(scene.run, "open", ERROR)),
    "complete": lambda domain, scene: domain.runs.complete(scene.run, {"r": 1}),
    "fail": lambda domain, scene: domain.runs.fail(scene.run, ERROR),
    "cancelled": lambda domain, scene: domain.runs.cancelled(scene.run),
    "retry_later": lambda domain, scene: domain.runs.retry_later(scene.run, ERROR, 50.0),
    "request_cancel": lambda domain, scene: domain.ledger.request_cancel(scene.queued)[0].status,
    "request_cancel of a run": lambda domain, scene: domain.ledger.request_cancel(scene.run.task_id)[0].message,
    "retry": lambda domain, scene: domain.ledger.retry(scene.failed)[0].retries,
    "propose_lost": lambda domain, scene: domain.proposals.lost(scene.run.task_id, 1, LOST),
    "propose_failed": lambda domain, scene: domain.proposals.failed(scene.run.task_id, 1, ERROR),
    "propose_cancelled": lambda domain, scene: domain.proposals.cancelled(scene.queued, 1),
    "propose_unheard": lambda domain, scene: domain.proposals.discarded(scene.queued, 1),
    "expire_leases": lambda domain, scene: domain.rt.lease_expiry.run(),
    "expire": lambda domain, scene: domain.ledger.expire(),
    "create_instance": lambda domain, scene: domain.create_instance("New", "new"),
}


@pytest.fixture
def twins(sqlite_template: Path, tmp_path: Path) -> Iterator[tuple[Domain, Domain]]:
    """Two domains with equal histories, each on its own database."""
    domains = []
    for name in ("disturbed", "undisturbed"):
        (tmp_path / name).mkdir()
        shutil.copy(sqlite_template / "swallowtail.db", tmp_path / name)
        domains.append(Domain(make_settings(var_dir=tmp_path / name, backoff_base=100.0)))
    yield domains[0], domains[1]
    for domain in domains:
        domain.close()


@pytest.mark.long
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("act", ACTS)
def test_a_broken_commit_changes_nothing_that_a_reader_sees(
    twins: tuple[Domain, Domain], breaker: Breaker, act: str, after: bool
) -> None:
    outcomes = []
    for domain in twins:
        scene = Scene(domain)
        del domain.announced[:]
        breaker.left, breaker.after = (2, after) if domain is twins[0] else (0, False)
        outcome = ACTS[act](domain, scene)
        assert breaker.left == 0
        entries = {task_id: (*entry, domain.due_in(task_id) > 1.0) for task_id, entry in domain.outbox().items()}
        outcomes.append((outcome, domain.story(), story(domain.announced), entries))
        assert domain.announced == domain.events()[len(domain.events()) - len(domain.announced) :]
    assert outcomes[0] == outcomes[1]


def test_a_database_that_stays_down_is_reported_as_unavailable(new_domain: NewDomain, breaker: Breaker) -> None:
    domain = new_domain(database_wait=0.05)
    task_id = domain.submit()
    breaker.left = 1_000_000
    with pytest.raises(Unavailable):
        domain.ledger.mark_queued(task_id, 1, 1.0)
    breaker.left = 0
    assert domain.story() == ["SUBMITTED"]


@pytest.mark.parametrize(
    "fault",
    [
        ProgrammingError("SELECT", {}, sqlite3.ProgrammingError("no such thing")),
        IntegrityError("INSERT", {}, sqlite3.IntegrityError("UNIQUE constraint failed")),
        OperationalError("SELECT", {}, sqlite3.OperationalError("no such table: task")),
        ValueError("not of the database at all"),
    ],
    ids=["programming", "integrity", "schema", "other"],
)
def test_a_fault_that_another_try_cannot_mend_is_raised_at_once(new_domain: NewDomain, fault: Exception) -> None:
    domain = new_domain()
    tries: list[int] = []

    def work(change: object) -> None:
        tries.append(1)
        raise fault

    with pytest.raises(type(fault)):
        domain.rt.commit(work)
    assert len(tries) == 1


def test_a_work_that_raises_leaves_nothing_behind(domain: Domain) -> None:
    claim = domain.running()

    def work(change: Any) -> None:
        change.record(domain.task(claim.task_id), "task_update", {"progress": 1.0}, fact="x")
        change.number()
        raise LookupError("never mind")

    with pytest.raises(LookupError):
        domain.rt.commit(work)
    assert domain.story() == ["SUBMITTED", "QUEUED", "IN_PROGRESS 0"]
    domain.runs.complete(claim, None)
    assert domain.task(claim.task_id).status == TaskStatus.COMPLETED
    assert domain.head() == 4


@pytest.mark.parametrize("write", [False, True])
def test_a_refused_write_is_reported_until_the_next_write_and_a_refused_read_is_not(
    domain: Domain, write: bool
) -> None:
    def refuse(*_: object) -> NoReturn:
        raise OperationalError("statement", {}, sqlite3.OperationalError("database is locked"))

    with pytest.raises(Unavailable):
        domain.db.run(refuse, write=write, wait=0)
    assert (domain.db.write_fault is not None) == write
    domain.db.write_fault = None
    transaction = domain.db.write() if write else domain.db.read()
    with pytest.raises(Unavailable), transaction as session:
        refuse(session)
    assert (domain.db.write_fault is not None) == write
    domain.submit()
    assert domain.db.write_fault is None
