"""Policy, export, deletion and large outputs over REST, on SQLite and PostgreSQL."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from sqlalchemy import text

from swallowtail.app.core.ledger.unit_of_work import UnitOfWork
from swallowtail.app.core.maintenance.key_rotation import count_use, rotate
from swallowtail.app.core.services.instance_deletion import delete_instance
from tests.harness.closed_objects import closing_all
from tests.harness.settings import make_settings
from tests.web.app_fixture import SUBMISSION, WebApp, expect_json, expect_problem

KEY = "k" * 40
NewWebApp = Callable[..., WebApp]
OLD, NEW = (f"{name}:{base64.b64encode(bytes([number]) * 32).decode()}" for name, number in (("old", 1), ("new", 2)))


@pytest.fixture(
    params=[pytest.param("sqlite", marks=pytest.mark.unit), pytest.param("postgres", marks=pytest.mark.service)]
)
def new_web_app(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[NewWebApp]:
    """Open applications on one new database."""
    url = request.getfixturevalue("postgres_url") if request.param == "postgres" else None

    def make(**more: Any) -> WebApp:
        options = {
            "var_dir": tmp_path,
            "async_mode": "threading",
            "database_wait": 20,
            "auth": "open",
            "secret_key": KEY,
            **more,
        }
        return WebApp(make_settings(database_url=url, **options))

    yield from closing_all(make)


@pytest.fixture
def web_app(new_web_app: NewWebApp) -> WebApp:
    """An application with the instance `acme`."""
    web_app = new_web_app()
    web_app.create_instance("acme")
    return web_app


def _large(web_app: WebApp, output: object) -> str:
    """Run a task with a large step output; return its id."""
    task_id: str = web_app.submit()["task"]["id"]
    claim = web_app.rt.runs.claim(task_id, 1, "hand")
    assert claim is not None
    web_app.rt.runs.start_step(claim, "plan", "Manager", "plan")
    web_app.rt.runs.finish_step(claim, "plan", output)
    web_app.rt.runs.complete(claim, {"done": True})
    return task_id


def test_a_large_output_is_read_as_a_file_that_no_browser_shows(web_app: WebApp) -> None:
    page = "<script>alert(1)</script>" * 2000
    task_id = _large(web_app, page)
    (step,) = expect_json(web_app.get(f"/tasks/{task_id}/steps"))["items"]
    reference = expect_json(web_app.get(f"/tasks/{task_id}/steps/{step['step_id']}"))["output"]["$artifact"]
    response = web_app.get(f"/artifacts/{reference['id']}")
    assert (response.status_code, response.text) == (200, page)
    assert response.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert response.headers["Content-Disposition"].startswith("attachment")
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert hashlib.sha256(response.data).hexdigest() == reference["sha256"]
    again = web_app.get(f"/artifacts/{reference['id']}", headers={"If-None-Match": response.headers["ETag"]})
    assert again.status_code == 304
    expect_problem(web_app.get("/artifacts/0f8fad5b-d9cb-469f-a165-70867728950e"), 404, "not_found", "artifact_id")
    expect_problem(web_app.get("/artifacts/nonsense"), 422, "invalid_input", "artifact_id")


def test_a_policy_replaces_the_one_before_and_hides_at_once(web_app: WebApp) -> None:
    nothing = {"event_days": None, "task_days": None, "secret_fields": None, "hide_emails": None}
    before = expect_json(web_app.get("/instances/acme/policy"))
    assert before == {"instance_id": "acme", "updated_at": None, **nothing}
    options = {"event_days": 30.0, "secret_fields": ["text"]}
    body = expect_json(web_app.client.put("/api/v1/instances/acme/policy", json=options))
    assert body == {**before, **options, "updated_at": body["updated_at"]}
    assert expect_json(web_app.get("/instances/acme/policy")) == body
    assert web_app.submit()["task"]["input"]["text"] == "[redacted:secret]"
    expect_json(web_app.client.put("/api/v1/instances/acme/policy", json={}))
    assert web_app.submit()["task"]["input"]["text"] == "Hello"


def test_a_policy_that_cannot_be_used_is_refused_by_the_name_of_its_field(web_app: WebApp) -> None:
    for options, field in (
        ({"event_days": -1.0}, "event_days"),
        ({"task_days": 1e9}, "task_days"),
        ({"secret_fields": ["ok", " "]}, "secret_fields[1]"),
        ({"secret_fields": ["ok", "-"]}, "secret_fields[1]"),
        ({"secret_fields": ["x"] * 101}, "secret_fields"),
        ({"hide_emails": "yes"}, "hide_emails"),
    ):
        expect_problem(web_app.client.put("/api/v1/instances/acme/policy", json=options), 422, "invalid_input", field)
    expect_problem(web_app.client.put("/api/v1/instances/none/policy", json={}), 404, "not_found", "instance_id")


def test_an_export_holds_everything_and_its_manifest_proves_it(web_app: WebApp) -> None:
    web_app.create_instance("other")
    web_app.submit("other")
    tasks = {_large(web_app, {"text": "y" * 40_000, "password": "hunter2"}), _large(web_app, "small")}
    schedule = {"name": "nightly", "kind": "brief", "input": {"text": "Hi"}, "interval_seconds": 60.0}
    expect_json(web_app.post("/instances/acme/schedules", schedule), 201)
    response = web_app.get("/instances/acme/export")
    assert response.headers["Content-Disposition"] == 'attachment; filename="acme.jsonl"'
    lines = [orjson.loads(line) for line in response.data.splitlines()]
    first, manifest = lines[0], lines[-1]
    assert first["kind"] == "export"
    assert first["instance"]["id"] == "acme"
    body = response.data[: response.data.rindex(b'{"kind":"manifest"')]
    assert manifest["sha256"] == hashlib.sha256(body).hexdigest()
    assert sum(manifest["lines"].values()) == len(lines) - 1
    events = [line["event"] for line in lines if line["kind"] == "event"]
    assert [event["seq"] for event in events] == list(range(1, first["head"] + 1))
    assert {line["task"]["id"] for line in lines if line["kind"] == "task"} == tasks
    (artifact,) = [line["artifact"] for line in lines if line["kind"] == "artifact"]
    assert artifact["content"] == {"text": "y" * 40_000, "password": "[redacted:secret]"}
    assert {line["audit"]["action"] for line in lines if line["kind"] == "audit"} >= {"task.submit", "instance.export"}
    assert manifest["lines"]["schedule"] == 1
    assert b"hunter2" not in response.data
    assert b'"other"' not in response.data
    expect_problem(web_app.get("/instances/none/export"), 404, "not_found", "instance_id")


def test_deleting_takes_the_id_once_more_and_leaves_only_the_audit_log(web_app: WebApp) -> None:
    web_app.create_instance("other")
    other_task = web_app.submit("other")["task"]["id"]
    before = expect_json(web_app.get("/instances/acme"))
    running = web_app.submit()["task"]["id"]
    claim = web_app.rt.runs.claim(running, 1, "hand")
    assert claim is not None
    _large(web_app, "z" * 40_000)
    schedule = {"name": "nightly", "kind": "brief", "input": {"text": "Hi"}, "interval_seconds": 60.0}
    expect_json(web_app.post("/instances/acme/schedules", schedule), 201)
    expect_problem(web_app.client.delete("/api/v1/instances/acme"), 422, "invalid_input", "confirm")
    expect_problem(web_app.client.delete("/api/v1/instances/acme?confirm=other"), 422, "invalid_input", "confirm")
    done = expect_json(web_app.client.delete("/api/v1/instances/acme?confirm=acme"))
    assert (done["tasks"], done["events"] > 5) == (2, True)
    expect_problem(web_app.get("/instances/acme"), 404, "not_found", "instance_id")
    expect_problem(web_app.get(f"/tasks/{running}"), 404, "not_found", "task_id")
    assert web_app.rt.runs.heartbeat(claim, 1.0, "").alive is False
    assert expect_json(web_app.get(f"/tasks/{other_task}"))["id"] == other_task
    again = expect_json(web_app.post("/instances", {"name": "Acme", "id": "acme"}), 201)
    assert (again["seq"], again["epoch"] != before["epoch"]) == (0, True)
    lines = [orjson.loads(line) for line in web_app.get("/instances/acme/export").data.splitlines()]
    body = [line["audit"]["detail"].get("what") for line in lines if line.get("audit", {}).get("object_id") == "acme"]
    assert [what for what in body if what in ("begun", "done")] == ["begun", "done"]
    assert not [line for line in lines if line["kind"] in ("task", "event", "schedule", "artifact")]


def test_an_export_has_many_pages_and_a_deletion_many_transactions(
    new_web_app: NewWebApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("swallowtail.app.core.services.instance_export.PAGE", 3)
    monkeypatch.setattr("swallowtail.app.core.services.instance_export.FEW", 2)
    web_app = new_web_app(prune_batch=4)
    web_app.create_instance("acme")
    tasks = {_large(web_app, f"{number}" * 40_000) for number in range(5)}
    schedule = {"kind": "brief", "input": {"text": "Hi"}, "interval_seconds": 60.0}
    for number in range(5):
        expect_json(web_app.post("/instances/acme/schedules", {"name": f"plan {number}", **schedule}), 201)
    lines = [orjson.loads(line) for line in web_app.get("/instances/acme/export").data.splitlines()]
    counts = lines[-1]["lines"]
    assert (counts["task"], counts["artifact"], counts["schedule"], counts["event"]) == (5, 5, 5, 30)
    assert {line["task"]["id"] for line in lines if line["kind"] == "task"} == tasks
    assert [line["event"]["seq"] for line in lines if line["kind"] == "event"] == list(range(1, 31))
    numbers = [line["audit"]["number"] for line in lines if line["kind"] == "audit"]
    assert numbers == list(range(1, len(numbers) + 1))
    done = expect_json(web_app.client.delete("/api/v1/instances/acme?confirm=acme"))
    assert (done["tasks"], done["events"]) == (5, 30)


def test_encrypted_values_are_readable_in_an_export_and_after_a_key_rotation(new_web_app: NewWebApp) -> None:
    web_app = new_web_app(encryption_keys=OLD)
    web_app.create_instance("acme")
    _large(web_app, "open sesame " * 4_000)
    before = web_app.get("/instances/acme/export").data
    assert b"open sesame" in before
    later = new_web_app(encryption_keys=f"{NEW},{OLD}")
    assert sum(done for _, done in rotate(later.rt.db)) > 5
    assert {key for use in count_use(later.rt.db) for key, number in use.encrypted.items() if number} == {"new"}
    last = new_web_app(encryption_keys=NEW)
    kinds = ("task", "artifact", "event")
    copies = [
        [line for line in map(orjson.loads, copy.splitlines()) if line["kind"] in kinds]
        for copy in (before, last.get("/instances/acme/export").data)
    ]
    assert copies[0] == copies[1] != []
    with last.rt.db.read() as session:
        stored = session.scalars(text("SELECT CAST(input AS TEXT) FROM task")).all()
    assert all(one.startswith('{"$sealed":"new:') for one in stored)
    assert expect_json(last.client.delete("/api/v1/instances/acme?confirm=acme"))["tasks"] == 1


WRITES: list[tuple[str, str, dict[str, Any]]] = [
    ("POST", "tasks", SUBMISSION),
    ("POST", "schedules", {"name": "nightly", "kind": "brief", "input": {"text": "Hi"}, "interval_seconds": 60.0}),
    ("PUT", "policy", {"hide_emails": True}),
    ("POST", "front-end-tokens", {"name": "page"}),
]


@pytest.mark.parametrize(("method", "path", "body"), WRITES, ids=[path for _, path, _ in WRITES])
def test_a_write_during_the_deletion_of_the_instance_is_not_found(
    web_app: WebApp, monkeypatch: pytest.MonkeyPatch, method: str, path: str, body: dict[str, Any]
) -> None:
    original, pending = UnitOfWork.commit, [True]

    def commit(self: UnitOfWork, *args: Any, **more: Any) -> Any:
        if pending:
            pending.pop()
            delete_instance(web_app.rt, "acme", "acme")
        return original(self, *args, **more)

    monkeypatch.setattr(UnitOfWork, "commit", commit)
    response = web_app.client.open(f"/api/v1/instances/acme/{path}", method=method, json=body)
    expect_problem(response, 404, "not_found", "instance_id")
    expect_problem(web_app.get("/instances/acme"), 404, "not_found", "instance_id")
    assert expect_json(web_app.post("/instances", {"name": "Acme", "id": "acme"}), 201)["seq"] == 0
    assert expect_json(web_app.get("/instances/acme/tasks"))["items"] == []
    assert expect_json(web_app.get("/instances/acme/policy"))["updated_at"] is None
