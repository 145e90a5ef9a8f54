"""Stored values are read bit for bit from every place and by every reader, on both databases."""

from __future__ import annotations

import base64
from datetime import timedelta
from typing import Any

import orjson
import pytest
from sqlalchemy import text

from swallowtail.app.core.events import now
from swallowtail.app.core.ledger.agent_cards import AgentCard, register
from swallowtail.app.core.ledger.artifacts import read_output
from swallowtail.app.core.ledger.event_log import read_events
from swallowtail.app.core.maintenance.key_rotation import rotate
from swallowtail.app.core.queries.rows import list_schedules, list_steps, read_schedule, read_task
from swallowtail.app.core.schemas.schedules import NewSchedule
from swallowtail.app.core.services.schedule_firing import fire_due
from swallowtail.app.core.services.schedules import add_schedule
from swallowtail.app.core.tables.schedules import Schedule
from swallowtail.app.core.tables.tasks import Step, Task
from tests.core.conftest import NewDomain
from tests.core.domain import ERROR, read_outputs

KEY = f"one:{base64.b64encode(bytes(32)).decode()}"
VALUES: list[Any] = [
    5.0,
    -0.0,
    0,
    2**64 - 1,
    -(2**63),
    2**53 + 1,
    5e-324,
    1.7976931348623157e308,
    0.1,
    1e22,
    True,
    False,
    None,
    "5.0",
    "",
    " 7 ",
    "null",
    "1e5",
    [],
    {},
    [5.0, -0.0, 2**64 - 1],
    {"$as_is": 5.0},
    {"$sealed": "x:y"},
    {"$as_is": {"$as_is": 1}},
    {"$damaged": True},
    {"$unreadable": "key_missing"},
    {"": {"": 5.0}},
    {"k" * 500: -0.0},
    {"n": {"m": 1.0}},
    "\u2028\U0001f600\\",
]


def same(one: Any, other: Any) -> bool:
    """Return whether two values are equal to the last bit, and of the same type."""
    return type(one) is type(other) and orjson.dumps(one) == orjson.dumps(other)


@pytest.mark.parametrize("keys", ["", KEY], ids=["open", "sealed"])
@pytest.mark.parametrize("how", ["inline", "artifact"])
def test_outputs_results_and_inputs_are_read_back_unchanged(new_domain_on: NewDomain, keys: str, how: str) -> None:
    domain = new_domain_on(encryption_keys=keys, inline_output_bytes=1024)
    values = VALUES if how == "inline" else [[value, "x" * 2000] for value in VALUES]
    claim = domain.claim(domain.submit(input={"given": values}), 1)
    for place, value in enumerate(values):
        domain.perform(claim, str(place), value)
    domain.runs.retry_later(claim, ERROR, 0.0)
    again = domain.claim(claim.task_id, 2)
    assert all(same(again.saved[str(place)].output, value) for place, value in enumerate(values))
    assert same(again.input, {"given": values})
    with domain.db.read() as session:
        received = [
            event.data["output"] for event in read_events(session, "demo", 0, 200) if event.data.get("completed_at")
        ]
        shown = read_outputs(session, claim.task_id)
    assert all(map(same, received, shown))
    assert how == "artifact" or all(map(same, shown, values))


@pytest.mark.parametrize("value", [5.0, -0.0, 2**64 - 1, -(2**63), 0.1, "5.0"])
def test_a_bare_number_is_a_result_and_an_input_too(new_domain_on: NewDomain, value: Any) -> None:
    domain = new_domain_on()
    claim = domain.claim(domain.submit(input=value))
    assert same(claim.input, value)
    domain.runs.complete(claim, value)
    with domain.db.read() as session:
        view = read_task(session, claim.task_id)
        assert same(read_output(session, session.get_one(Task, claim.task_id)), value)
    assert same(view["result"], value)
    assert same(view["input"], value)
    assert same(domain.events()[-1].data["result"], value)
    with domain.db.write() as session:
        session.add(_schedule(value))
    with domain.db.read() as session:
        assert same(read_schedule(session, "5")["input"], value)


@pytest.mark.parametrize("keys", ["", KEY], ids=["open", "sealed"])
def test_a_schedule_submits_its_exact_input(new_domain_on: NewDomain, keys: str) -> None:
    domain = new_domain_on(encryption_keys=keys)
    register(domain.db, [AgentCard(kind="any", title="Any", description="", version="1", input_schema={})])
    values = [{} if value is None else value for value in VALUES]
    for place, value in enumerate(VALUES):
        shown = add_schedule(
            domain.rt, "demo", NewSchedule(name=f"{place:02}", kind="any", input=value, interval_seconds=60)
        )["input"]
        assert same(shown, values[place])
    assert fire_due(domain.rt, at=now() + timedelta(seconds=100)) == len(VALUES)
    with domain.db.read() as session:
        tasks = [(row.id, row.title) for row in session.query(Task).order_by(Task.title)]
        plans = [read_schedule(session, row["id"])["input"] for row in list_schedules(session, "demo", limit=99)[0]]
    assert all(map(same, plans, values))
    assert all(same(domain.claim(task_id).input, values[int(title)]) for task_id, title in tasks)
    assert len(tasks) == len(values)


def test_refreshing_one_column_leaves_the_others_decrypted(new_domain_on: NewDomain) -> None:
    domain = new_domain_on()
    task_id = domain.submit(input={"$as_is": 1})
    with domain.db.read() as session:
        row = session.get_one(Task, task_id)
        assert row.input_shown is not None
        session.refresh(row, ["title"])
        assert row.input == {"$as_is": 1}


def _schedule(value: Any) -> Schedule:
    row = Schedule(id="5", instance_id="demo", name="n", kind="any", input=value, timing="interval", paused=True)
    row.created_at = now()
    return row


def test_a_value_from_before_the_first_key_is_unchanged_by_encryption(new_domain_on: NewDomain) -> None:
    domain = new_domain_on()
    claim = domain.running()
    for place, value in enumerate(VALUES):
        domain.perform(claim, str(place), value)
    later = new_domain_on(encryption_keys=KEY)
    assert list(rotate(later.db))
    with later.db.read() as session:
        shown = read_outputs(session, claim.task_id)
    assert all(map(same, shown, VALUES))


def test_a_bare_number_that_an_older_version_stored_is_still_read(new_domain_on: NewDomain) -> None:
    domain = new_domain_on()
    claim = domain.running()
    domain.perform(claim, "a", "out")
    with domain.db.write() as session:
        session.execute(text("UPDATE step SET output = '7'"))
    with domain.db.read() as session:
        assert read_outputs(session, claim.task_id)[0] == 7
        assert session.get_one(Step, list_steps(session, claim.task_id)[0]["step_id"]).output == 7
