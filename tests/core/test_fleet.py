"""Mixed fleets: a kind that a worker does not know is left to others, and one that none knows is not taken silently."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from sqlalchemy import text, update

from app.core import actions
from app.core.actions import Submission
from app.core.db import db_now
from app.core.fleet import announce, find_doubt, live_kinds, retire
from app.core.models import Outbox, Worker
from tests.core.stage import Stage

NewStage = Callable[..., Stage]
WAITS = "0 Waiting for a worker that knows the kind 'probe'"


def let_pass(stage: Stage, seconds: float) -> None:
    """Let so much time pass since a worker first gave a task back."""
    with stage.db.write() as session:
        session.execute(update(Outbox).values(held_since=db_now(-seconds)))


@pytest.fixture
def tabled(stage: Stage) -> Stage:
    with stage.db.write() as session:
        session.execute(
            text(
                "INSERT INTO agent (kind, title, description, version, input_schema, updated_at) "
                "VALUES ('letter', 'Letter', '', '1', '{}', 0)"
            )
        )
    return stage


def test_a_worker_that_does_not_know_the_kind_leaves_the_task_as_it_was(stage: Stage) -> None:
    task_id = stage.queued()
    for _ in range(3):
        assert stage.runs.claim(task_id, 1, "old", {"echo"}) is None
        assert 0 < stage.due_in(task_id) <= stage.settings.backoff_max
    assert stage.story() == ["SUBMITTED", "QUEUED", WAITS]
    assert stage.wishes() == {task_id: (1, 0)}, "it is sent again without any doubt"
    claim = stage.runs.claim(task_id, 1, "new", {"echo", "probe"})
    assert claim is not None
    assert (claim.attempt, claim.failures, stage.task(task_id).losses) == (1, 0, 0)


def test_a_later_attempt_waits_for_a_worker_that_knows_the_kind_as_well(stage: Stage) -> None:
    claim = stage.running()
    stage.perform(claim, "a")
    stage.ledger.propose_lost(claim.task_id, 1, {"code": "worker_lost", "message": "Lost"})
    assert stage.runs.claim(claim.task_id, 2, "old", set()) is None
    assert stage.story(after=3) == ["a in_progress", "a completed", "RETRYING", WAITS]
    again = stage.runs.claim(claim.task_id, 2, "new", {"probe"})
    assert again is not None
    assert set(again.saved) == {"a"}


def test_patience_with_an_unknown_kind_ends(stage: Stage) -> None:
    task_id = stage.queued()
    assert stage.runs.claim(task_id, 1, "old", set()) is None
    let_pass(stage, stage.settings.kind_patience - 5)
    assert stage.runs.claim(task_id, 1, "old", set()) is None
    let_pass(stage, stage.settings.kind_patience + 5)
    assert stage.runs.claim(task_id, 1, "old", set()) is not None, "its run tells why it fails"


def test_a_task_that_waits_for_a_worker_can_be_cancelled(stage: Stage) -> None:
    task_id = stage.queued()
    assert stage.runs.claim(task_id, 1, "old", set()) is None
    stage.ledger.request_cancel(task_id)
    assert stage.story(after=3) == ["CANCELLED"]
    assert stage.wishes() == {}


def submit(stage: Stage) -> list[str]:
    return [warning["message"] for warning in actions.submit(stage.rt, Submission("demo", "letter")).warnings]


def test_a_kind_that_no_running_worker_knows_is_not_taken_without_a_word(tabled: Stage) -> None:
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


def test_a_worker_that_falls_silent_no_longer_counts(stage: Stage) -> None:
    announce(stage.db, "one", ["probe"], 60.0)
    with stage.db.read() as session:
        assert find_doubt(session, "probe") is None
    with stage.db.write() as session:
        session.execute(update(Worker).values(good_until=db_now(-1.0)))
    with stage.db.read() as session:
        assert find_doubt(session, "probe") is not None


@pytest.mark.parametrize("kinds", ["5", "null", '"any"', "[5, null, [], {}]", '{"any": 1}'])
def test_a_damaged_word_of_one_worker_keeps_nobody_from_submitting(tabled: Stage, kinds: str) -> None:
    announce(tabled.db, "good", ["any"], 5.0)
    announce(tabled.db, "bad", ["other"], 5.0)
    with tabled.db.write() as session:
        session.execute(text("UPDATE worker SET kinds = :kinds WHERE id = 'bad'"), {"kinds": kinds})
    with tabled.db.read() as session:
        assert live_kinds(session) == {"any": 1}
