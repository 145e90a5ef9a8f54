"""Tasks are deleted when they ended long ago and their last event is deleted, with all of their rows."""

from __future__ import annotations

import pytest
from sqlalchemy import func, select

from swallowtail.app.core.database.database import db_now
from swallowtail.app.core.ledger.event_log import read_events
from swallowtail.app.core.maintenance.retention import Policy, Pruned, prune
from swallowtail.app.core.states import TaskStatus
from swallowtail.app.core.tables.artifacts import Artifact
from swallowtail.app.core.tables.tasks import Outbox, Step
from tests.core.domain import Domain
from tests.core.maintenance.retained_log import age, completed, head, stored, tasks


def test_ended_tasks_are_deleted_with_their_rows_and_events(domain: Domain) -> None:
    old, failed = completed(domain), domain.failed()
    with domain.db.write() as session:
        now = session.scalars(select(db_now())).one()
        session.add(
            Artifact(
                id="a", instance_id="demo", task_id=old, media_type="text/plain", size=1, sha256="", content=b"x",
                created_at=now,
            )
        )  # fmt: skip
    waiting = domain.submit()
    age(domain, 10)
    young = completed(domain)
    before = head(domain).seq
    done = prune(domain.rt, "demo", Policy(event_days=1000, task_days=9))
    assert (done.tasks, done.min_seq) == (2, before - 6)
    assert tasks(domain) == {waiting, young}
    assert failed not in tasks(domain)
    with domain.db.read() as session:
        assert set(session.scalars(select(Step.task_id))) == {young}
        assert set(session.scalars(select(Outbox.task_id))) == {waiting}
        assert session.scalar(select(func.count()).select_from(Artifact)) == 0
        shown = {event.task_id for event in read_events(session, "demo", 0, 1000)}
    assert shown == {young}


@pytest.mark.parametrize("status", list(TaskStatus))
def test_only_an_ended_task_is_deleted(domain: Domain, status: TaskStatus) -> None:
    task_id = domain.bring_to(status)
    age(domain, 10)
    prune(domain.rt, "demo", Policy(task_days=9))
    ended = status in (TaskStatus.COMPLETED, TaskStatus.FAILED, TaskStatus.CANCELLED, TaskStatus.EXPIRED)
    assert (task_id in tasks(domain)) is not ended


def test_a_task_stays_as_long_as_one_of_its_events(domain: Domain) -> None:
    domain.submit()
    old = completed(domain)
    age(domain, 10, first=2)
    assert prune(domain.rt, "demo", Policy(task_days=9)) == Pruned(0, 0, 0)
    assert old in tasks(domain)
    age(domain, 10)
    assert prune(domain.rt, "demo", Policy(task_days=9)).tasks == 1


def test_a_retried_task_is_not_deleted(domain: Domain) -> None:
    task_id = domain.failed()
    age(domain, 10)
    domain.ledger.retry(task_id)
    assert prune(domain.rt, "demo", Policy(task_days=9)).tasks == 0
    domain.runs.complete(domain.claim(task_id, 2), {})
    assert domain.task(task_id).status == "COMPLETED"


def test_the_same_submission_after_its_task_was_deleted_is_a_new_task(domain: Domain) -> None:
    claim = domain.running(idempotency_key="k")
    domain.runs.complete(claim, {})
    age(domain, 10)
    prune(domain.rt, "demo", Policy(task_days=9))
    again = domain.submit(idempotency_key="k")
    assert again != claim.task_id
    assert domain.story(again) == ["SUBMITTED"] if not head(domain).min_seq else stored(domain) == [head(domain).seq]
