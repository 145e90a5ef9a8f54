"""A row that cannot be read: its own task is set aside with a clear state, and nobody else's waits for it."""

from __future__ import annotations

import base64
from collections.abc import Callable

import pytest
from sqlalchemy import text

from app.core import actions
from app.core.errors import SwallowtailError
from app.core.firing import fire_due
from app.core.models import Base
from app.core.planning import NewSchedule, add_schedule
from app.core.reads import read_task
from tests.core.conftest import NewStage
from tests.core.oracle import story
from tests.core.stage import LOST, Stage

OLD, NEW = (f"{name}:{base64.b64encode(bytes([number]) * 32).decode()}" for name, number in (("old", 1), ("new", 2)))
MISSING = "sealed with the key 'old', which is not in SWALLOWTAIL_ENCRYPTION_KEYS"
DAMAGES = ["'{\"n\": '", "''", "X'FF00'", "CAST(X'FFFE' AS TEXT)"]


def send(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Relay everything that is due, to a broker that takes it."""
    monkeypatch.setattr(stage.rt.relay, "_send", lambda wish: True)
    stage.rt.relay.run_due()


def damage(stage: Stage, task_id: str, how: str, place: str = "input") -> None:
    with stage.db.write() as session:
        session.execute(text(f"UPDATE task SET {place} = {how} WHERE id = :id"), {"id": task_id})


def told(stage: Stage, task_id: str) -> list[str]:
    """The task's events, without a look at its row."""
    return story(event for event in stage.log() if event.task_id == task_id)


@pytest.mark.parametrize("how", DAMAGES)
def test_a_damaged_task_fails_at_its_claim_and_keeps_none_from_being_sent_or_reaped(
    new_stage: NewStage, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    stage = new_stage()
    bad, lapsed, good = stage.submit(), stage.running().task_id, stage.submit()
    damage(stage, bad, how)
    damage(stage, lapsed, how)
    stage.lapse(lapsed)
    send(stage, monkeypatch)
    assert stage.rt.reaper.run() == 1
    send(stage, monkeypatch)
    assert [stage.claim(good).task_id, stage.runs.claim(bad, 1, "w"), stage.runs.claim(lapsed, 2, "w")] == [
        good,
        None,
        None,
    ]
    assert told(stage, bad) == ["SUBMITTED", "QUEUED", "IN_PROGRESS 0", "FAILED"]
    assert told(stage, lapsed)[3:] == ["RETRYING", "QUEUED", "IN_PROGRESS 0", "FAILED"]
    error = [event for event in stage.log() if event.task_id == bad][-1].data["error"]
    assert error["code"] == "unreadable"
    assert error["message"].startswith("What is stored of this task cannot be read: ")


@pytest.mark.parametrize("place", ["input", "error", "result"])
def test_whoever_asks_can_cancel_and_retry_a_damaged_task(new_stage: NewStage, place: str) -> None:
    stage = new_stage()
    task_id = stage.failed()
    damage(stage, task_id, DAMAGES[0], place)
    assert actions.retry(stage.rt, task_id).task["status"] == "RETRYING"
    damage(stage, task_id, DAMAGES[0], place)
    assert actions.cancel(stage.rt, task_id).task["status"] == "CANCELLED"


def test_a_damaged_output_of_a_finished_step_fails_the_next_attempt(new_stage: NewStage) -> None:
    stage = new_stage()
    claim = stage.running()
    stage.perform(claim, "a")
    with stage.db.write() as session:
        session.execute(text("UPDATE step SET output = 'broken'"))
    stage.ledger.propose_lost(claim.task_id, 1, LOST)
    assert stage.runs.claim(claim.task_id, 2, "worker") is None
    assert stage.task(claim.task_id).status == "FAILED"


def test_a_task_that_was_repaired_can_be_retried(new_stage: NewStage) -> None:
    stage = new_stage()
    task_id = stage.submit()
    damage(stage, task_id, DAMAGES[0])
    assert stage.runs.claim(task_id, 1, "worker") is None
    damage(stage, task_id, "'{\"n\": 1}'")
    stage.ledger.retry(task_id)
    assert stage.claim(task_id, 2).input == {"n": 1}


@pytest.fixture
def two_keys(new_stage_on: Callable[..., Stage]) -> Callable[[str], Stage]:
    return lambda keys: new_stage_on(encryption_keys=keys, backoff_base=0.0, backoff_max=0.0)


def test_a_task_whose_key_is_missing_waits_for_it_and_keeps_none_from_going_on(
    two_keys: Callable[[str], Stage], monkeypatch: pytest.MonkeyPatch
) -> None:
    before, without = two_keys(f"{OLD},{NEW}"), two_keys(NEW)
    waiting, running = before.submit(), before.running()
    before.runs.start_step(running, "a", "Agent", "work")
    without.lapse(running.task_id)
    fresh = without.submit()
    assert without.rt.reaper.run() == 1
    send(without, monkeypatch)
    for _ in range(2):
        assert without.runs.claim(waiting, 1, "worker") is None
        assert without.runs.claim(running.task_id, 2, "worker") is None
    assert without.claim(fresh).task_id == fresh
    assert before.story(waiting) == ["SUBMITTED", "QUEUED", f"0 Waiting for a key: {MISSING}"]
    assert before.story(running.task_id)[4:] == ["a failed", "RETRYING", "QUEUED", f"0 Waiting for a key: {MISSING}"]
    send(without, monkeypatch)
    assert without.wishes() == {waiting: (1, 1), running.task_id: (2, 1)}, "both are sent again and again"
    assert before.claim(waiting).input == {"n": 1}
    assert before.claim(running.task_id, 2).attempt == 2


def test_an_input_that_was_changed_fails_the_task_and_no_other(two_keys: Callable[[str], Stage]) -> None:
    stage = two_keys(OLD)
    bad, good = stage.submit(), stage.submit()
    task = Base.metadata.tables["task"]
    with stage.db.write() as session:
        stolen = session.scalar(task.select().with_only_columns(task.c.input).where(task.c.id == good))
        session.execute(task.update().where(task.c.id == bad).values(input=stolen))
    assert stage.runs.claim(bad, 1, "worker") is None
    assert told(stage, bad)[-1] == "FAILED"
    assert stage.claim(good).input == {"n": 1}


def test_a_schedule_that_cannot_be_read_keeps_no_other_from_its_slots(new_stage: NewStage) -> None:
    stage = new_stage()
    with stage.db.write() as session:
        session.execute(
            text(
                "INSERT INTO agent (kind, title, description, version, input_schema, updated_at) "
                "VALUES ('any', 'Any', '', '1', '{}', 0)"
            )
        )
    for name in ("bad", "worse", "good"):
        add_schedule(stage.rt, NewSchedule("demo", name, "any", {}, interval_seconds=60, catch_up="latest"))
    change = text("UPDATE schedule SET created_at = 1000000, next_slot_at = 1000000, input = :value WHERE name = :name")
    with stage.db.write() as session:
        for name, value in (("bad", "{"), ("worse", '{"$sealed":"old:AAAA"}'), ("good", "{}")):
            session.execute(change, {"value": value, "name": name})
    assert fire_due(stage.rt) == 1
    assert stage.story() == ["SUBMITTED"]
    with stage.db.read() as session:
        due = session.execute(text("SELECT name FROM schedule WHERE next_slot_at = 1000000 ORDER BY name"))
        assert due.scalars().all() == ["bad", "worse"], "they are looked at again once they are repaired"


def test_what_is_damaged_is_seen_as_damaged(new_stage: NewStage) -> None:
    stage = new_stage()
    task_id = stage.submit()
    damage(stage, task_id, DAMAGES[0])
    with stage.db.read() as session:
        assert read_task(session, task_id)["input"] == {"$damaged": True}
    with stage.db.write() as session:
        session.execute(text("UPDATE event SET data = '{'"))
    with pytest.raises(SwallowtailError, match="is not JSON"):
        stage.events(task_id)
