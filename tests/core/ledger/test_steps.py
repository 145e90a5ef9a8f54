"""Steps: opened once in a run, ended once, kept in the journal, recorded in order; and their progress."""

from __future__ import annotations

from dataclasses import replace

import pytest

from swallowtail.app.core.errors import CancelRequested, Conflict
from swallowtail.app.core.events import step_id
from swallowtail.app.core.queries.rows import list_steps
from swallowtail.app.core.queries.snapshot import SnapshotLimits, read_snapshot_rows
from swallowtail.app.core.security.field_mask import FieldMask
from tests.core.domain import ERROR, LOST, Domain


def test_a_step_starts_and_is_completed(domain: Domain) -> None:
    claim = domain.running()
    started = domain.runs.start_step(claim, "a", "Agent", "work")
    finished = domain.runs.finish_step(claim, "a", [1, 2])
    assert (started.step_id, started.seq, started.tries) == (step_id(claim.task_id, "a"), 4, 1)
    assert (finished.step_id, finished.seq, finished.cancel_requested) == (started.step_id, 5, False)
    assert domain.story(after=3) == ["a in_progress", "a completed"]


def test_progress_and_message_of_a_step_have_an_event_of_their_own(domain: Domain) -> None:
    claim = domain.running()
    domain.perform(claim, "a", progress=30)
    domain.perform(claim, "b", progress=60, message="Drafted")
    domain.perform(claim, "c", message="Only a word")
    domain.perform(claim, "d")
    assert domain.story(after=3) == [
        "a in_progress",
        "a completed",
        "30 Started",
        "b in_progress",
        "b completed",
        "60 Drafted",
        "c in_progress",
        "c completed",
        "60 Only a word",
        "d in_progress",
        "d completed",
    ]


def test_the_message_of_a_step_stays_until_the_step_is_repeated(domain: Domain) -> None:
    claim = domain.running()
    domain.perform(claim, "a", message="Drafted with Bearer abcdefghijklmnop1234567890")
    domain.perform(claim, "b")
    events = [event.data for event in domain.log() if event.type == "execution_step"]
    messages = [event.get("message") for event in events]
    assert messages == [None, "Drafted with Bearer [redacted:token]", None, None]
    with domain.db.read() as session:
        steps = read_snapshot_rows(session, "demo", SnapshotLimits()).build()["tasks"][0]["steps"]
        assert [step["message"] for step in steps] == [messages[1], None]
        assert [step["message"] for step in list_steps(session, claim.task_id)] == [messages[1], None]
    domain.runs.fail(claim, ERROR)
    domain.ledger.retry(claim.task_id, from_step="a")
    domain.runs.start_step(domain.claim(claim.task_id, 2), "a", "Agent", "work")
    assert "message" not in domain.log()[-1].data


def test_a_view_without_messages_withholds_that_of_a_step(domain: Domain) -> None:
    claim = domain.running()
    domain.perform(claim, "a", message="Drafted")
    event = next(event for event in domain.log() if "message" in event.data and event.type == "execution_step")
    assert FieldMask(fields=frozenset({"key"})).project_event(event).data["message"] is None
    assert FieldMask(fields=frozenset({"message"})).project_event(event).data["message"] == "Drafted"


@pytest.mark.parametrize(
    ("percent", "expected"), [(20.0, 50.0), (-5.0, 50.0), (100.5, 100.0), (1e300, 100.0), (float("nan"), 50.0)]
)
def test_progress_never_goes_back_and_stays_within_bounds(domain: Domain, percent: float, expected: float) -> None:
    claim = domain.running()
    domain.perform(claim, "a", progress=50)
    domain.perform(claim, "b", progress=percent)
    assert domain.task(claim.task_id).progress == expected
    domain.runs.heartbeat(claim, percent, "")
    assert domain.task(claim.task_id).progress == expected
    assert domain.story(after=8) == [f"{expected:g} Started"]


def test_live_progress_on_the_row_rides_on_the_next_event(domain: Domain) -> None:
    claim = domain.running()
    domain.runs.start_step(claim, "a", "Agent", "work")
    domain.runs.heartbeat(claim, 33.0, "Third of it")
    row = domain.task(claim.task_id)
    assert (row.progress, row.message) == (33.0, "Third of it")
    domain.runs.finish_step(claim, "a", None)
    assert domain.events()[-1].data["progress"] == 33.0
    domain.runs.heartbeat(claim, 10.0, "")
    row = domain.task(claim.task_id)
    assert (row.progress, row.message) == (33.0, "Third of it")


def test_a_heartbeat_records_no_event(domain: Domain) -> None:
    claim = domain.running()
    domain.runs.heartbeat(claim, 33.0, "nul \x00")
    assert domain.task(claim.task_id).message == "nul \ufffd"
    assert domain.story() == ["SUBMITTED", "QUEUED", "IN_PROGRESS 0"]
    assert len(domain.announced) == 3


def test_a_step_started_twice_is_started_once(domain: Domain) -> None:
    claim = domain.running()
    first = domain.runs.start_step(claim, "a", "Agent", "work")
    second = domain.runs.start_step(claim, "a", "Agent", "work")
    assert second == replace(first, epoch="")
    assert domain.story(after=3) == ["a in_progress"]


def test_a_step_finished_twice_keeps_its_first_output(domain: Domain) -> None:
    claim = domain.running()
    domain.runs.start_step(claim, "a", "Agent", "work")
    first = domain.runs.finish_step(claim, "a", "first", progress=40)
    second = domain.runs.finish_step(claim, "a", "second", progress=80)
    assert second == replace(first, epoch="")
    assert domain.story(after=3) == ["a in_progress", "a completed", "40 Started"]
    assert domain.steps(claim.task_id)[0].output == "first"


