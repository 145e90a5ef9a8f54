"""A value at the limit of depth or size is stored, even if its redaction is larger or deeper."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from swallowtail.app.core.events import now, to_json
from swallowtail.app.core.ledger.agent_cards import AgentCard, register
from swallowtail.app.core.payload_redaction.stored_redactions import shown_value
from swallowtail.app.core.queries.rows import read_schedule, read_task
from swallowtail.app.core.schemas.schedules import NewSchedule
from swallowtail.app.core.schemas.tasks import NewTask
from swallowtail.app.core.services.schedule_firing import fire_due
from swallowtail.app.core.services.schedules import add_schedule
from swallowtail.app.core.services.tasks import submit
from swallowtail.app.core.tables.schedules import Slot
from swallowtail.app.core.tables.tasks import Task
from tests.core.conftest import NewDomain
from tests.core.domain import Domain, read_outputs

DEEPEST, LARGEST = 10, 4096
HIDDEN = "[redacted:secret]"


def _deep(inner: Any) -> Any:
    for _ in range(DEEPEST - 2):
        inner = [inner]
    return inner


def _large() -> dict[str, Any]:
    """Return as many short secrets as the limit allows: a marker is longer than each."""
    numbers = list(range(100_000, 100_400))
    payload: dict[str, Any] = {"password": [str(number) for number in numbers], "rest": ""}
    payload["rest"] = "x" * (LARGEST - len(to_json(payload)))
    return payload


PAYLOADS = {"deep": _deep({"password": "open sesame"}), "large": _large()}
SHOWN = {"deep": _deep({"password": HIDDEN}), "large": {**_large(), "password": [HIDDEN] * 400}}


@pytest.fixture
def domain(new_domain_on: NewDomain) -> Domain:
    inline = {"inline_output_bytes": LARGEST, "inline_input_bytes": LARGEST}
    limits = {"max_json_depth": DEEPEST, "max_body_bytes": LARGEST, "max_output_bytes": LARGEST}
    domain = new_domain_on(**limits, **inline, max_hidden_values=400)
    register(domain.db, [AgentCard(kind="any", title="Any", description="", version="1", input_schema={})])
    return domain


@pytest.mark.parametrize("limit", PAYLOADS)
def test_input_output_and_result_at_the_limit_are_stored_with_their_redactions(domain: Domain, limit: str) -> None:
    task_id = submit(domain.rt, "demo", NewTask(kind="any", input=PAYLOADS[limit])).task["id"]
    claim = domain.claim(task_id)
    assert claim.input == PAYLOADS[limit]
    domain.perform(claim, "a", PAYLOADS[limit])
    domain.runs.complete(claim, PAYLOADS[limit])
    with domain.db.read() as session:
        shown = read_task(session, task_id)
        assert [shown["input"], shown["result"], *read_outputs(session, task_id)] == [SHOWN[limit]] * 3
        row = session.get_one(Task, task_id)
        assert [shown_value(row.input_shown, None), shown_value(row.result_shown, None)] == [SHOWN[limit]] * 2
    redacted = [event.data.get(name) for event in domain.log() for name in ("output", "result")]
    assert list(filter(None, redacted)) == [SHOWN[limit]] * 2
    assert domain.log() == domain.announced


@pytest.mark.parametrize("limit", PAYLOADS)
def test_a_schedule_with_an_input_at_the_limit_is_stored_and_fires(domain: Domain, limit: str) -> None:
    row = add_schedule(domain.rt, "demo", NewSchedule(name="S", kind="any", input=PAYLOADS[limit], interval_seconds=60))
    assert row["input"] == SHOWN[limit]
    assert fire_due(domain.rt, at=now() + timedelta(seconds=100)) == 1
    with domain.db.read() as session:
        (slot,) = session.query(Slot)
        assert (slot.outcome, slot.reason, slot.task_id is None) == ("fired", "", False)
        assert read_task(session, str(slot.task_id))["input"] == SHOWN[limit]
        assert read_schedule(session, row["id"])["input"] == SHOWN[limit]


def test_a_title_of_full_length_is_stored_although_its_marker_is_longer_than_the_secret(domain: Domain) -> None:
    title = ("sesame " * 30)[:199] + "."
    redacted = submit(domain.rt, "demo", NewTask(kind="any", input={"password": "sesame"}, title=title)).task["title"]
    assert redacted == ((HIDDEN + " ") * 30)[:200]
