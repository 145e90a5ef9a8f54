"""Checks the database, its tables and its clock, and what they say of workers, tasks and schedules."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator

from sqlalchemy import inspect, select
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from swallowtail.app.core.config.settings import Settings
from swallowtail.app.core.coordination.worker_registry import live_workers
from swallowtail.app.core.database.database import db_now
from swallowtail.app.core.database.faults import reason_of
from swallowtail.app.core.database.schema_version import latest_revision
from swallowtail.app.core.errors import SettingsError
from swallowtail.app.core.health import DEGRADED, OK, check_database, check_work
from swallowtail.app.core.queries.rows import list_agents
from swallowtail.app.core.runtime import Runtime
from swallowtail.app.core.schemas.components import Component
from swallowtail.scripts.doctor.clocks import check_clock
from swallowtail.scripts.doctor.results import CheckResult, Level, describe
from swallowtail.version import VERSION

_NAME = "database"
_RELEASE = "run `swallowtail release` (`swallowtail up` does so too)"
_REMEDIES = {
    "tasks": "start more workers, or raise SWALLOWTAIL_WORKER_CONCURRENCY",
    "schedules": "start beat: `swallowtail beat`; one is enough",
}


def check_state(settings: Settings, call_seconds: float) -> Iterator[CheckResult]:
    """Check everything that the database shows; a database that is not set up ends the check."""
    file = settings.database_file
    if file is not None and not file.exists():
        yield CheckResult("problem", _NAME, f"{file} does not exist", _RELEASE)
        return
    patient = settings.model_copy(update={"database_wait": call_seconds})
    runtime = Runtime.build(patient, publish=False, for_runs=False)
    try:
        yield from _check_server(runtime)
        revision = _read_revision(runtime)
        schema = _check_schema(revision)
        yield schema
        if schema.status != "problem":
            yield from _check_content(runtime)
    except (DBAPIError, SQLAlchemyError) as fault:
        reason = (reason_of(fault) if isinstance(fault, DBAPIError) else None) or describe(fault)
        remedy = "start it, or correct SWALLOWTAIL_DATABASE_URL" if file is None else f"restore or replace {file}"
        yield CheckResult("problem", _NAME, f"{_name_place(settings)} cannot be read: {reason}", remedy)
    except SettingsError as error:
        # The message has the remedy.
        yield CheckResult("problem", _NAME, error.message)
    finally:
        runtime.close()


def _name_place(settings: Settings) -> str:
    """Return which database it is, without user and password."""
    return str(settings.database_file or settings.database.rpartition("@")[2].removeprefix("postgresql://"))


def _check_server(runtime: Runtime) -> Iterator[CheckResult]:
    """Check that the database responds, and how it stores commits. Raises SQLAlchemyError."""
    place = _name_place(runtime.settings)
    with runtime.db.engine.connect() as connection:
        if connection.dialect.name == "postgresql":
            number = connection.exec_driver_sql("SHOW server_version").scalar()
            yield CheckResult("ok", _NAME, f"PostgreSQL {number} responds at {place.partition('?')[0]}")
            return
        journal = connection.exec_driver_sql("PRAGMA journal_mode").scalar()
    if journal != "wal":
        detail = f"{place} has the journal mode {journal}, not WAL: readers block writers"
        yield CheckResult("warning", _NAME, detail, "move it to a local disk, which supports WAL")
    yield CheckResult("ok", _NAME, f"SQLite {sqlite3.sqlite_version} with the journal mode {journal} at {place}")


def _read_revision(runtime: Runtime) -> str | None:
    with runtime.db.engine.connect() as connection:
        if not inspect(connection).has_table("alembic_version"):
            return None
        revision = connection.exec_driver_sql("SELECT max(version_num) FROM alembic_version").scalar()
    return None if revision is None else str(revision)


def _check_schema(revision: str | None) -> CheckResult:
    latest = latest_revision()
    if revision is None:
        return CheckResult("problem", "schema", "the database has no tables", _RELEASE)
    if revision < latest:
        detail = f"the tables have revision {revision}, and this version needs {latest}"
        return CheckResult("problem", "schema", detail, _RELEASE)
    if revision > latest:
        detail = f"the tables have revision {revision}, and this version knows {latest}"
        return CheckResult("warning", "schema", detail, "update this installation too")
    return CheckResult("ok", "schema", f"the tables have revision {revision}, the latest")


def _check_content(runtime: Runtime) -> Iterator[CheckResult]:
    state = check_database(runtime)
    if state["status"] != OK:
        level: Level = "warning" if state["status"] == DEGRADED else "problem"
        yield CheckResult(level, _NAME, state["detail"], "docs/durability.md describes each fault")
    yield from _check_workers(runtime)
    for name, state in check_work(runtime).items():
        if name in _REMEDIES:
            yield _judge(name, state)
    if runtime.settings.database_file is None:
        with runtime.db.read() as session:
            before = time.time()
            moment = session.scalars(select(db_now())).one().timestamp()
            yield check_clock("the database", moment, before, time.time())


def _judge(name: str, state: Component) -> CheckResult:
    if state["status"] != OK:
        return CheckResult("warning", name, state["detail"], _REMEDIES[name])
    return CheckResult("ok", name, "none is late" if name == "schedules" else state["detail"])


def _check_workers(runtime: Runtime) -> Iterator[CheckResult]:
    """Check that workers run, with this version, and with every kind that a card describes."""
    with runtime.db.read() as session:
        workers = live_workers(session)
        kinds = [agent["kind"] for agent in list_agents(session)]
    if not workers:
        remedy = "start one: `swallowtail up` starts everything, `swallowtail worker` only a worker"
        yield CheckResult("problem", "workers", "none is running: every task waits", remedy)
        return
    for worker in workers:
        if worker.version != VERSION:
            detail = f"{worker.id} runs {worker.version or 'an earlier version'}, and this installation is {VERSION}"
            yield CheckResult("warning", "workers", detail, "restart it, if it uses this installation")
    known = {kind for worker in workers if isinstance(worker.kinds, list) for kind in worker.kinds}
    if missing := [kind for kind in kinds if kind not in known]:
        detail = f"no running worker knows {', '.join(missing)}: tasks of these kinds wait"
        yield CheckResult("warning", "workers", detail, "install their agents or name them in SWALLOWTAIL_AGENTS")
    names = ", ".join(worker.id for worker in workers)
    yield CheckResult("ok", "workers", f"{len(workers)} running ({names}), for {', '.join(sorted(map(str, known)))}")