def test_a_step_failed_twice_keeps_its_first_error(domain: Domain) -> None:
    claim = domain.running()
    domain.runs.start_step(claim, "a", "Agent", "work")
    first = domain.runs.fail_step(claim, "a", ERROR)
    assert domain.runs.fail_step(claim, "a", LOST) == replace(first, epoch="")
    assert domain.story(after=3) == ["a in_progress", "a failed"]
    assert domain.events()[-1].data["error"] == ERROR


def test_a_step_skipped_twice_is_skipped_once(domain: Domain) -> None:
    claim = domain.running()
    first = domain.runs.skip_step(claim, "a", "Agent", "work", "not needed")
    assert domain.runs.skip_step(claim, "a", "Agent", "work", "still not") == replace(first, epoch="")
    assert domain.story(after=3) == ["a skipped"]
    event = domain.events()[-1]
    assert event.data["output"] == {"reason": "not needed"}
    assert event.data["started_at"] == event.data["completed_at"]


def test_an_open_step_can_be_skipped(domain: Domain) -> None:
    claim = domain.running()
    domain.runs.start_step(claim, "a", "Agent", "work")
    domain.runs.skip_step(claim, "a", "Agent", "work", "not needed")
    assert domain.story(after=3) == ["a in_progress", "a skipped"]


def test_a_step_that_failed_cannot_finish_in_the_same_run(domain: Domain) -> None:
    claim = domain.running()
    domain.runs.start_step(claim, "a", "Agent", "work")
    domain.runs.fail_step(claim, "a", ERROR)
    with pytest.raises(Conflict) as refused:
        domain.runs.finish_step(claim, "a", "late")
    assert refused.value.field == "key"
    assert domain.story(after=3) == ["a in_progress", "a failed"]


def test_a_failure_does_not_take_back_a_finished_step(domain: Domain) -> None:
    claim = domain.running()
    domain.perform(claim, "a", "kept")
    domain.runs.fail_step(claim, "a", ERROR)
    assert domain.story(after=3) == ["a in_progress", "a completed"]
    assert domain.steps(claim.task_id)[0].saved


@pytest.mark.parametrize("ended", ["completed", "failed", "skipped"])
def test_a_step_cannot_start_again_in_the_same_run(domain: Domain, ended: str) -> None:
    claim = domain.running()
    if ended == "skipped":
        domain.runs.skip_step(claim, "a", "Agent", "work", "why")
    else:
        domain.runs.start_step(claim, "a", "Agent", "work")
        end = domain.runs.finish_step if ended == "completed" else domain.runs.fail_step
        end(claim, "a", ERROR)
    story = domain.story()
    with pytest.raises(Conflict) as refused:
        domain.runs.start_step(claim, "a", "Agent", "work")
    assert refused.value.field == "key"
    assert domain.story() == story


@pytest.mark.parametrize("when", ["never", "in an earlier run"])
def test_a_step_that_this_run_did_not_start_cannot_end(domain: Domain, when: str) -> None:
    claim = domain.running()
    if when == "in an earlier run":
        domain.runs.start_step(claim, "a", "Agent", "work")
        domain.proposals.lost(claim.task_id, 1, LOST)
        claim = domain.claim(claim.task_id, 2)
    story = domain.story()
    for end in (domain.runs.finish_step, domain.runs.fail_step):
        with pytest.raises(Conflict) as refused:
            end(claim, "a", ERROR)
        assert refused.value.field == "key"
    assert domain.story() == story


def test_a_step_of_a_later_attempt_keeps_its_id_and_place_and_counts_its_tries(domain: Domain) -> None:
    claim = domain.running()
    domain.perform(claim, "a")
    domain.runs.start_step(claim, "b", "Agent", "work")
    domain.runs.fail_step(claim, "b", ERROR)
    domain.runs.retry_later(claim, ERROR, 0.0)
    claim = domain.claim(claim.task_id, 2)
    wrote = domain.runs.start_step(claim, "b", "Other", "rework")
    assert (wrote.step_id, wrote.tries) == (step_id(claim.task_id, "b"), 2)
    domain.runs.finish_step(claim, "b", 1)
    domain.perform(claim, "c")
    assert domain.story(after=3) == [
        "a in_progress",
        "a completed",
        "b in_progress",
        "b failed",
        "RETRYING",
        "QUEUED",
        "IN_PROGRESS 0",
        "b in_progress",
        "b completed",
        "c in_progress",
        "c completed",
    ]
    assert [(step.key, step.position, step.agent, step.tries) for step in domain.steps(claim.task_id)] == [
        ("a", 1, "Agent", 1),
        ("b", 2, "Other", 2),
        ("c", 3, "Agent", 1),
    ]


def test_no_step_starts_once_a_cancel_was_requested_but_an_open_one_may_end(domain: Domain) -> None:
    claim = domain.running()
    domain.runs.start_step(claim, "a", "Agent", "work")
    domain.ledger.request_cancel(claim.task_id)
    assert domain.runs.heartbeat(claim, 0.0, "").cancel_requested
    assert domain.runs.finish_step(claim, "a", "saved").cancel_requested
    assert domain.runs.skip_step(claim, "s", "Agent", "work", "why").cancel_requested
    with pytest.raises(CancelRequested):
        domain.runs.start_step(claim, "b", "Agent", "work")
    assert domain.story(after=3) == ["a in_progress", "0 Cancellation requested", "a completed", "s skipped"]


def test_keys_of_any_script_are_kept(domain: Domain) -> None:
    claim = domain.running()
    for key in ("übung/1", "步骤", 'quo"te', "a" * 200):
        domain.perform(claim, key)
    assert [step.key for step in domain.steps(claim.task_id)] == ["übung/1", "步骤", 'quo"te', "a" * 200]
