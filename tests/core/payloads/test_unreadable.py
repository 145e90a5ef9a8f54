"""A row that cannot be read fails its own task with a clear state, and no other task waits for it."""

from __future__ import annotations

import base64
from collections.abc import Callable

import orjson
import pytest
from sqlalchemy import text

from swallowtail.app.core.ledger.event_log import read_events
from swallowtail.app.core.queries.rows import list_steps, list_tasks, read_task
from swallowtail.app.core.queries.snapshot import SnapshotLimits, read_snapshot_rows
from swallowtail.app.core.schemas.schedules import NewSchedule
from swallowtail.app.core.services import tasks as task_service
from swallowtail.app.core.services.instance_export import export_instance
from swallowtail.app.core.services.schedule_firing import fire_due
from swallowtail.app.core.services.schedules import add_schedule
from swallowtail.app.core.tables.base import Base
from tests.core.conftest import NewDomain
from tests.core.domain import ERROR, LOST, Domain, read_outputs
from tests.core.log_oracle import story

OLD, NEW = (f"{name}:{base64.b64encode(bytes([number]) * 32).decode()}" for name, number in (("old", 1), ("new", 2)))
MISSING = "encrypted with the key 'old', which is not in SWALLOWTAIL_ENCRYPTION_KEYS"
UNTOLD = {"progress": None, "message": None, "timestamp": None}
UNTOLD_STEP = dict.fromkeys(("step_id", "agent", "action", "status", "output", "started_at", "completed_at"))
DAMAGES = ["'{\"n\": '", "''", "X'FF00'", "CAST(X'FFFE' AS TEXT)"]


def send(domain: Domain, monkeypatch: pytest.MonkeyPatch) -> None:
    """Relay all due entries to a broker that accepts them."""
    monkeypatch.setattr(domain.rt.relay, "_send", lambda entry: True)
    domain.rt.relay.run_due()


def damage(domain: Domain, task_id: str, how: str, place: str = "input") -> None:
    with domain.db.write() as session:
        session.execute(text(f"UPDATE task SET {place} = {how} WHERE id = :id"), {"id": task_id})


def messages(domain: Domain, task_id: str) -> list[str]:
    """Return the task's events without reading its row."""
    return story(event for event in domain.log() if event.task_id == task_id)


