"""Workers with different kinds: a task of an unknown kind is left to others, and fails if none knows the kind."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from sqlalchemy import text, update

from swallowtail.app.core.coordination.worker_registry import announce, find_kind_warning, live_kinds, retire
from swallowtail.app.core.database.database import db_now
from swallowtail.app.core.schemas.tasks import NewTask
from swallowtail.app.core.services import tasks as task_service
from swallowtail.app.core.tables.system import Worker
from swallowtail.app.core.tables.tasks import Outbox
from tests.core.domain import Domain

NewDomain = Callable[..., Domain]
WAITS = "0 Waiting for a worker that knows the kind 'probe'"


def let_pass(domain: Domain, seconds: float) -> None:
    """Date back the first return of a task by a worker."""
    with domain.db.write() as session:
        session.execute(update(Outbox).values(held_since=db_now(-seconds)))


@pytest.fixture
def tabled(domain: Domain) -> Domain:
    with domain.db.write() as session:
        session.execute(
            text(
                "INSERT INTO agent (kind, title, description, version, input_schema, updated_at) "
                "VALUES ('letter', 'Letter', '', '1', '{}', 0)"
            )
        )
    return domain


def test_a_worker_that_does_not_know_the_kind_leaves_the_task_unchanged(domain: Domain) -> None:
    task_id = domain.queued()
    for _ in range(3):
        assert domain.runs.claim(task_id, 1, "old", {"echo"}) is None
        assert 0 < domain.due_in(task_id) <= domain.settings.backoff_max
    assert domain.story() == ["SUBMITTED", "QUEUED", WAITS]
    assert domain.outbox() == {task_id: (1, 0)}, "it is sent again without any doubt"
    claim = domain.runs.claim(task_id, 1, "new", {"echo", "probe"})
    assert claim is not None
    assert (claim.attempt, claim.failures, domain.task(task_id).losses) == (1, 0, 0)


def test_a_later_attempt_waits_for_a_worker_that_knows_the_kind_as_well(domain: Domain) -> None:
    claim = domain.running()
    domain.perform(claim, "a")
    domain.proposals.lost(claim.task_id, 1, {"code": "worker_lost", "message": "Lost"})
    assert domain.runs.claim(claim.task_id, 2, "old", set()) is None
    assert domain.story(after=3) == ["a in_progress", "a completed", "RETRYING", WAITS]
    again = domain.runs.claim(claim.task_id, 2, "new", {"probe"})
    assert again is not None
    assert set(again.saved) == {"a"}


def test_patience_with_an_unknown_kind_ends(domain: Domain) -> None:
    task_id = domain.queued()
    assert domain.runs.claim(task_id, 1, "old", set()) is None
    let_pass(domain, domain.settings.kind_patience - 5)
    assert domain.runs.claim(task_id, 1, "old", set()) is None
    let_pass(domain, domain.settings.kind_patience + 5)
    assert domain.runs.claim(task_id, 1, "old", set()) is not None, "its run reports why it fails"


def test_a_task_that_waits_for_a_worker_can_be_cancelled(domain: Domain) -> None:
    task_id = domain.queued()
    assert domain.runs.claim(task_id, 1, "old", set()) is None
    domain.ledger.request_cancel(task_id)
    assert domain.story(after=3) == ["CANCELLED"]
    assert domain.outbox() == {}


def submit(domain: Domain) -> list[str]:
    return [warning["message"] for warning in task_service.submit(domain.rt, "demo", NewTask(kind="letter")).warnings]


def test_a_submission_of_a_kind_without_a_worker_has_a_warning(tabled: Domain) -> None:
    assert submit(tabled) == [], "there never was a worker: the first is about to start"
    announce(tabled.db, "one", ["echo", "letter"], 60.0)
    announce(tabled.db, "two", ["echo"], 60.0)
    announce(tabled.db, "two", ["echo"], 60.0)
    with tabled.db.read() as session:
        assert live_kinds(session) == {"echo": 2, "letter": 1}
    assert submit(tabled) == []
    announce(tabled.db, "one", ["echo"], 60.0)
    assert submit(tabled) == [
        "No running worker knows the kind 'letter': a task of it waits for one, and fails if none comes"
    ]
    retire(tabled.db, "one")
    retire(tabled.db, "two")
    assert submit(tabled) == ["No worker is running: the task waits for one"]


def test_a_worker_that_falls_silent_no_longer_counts(domain: Domain) -> None:
    announce(domain.db, "one", ["probe"], 60.0)
    with domain.db.read() as session:
        assert find_kind_warning(session, "probe") is None
    with domain.db.write() as session:
        session.execute(update(Worker).values(good_until=db_now(-1.0)))
    with domain.db.read() as session:
        assert find_kind_warning(session, "probe") is not None


@pytest.mark.parametrize("kinds", ["5", "null", '"any"', "[5, null, [], {}]", '{"any": 1}'])
def test_a_damaged_worker_row_does_not_prevent_submissions(tabled: Domain, kinds: str) -> None:
    announce(tabled.db, "good", ["any"], 5.0)
    announce(tabled.db, "bad", ["other"], 5.0)
    with tabled.db.write() as session:
        session.execute(text("UPDATE worker SET kinds = :kinds WHERE id = 'bad'"), {"kinds": kinds})
    with tabled.db.read() as session:
        assert live_kinds(session) == {"any": 1}
