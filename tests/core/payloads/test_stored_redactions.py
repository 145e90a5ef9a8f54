"""A payload is redacted when it is stored, and the redaction is stored with its row: no view computes it again."""

from __future__ import annotations

import re
from typing import Any

from sqlalchemy import event, text

from swallowtail.app.core.database.database import Database
from swallowtail.app.core.events import now
from swallowtail.app.core.maintenance.key_rotation import count_use, rotate
from swallowtail.app.core.queries.rows import list_tasks, read_schedule, read_task
from swallowtail.app.core.queries.snapshot import SnapshotLimits, read_snapshot_rows
from swallowtail.app.core.tables.schedules import Schedule
from swallowtail.app.core.tables.tasks import Step, Task
from tests.core.conftest import NewDomain
from tests.core.domain import Domain
from tests.core.payloads.stored_redactions import (
    KEPT,
    KEYS,
    PAYLOAD,
    clear_stored,
    hide_fields,
    make_task,
    read_streets,
    read_views,
)


def test_no_view_repeats_a_redaction_that_is_stored(new_domain_on: NewDomain, redacted: list[Any]) -> None:
    task_id = make_task(new_domain_on())
    other = new_domain_on()
    redacted.clear()
    first = read_views(other, task_id)
    assert [shown["password"] for shown in first] == ["[redacted:secret]"] * 3
    first[0]["text"] = "changed by a caller"
    assert [shown["text"] for shown in read_views(other, task_id)] == ["x" * 20_000] * 3
    assert redacted == []


def test_a_list_and_a_snapshot_read_no_input_to_find_its_secrets(new_domain_on: NewDomain) -> None:
    claim = new_domain_on().running(input=PAYLOAD)
    other = new_domain_on()
    other.perform(claim, "a", message="Said open sesame!")
    other.db.policies.forget()
    statements: list[str] = []
    event.listen(other.db.engine, "before_cursor_execute", lambda *args: statements.append(str(args[2])))
    with other.db.read() as session:
        assert list_tasks(session, "demo", limit=9)[0][0]["message"] == "Said [redacted:secret]!"
        assert (
            read_snapshot_rows(session, "demo", SnapshotLimits()).build()["tasks"][0]["message"]
            == "Said [redacted:secret]!"
        )
    assert statements
    assert not any(re.search(r"\btask\.input\b", statement) for statement in statements)


def test_a_payload_of_an_older_version_is_redacted_at_the_first_view_only(domain: Domain, redacted: list[Any]) -> None:
    task_id = make_task(domain)
    shown = read_views(domain, task_id)
    clear_stored(domain)
    redacted.clear()
    assert read_views(domain, task_id) == shown
    assert len(redacted) == 4
    domain.db.policies.forget()
    assert read_views(domain, task_id) == shown
    assert len(redacted) == 4


def test_a_stricter_policy_hides_at_once_and_a_looser_one_shows_again(domain: Domain, redacted: list[Any]) -> None:
    task_id = make_task(domain)
    assert read_streets(domain, task_id) == ["Main Road 1"] * 3
    hide_fields(domain, "street")
    assert read_streets(domain, task_id) == ["[redacted:secret]"] * 3
    redacted.clear()
    assert read_streets(domain, task_id) == ["[redacted:secret]"] * 3
    assert redacted == []
    hide_fields(domain)
    assert read_streets(domain, task_id) == ["Main Road 1"] * 3


def test_more_secret_values_than_the_limit_hide_everything(new_domain_on: NewDomain, redacted: list[Any]) -> None:
    domain = new_domain_on(max_hidden_values=1)
    payload = {"street": "Main Road 1", "password": ["open sesame", "close sesame"]}
    claim = domain.running(input=payload, title="Everything")
    domain.db.policies.forget()
    redacted.clear()
    with domain.db.read() as session:
        task = read_task(session, claim.task_id)
    assert (task["title"], task["input"]["[redacted:secret]"]) == ("[redacted:secret]", "[redacted:secret]")
    assert redacted == []


def test_a_value_that_changed_is_shown_as_it_is_now(domain: Domain) -> None:
    task_id = make_task(domain)
    read_views(domain, task_id)
    with domain.db.write() as session:
        session.get_one(Task, task_id).result = {"street": "Elsewhere", "password": "other words"}
        session.query(Step).one().output = 5.0
    assert read_views(domain, task_id)[1:] == [{"street": "Elsewhere", "password": "[redacted:secret]"}, 5.0]


def test_the_stored_redaction_of_one_value_is_shown_for_no_other(domain: Domain) -> None:
    task_id = make_task(domain)
    with domain.db.write() as session:
        row = session.query(Step).one()
        row.output_shown = {"of": "0" * 64, "as": "not hidden"}
        session.get_one(Task, task_id).input_shown = {"as": "not hidden"}
        session.get_one(Task, task_id).result_shown = ["of", "as"]
    assert [shown["password"] for shown in read_views(domain, task_id)] == ["[redacted:secret]"] * 3


def test_the_redaction_of_a_schedules_input_is_stored(domain: Domain, redacted: list[Any]) -> None:
    payload = {"street": "Main Road 1", "note": "say open sesame", "password": "open sesame"}
    row = Schedule(id="5", instance_id="demo", name="n", kind="any", input=payload, timing="interval", paused=True)
    row.created_at = now()
    with domain.db.write() as session:
        session.add(row)
    for times in (1, 2):
        with domain.db.read() as session:
            shown = read_schedule(session, "5")["input"]
        assert shown == {**payload, "note": "say [redacted:secret]", "password": "[redacted:secret]"}
        assert len(redacted) == 2, times


def test_stored_redactions_are_encrypted_and_rotated_as_the_values_are(
    new_domain_on: NewDomain, redacted: list[Any]
) -> None:
    domain = new_domain_on(encryption_keys=KEYS[0])
    task_id = make_task(domain)
    shown = read_views(domain, task_id)
    _check_sealed(domain.db, "old")
    _check_sealed(_rotated(new_domain_on), "new")
    redacted.clear()
    assert read_views(new_domain_on(encryption_keys=KEYS[1]), task_id) == shown
    assert redacted == []
    with domain.db.read() as session:
        assert read_task(session, task_id)["input"] == {"$unreadable": "key_missing"}


def _rotated(new_domain_on: NewDomain) -> Database:
    database = new_domain_on(encryption_keys=f"{KEYS[1]},{KEYS[0]}").db
    assert list(rotate(database))
    assert all(set(use.encrypted) <= {"new", "old"} and not use.encrypted.get("old") for use in count_use(database))
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
