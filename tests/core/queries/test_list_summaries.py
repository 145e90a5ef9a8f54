"""A list of tasks has their titles and states, and no inputs and results."""

from __future__ import annotations

import re

from sqlalchemy import event

from swallowtail.app.core.events import now
from swallowtail.app.core.queries.rows import list_schedules, list_steps, list_tasks
from swallowtail.app.core.tables.schedules import Schedule
from tests.core.domain import Domain

LARGE = ["x" * 1000] * 30


def test_a_list_of_tasks_holds_no_inputs_and_no_results(domain: Domain) -> None:
    claim = domain.running(input={"given": LARGE})
    domain.runs.complete(claim, {"made": LARGE})
    with domain.db.read() as session:
        (listed,) = list_tasks(session, "demo", limit=10)[0]
    assert {"input", "result"}.isdisjoint(listed)
    assert (listed["id"], listed["status"], listed["progress"]) == (claim.task_id, "COMPLETED", 100)


def test_a_list_does_not_even_read_them(domain: Domain) -> None:
    for _ in range(3):
        claim = domain.running(input=LARGE)
        domain.perform(claim, "a", LARGE)
        domain.runs.complete(claim, LARGE)
    with domain.db.write() as session:
        row = Schedule(id="5", instance_id="demo", name="n", kind="any", input=LARGE, timing="interval", paused=True)
        row.created_at = now()
        session.add(row)
    asked: list[str] = []
    with domain.db.read() as session:
        event.listen(domain.db.engine, "before_cursor_execute", lambda *call: asked.append(str(call[2])))
        tasks = list_tasks(session, "demo", limit=10)[0]
        assert len(tasks) == 3
        listed = [*list_steps(session, tasks[0]["id"]), *list_schedules(session, "demo", limit=10)[0]]
    assert len(listed) == 2
    assert all({"input", "output"}.isdisjoint(one) for one in listed)
    payload = r"\b(task\.(input|result)|step\.output|schedule\.input)\b"
    assert not any(re.search(payload, statement) for statement in asked)
