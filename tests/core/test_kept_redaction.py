"""A payload that was redacted for one view is not redacted again for the next, until the rules or the value change."""

from __future__ import annotations

from typing import Any

import pytest

from app.core import redaction
from app.core.events import now
from app.core.models import Step, Task
from app.core.models_privacy import InstancePolicy
from app.core.reads import list_steps, read_step, read_task
from tests.core.stage import Stage

GIVEN = {"text": "x" * 20_000, "street": "Main Road 1", "password": "open sesame"}


@pytest.fixture
def walked(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Every payload that is walked from now on."""
    found: list[Any] = []
    walk = redaction._walk

    def count(value: Any, here: Any) -> Any:
        if isinstance(value, dict) and "street" in value:
            found.append(value)
        return walk(value, here)

    monkeypatch.setattr(redaction, "_walk", count)
    return found


def _look(stage: Stage, task_id: str) -> list[Any]:
    with stage.db.read() as session:
        task = read_task(session, task_id)
        step = read_step(session, task_id, list_steps(session, task_id)[0]["step_id"])
    return [task["input"], task["result"], step["output"]]


def test_the_next_view_of_the_same_is_not_redacted_again(stage: Stage, walked: list[Any]) -> None:
    claim = stage.running(input=GIVEN)
    stage.perform(claim, "a", {**GIVEN, "of": "step"})
    stage.runs.complete(claim, {**GIVEN, "of": "task"})
    walked.clear()
    first = _look(stage, claim.task_id)
    assert [shown["password"] for shown in first] == ["[redacted:secret]"] * 3
    assert len(walked) == 3
    first[0]["text"] = "changed by whoever was given it"
    assert [shown["text"] for shown in _look(stage, claim.task_id)] == ["x" * 20_000] * 3
    assert len(walked) == 3


def test_a_policy_that_is_tightened_hides_at_once(stage: Stage) -> None:
    claim = stage.running(input=GIVEN)
    stage.perform(claim, "a", GIVEN)
    stage.runs.complete(claim, GIVEN)
    assert [shown["street"] for shown in _look(stage, claim.task_id)] == ["Main Road 1"] * 3
    with stage.db.write() as session:
        session.add(InstancePolicy(instance_id="demo", secret_fields=["street"], updated_at=now()))
    stage.db.policies.forget()
    assert [shown["street"] for shown in _look(stage, claim.task_id)] == ["[redacted:secret]"] * 3


def test_a_value_that_changed_is_shown_as_it_is_now(stage: Stage) -> None:
    claim = stage.running(input=GIVEN)
    stage.perform(claim, "a", GIVEN)
    stage.runs.complete(claim, GIVEN)
    _look(stage, claim.task_id)
    with stage.db.write() as session:
        session.get_one(Task, claim.task_id).result = {"street": "Elsewhere", "password": "other words"}
        session.query(Step).one().output = 5.0
    assert _look(stage, claim.task_id)[1:] == [{"street": "Elsewhere", "password": "[redacted:secret]"}, 5.0]
