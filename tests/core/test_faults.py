"""Faults of the database inside a transaction: done again when nothing was stored, and not again when it was."""

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

from app.core.errors import Unavailable
from app.core.runs import Wrote
from app.core.states import TaskStatus
from tests.core.oracle import story
from tests.core.stage import ERROR, LOST, Stage, make_settings, new_task

NewStage = Callable[..., Stage]


class Breaker:
    """Breaks the next commits of writes: before they happen, or after, when nobody is told that they did."""

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
    """A task at every stage of its life, for methods to act upon."""

    def __init__(self, stage: Stage) -> None:
        self.submitted = stage.submit(id="00000000-0000-4000-8000-000000000001")
        self.queued = stage.queued(id="00000000-0000-4000-8000-000000000002")
        self.run = stage.running(id="00000000-0000-4000-8000-000000000003")
        stage.runs.start_step(self.run, "open", "Agent", "work")
        self.failed = stage.failed(id="00000000-0000-4000-8000-000000000004")
        self.late = stage.submit(id="00000000-0000-4000-8000-000000000005")
        stage.overdue(self.late)
        self.lapsed = stage.running(id="00000000-0000-4000-8000-000000000006").task_id
        stage.lapse(self.lapsed)


def of_any_log(wrote: Wrote) -> Wrote:
    """What was written, without the epoch: each of the two databases has its own."""
    assert wrote.epoch
    return replace(wrote, epoch="")


ACTS: dict[str, Callable[[Stage, Scene], Any]] = {
    "submit": lambda stage, scene: stage.submit(id="00000000-0000-4000-8000-000000000009"),
    "submit, told as new": lambda stage, scene: stage.ledger.submit(new_task(id="0" * 36))[2],
    "mark_queued": lambda stage, scene: stage.ledger.mark_queued(scene.submitted, 1, 60.0),
    "claim": lambda stage, scene: stage.claim(scene.queued).base_seq,
    "heartbeat": lambda stage, scene: stage.runs.heartbeat(scene.run, 20.0, "on"),
    "start_step": lambda stage, scene: of_any_log(stage.runs.start_step(scene.run, "a", "Agent", "work")),
    "finish_step": lambda stage, scene: of_any_log(
        stage.runs.finish_step(scene.run, "open", [1], progress=50, message="m")
    ),
    "skip_step": lambda stage, scene: of_any_log(stage.runs.skip_step(scene.run, "a", "Agent", "work", "why")),
    "fail_step": lambda stage, scene: of_any_log(stage.runs.fail_step(scene.run, "open", ERROR)),
    "complete": lambda stage, scene: stage.runs.complete(scene.run, {"r": 1}),
    "fail": lambda stage, scene: stage.runs.fail(scene.run, ERROR),
    "cancelled": lambda stage, scene: stage.runs.cancelled(scene.run),
    "retry_later": lambda stage, scene: stage.runs.retry_later(scene.run, ERROR, 50.0),
    "request_cancel": lambda stage, scene: stage.ledger.request_cancel(scene.queued)[0].status,
    "request_cancel of a run": lambda stage, scene: stage.ledger.request_cancel(scene.run.task_id)[0].message,
    "retry": lambda stage, scene: stage.ledger.retry(scene.failed)[0].retries,
    "propose_lost": lambda stage, scene: stage.ledger.propose_lost(scene.run.task_id, 1, LOST),
    "propose_failed": lambda stage, scene: stage.ledger.propose_failed(scene.run.task_id, 1, ERROR),
    "propose_cancelled": lambda stage, scene: stage.ledger.propose_cancelled(scene.queued, 1),
    "propose_unheard": lambda stage, scene: stage.ledger.propose_unheard(scene.queued, 1),
    "reap": lambda stage, scene: stage.rt.reaper.run(),
    "expire": lambda stage, scene: stage.ledger.expire(),
    "create_instance": lambda stage, scene: stage.ledger.create_instance("New", "new").id,
}


@pytest.fixture
def twins(sqlite_template: Path, tmp_path: Path) -> Iterator[tuple[Stage, Stage]]:
    """Two domains, each on a database of its own, on which the same has happened."""
    stages = []
    for name in ("disturbed", "undisturbed"):
        (tmp_path / name).mkdir()
        shutil.copy(sqlite_template / "swallowtail.db", tmp_path / name)
        stages.append(Stage(make_settings(var_dir=tmp_path / name, backoff_base=100.0)))
    yield stages[0], stages[1]
    for stage in stages:
        stage.close()


@pytest.mark.long
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("act", ACTS)
def test_a_broken_commit_changes_nothing_that_anybody_sees(
    twins: tuple[Stage, Stage], breaker: Breaker, act: str, after: bool
) -> None:
    outcomes = []
    for stage in twins:
        scene = Scene(stage)
        del stage.announced[:]
        breaker.left, breaker.after = (2, after) if stage is twins[0] else (0, False)
        outcome = ACTS[act](stage, scene)
        assert breaker.left == 0
        wishes = {task_id: (*wish, stage.due_in(task_id) > 1.0) for task_id, wish in stage.wishes().items()}
        outcomes.append((outcome, stage.story(), story(stage.announced), wishes))
        assert stage.announced == stage.events()[len(stage.events()) - len(stage.announced) :]
    assert outcomes[0] == outcomes[1]


def test_a_database_that_stays_away_is_told_as_unavailable(new_stage: NewStage, breaker: Breaker) -> None:
    stage = new_stage(database_wait=0.05)
    task_id = stage.submit()
    breaker.left = 1_000_000
    with pytest.raises(Unavailable):
        stage.ledger.mark_queued(task_id, 1, 1.0)
    breaker.left = 0
    assert stage.story() == ["SUBMITTED"]


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
def test_a_fault_that_another_try_cannot_mend_is_raised_at_once(new_stage: NewStage, fault: Exception) -> None:
    stage = new_stage()
    tries: list[int] = []

    def work(change: object) -> None:
        tries.append(1)
        raise fault

    with pytest.raises(type(fault)):
        stage.ledger.commit(work)
    assert len(tries) == 1


def test_a_work_that_raises_leaves_nothing_behind(stage: Stage) -> None:
    claim = stage.running()

    def work(change: Any) -> None:
        change.record(stage.task(claim.task_id), "task_update", {"progress": 1.0}, fact="x")
        change.number()
        raise LookupError("never mind")

    with pytest.raises(LookupError):
        stage.ledger.commit(work)
    assert stage.story() == ["SUBMITTED", "QUEUED", "IN_PROGRESS 0"]
    stage.runs.complete(claim, None)
    assert stage.task(claim.task_id).status == TaskStatus.COMPLETED
    assert stage.head() == 4
