"""Depth and size of stored JSON: one rule for all of it, and old rows above the limits break no read."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

import orjson
import pytest
from sqlalchemy import update

from swallowtail.app.core.database.database import Database
from swallowtail.app.core.errors import InvalidInput, SwallowtailError, TooLarge
from swallowtail.app.core.events import limit_depth, now
from swallowtail.app.core.ledger.agent_cards import AgentCard, register
from swallowtail.app.core.ledger.claims import Claim
from swallowtail.app.core.ledger.event_log import read_events
from swallowtail.app.core.ledger.tasks import TaskWriter
from swallowtail.app.core.ledger.unit_of_work import UnitOfWork
from swallowtail.app.core.queries.rows import list_tasks, read_task
from swallowtail.app.core.queries.snapshot import SnapshotLimits, read_snapshot_rows
from swallowtail.app.core.schemas.schedules import NewSchedule
from swallowtail.app.core.schemas.tasks import NewTask
from swallowtail.app.core.services.schedules import add_schedule
from swallowtail.app.core.services.tasks import submit
from swallowtail.app.core.tables.schedules import Schedule
from swallowtail.app.core.tables.tasks import Event, Step, Task
from swallowtail.app.core.validation import check_encoded, check_json
from swallowtail.workers.run.json_output import encode
from swallowtail.workers.run.outcomes import PermanentError
from tests.core.conftest import NewDomain
from tests.core.domain import ERROR, Domain, new_task, read_outputs
from tests.harness.settings import make_settings


def nested(levels: int) -> Any:
    value: Any = []
    for place in range(levels - 1):
        value = [value] if place % 2 else {"inner": value}
    return value


def depth(value: Any) -> int:
    levels = 0
    while isinstance(value, dict | list) and value:
        levels, value = levels + 1, next(iter(value.values() if isinstance(value, dict) else value))
    return levels + isinstance(value, dict | list)


@pytest.fixture
def domain(new_domain_on: NewDomain) -> Domain:
    return new_domain_on(max_json_depth=10, max_json_nodes=500, max_output_bytes=4096, inline_output_bytes=1024)


UNBEARABLE = [(nested(11), InvalidInput), ([0] * 500, TooLarge), ("x" * 5000, TooLarge), (nested(250), InvalidInput)]


@pytest.mark.parametrize(("value", "refusal"), UNBEARABLE, ids=["deep", "many", "large", "abyss"])
@pytest.mark.parametrize("entrance", ["output", "result"])
def test_nothing_is_stored_of_a_value_that_no_reader_could_receive(
    domain: Domain, entrance: str, value: Any, refusal: type[SwallowtailError]
) -> None:
    claim = domain.running()
    domain.runs.start_step(claim, "a", "Agent", "work")
    story = domain.story()
    with pytest.raises(refusal):
        _keep(domain, claim, entrance, value)
    assert domain.story() == story
    domain.runs.finish_step(claim, "a", nested(10))
    domain.runs.complete(claim, nested(10))
    assert depth(domain.events()[-1].data["result"]) == 10


def _keep(domain: Domain, claim: Claim, entrance: str, value: Any) -> None:
    if entrance == "output":
        domain.runs.finish_step(claim, "a", value)
    else:
        domain.runs.complete(claim, value)


@pytest.mark.parametrize("write", ["fail", "retry_later", "fail_step"])
def test_an_error_is_limited_too(domain: Domain, write: str) -> None:
    claim = domain.running()
    domain.runs.start_step(claim, "a", "Agent", "work")
    story = domain.story()
    for error in ({**ERROR, "more": nested(30)}, {**ERROR, "message": "x" * 100_000}):
        calls: dict[str, Callable[[], object]] = {
            "fail": lambda error=error: domain.runs.fail(claim, error),  # type: ignore[misc]
            "retry_later": lambda error=error: domain.runs.retry_later(claim, error, 1.0),  # type: ignore[misc]
            "fail_step": lambda error=error: domain.runs.fail_step(claim, "a", error),  # type: ignore[misc]
        }
        with pytest.raises((InvalidInput, TooLarge)):
            calls[write]()
    assert domain.story() == story


def test_a_message_from_any_source_is_cut(domain: Domain) -> None:
    claim = domain.running()
    domain.runs.heartbeat(claim, 10, "h" * 100_000)
    assert domain.task(claim.task_id).message == "h" * 2000
    domain.perform(claim, "a", "out", progress=20, message="m" * 100_000)
    assert domain.events()[-1].data["message"] == "m" * 2000


def test_an_input_is_checked_at_every_entry_point() -> None:
    settings = make_settings(max_json_depth=10, max_json_nodes=500)
    for value, refusal in ((nested(11), InvalidInput), ([0] * 500, TooLarge), (nested(2000), InvalidInput)):
        with pytest.raises(refusal) as refused:
            check_json(value, "input", settings)
        assert refused.value.field == "input"
    check_json(nested(10), "input", settings)


@pytest.mark.parametrize(("value", "refusal"), UNBEARABLE, ids=["deep", "many", "large", "abyss"])
def test_the_ledger_refuses_an_oversized_input_from_every_entry_point(
    domain: Domain, value: Any, refusal: type[SwallowtailError]
) -> None:
    small = domain.settings.model_copy(update={"max_body_bytes": 4096, "inline_input_bytes": 1024})
    db = Database(small)
    ledger = TaskWriter(UnitOfWork(db), small)
    with pytest.raises(refusal) as refused:
        ledger.submit(new_task(input=value))
    assert refused.value.field == "input"
    with pytest.raises(refusal) as refused, db.write() as session:
        session.add(make_plan(value))
    assert refused.value.field == "input"
    assert (domain.events(), domain.outbox()) == ([], {})
    ledger.submit(new_task(input=nested(10)))
    with db.write() as session:
        session.add(make_plan(nested(10)))
    db.dispose()


def make_plan(payload: Any) -> Schedule:
    """Return the row of a schedule that the service would refuse."""
    row = Schedule(id=str(uuid.uuid4()), instance_id="demo", name="n", kind="any", input=payload, timing="interval")
    row.interval_seconds, row.paused, row.timezone = 60.0, True, "UTC"
    row.catch_up, row.overlap, row.created_at = "latest", "allow", now()
    return row


def test_defaults_of_an_agent_count_with_the_input(domain: Domain) -> None:
    schema = {"type": "object", "properties": {"more": {"default": nested(10)}}}
    register(domain.db, [AgentCard("any", "Any", "", "1", schema)])
    with pytest.raises(InvalidInput) as refused:
        submit(domain.rt, "demo", NewTask(kind="any", input={"message": "hello"}))
    assert refused.value.field == "input"
    plan = NewSchedule(name="plan", kind="any", input={"message": "hello"}, interval_seconds=60)
    with pytest.raises(InvalidInput):
        add_schedule(domain.rt, "demo", plan)
    assert domain.events() == []


def test_both_sides_of_the_rule_count_alike() -> None:
    settings = make_settings(max_json_depth=10, max_json_nodes=100)
    for value in (nested(10), [0] * 99, ["[[[[[[[[[[[[,,,,"] * 20, {"a": {"b": [1, {}]}}, 5, "[" * 50):
        check_json(value, "it", settings)
        check_encoded(orjson.dumps(value), "it", settings)
    for value in (nested(11), [0] * 100, [[]] * 100):
        with pytest.raises(SwallowtailError):
            check_json(value, "it", settings)
        with pytest.raises(SwallowtailError):
            check_encoded(orjson.dumps(value), "it", settings)


@pytest.mark.parametrize(
    ("value", "code"), [(nested(33), "output_too_deep"), ([0] * 100_001, "output_too_large"), (nested(900), "not_json")]
)
def test_an_agent_gets_the_error_code_of_an_unusable_output(value: Any, code: str) -> None:
    with pytest.raises(PermanentError) as error:
        encode(value, make_settings())
    assert error.value.code == code


def test_rows_that_an_older_version_stored_too_deep_spoil_no_read(domain: Domain) -> None:
    claim = domain.running()
    domain.perform(claim, "a", "out")
    domain.perform(claim, "b", "fine")
    domain.runs.complete(claim, "done")
    with domain.db.write() as session:
        session.execute(update(Step).where(Step.key == "a").values(output=nested(254)))
        session.execute(update(Task).values(input=nested(254), result=nested(253)))
        session.execute(update(Event).where(Event.seq == 5).values(data={"output": nested(253), "status": "completed"}))
    with domain.db.read() as session:
        reads: list[Any] = [
            list_tasks(session, "demo", limit=10)[0],
            read_snapshot_rows(session, "demo", SnapshotLimits()).build(),
            read_outputs(session, claim.task_id),
            read_task(session, claim.task_id),
            [event.wire() for event in read_events(session, "demo", 0, 100)],
        ]
    for read in reads:
        orjson.dumps({"page": [read]})
    assert reads[2][1] == "fine"
    assert depth(reads[2][0]) > 150
    assert len(reads[4]) == 8


def test_a_value_within_the_limits_is_unchanged() -> None:
    value = {"a": [1, {"b": None}]}
    assert limit_depth(value) is value
    assert depth(limit_depth(nested(250))) < 210
    assert limit_depth([nested(250), {"kept": [1]}])[1] == {"kept": [1]}
