"""Large payloads are redacted in worker threads, and while no transaction locks the database."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from swallowtail.app.core.events import now
from swallowtail.app.core.ledger.agent_cards import AgentCard, register
from swallowtail.app.core.privacy import redaction, redaction_rules
from swallowtail.app.core.queries.rows import list_tasks, read_schedule, read_task
from swallowtail.app.core.queries.snapshot import SnapshotLimits, read_snapshot_rows
from swallowtail.app.core.schemas.schedules import NewSchedule
from swallowtail.app.core.schemas.tasks import NewTask
from swallowtail.app.core.services.schedule_firing import fire_due
from swallowtail.app.core.services.schedules import add_schedule
from swallowtail.app.core.services.submissions import check_submission
from swallowtail.app.core.services.tasks import submit
from swallowtail.app.core.tables.schedules import Schedule
from swallowtail.app.core.tables.tasks import Task
from tests.core.conftest import NewDomain
from tests.core.domain import Away, Domain, compute_by
from tests.core.payloads.stored_redactions import PAYLOAD, clear_stored, hide_fields

HOSTILE = {
    "nodes": [[] for _ in range(10_000)],
    "cards": [4111111111111111] * 1800,
    "addresses": ["a@b.cc"] * 3000,
    "hidden": {"password": [f"hidden{number}" for number in range(100)], "said": ["aaaaaa"] * 3000},
    "keys": {f"ghp_{number:020}": 1 for number in range(1000)},
}


@pytest.mark.long
@pytest.mark.parametrize("payload", HOSTILE.values(), ids=HOSTILE)
def test_large_payloads_are_redacted_in_a_worker_thread_only(
    new_domain: NewDomain, monkeypatch: pytest.MonkeyPatch, payload: Any
) -> None:
    domain, away, blocking = new_domain(hide_emails=True), Away(), []

    def record(walk: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
        def recorded(value: Any, rules: Any) -> Any:
            if not away.is_at_work and len(str(value)) > 1024:
                blocking.append(value)
            return walk(value, rules)

        return recorded

    for module, name in ((redaction, "_redact"), (redaction_rules, "_secret_texts")):
        monkeypatch.setattr(module, name, record(getattr(module, name)))
    compute_by(domain, away)
    register(domain.db, [AgentCard(kind="any", title="Any", description="", version="1", input_schema={})])
    task_id = submit(domain.rt, "demo", NewTask(kind="any", input={"said": payload})).task["id"]
    domain.ledger.request_cancel(task_id)
    domain.ledger.retry(task_id)
    claimed = domain.claim(task_id)
    domain.runs.start_step(claimed, "a", "Agent", "work")
    blocking.clear()  # a worker has no greenlets
    add_schedule(domain.rt, "demo", NewSchedule(name="S", kind="any", input={"said": payload}, interval_seconds=60))
    for known in (True, False, True):
        if not known:
            clear_stored(domain)
        with domain.db.read() as session:
            read_task(session, task_id)
            list_tasks(session, "demo", limit=9)
            read_snapshot_rows(session, "demo", SnapshotLimits()).build()
            for row in session.query(Schedule):
                read_schedule(session, row.id)
    assert blocking == []


@pytest.fixture
def locked(new_domain: NewDomain) -> tuple[Domain, list[bool]]:
    """A domain, and for each of its offloaded computations whether the database was locked meanwhile."""
    domain, states = new_domain(inline_input_bytes=32_000), list[bool]()

    def offload(work: Callable[..., Any], /, *arguments: Any) -> Any:
        other = sqlite3.connect(domain.settings.var / "swallowtail.db", timeout=0, isolation_level=None)
        try:
            other.execute("BEGIN IMMEDIATE")
            states.append(False)
        except sqlite3.OperationalError:
            states.append(True)
        finally:
            other.close()
        return work(*arguments)

    compute_by(domain, offload)
    register(domain.db, [AgentCard(kind="any", title="Any", description="", version="1", input_schema={})])
    return domain, states


@pytest.mark.parametrize("payload", [PAYLOAD, {**PAYLOAD, "text": "y" * 40_000}], ids=["in its row", "apart"])
def test_nothing_is_computed_while_a_submission_or_a_schedule_holds_the_lock(
    locked: tuple[Domain, list[bool]], payload: Any
) -> None:
    domain, states = locked
    submit(domain.rt, "demo", NewTask(kind="any", input=payload))
    add_schedule(domain.rt, "demo", NewSchedule(name="S", kind="any", input=payload, interval_seconds=60))
    assert fire_due(domain.rt, at=now() + timedelta(seconds=100)) == 1
    assert len(states) >= 6
    assert not any(states)
    with domain.db.read() as session:
        assert [view["message"] for view in list_tasks(session, "demo", limit=9)[0]] == ["Submitted"] * 2


def test_a_submission_is_redacted_by_the_rules_at_the_time_of_its_storing(domain: Domain) -> None:
    register(domain.db, [AgentCard(kind="any", title="Any", description="", version="1", input_schema={})])
    with domain.db.read() as session:
        checked = check_submission(
            session, domain.rt, "demo", NewTask(kind="any", input=PAYLOAD, title="To Main Road 1")
        )
    hide_fields(domain, "street")
    _, events, _ = domain.ledger.submit(checked)
    assert events[0].data["title"] == "To [redacted:secret]"
    with domain.db.read() as session:
        task = session.get_one(Task, checked.id)
        assert task.input_shown["as"]["street"] == "[redacted:secret]"  # type: ignore[index]
        assert read_task(session, checked.id)["title"] == "To [redacted:secret]"
