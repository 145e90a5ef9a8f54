"""The database, its tables and clock, workers, tasks and schedules: each fault with its remedy."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import text, update

from swallowtail.app.core.coordination.worker_registry import announce
from swallowtail.app.core.database.migrate import migrate
from swallowtail.app.core.database.schema_version import latest_revision
from swallowtail.app.core.runtime import Runtime
from swallowtail.app.core.schemas.tasks import NewTask
from swallowtail.app.core.services.instances import create_instance
from swallowtail.app.core.services.tasks import submit
from swallowtail.app.core.tables.system import Worker
from swallowtail.app.core.tables.tasks import Outbox
from swallowtail.scripts.doctor.database_check import check_state
from swallowtail.scripts.doctor.results import CheckResult
from tests.harness.settings import make_settings

NewRuntime = Callable[..., Runtime]
RELEASE = "run `swallowtail release` (`swallowtail up` does so too)"


def find(runtime: Runtime, check: str) -> list[CheckResult]:
    return [result for result in check_state(runtime.settings, 0.2) if result.check == check]


def change(runtime: Runtime, statement: str) -> None:
    with runtime.db.write() as session:
        session.execute(text(statement))


def test_a_database_with_a_worker_has_no_faults(new_runtime: NewRuntime) -> None:
    runtime = new_runtime()
    announce(runtime.db, "host:1:2", ["echo"], 60.0)
    results = [*check_state(runtime.settings, 0.2)]
    assert {result.status for result in results} == {"ok"}
    assert [result.check for result in results] == ["database", "schema", "workers", "tasks", "schedules"]
    assert "journal mode wal" in results[0].detail
    assert results[2].detail == "1 running (host:1:2), for echo"


def test_a_database_that_does_not_exist_is_a_problem_and_is_not_created(tmp_path: Path) -> None:
    (result,) = check_state(make_settings(var_dir=tmp_path / "var"), 0.2)
    assert (result.status, result.remedy) == ("problem", RELEASE)
    assert not (tmp_path / "var").exists()


def test_a_file_that_is_no_database_is_a_problem(tmp_path: Path) -> None:
    (tmp_path / "swallowtail.db").write_text("not a database, but a text that is long enough" * 40)
    (result,) = check_state(make_settings(var_dir=tmp_path), 0.2)
    assert (result.status, result.check) == ("problem", "database")
    assert "is not an SQLite database: move the file" in result.detail


def test_a_postgresql_that_does_not_respond_is_a_problem_without_its_password(tmp_path: Path) -> None:
    url = "postgresql://someone:hunter2hunter2@127.0.0.1:9/app"
    (result,) = check_state(make_settings(var_dir=tmp_path, database_url=url), 0.2)
    assert (result.status, result.remedy) == ("problem", "start it, or correct SWALLOWTAIL_DATABASE_URL")
    assert "127.0.0.1:9/app cannot be read" in result.detail
    assert "hunter2" not in str(result)


@pytest.mark.parametrize(
    ("statement", "status", "detail"),
    [
        ("DROP TABLE alembic_version", "problem", "the database has no tables"),
        (
            "UPDATE alembic_version SET version_num = '0007'",
            "problem",
            f"the tables have revision 0007, and this version needs {latest_revision()}",
        ),
        (
            "UPDATE alembic_version SET version_num = '9999'",
            "warning",
            f"the tables have revision 9999, and this version knows {latest_revision()}",
        ),
    ],
)
def test_tables_of_another_version_are_reported(
    new_runtime: NewRuntime, statement: str, status: str, detail: str
) -> None:
    runtime = new_runtime()
    change(runtime, statement)
    (result,) = find(runtime, "schema")
    assert (result.status, result.detail) == (status, detail)
    assert bool(find(runtime, "workers")) == (status == "warning"), "older tables are not read"


def test_a_deployment_without_workers_has_a_problem(new_runtime: NewRuntime) -> None:
    (result,) = find(new_runtime(), "workers")
    assert (result.status, result.detail) == ("problem", "none is running: every task waits")
    assert "`swallowtail worker`" in result.remedy


def test_workers_of_another_version_and_kinds_without_a_worker_are_warnings(new_runtime: NewRuntime) -> None:
    runtime = new_runtime()
    announce(runtime.db, "new", ["other"], 60.0)
    announce(runtime.db, "old", ["other"], 60.0)
    announce(runtime.db, "older", ["other"], 60.0)
    with runtime.db.write() as session:
        session.execute(update(Worker).where(Worker.id == "old").values(version="0.0.9"))
        session.execute(update(Worker).where(Worker.id == "older").values(version=None, kinds="damaged"))
    results = find(runtime, "workers")
    assert [result.status for result in results] == ["warning", "warning", "warning", "ok"]
    assert results[0].detail.startswith("old runs 0.0.9, and this installation is ")
    assert results[1].detail.startswith("older runs an earlier version, and ")
    assert results[2].detail == "no running worker knows echo: tasks of these kinds wait"


def test_tasks_that_wait_too_long_are_a_warning(new_runtime: NewRuntime) -> None:
    runtime = new_runtime(send_timeout=0.1)
    create_instance(runtime, "Demo", "demo")
    submit(runtime, "demo", NewTask(kind="echo", input={"message": "hello"}))
    assert [result.status for result in find(runtime, "tasks")] == ["ok"]
    with runtime.db.write() as session:
        session.execute(update(Outbox).values(due_at=Outbox.created_at, created_at=Outbox.created_at))
        session.execute(text("UPDATE outbox SET due_at = due_at - 600000000"))
    (result,) = find(runtime, "tasks")
    assert (result.status, result.remedy) == (
        "warning",
        "start more workers, or raise SWALLOWTAIL_WORKER_CONCURRENCY",
    )


@pytest.mark.service
def test_postgresql_has_a_version_and_a_clock(postgres_url: str, tmp_path: Path) -> None:
    settings = make_settings(var_dir=tmp_path, database_url=postgres_url)
    results = [*check_state(settings, 2.0)]
    assert [(result.status, result.check) for result in results] == [("ok", "database"), ("problem", "schema")]
    assert results[0].detail.startswith("PostgreSQL ")
    migrate(settings)
    results = [*check_state(settings, 2.0)]
    assert [(result.status, result.check) for result in results] == [
        ("ok", "database"),
        ("ok", "schema"),
        ("problem", "workers"),
        ("ok", "tasks"),
        ("ok", "schedules"),
        ("ok", "clock"),
    ]
