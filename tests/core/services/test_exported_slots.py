"""An export has each slot once, wherever the pages of schedules and of slots end."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import orjson
import pytest

from swallowtail.app.core.ledger.agent_cards import AgentCard, register
from swallowtail.app.core.schemas.schedules import NewSchedule
from swallowtail.app.core.services.instance_export import export_instance
from swallowtail.app.core.services.schedules import add_schedule
from swallowtail.app.core.tables.schedules import Slot
from tests.core.conftest import NewDomain
from tests.core.domain import Domain

BEGUN = datetime(2030, 1, 1, tzinfo=UTC)


def _plan(domain: Domain, instance_id: str, name: str, slots: int) -> list[tuple[str, str]]:
    """Add a schedule with a number of slots; return the key of each slot, as in an export."""
    schedule_id = add_schedule(
        domain.rt, instance_id, NewSchedule(name=name, kind="any", input={}, interval_seconds=60)
    )["id"]
    moments = [BEGUN + timedelta(minutes=number) for number in range(slots)]
    with domain.db.write() as session:
        for at in moments:
            session.add(Slot(schedule_id=schedule_id, planned_at=at, outcome="skipped", created_at=at))
    return [(schedule_id, f"{at:%Y-%m-%dT%H:%M:%S}") for at in moments]


@pytest.mark.parametrize("numbers", [[3], [0, 0, 0, 1], [6, 3, 0, 3], [1, 7, 0, 1, 2, 5, 0]])
def test_every_slot_is_exported_once_and_no_other_instances(
    new_domain_on: NewDomain, numbers: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("swallowtail.app.core.services.instance_export.PAGE", 3)
    domain = new_domain_on()
    register(domain.db, [AgentCard(kind="any", title="Any", description="", version="1", input_schema={})])
    domain.create_instance("Other", "other")
    expected = []
    for number, slots in enumerate(numbers):
        expected += _plan(domain, "demo", f"S {number}", slots)
        _plan(domain, "other", f"S {number}", 1)
    lines = [orjson.loads(line) for line in export_instance(domain.rt, "demo")]
    exported = [line["slot"] for line in lines if line["kind"] == "slot"]
    assert [(slot["schedule_id"], slot["planned_at"][:19]) for slot in exported] == sorted(expected)
