"""Submissions: a row, an outbox entry and a first event in one transaction; and all events of a whole task."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import pytest

from swallowtail.app.core.errors import Conflict, NotFound
from swallowtail.app.core.events import EventRecord, event_id, stamp, step_id
from swallowtail.app.core.tables.tasks import Task
from swallowtail.signals import event_recorded
from tests.core.domain import ERROR, Domain, new_task


def test_a_new_task_is_submitted_with_an_outbox_entry(domain: Domain) -> None:
    task, events, created = domain.ledger.submit(new_task())
    assert created
    assert [event.wire() for event in events] == [
        {
            "instance_id": "demo",
            "task_id": task.id,
            "type": "task_update",
            "seq": 1,
            "epoch": events[0].epoch,
            "id": event_id(task.id, 0, "", "status:SUBMITTED"),
            "attempt": 0,
            "data": {
                "progress": 0.0,
                "message": "Submitted",
                "timestamp": stamp(task.created_at),
                "status": "SUBMITTED",
                "previous_status": None,
                "kind": task.kind,
                "title": task.title,
                "submitted_by": task.submitted_by,
            },
        }
    ]
    assert domain.announced == domain.events() == events
    assert domain.outbox() == {task.id: (1, 0)}
    assert domain.due_in(task.id) <= 0


def test_an_unknown_instance_is_refused_and_nothing_is_stored(domain: Domain) -> None:
    with pytest.raises(NotFound) as refused:
        domain.ledger.submit(new_task("nowhere"))
    assert refused.value.field == "instance_id"
    assert domain.story() == []
    assert domain.outbox() == {}


def test_the_same_submission_twice_is_one(domain: Domain) -> None:
    new = new_task(idempotency_key="k")
    first, _, created = domain.ledger.submit(new)
    again, events, created_again = domain.ledger.submit(new_task(idempotency_key="k"))
    assert (first.id, created, created_again, events) == (again.id, True, False, [])
    assert domain.ledger.submit(new)[0].id == first.id
    assert domain.story() == ["SUBMITTED"]


def test_a_key_used_for_something_else_is_a_conflict(domain: Domain) -> None:
    domain.submit(idempotency_key="k", fingerprint="one")
    with pytest.raises(Conflict) as refused:
        domain.submit(idempotency_key="k", fingerprint="two")
    assert refused.value.field == "Idempotency-Key"
    assert domain.story() == ["SUBMITTED"]


def test_equal_keys_of_two_instances_are_independent(domain: Domain) -> None:
    domain.create_instance("Other", "other")
    first = domain.submit(idempotency_key="k")
    second = domain.submit("other", idempotency_key="k")
    assert first != second


def test_the_same_key_from_eight_threads_at_once_makes_one_task(domain: Domain) -> None:
    answers: list[tuple[str, bool]] = []
    barrier = threading.Barrier(8)

    def submit() -> None:
        barrier.wait()
        task, _, created = domain.ledger.submit(new_task(idempotency_key="k"))
        answers.append((task.id, created))

    threads = [threading.Thread(target=submit) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({task_id for task_id, _ in answers}) == 1
    assert sorted(created for _, created in answers) == [False] * 7 + [True]
    assert domain.story() == ["SUBMITTED"]


def test_an_instance_id_can_be_taken_once(domain: Domain) -> None:
    with pytest.raises(Conflict) as refused:
        domain.create_instance("Again", "demo")
    assert refused.value.field == "id"


def test_concurrent_creations_of_one_id_create_one_instance(domain: Domain) -> None:
    outcomes: list[str] = []
    barrier = threading.Barrier(6)

    def create() -> None:
        barrier.wait()
        try:
            domain.create_instance("New", "new")
            outcomes.append("made")
        except Conflict:
            outcomes.append("taken")

    threads = [threading.Thread(target=create) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["made"] + ["taken"] * 5


def test_a_task_of_two_steps_has_exactly_these_events(domain: Domain) -> None:
    task_id = domain.submit(input={"a": 1})
    domain.ledger.mark_queued(task_id, 1, 10.0)
    claim = domain.claim(task_id)
    domain.runs.start_step(claim, "a", "Writer", "write")
    domain.runs.finish_step(claim, "a", {"text": "A"}, progress=50, message="Half way")
    domain.runs.start_step(claim, "b", "Editor", "edit")
    domain.runs.finish_step(claim, "b", None)
    domain.runs.complete(claim, {"done": True})
    events = domain.events()
    assert [(event.type, event.attempt, _masked(event.data)) for event in events] == _expected(domain.task(task_id))
    assert domain.announced == events


def test_published_and_replayed_events_are_equal_for_unusual_outputs(domain: Domain) -> None:
    claim = domain.running()
    domain.perform(claim, "a", {"set": {2, 1}, 3: ("x", b"y\x00"), "s": "\ud800"}, message="nul \x00 and \udfff")
    domain.runs.start_step(claim, "b", "Agent", "work")
    domain.runs.fail_step(claim, "b", {"code": "odd", "message": "nul \x00", "type": "\ud800"})
    domain.runs.fail(claim, {"code": "odd", "message": "nul \x00 and \ud800"})
    assert domain.announced == domain.events()
    assert domain.announced[4].data["output"] == {"set": [1, 2], "3": ["x", "y\ufffd"], "s": "\ufffd"}
    assert domain.announced[5].data["message"] == "nul \ufffd and \ufffd"
    assert domain.task(claim.task_id).message == "nul \ufffd and \ufffd"


def test_an_announcement_comes_after_the_commit_and_once(domain: Domain) -> None:
    seen: list[tuple[int, int]] = []

    def look(sender: object, events: Sequence[EventRecord]) -> None:
        seen.append((events[-1].seq, domain.head()))

    event_recorded.connect(look, domain.db)
    claim = domain.running()
    domain.runs.heartbeat(claim, 5.0, "")
    domain.runs.fail(claim, ERROR)
    assert seen == [(1, 1), (2, 2), (3, 3), (4, 4)]


def _masked(data: dict[str, Any]) -> dict[str, Any]:
    moments = ("timestamp", "started_at", "completed_at")
    for name in moments:
        if data.get(name) is not None:
            assert len(data[name]) == len("2026-03-01T12:30:15.123Z")
            assert data[name].endswith("Z")
    return {name: "T" if name in moments and value is not None else value for name, value in data.items()}


def _expected(row: Task) -> list[tuple[str, int, dict[str, Any]]]:
    """Return the type, attempt and data of every event of a task of two steps."""
    update: dict[str, Any] = {"progress": 0.0, "timestamp": "T"}
    known = {"kind": row.kind, "title": row.title, "submitted_by": row.submitted_by}
    half = {"progress": 50.0, "timestamp": "T"}
    step_a = {"step_id": step_id(row.id, "a"), "agent": "Writer", "action": "write", "key": "a", "position": 1}
    step_b = {"step_id": step_id(row.id, "b"), "agent": "Editor", "action": "edit", "key": "b", "position": 2}
    begun = {"status": "in_progress", "output": None, "started_at": "T", "completed_at": None, "tries": 1}
    done = {"status": "completed", "started_at": "T", "completed_at": "T", "tries": 1}
    return [
        ("task_update", 0, {**update, "message": "Submitted", "status": "SUBMITTED", "previous_status": None, **known}),
        ("task_update", 0, {**update, "message": "Queued", "status": "QUEUED", "previous_status": "SUBMITTED"}),
        ("task_update", 1, {**update, "message": "Started", "status": "IN_PROGRESS", "previous_status": "QUEUED"}),
        ("execution_step", 1, {**step_a, **begun, "progress": 0.0}),
        ("execution_step", 1, {**step_a, **done, "output": {"text": "A"}, "progress": 50.0, "message": "Half way"}),
        ("task_update", 1, {**half, "message": "Half way"}),
        ("execution_step", 1, {**step_b, **begun, "progress": 50.0}),
        ("execution_step", 1, {**step_b, **done, "output": None, "progress": 50.0}),
        (
            "task_update",
            1,
            {
                "progress": 100.0,
                "timestamp": "T",
                "message": "Completed",
                "status": "COMPLETED",
                "previous_status": "IN_PROGRESS",
                "result": {"done": True},
            },
        ),
    ]
