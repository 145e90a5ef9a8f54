"""Views, snapshots, and pages that neither repeat nor miss a row while rows are added."""

from __future__ import annotations

import base64
from datetime import timedelta
from typing import Any

import orjson
import pytest
from sqlalchemy import update

from swallowtail.app.core.errors import InvalidInput, NotFound
from swallowtail.app.core.events import now, stamp
from swallowtail.app.core.ledger.agent_cards import AgentCard, register
from swallowtail.app.core.queries import rows
from swallowtail.app.core.queries.snapshot import SnapshotLimits, read_snapshot_rows
from swallowtail.app.core.schemas.tasks import StepSummary
from swallowtail.app.core.states import TaskStatus
from swallowtail.app.core.tables.tasks import Task
from tests.core.domain import ERROR, Domain
from tests.core.log_oracle import fold


def test_a_task_is_shown_with_all_its_fields(domain: Domain) -> None:
    expiry = now() + timedelta(hours=1)
    task_id = domain.submit(input={"a": [1, None]}, title="A title", submitted_by="test", expires_at=expiry)
    row = domain.task(task_id)
    with domain.db.read() as session:
        assert rows.read_task(session, task_id) == {
            "id": task_id,
            "instance_id": "demo",
            "kind": "probe",
            "title": "A title",
            "status": "SUBMITTED",
            "progress": 0.0,
            "message": "Submitted",
            "attempt": 0,
            "input": {"a": [1, None]},
            "result": None,
            "error": None,
            "cancel_requested": False,
            "submitted_by": "test",
            "last_seq": 1,
            "created_at": stamp(row.created_at),
            "started_at": None,
            "finished_at": None,
            "updated_at": stamp(row.created_at),
            "expires_at": stamp(expiry),
            "waiting": None,
        }


def test_a_cancel_request_is_shown_while_the_run_continues(domain: Domain) -> None:
    claim = domain.running()
    shown = []
    for act in (
        lambda: None,
        lambda: domain.ledger.request_cancel(claim.task_id),
        lambda: domain.runs.cancelled(claim),
    ):
        act()
        with domain.db.read() as session:
            shown.append(rows.read_task(session, claim.task_id)["cancel_requested"])
    assert shown == [False, True, False]


def test_steps_are_shown_in_the_order_in_which_they_were_first_started(domain: Domain) -> None:
    claim = domain.running()
    for key in ("c", "a", "b"):
        domain.perform(claim, key, {"of": key}, progress=10)
    with domain.db.read() as session:
        steps = rows.list_steps(session, claim.task_id)
        outputs = [rows.read_step(session, claim.task_id, step["step_id"])["output"] for step in steps]
    assert [(step["key"], step["position"]) for step in steps] == [("c", 1), ("a", 2), ("b", 3)]
    assert outputs == [{"of": "c"}, {"of": "a"}, {"of": "b"}]
    assert set(steps[0]) == set(StepSummary.__annotations__)


def _page_through(domain: Domain, limit: int, **criteria: Any) -> list[str]:
    ids: list[str] = []
    cursor = None
    while True:
        with domain.db.read() as session:
            page, cursor = rows.list_tasks(session, "demo", limit=limit, cursor=cursor, **criteria)
        assert len(page) <= limit
        ids += [task["id"] for task in page]
        if cursor is None:
            return ids


@pytest.mark.parametrize("limit", [1, 2, 3, 6, 7, 100])
def test_pages_hold_every_task_once_the_latest_first(domain: Domain, limit: int) -> None:
    ids = [domain.submit() for _ in range(6)]
    assert _page_through(domain, limit) == ids[::-1]


def test_tasks_of_the_same_moment_are_ordered_by_their_ids(domain: Domain) -> None:
    ids = sorted(domain.submit() for _ in range(5))
    for moment in (now(), now().replace(microsecond=1), now().replace(microsecond=999_999)):
        with domain.db.write() as session:
            session.execute(update(Task).values(created_at=moment))
        assert _page_through(domain, 2) == ids[::-1]


def test_pages_are_stable_while_tasks_are_added_and_move(domain: Domain) -> None:
    ids = [domain.submit() for _ in range(6)]
    with domain.db.read() as session:
        page, cursor = rows.list_tasks(session, "demo", limit=2)
    seen = [task["id"] for task in page]
    while cursor is not None:
        domain.submit()
        domain.ledger.request_cancel(seen[-1])
        with domain.db.read() as session:
            page, cursor = rows.list_tasks(session, "demo", limit=2, cursor=cursor)
        seen += [task["id"] for task in page]
    assert seen == ids[::-1]


def test_tasks_are_listed_by_status_and_kind_of_one_instance_only(domain: Domain) -> None:
    domain.create_instance("Other", "other")
    domain.submit("other")
    plain, odd = domain.submit(), domain.submit(kind="odd")
    failed = domain.failed()
    assert _page_through(domain, 10) == [failed, odd, plain]
    assert _page_through(domain, 10, status=TaskStatus.FAILED) == [failed]
    assert _page_through(domain, 10, kind="odd") == [odd]
    assert _page_through(domain, 10, kind="odd", status=TaskStatus.FAILED) == []
    assert _page_through(domain, 1, status=TaskStatus.SUBMITTED) == [odd, plain]
    assert _page_through(domain, 10, kind="nul \x00\ud800") == []


