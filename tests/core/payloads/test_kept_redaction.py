"""A payload is redacted when it is stored, and what is shown of it is kept with its row: no view does it again."""

from __future__ import annotations

import base64
import re
import sqlite3
from collections.abc import Callable
from contextlib import ExitStack
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import event, text, update
from sqlalchemy.exc import InvalidRequestError

from swallowtail.app.core.database.database import Database
from swallowtail.app.core.database.faults import REFUSALS
from swallowtail.app.core.events import now
from swallowtail.app.core.ledger.agent_cards import AgentCard, register
from swallowtail.app.core.maintenance.key_rotation import count_use, rotate
from swallowtail.app.core.privacy import redaction, redaction_rules
from swallowtail.app.core.queries.rows import list_steps, list_tasks, read_schedule, read_step, read_task
from swallowtail.app.core.queries.snapshot import Bounds, snapshot
from swallowtail.app.core.services.schedule_firing import fire_due
from swallowtail.app.core.services.schedules import NewSchedule, add_schedule
from swallowtail.app.core.services.submissions import Submission, check_submission
from swallowtail.app.core.services.tasks import submit
from swallowtail.app.core.tables.instances import InstancePolicy
from swallowtail.app.core.tables.schedules import Schedule
from swallowtail.app.core.tables.tasks import Step, Task
from tests.core.conftest import NewDomain
from tests.core.domain import Away, Domain, compute_by

GIVEN = {"text": "x" * 20_000, "street": "Main Road 1", "password": "open sesame"}
KEYS = [f"{name}:{base64.b64encode(bytes([number]) * 32).decode()}" for number, name in enumerate(("old", "new"))]
KEPT = {"task": ("input_shown", "secrets", "result_shown"), "step": ("output_shown",), "schedule": ("input_shown",)}