@pytest.mark.parametrize("how", DAMAGES)
def test_a_damaged_task_fails_at_its_claim_and_does_not_affect_other_tasks(
    new_domain: NewDomain, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    domain = new_domain()
    bad, lapsed, good = domain.submit(), domain.running().task_id, domain.submit()
    damage(domain, bad, how)
    damage(domain, lapsed, how)
    domain.lapse(lapsed)
    send(domain, monkeypatch)
    assert domain.rt.lease_expiry.run() == 1
    send(domain, monkeypatch)
    assert [domain.claim(good).task_id, domain.runs.claim(bad, 1, "w"), domain.runs.claim(lapsed, 2, "w")] == [
        good,
        None,
        None,
    ]
    assert messages(domain, bad) == ["SUBMITTED", "QUEUED", "IN_PROGRESS 0", "FAILED"]
    assert messages(domain, lapsed)[3:] == ["RETRYING", "QUEUED", "IN_PROGRESS 0", "FAILED"]
    error = [event for event in domain.log() if event.task_id == bad][-1].data["error"]
    assert error["code"] == "unreadable"
    assert error["message"].startswith("What is stored of this task cannot be read: ")


@pytest.mark.parametrize("place", ["input", "error", "result"])
def test_a_damaged_task_can_be_cancelled_and_retried(new_domain: NewDomain, place: str) -> None:
    domain = new_domain()
    task_id = domain.failed()
    damage(domain, task_id, DAMAGES[0], place)
    assert task_service.retry(domain.rt, task_id).task["status"] == "RETRYING"
    damage(domain, task_id, DAMAGES[0], place)
    assert task_service.cancel(domain.rt, task_id).task["status"] == "CANCELLED"


def test_a_damaged_output_of_a_finished_step_fails_the_next_attempt(new_domain: NewDomain) -> None:
    domain = new_domain()
    claim = domain.running()
    domain.perform(claim, "a")
    with domain.db.write() as session:
        session.execute(text("UPDATE step SET output = 'broken'"))
    domain.proposals.lost(claim.task_id, 1, LOST)
    assert domain.runs.claim(claim.task_id, 2, "worker") is None
    assert domain.task(claim.task_id).status == "FAILED"


def test_a_task_that_was_repaired_can_be_retried(new_domain: NewDomain) -> None:
    domain = new_domain()
    task_id = domain.submit()
    damage(domain, task_id, DAMAGES[0])
    assert domain.runs.claim(task_id, 1, "worker") is None
    damage(domain, task_id, "'{\"n\": 1}'")
    domain.ledger.retry(task_id)
    assert domain.claim(task_id, 2).input == {"n": 1}


@pytest.fixture
def two_keys(new_domain_on: Callable[..., Domain]) -> Callable[[str], Domain]:
    return lambda keys: new_domain_on(encryption_keys=keys, backoff_base=0.0, backoff_max=0.0)


def test_a_task_with_a_missing_key_waits_and_does_not_affect_other_tasks(
    two_keys: Callable[[str], Domain], monkeypatch: pytest.MonkeyPatch
) -> None:
    before, without = two_keys(f"{OLD},{NEW}"), two_keys(NEW)
    waiting, running = before.submit(), before.running()
    before.runs.start_step(running, "a", "Agent", "work")
    without.lapse(running.task_id)
    fresh = without.submit()
    assert without.rt.lease_expiry.run() == 1
    send(without, monkeypatch)
    for _ in range(2):
        assert without.runs.claim(waiting, 1, "worker") is None
        assert without.runs.claim(running.task_id, 2, "worker") is None
    assert without.claim(fresh).task_id == fresh
    assert before.story(waiting) == ["SUBMITTED", "QUEUED", f"0 Waiting for a key: {MISSING}"]
    assert before.story(running.task_id)[4:] == ["a failed", "RETRYING", "QUEUED", f"0 Waiting for a key: {MISSING}"]
    send(without, monkeypatch)
    assert without.outbox() == {waiting: (1, 1), running.task_id: (2, 1)}, "both are sent again and again"
    assert before.claim(waiting).input == {"n": 1}
    assert before.claim(running.task_id, 2).attempt == 2


def test_an_input_that_was_changed_fails_the_task_and_no_other(two_keys: Callable[[str], Domain]) -> None:
    domain = two_keys(OLD)
    bad, good = domain.submit(), domain.submit()
    task = Base.metadata.tables["task"]
    with domain.db.write() as session:
        stolen = session.scalar(task.select().with_only_columns(task.c.input).where(task.c.id == good))
        session.execute(task.update().where(task.c.id == bad).values(input=stolen))
    assert domain.runs.claim(bad, 1, "worker") is None
    assert messages(domain, bad)[-1] == "FAILED"
    assert domain.claim(good).input == {"n": 1}


def test_a_schedule_that_cannot_be_read_keeps_no_other_from_its_slots(new_domain: NewDomain) -> None:
    domain = new_domain()
    with domain.db.write() as session:
        session.execute(
            text(
                "INSERT INTO agent (kind, title, description, version, input_schema, updated_at) "
                "VALUES ('any', 'Any', '', '1', '{}', 0)"
            )
        )
    for name in ("bad", "worse", "good"):
        add_schedule(
            domain.rt, "demo", NewSchedule(name=name, kind="any", input={}, interval_seconds=60, catch_up="latest")
        )
    change = text("UPDATE schedule SET created_at = 1000000, next_slot_at = 1000000, input = :value WHERE name = :name")
    with domain.db.write() as session:
        for name, value in (("bad", "{"), ("worse", '{"$sealed":"old:AAAA"}'), ("good", "{}")):
            session.execute(change, {"value": value, "name": name})
    assert fire_due(domain.rt) == 1
    assert domain.story() == ["SUBMITTED"]
    with domain.db.read() as session:
        due = session.execute(text("SELECT name FROM schedule WHERE next_slot_at = 1000000 ORDER BY name"))
        assert due.scalars().all() == ["bad", "worse"], "they are looked at again once they are repaired"


def test_damaged_payloads_are_shown_as_damaged(new_domain: NewDomain) -> None:
    domain = new_domain()
    task_id = domain.submit()
    damage(domain, task_id, DAMAGES[0])
    with domain.db.read() as session:
        assert read_task(session, task_id)["input"] == {"$damaged": True}
    with domain.db.write() as session:
        session.execute(text("UPDATE event SET data = '{'"))
    assert [event.data for event in domain.log()] == [UNTOLD | {"$damaged": True}]


@pytest.mark.parametrize("place", ["title", "message", "worker", "submitted_by", "input", "result", "error"])
def test_text_that_is_not_utf_8_does_not_affect_other_rows_of_a_list(new_domain: NewDomain, place: str) -> None:
    """Lists, snapshots and single views work with a damaged value in any column."""
    domain = new_domain()
    bad, good = domain.failed(), domain.submit()
    damage(domain, bad, "CAST(X'FFFE' AS TEXT)", place)
    with domain.db.read() as session:
        tasks, _ = list_tasks(session, "demo", limit=10)
        assert [task["id"] for task in tasks] == [good, bad]
        assert [task["id"] for task in read_snapshot_rows(session, "demo", SnapshotLimits()).build()["tasks"]] == [
            good,
            bad,
        ]
        shown = dict(read_task(session, bad)).get(place)
    if place in ("input", "result"):
        assert shown == {"$damaged": True}
    elif place in ("title", "message", "submitted_by"):
        assert "\ufffd" in str(shown)


def _fill(domain: Domain) -> str:
    """Return the id of a task that failed after a step, with an error, a result and events."""
    claim = domain.running()
    domain.perform(claim, "a", {"x": 1})
    domain.runs.start_step(claim, "b", "Agent", "work")
    domain.runs.fail_step(claim, "b", ERROR)
    domain.runs.fail(claim, ERROR)
    return claim.task_id


def _tamper(domain: Domain, task_id: str, value: str) -> None:
    changes = [
        "task SET input = $, error = $ WHERE id = :id",
        "step SET output = $ WHERE task_id = :id AND output IS NOT NULL",
        "step SET error = $ WHERE task_id = :id AND error IS NOT NULL",
        "event SET data = $ WHERE task_id = :id",
    ]
    with domain.db.write() as session:
        for change in changes:
            session.execute(text("UPDATE " + change.replace("$", ":value")), {"value": value, "id": task_id})


def test_unreadable_rows_are_listed_with_their_markers(
    two_keys: Callable[[str], Domain],
) -> None:
    before, domain = two_keys(f"{OLD},{NEW}"), two_keys(NEW)
    keyless = _fill(before)
    forged, broken, good = _fill(domain), _fill(domain), _fill(domain)
    _tamper(domain, forged, '{"$sealed":"new:AAAA"}')
    # PostgreSQL accepts only JSON, but also JSON that no parser can read.
    _tamper(domain, broken, "{" if domain.db.engine.dialect.name == "sqlite" else "[" * 3000 + "]" * 3000)
    marks: dict[str, dict[str, object]] = {
        keyless: {"$unreadable": "key_missing"},
        forged: {"$unreadable": "tampered"},
        broken: {"$damaged": True},
    }
    with domain.db.read() as session:
        whole = read_snapshot_rows(session, "demo", SnapshotLimits()).build()
        listed, _ = list_tasks(session, "demo", limit=10)
    tasks = {task["id"]: task for task in whole["tasks"]}
    assert whole["complete"]
    assert len(tasks) == len(listed) == 4
    with domain.db.read() as session:
        for task_id, mark in marks.items():
            one, steps = read_task(session, task_id), list_steps(session, task_id)
            assert one["input"] == read_outputs(session, task_id)[0] == mark
            errors = [one["error"], tasks[task_id]["error"], steps[1]["error"], tasks[task_id]["steps"][1]["error"]]
            assert all(error is not None and mark.items() <= error.items() for error in errors)
            events = [event.data for event in read_events(session, "demo", 0, 1000, task_id)]
            assert events
            assert all(event in (UNTOLD | mark, UNTOLD_STEP | mark) for event in events)
        assert read_task(session, good)["input"] == {"n": 1}
        assert tasks[good]["error"] == read_task(session, good)["error"] == ERROR
        assert read_outputs(session, good)[0] == {"x": 1}
    messages = domain.log()
    assert [event.seq for event in messages] == list(range(1, len(messages) + 1))
    assert story(event for event in messages if event.task_id == good)[-1] == "FAILED"
    lines = [orjson.loads(line) for line in export_instance(domain.rt, "demo")]
    exported = {line["task"]["id"]: line["task"]["input"] for line in lines if line["kind"] == "task"}
    assert exported == {**marks, good: {"n": 1}}
    assert sum(line["kind"] == "event" for line in lines) == len(messages)


def test_a_large_output_with_a_missing_key_does_not_affect_the_rest_of_an_export(
    two_keys: Callable[[str], Domain],
) -> None:
    domains = [two_keys(OLD), two_keys(NEW)]
    for domain in domains:
        domain.perform(domain.running(), "a", "large " * 20_000)
    lines = [orjson.loads(line) for line in export_instance(domains[1].rt, "demo")]
    contents = [line["artifact"]["content"] for line in lines if line["kind"] == "artifact"]
    assert len(contents) == 2
    assert {"$unreadable": "key_missing"} in contents
    assert "large " * 20_000 in contents
    assert lines[-1]["kind"] == "manifest"


@pytest.mark.parametrize("moment", ["9223372036854775807", "-9223372036854775808", "'yesterday'", "X'FF00'"])
def test_an_invalid_time_does_not_affect_other_rows_of_a_list(new_domain: NewDomain, moment: str) -> None:
    domain = new_domain()
    if domain.db.engine.dialect.name == "postgresql" and not moment.lstrip("-").isdigit():
        pytest.skip("PostgreSQL takes no such thing there")
    bad, good = domain.failed(), domain.submit()
    for place in ("created_at", "updated_at", "started_at", "finished_at", "lease_until", "expires_at"):
        damage(domain, bad, moment, place)
    with domain.db.read() as session:
        assert {task["id"] for task in read_snapshot_rows(session, "demo", SnapshotLimits()).build()["tasks"]} == {
            bad,
            good,
        }
        tasks, _ = list_tasks(session, "demo", limit=10)
        assert {task["id"] for task in tasks} == {bad, good}
        assert read_task(session, bad)["created_at"] == "1970-01-01T00:00:00.000Z"
    assert domain.claim(good).task_id == good