def test_instances_are_listed_in_pages_by_id(domain: Domain) -> None:
    for name in ("b", "A", "z-1", "Z"):
        domain.create_instance(f"Name of {name}", name)
    with domain.db.read() as session:
        everything, no_more = rows.list_instances(session, limit=10)
        assert no_more is None
        cursor, paged = None, []
        while True:
            page, cursor = rows.list_instances(session, limit=2, cursor=cursor)
            paged += page
            if cursor is None:
                break
    assert paged == everything
    assert sorted(view["id"] for view in everything) == sorted(["demo", "b", "A", "z-1", "Z"])
    assert set(everything[0]) == {"id", "name", "epoch", "seq", "created_at"}


def _cursor(*parts: Any) -> str:
    return base64.urlsafe_b64encode(orjson.dumps(list(parts))).decode().rstrip("=")


@pytest.mark.parametrize(
    "cursor",
    [
        "",
        "x",
        "!!!",
        "é",
        "\x00",
        "\ud800",
        "A" * 10_000,
        _cursor(),
        _cursor(1),
        _cursor("1", "id"),
        _cursor(1, 2),
        _cursor(1, "id", "more"),
        _cursor(True, "id"),
        _cursor(1.5, "id"),
        _cursor(None, None),
        _cursor(2**63, "id"),
        _cursor(-(2**62), "id"),
        _cursor(1, "\x00"),
        base64.urlsafe_b64encode(b'{"a": 1}').decode(),
        base64.urlsafe_b64encode(b"[" * 5000).decode(),
        base64.urlsafe_b64encode(b"\xff\xfe").decode(),
    ],
)
def test_a_cursor_that_no_list_gave_out_is_refused(domain: Domain, cursor: str) -> None:
    with domain.db.read() as session:
        with pytest.raises(InvalidInput) as refused:
            rows.list_tasks(session, "demo", limit=1, cursor=cursor)
        assert refused.value.field == "cursor"
        if cursor != _cursor("x"):
            with pytest.raises(InvalidInput) as refused:
                rows.list_instances(session, limit=1, cursor=cursor)
            assert refused.value.field == "cursor"


@pytest.mark.parametrize("key", ["nowhere", "", "nul \x00", "\ud800", "x" * 100_000, "'; DROP TABLE task; --"])
def test_missing_objects_raise_not_found_for_every_name(domain: Domain, key: str) -> None:
    for field, read in (
        ("instance_id", lambda session: rows.read_instance(session, key)),
        ("instance_id", lambda session: rows.list_tasks(session, key, limit=1)),
        ("instance_id", lambda session: rows.list_schedules(session, key, limit=10)),
        ("task_id", lambda session: rows.read_task(session, key)),
        ("task_id", lambda session: rows.list_steps(session, key)),
        ("kind", lambda session: rows.read_agent(session, key)),
        ("schedule_id", lambda session: rows.read_schedule(session, key)),
        ("schedule_id", lambda session: rows.list_slots(session, key, 1)),
    ):
        with domain.db.read() as session, pytest.raises(NotFound) as refused:
            read(session)
        assert refused.value.field == field


def test_a_snapshot_equals_the_log_up_to_its_head(domain: Domain) -> None:
    claim = domain.running()
    domain.perform(claim, "a", {"x": 1}, progress=50, message="Half")
    domain.runs.start_step(claim, "b", "Agent", "work")
    failed = domain.failed()
    with domain.db.read() as session:
        snapshot = read_snapshot_rows(session, "demo", SnapshotLimits()).build()
    tales = fold(domain.events())
    assert (snapshot["instance_id"], snapshot["head"], snapshot["min_seq"]) == ("demo", domain.head(), 0)
    assert snapshot["epoch"] == domain.events()[0].epoch
    assert snapshot["complete"]
    assert [task["id"] for task in snapshot["tasks"]] == [failed, claim.task_id]
    for task in snapshot["tasks"]:
        tale = tales[task["id"]]
        assert {name: task[name] for name in ("status", "progress", "message", "error", "last_seq")} == {
            name: getattr(tale, name) for name in ("status", "progress", "message", "error", "last_seq")
        }
        assert [(step["key"], step["status"]) for step in task["steps"]] == [
            (key, step.status) for key, step in tale.steps.items()
        ]
    assert snapshot["tasks"][0]["error"] == ERROR


def test_a_snapshot_of_too_many_tasks_has_the_latest_and_says_so(domain: Domain) -> None:
    ids = [domain.submit() for _ in range(4)]
    with domain.db.read() as session:
        for limit, complete in ((3, False), (4, True)):
            snapshot = read_snapshot_rows(session, "demo", SnapshotLimits(tasks=limit)).build()
            assert [task["id"] for task in snapshot["tasks"]] == ids[::-1][:limit]
            assert snapshot["complete"] is complete


def test_a_snapshot_of_nothing(domain: Domain) -> None:
    with domain.db.read() as session:
        snapshot = read_snapshot_rows(session, "demo", SnapshotLimits()).build()
        assert (snapshot["head"], snapshot["tasks"], snapshot["complete"]) == (0, [], True)
        with pytest.raises(NotFound):
            read_snapshot_rows(session, "nowhere", SnapshotLimits()).build()


def test_every_view_is_json(domain: Domain) -> None:
    register(domain.db, [AgentCard("probe", "Probe", "", "1", {"type": "object"}, 1.5, None)])
    domain.perform(domain.running(), "a")
    with domain.db.read() as session:
        for view in (
            read_snapshot_rows(session, "demo", SnapshotLimits()).build(),
            rows.list_agents(session),
            rows.list_instances(session, limit=1),
        ):
            assert orjson.loads(orjson.dumps(view))
        assert rows.read_agent(session, "probe") == {
            "kind": "probe",
            "title": "Probe",
            "description": "",
            "version": "1",
            "input_schema": {"type": "object"},
            "soft_time_limit": 1.5,
            "hard_time_limit": None,
        }
