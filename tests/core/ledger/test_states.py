"""The state machine: every pair of statuses is allowed or refused, and the diagram shows all moves."""

from __future__ import annotations

import re

import pytest

from swallowtail.app.core import states
from swallowtail.app.core.states import (
    ACTIVE,
    CLAIMABLE,
    MOVES,
    RETRYABLE,
    TERMINAL,
    StepStatus,
    TaskStatus,
    may_move,
)
from tests.harness.program import ROOT

S = TaskStatus
LETTERS = {
    "a": {(S.SUBMITTED, S.QUEUED)},
    "b": {(S.QUEUED, S.IN_PROGRESS)},
    "c": {(S.IN_PROGRESS, S.COMPLETED)},
    "d": {(S.IN_PROGRESS, S.FAILED)},
    "e": {(S.IN_PROGRESS, S.RETRYING)},
    "f": {(S.RETRYING, S.QUEUED)},
    "g": {(S.IN_PROGRESS, S.WAITING)},
    "h": {(S.WAITING, S.QUEUED)},
    "x": {(before, S.CANCELLED) for before in (S.SUBMITTED, S.QUEUED, S.IN_PROGRESS, S.WAITING, S.RETRYING)},
    "y": {(S.SUBMITTED, S.EXPIRED), (S.QUEUED, S.EXPIRED)},
    "r": {(S.FAILED, S.RETRYING), (S.CANCELLED, S.RETRYING), (S.EXPIRED, S.RETRYING)},
}
ALLOWED = set().union(*LETTERS.values())


@pytest.mark.parametrize("after", TaskStatus)
@pytest.mark.parametrize("before", TaskStatus)
def test_a_pair_of_statuses_is_a_move_or_is_not(before: TaskStatus, after: TaskStatus) -> None:
    assert may_move(before, after) is ((before, after) in ALLOWED)


def test_the_first_status_of_a_task_is_submitted() -> None:
    assert [after for after in TaskStatus if may_move(None, after)] == [S.SUBMITTED]


def test_every_status_has_its_moves() -> None:
    assert set(MOVES) == set(TaskStatus)


def test_the_diagram_has_every_move_under_its_letter() -> None:
    diagram = states.__doc__ or ""
    assert set(re.findall(r"-([a-z])->", diagram)) == set(LETTERS)
    for status in TaskStatus:
        assert status.value in diagram


def test_the_page_of_states_draws_and_explains_every_move() -> None:
    page = (ROOT / "docs/states.md").read_text(encoding="utf-8")
    assert set(re.findall(r"─([a-z])→", page)) == set(LETTERS)
    rows = re.findall(r"^\| ([a-z](?:, [a-z])*) \|", page, re.MULTILINE)
    explained = [letter for row in rows for letter in row.split(", ")]
    assert sorted(explained) == sorted(LETTERS)
    for name in (*(status.value for status in TaskStatus), *(status.value for status in StepStatus)):
        assert name in page


def test_only_a_requested_retry_leaves_a_final_status() -> None:
    assert {S.COMPLETED, S.FAILED, S.CANCELLED, S.EXPIRED} == TERMINAL
    assert {(before, after) for before in TERMINAL for after in MOVES[before]} == LETTERS["r"]
    assert {S.FAILED, S.CANCELLED, S.EXPIRED} == RETRYABLE
    assert set(TaskStatus) == ACTIVE | TERMINAL
    assert not ACTIVE & TERMINAL


def test_every_status_leads_to_an_end() -> None:
    for start in ACTIVE:
        reached = {start}
        while more := {after for before in reached for after in MOVES[before]} - reached:
            reached |= more
        assert reached & TERMINAL


def test_a_claimable_status_is_queued_or_leads_to_it() -> None:
    assert all(status is S.QUEUED or may_move(status, S.QUEUED) for status in CLAIMABLE)
    assert not CLAIMABLE & TERMINAL


def test_statuses_are_spelled_as_on_the_wire() -> None:
    assert [status.value for status in TaskStatus] == [status.name for status in TaskStatus]
    assert [status.value for status in StepStatus] == ["in_progress", "completed", "failed", "skipped"]