@pytest.fixture
def walked(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Every payload that is walked from now on, be it to hide something or to learn what to hide."""
    found: list[Any] = []

    def count(work: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
        def counted(value: Any, rules: Any) -> Any:
            if isinstance(value, dict) and "street" in value:
                found.append(value)
            return work(value, rules)

        return counted

    for module, name in ((redaction, "_redact"), (redaction_rules, "_secret_texts")):
        monkeypatch.setattr(module, name, count(getattr(module, name)))
    return found


def _make(domain: Domain) -> str:
    """A task with its input, a step's output and a result."""
    claim = domain.running(input=GIVEN)
    domain.perform(claim, "a", {**GIVEN, "of": "step"})
    domain.runs.complete(claim, {**GIVEN, "of": "task"})
    return claim.task_id


def _look(domain: Domain, task_id: str) -> list[Any]:
    with domain.db.read() as session:
        task = read_task(session, task_id)
        step = read_step(session, task_id, list_steps(session, task_id)[0]["step_id"])
        list_tasks(session, "demo", limit=9)
        snapshot(session, "demo", Bounds())
    return [task["input"], task["result"], step["output"]]


def _streets(domain: Domain, task_id: str) -> list[str]:
    return [shown["street"] for shown in _look(domain, task_id)]


def _hide_streets(domain: Domain, *names: str) -> None:
    with domain.db.write() as session:
        session.merge(InstancePolicy(instance_id="demo", secret_fields=list(names), updated_at=now()))
    domain.db.policies.forget()


def _forget(domain: Domain) -> None:
    """Have the rows be as those of an older version."""
    with domain.db.write() as session:
        for table, columns in KEPT.items():
            session.execute(text(f"UPDATE {table} SET {', '.join(f'{column} = NULL' for column in columns)}"))
    domain.db.policies.forget()


def test_no_view_redacts_what_was_redacted_when_it_was_stored_in_whatever_process(
    new_domain_on: NewDomain, walked: list[Any]
) -> None:
    task_id = _make(new_domain_on())
    other = new_domain_on()
    walked.clear()
    first = _look(other, task_id)
    assert [shown["password"] for shown in first] == ["[redacted:secret]"] * 3
    first[0]["text"] = "changed by whoever was given it"
    assert [shown["text"] for shown in _look(other, task_id)] == ["x" * 20_000] * 3
    assert walked == []


def test_a_list_and_a_snapshot_read_no_input_to_know_what_is_secret_in_it(new_domain_on: NewDomain) -> None:
    claim = new_domain_on().running(input=GIVEN)
    other = new_domain_on()
    other.perform(claim, "a", message="Said open sesame!")
    other.db.policies.forget()
    asked: list[str] = []
    event.listen(other.db.engine, "before_cursor_execute", lambda *given: asked.append(str(given[2])))
    with other.db.read() as session:
        assert list_tasks(session, "demo", limit=9)[0][0]["message"] == "Said [redacted:secret]!"
        assert snapshot(session, "demo", Bounds())["tasks"][0]["message"] == "Said [redacted:secret]!"
    assert asked
    assert not any(re.search(r"\btask\.input\b", statement) for statement in asked)


def test_what_an_older_version_stored_is_redacted_at_the_first_view_and_kept(domain: Domain, walked: list[Any]) -> None:
    task_id = _make(domain)
    shown = _look(domain, task_id)
    _forget(domain)
    walked.clear()
    assert _look(domain, task_id) == shown
    assert len(walked) == 4
    domain.db.policies.forget()
    assert _look(domain, task_id) == shown
    assert len(walked) == 4


def test_a_policy_that_is_tightened_hides_at_once_and_is_kept_and_one_that_is_loosened_shows_again(
    domain: Domain, walked: list[Any]
) -> None:
    task_id = _make(domain)
    assert _streets(domain, task_id) == ["Main Road 1"] * 3
    _hide_streets(domain, "street")
    assert _streets(domain, task_id) == ["[redacted:secret]"] * 3
    walked.clear()
    assert _streets(domain, task_id) == ["[redacted:secret]"] * 3
    assert walked == []
    _hide_streets(domain)
    assert _streets(domain, task_id) == ["Main Road 1"] * 3


def test_more_secret_values_than_are_looked_for_are_kept_as_such(new_domain_on: NewDomain, walked: list[Any]) -> None:
    domain = new_domain_on(max_hidden_values=1)
    given = {"street": "Main Road 1", "password": ["open sesame", "close sesame"]}
    claim = domain.running(input=given, title="Everything")
    domain.db.policies.forget()
    walked.clear()
    with domain.db.read() as session:
        task = read_task(session, claim.task_id)
    assert (task["title"], task["input"]["[redacted:secret]"]) == ("[redacted:secret]", "[redacted:secret]")
    assert walked == []


def test_a_value_that_changed_is_shown_as_it_is_now(domain: Domain) -> None:
    task_id = _make(domain)
    _look(domain, task_id)
    with domain.db.write() as session:
        session.get_one(Task, task_id).result = {"street": "Elsewhere", "password": "other words"}
        session.query(Step).one().output = 5.0
    assert _look(domain, task_id)[1:] == [{"street": "Elsewhere", "password": "[redacted:secret]"}, 5.0]


def test_what_is_kept_of_one_value_is_shown_of_no_other(domain: Domain) -> None:
    task_id = _make(domain)
    with domain.db.write() as session:
        row = session.query(Step).one()
        row.output_shown = {"of": "0" * 64, "as": "not hidden"}
        session.get_one(Task, task_id).input_shown = {"as": "not hidden"}
        session.get_one(Task, task_id).result_shown = ["of", "as"]
    assert [shown["password"] for shown in _look(domain, task_id)] == ["[redacted:secret]"] * 3


def test_a_schedule_keeps_what_is_shown_of_its_input(domain: Domain, walked: list[Any]) -> None:
    given = {"street": "Main Road 1", "note": "say open sesame", "password": "open sesame"}
    row = Schedule(id="5", instance_id="demo", name="n", kind="any", input=given, timing="interval", paused=True)
    row.created_at = now()
    with domain.db.write() as session:
        session.add(row)
    for times in (1, 2):
        with domain.db.read() as session:
            shown = read_schedule(session, "5")["input"]
        assert shown == {**given, "note": "say [redacted:secret]", "password": "[redacted:secret]"}
        assert len(walked) == 2, times


def test_what_is_kept_is_sealed_and_sealed_again_as_the_values_are(new_domain_on: NewDomain, walked: list[Any]) -> None:
    domain = new_domain_on(encryption_keys=KEYS[0])
    task_id = _make(domain)
    shown = _look(domain, task_id)
    _check_sealed(domain.db, "old")
    _check_sealed(_rotated(new_domain_on), "new")
    walked.clear()
    assert _look(new_domain_on(encryption_keys=KEYS[1]), task_id) == shown
    assert walked == []
    with domain.db.read() as session:
        assert read_task(session, task_id)["input"] == {"$unreadable": "key_missing"}


def _rotated(new_domain_on: NewDomain) -> Database:
    database = new_domain_on(encryption_keys=f"{KEYS[1]},{KEYS[0]}").db
    assert list(rotate(database))
    assert all(set(use.sealed) <= {"new", "old"} and not use.sealed.get("old") for use in count_use(database))
    return database


def _check_sealed(database: Database, key: str) -> None:
    with database.read() as session:
        raw = [
            str(value)
            for table, columns in KEPT.items()
            for row in session.execute(text(f"SELECT {', '.join(f'CAST({c} AS TEXT)' for c in columns)} FROM {table}"))
            for value in row
        ]
    assert len(raw) == 4
    assert all(value.startswith(f'{{"$sealed":"{key}:') for value in raw)


def test_a_view_that_cannot_keep_it_shows_it_all_the_same(new_domain: NewDomain) -> None:
    domain = new_domain()
    task_id = _make(domain)
    shown = _look(domain, task_id)
    _forget(domain)
    # On SQLite there is one writer at a time.
    with domain.db.write() as session:
        session.execute(update(Task).values(losses=0))
        assert _look(domain, task_id) == shown


def test_a_view_that_cannot_keep_it_at_once_waits_for_nothing_and_tells_nobody(
    domain: Domain, walked: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    task_id = _make(domain)
    shown = _look(domain, task_id)
    _forget(domain)
    waits: list[float] = []
    monkeypatch.setattr("swallowtail.app.core.database.patience.time.sleep", waits.append)
    refusals = _refusals()
    with ExitStack() as held:
        writer = held.enter_context(domain.db.engine.connect())
        writer.execution_options(swallowtail_write=True).begin()
        if domain.db.engine.dialect.name == "postgresql":
            # As the migration that adds a column, behind which every write waits.
            writer.execute(text("LOCK TABLE task, step IN EXCLUSIVE MODE"))
        assert _look(domain, task_id) == shown
    walked.clear()
    assert (waits, domain.db.trouble, _refusals()) == ([], None, refusals)
    assert _look(domain, task_id) == shown
    assert walked, "nothing was kept"
    walked.clear()
    assert _look(domain, task_id) == shown
    assert walked == []


def test_a_view_keeps_it_where_every_connection_is_in_use(new_domain_on: NewDomain, walked: list[Any]) -> None:
    domain = new_domain_on(database_pool_size=1, database_pool_overflow=0, database_wait=3600)
    task_id = _make(domain)
    shown = _look(domain, task_id)
    _forget(domain)
    taken: list[object] = []
    event.listen(domain.db.engine, "checkout", lambda *given: taken.append(given))
    assert _look(domain, task_id) == shown
    assert len(taken) == 1, "no second connection is asked for"
    walked.clear()
    assert _look(domain, task_id) == shown
    assert walked == []
    _write_again(domain, task_id)


def _write_again(domain: Domain, task_id: str) -> None:
    """The connection reads and writes as before."""
    with domain.db.write() as session:
        session.execute(update(Task).where(Task.id == task_id).values(losses=1))
    if domain.db.engine.dialect.name == "postgresql":
        with pytest.raises(InvalidRequestError), domain.db.read() as session:
            session.execute(update(Task).where(Task.id == task_id).values(losses=2))


def _refusals() -> list[float]:
    [metric] = REFUSALS.collect()
    return [sample.value for sample in metric.samples if sample.name.endswith("_total")]


HOSTILE = {
    "nodes": [[] for _ in range(10_000)],
    "cards": [4111111111111111] * 1800,
    "addresses": ["a@b.cc"] * 3000,
    "hidden": {"password": [f"hidden{number}" for number in range(100)], "said": ["aaaaaa"] * 3000},
    "keys": {f"ghp_{number:020}": 1 for number in range(1000)},
}


@pytest.mark.long
@pytest.mark.parametrize("given", HOSTILE.values(), ids=HOSTILE)
def test_nothing_large_is_walked_where_it_would_hold_others_up(
    new_domain: NewDomain, monkeypatch: pytest.MonkeyPatch, given: Any
) -> None:
    domain, away, held = new_domain(hide_emails=True), Away(), []

    def watch(walk: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
        def watched(value: Any, rules: Any) -> Any:
            if not away.is_at_work and len(str(value)) > 1024:
                held.append(value)
            return walk(value, rules)

        return watched

    for module, name in ((redaction, "_redact"), (redaction_rules, "_secret_texts")):
        monkeypatch.setattr(module, name, watch(getattr(module, name)))
    compute_by(domain, away)
    register(domain.db, [AgentCard(kind="any", title="Any", description="", version="1", input_schema={})])
    task_id = submit(domain.rt, Submission("demo", "any", {"said": given})).task["id"]
    domain.ledger.request_cancel(task_id)
    domain.ledger.retry(task_id)
    claimed = domain.claim(task_id)
    domain.runs.start_step(claimed, "a", "Agent", "work")
    held.clear()  # what a worker does holds nobody up
    add_schedule(domain.rt, NewSchedule("demo", "S", "any", {"said": given}, interval_seconds=60))
    for known in (True, False, True):
        if not known:
            _forget(domain)
        with domain.db.read() as session:
            read_task(session, task_id)
            list_tasks(session, "demo", limit=9)
            snapshot(session, "demo", Bounds())
            for row in session.query(Schedule):
                read_schedule(session, row.id)
    assert held == []


@pytest.fixture
def locked(new_domain: NewDomain) -> tuple[Domain, list[bool]]:
    """A domain, and for everything that it computes elsewhere whether the database was locked meanwhile."""
    domain, found = new_domain(inline_input_bytes=32_000), list[bool]()

    def offload(work: Callable[..., Any], /, *arguments: Any) -> Any:
        other = sqlite3.connect(domain.settings.var / "swallowtail.db", timeout=0, isolation_level=None)
        try:
            other.execute("BEGIN IMMEDIATE")
            found.append(False)
        except sqlite3.OperationalError:
            found.append(True)
        finally:
            other.close()
        return work(*arguments)

    compute_by(domain, offload)
    register(domain.db, [AgentCard(kind="any", title="Any", description="", version="1", input_schema={})])
    return domain, found


@pytest.mark.parametrize("given", [GIVEN, {**GIVEN, "text": "y" * 40_000}], ids=["in its row", "apart"])
def test_nothing_is_computed_while_a_submission_or_a_schedule_holds_the_lock(
    locked: tuple[Domain, list[bool]], given: Any
) -> None:
    domain, found = locked
    submit(domain.rt, Submission("demo", "any", given))
    add_schedule(domain.rt, NewSchedule("demo", "S", "any", given, interval_seconds=60))
    assert fire_due(domain.rt, at=now() + timedelta(seconds=100)) == 1
    assert len(found) >= 6
    assert not any(found)
    with domain.db.read() as session:
        assert [view["message"] for view in list_tasks(session, "demo", limit=9)[0]] == ["Submitted"] * 2


def test_what_is_told_of_a_submission_is_by_the_rules_at_the_moment_when_it_is_stored(domain: Domain) -> None:
    register(domain.db, [AgentCard(kind="any", title="Any", description="", version="1", input_schema={})])
    with domain.db.read() as session:
        checked = check_submission(session, domain.rt, Submission("demo", "any", GIVEN, title="To Main Road 1"))
    _hide_streets(domain, "street")
    _, events, _ = domain.ledger.submit(checked)
    assert events[0].data["title"] == "To [redacted:secret]"
    with domain.db.read() as session:
        task = session.get_one(Task, checked.id)
        assert task.input_shown["as"]["street"] == "[redacted:secret]"  # type: ignore[index]
        assert read_task(session, checked.id)["title"] == "To [redacted:secret]"
