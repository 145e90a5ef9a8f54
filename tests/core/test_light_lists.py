"""A list of tasks says what they are and how they stand, and carries nobody's inputs and results."""

from __future__ import annotations

import re

from sqlalchemy import event

from app.core.reads import list_tasks
from tests.core.stage import Stage

LARGE = ["x" * 1000] * 30


def test_a_list_of_tasks_holds_no_inputs_and_no_results(stage: Stage) -> None:
    claim = stage.running(input={"given": LARGE})
    stage.runs.complete(claim, {"made": LARGE})
    with stage.db.read() as session:
        (listed,) = list_tasks(session, "demo", limit=10)[0]
    assert {"input", "result"}.isdisjoint(listed)
    assert (listed["id"], listed["status"], listed["progress"]) == (claim.task_id, "COMPLETED", 100)


def test_a_list_does_not_even_read_them(stage: Stage) -> None:
    for _ in range(3):
        stage.runs.complete(stage.running(input=LARGE), LARGE)
    asked: list[str] = []
    with stage.db.read() as session:
        event.listen(stage.db.engine, "before_cursor_execute", lambda *given: asked.append(str(given[2])))
        assert len(list_tasks(session, "demo", limit=10)[0]) == 3
    assert asked
    assert not any(re.search(r"\btask\.(input|result)\b", statement) for statement in asked)
