"""Steps: opened once a run, ended once, remembered by the journal, told in order; and the progress that they bring."""

from __future__ import annotations

from dataclasses import replace

import pytest

from app.core.errors import CancelRequested, Conflict
from app.core.events import step_id
from app.core.outline import Bounds, snapshot
from app.core.projection import View
from app.core.reads import list_steps
from tests.core.stage import ERROR, LOST, Stage


def test_a_step_starts_and_is_completed(stage: Stage) -> None:
    claim = stage.running()
    started = stage.runs.start_step(claim, "a", "Agent", "work")
    finished = stage.runs.finish_step(claim, "a", [1, 2])
    assert (started.step_id, started.seq, started.tries) == (step_id(claim.task_id, "a"), 4, 1)
    assert (finished.step_id, finished.seq, finished.cancel_requested) == (started.step_id, 5, False)
    assert stage.story(after=3) == ["a in_progress", "a completed"]


def test_progress_and_message_of_a_step_are_told_in_a_note_of_their_own(stage: Stage) -> None:
    claim = stage.running()
    stage.perform(claim, "a", progress=30)
    stage.perform(claim, "b", progress=60, message="Drafted")
    stage.perform(claim, "c", message="Only a word")
    stage.perform(claim, "d")
    assert stage.story(after=3) == [
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


def test_the_message_of_a_step_is_told_at_the_step_until_it_is_done_again(stage: Stage) -> None:
    claim = stage.running()
    stage.perform(claim, "a", message="Drafted with Bearer abcdefghijklmnop1234567890")
    stage.perform(claim, "b")
    events = [event.data for event in stage.log() if event.type == "execution_step"]
    told = [event.get("message") for event in events]
    assert told == [None, "Drafted with Bearer [redacted:token]", None, None]
    with stage.db.read() as session:
        steps = snapshot(session, "demo", Bounds())["tasks"][0]["steps"]
        assert [step["message"] for step in steps] == [told[1], None]
        assert [step["message"] for step in list_steps(session, claim.task_id)] == [told[1], None]
    stage.runs.fail(claim, ERROR)
    stage.ledger.retry(claim.task_id, from_step="a")
    stage.runs.start_step(stage.claim(claim.task_id, 2), "a", "Agent", "work")
    assert "message" not in stage.log()[-1].data


def test_a_view_without_messages_withholds_that_of_a_step(stage: Stage) -> None:
    claim = stage.running()
    stage.perform(claim, "a", message="Drafted")
    event = next(event for event in stage.log() if "message" in event.data and event.type == "execution_step")
    assert View(fields=frozenset({"key"})).project_event(event).data["message"] is None
    assert View(fields=frozenset({"message"})).project_event(event).data["message"] == "Drafted"


@pytest.mark.parametrize(
    ("given", "kept"), [(20.0, 50.0), (-5.0, 50.0), (100.5, 100.0), (1e300, 100.0), (float("nan"), 50.0)]
)
def test_progress_never_goes_back_and_stays_within_bounds(stage: Stage, given: float, kept: float) -> None:
    claim = stage.running()
    stage.perform(claim, "a", progress=50)
    stage.perform(claim, "b", progress=given)
    assert stage.task(claim.task_id).progress == kept
    stage.runs.heartbeat(claim, given, "")
    assert stage.task(claim.task_id).progress == kept
    assert stage.story(after=8) == [f"{kept:g} Started"]


def test_live_progress_on_the_row_rides_on_the_next_event(stage: Stage) -> None:
    claim = stage.running()
    stage.runs.start_step(claim, "a", "Agent", "work")
    stage.runs.heartbeat(claim, 33.0, "Third of it")
    row = stage.task(claim.task_id)
    assert (row.progress, row.message) == (33.0, "Third of it")
    stage.runs.finish_step(claim, "a", None)
    assert stage.events()[-1].data["progress"] == 33.0
    stage.runs.heartbeat(claim, 10.0, "")
    row = stage.task(claim.task_id)
    assert (row.progress, row.message) == (33.0, "Third of it")


def test_a_heartbeat_tells_nothing(stage: Stage) -> None:
    claim = stage.running()
    stage.runs.heartbeat(claim, 33.0, "nul \x00")
    assert stage.task(claim.task_id).message == "nul \ufffd"
    assert stage.story() == ["SUBMITTED", "QUEUED", "IN_PROGRESS 0"]
    assert len(stage.announced) == 3


def test_a_step_started_twice_is_started_once(stage: Stage) -> None:
    claim = stage.running()
    first = stage.runs.start_step(claim, "a", "Agent", "work")
    second = stage.runs.start_step(claim, "a", "Agent", "work")
    assert second == replace(first, epoch="")
    assert stage.story(after=3) == ["a in_progress"]


def test_a_step_finished_twice_keeps_its_first_output(stage: Stage) -> None:
    claim = stage.running()
    stage.runs.start_step(claim, "a", "Agent", "work")
    first = stage.runs.finish_step(claim, "a", "first", progress=40)
    second = stage.runs.finish_step(claim, "a", "second", progress=80)
    assert second == replace(first, epoch="")
    assert stage.story(after=3) == ["a in_progress", "a completed", "40 Started"]
    assert stage.steps(claim.task_id)[0].output == "first"


def test_a_step_failed_twice_keeps_its_first_error(stage: Stage) -> None:
    claim = stage.running()
    stage.runs.start_step(claim, "a", "Agent", "work")
    first = stage.runs.fail_step(claim, "a", ERROR)
    assert stage.runs.fail_step(claim, "a", LOST) == replace(first, epoch="")
    assert stage.story(after=3) == ["a in_progress", "a failed"]
    assert stage.events()[-1].data["error"] == ERROR


def test_a_step_skipped_twice_is_skipped_once(stage: Stage) -> None:
    claim = stage.running()
    first = stage.runs.skip_step(claim, "a", "Agent", "work", "not needed")
    assert stage.runs.skip_step(claim, "a", "Agent", "work", "still not") == replace(first, epoch="")
    assert stage.story(after=3) == ["a skipped"]
    event = stage.events()[-1]
    assert event.data["output"] == {"reason": "not needed"}
    assert event.data["started_at"] == event.data["completed_at"]


def test_an_open_step_can_be_skipped(stage: Stage) -> None:
    claim = stage.running()
    stage.runs.start_step(claim, "a", "Agent", "work")
    stage.runs.skip_step(claim, "a", "Agent", "work", "not needed")
    assert stage.story(after=3) == ["a in_progress", "a skipped"]


def test_a_step_that_failed_cannot_finish_in_the_same_run(stage: Stage) -> None:
    claim = stage.running()
    stage.runs.start_step(claim, "a", "Agent", "work")
    stage.runs.fail_step(claim, "a", ERROR)
    with pytest.raises(Conflict) as refused:
        stage.runs.finish_step(claim, "a", "late")
    assert refused.value.field == "key"
    assert stage.story(after=3) == ["a in_progress", "a failed"]


def test_a_failure_does_not_take_back_a_finished_step(stage: Stage) -> None:
    claim = stage.running()
    stage.perform(claim, "a", "kept")
    stage.runs.fail_step(claim, "a", ERROR)
    assert stage.story(after=3) == ["a in_progress", "a completed"]
    assert stage.steps(claim.task_id)[0].saved


@pytest.mark.parametrize("ended", ["completed", "failed", "skipped"])
def test_a_step_cannot_start_again_in_the_same_run(stage: Stage, ended: str) -> None:
    claim = stage.running()
    if ended == "skipped":
        stage.runs.skip_step(claim, "a", "Agent", "work", "why")
    else:
        stage.runs.start_step(claim, "a", "Agent", "work")
        end = stage.runs.finish_step if ended == "completed" else stage.runs.fail_step
        end(claim, "a", ERROR)
    told = stage.story()
    with pytest.raises(Conflict) as refused:
        stage.runs.start_step(claim, "a", "Agent", "work")
    assert refused.value.field == "key"
    assert stage.story() == told


@pytest.mark.parametrize("when", ["never", "in an earlier run"])
def test_a_step_that_this_run_did_not_start_cannot_end(stage: Stage, when: str) -> None:
    claim = stage.running()
    if when == "in an earlier run":
        stage.runs.start_step(claim, "a", "Agent", "work")
        stage.ledger.propose_lost(claim.task_id, 1, LOST)
        claim = stage.claim(claim.task_id, 2)
    told = stage.story()
    for end in (stage.runs.finish_step, stage.runs.fail_step):
        with pytest.raises(Conflict) as refused:
            end(claim, "a", ERROR)
        assert refused.value.field == "key"
    assert stage.story() == told


def test_a_step_of_a_later_attempt_keeps_its_id_and_place_and_counts_its_tries(stage: Stage) -> None:
    claim = stage.running()
    stage.perform(claim, "a")
    stage.runs.start_step(claim, "b", "Agent", "work")
    stage.runs.fail_step(claim, "b", ERROR)
    stage.runs.retry_later(claim, ERROR, 0.0)
    claim = stage.claim(claim.task_id, 2)
    wrote = stage.runs.start_step(claim, "b", "Other", "rework")
    assert (wrote.step_id, wrote.tries) == (step_id(claim.task_id, "b"), 2)
    stage.runs.finish_step(claim, "b", 1)
    stage.perform(claim, "c")
    assert stage.story(after=3) == [
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
    assert [(step.key, step.position, step.agent, step.tries) for step in stage.steps(claim.task_id)] == [
        ("a", 1, "Agent", 1),
        ("b", 2, "Other", 2),
        ("c", 3, "Agent", 1),
    ]


def test_no_step_starts_once_a_cancel_was_requested_but_an_open_one_may_end(stage: Stage) -> None:
    claim = stage.running()
    stage.runs.start_step(claim, "a", "Agent", "work")
    stage.ledger.request_cancel(claim.task_id)
    assert stage.runs.heartbeat(claim, 0.0, "").cancel_requested
    assert stage.runs.finish_step(claim, "a", "saved").cancel_requested
    assert stage.runs.skip_step(claim, "s", "Agent", "work", "why").cancel_requested
    with pytest.raises(CancelRequested):
        stage.runs.start_step(claim, "b", "Agent", "work")
    assert stage.story(after=3) == ["a in_progress", "0 Cancellation requested", "a completed", "s skipped"]


def test_keys_of_any_script_are_kept(stage: Stage) -> None:
    claim = stage.running()
    for key in ("übung/1", "步骤", 'quo"te', "a" * 200):
        stage.perform(claim, key)
    assert [step.key for step in stage.steps(claim.task_id)] == ["übung/1", "步骤", 'quo"te', "a" * 200]
