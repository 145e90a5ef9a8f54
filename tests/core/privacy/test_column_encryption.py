"""Encryption at rest: no payload is readable in the database's files, keys can be rotated, and changes are detected."""

from __future__ import annotations

import base64
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, text, update

from swallowtail.app.core.errors import SettingsError
from swallowtail.app.core.ledger.event_log import read_events
from swallowtail.app.core.maintenance.key_rotation import count_use, rotate
from swallowtail.app.core.privacy.keyring import KeyMissing, Keyring
from swallowtail.app.core.queries.rows import list_schedules, read_schedule, read_task
from swallowtail.app.core.schemas.schedules import NewSchedule
from swallowtail.app.core.services.schedules import add_schedule
from swallowtail.app.core.tables.artifacts import Artifact
from swallowtail.app.core.tables.base import Base
from swallowtail.app.core.tables.column_encryption import DERIVED, ENCRYPTED_COLUMNS, encrypt_value
from swallowtail.app.core.tables.schedules import Schedule
from swallowtail.app.core.tables.tasks import Event, Task
from tests.core.conftest import NewDomain
from tests.core.domain import Domain, read_outputs

OLD, NEW = (f"{name}:{base64.b64encode(bytes([number]) * 32).decode()}" for name, number in (("old", 1), ("new", 2)))
MARK = "MARK-in-the-sand"
LARGE = MARK + "x" * 2000


def _fill(domain: Domain) -> str:
    """Store one row of each kind that has a payload. Returns the id of the task."""
    task_id = domain.submit(input={"text": MARK})
    claim = domain.claim(task_id)
    for key, output in (
        ("small", [MARK]),
        ("large", LARGE),
        ("lookalike", {"$sealed": MARK}),
        ("other", {"$as_is": 1}),
    ):
        domain.runs.start_step(claim, key, "Agent", "work")
        domain.runs.finish_step(claim, key, output)
    domain.runs.start_step(claim, "broken", "Agent", "work")
    domain.runs.fail_step(claim, "broken", {"code": "exception", "message": MARK})
    domain.runs.complete(claim, {"said": MARK})
    with domain.db.write() as session:
        session.execute(
            text(
                "INSERT INTO agent (kind, title, description, version, input_schema, updated_at) "
                "VALUES ('any', 'Any', '', '1', '{}', 0)"
            )
        )
    add_schedule(domain.rt, "demo", NewSchedule(name="nightly", kind="any", input={"text": MARK}, cron="0 0 * * *"))
    return task_id


def _raw(domain: Domain) -> str:
    """Return every stored row, and the bytes of the database's files."""
    rows: list[Any] = []
    with domain.db.read() as session:
        for table in Base.metadata.sorted_tables:
            names = ", ".join(f"CAST({column.name} AS TEXT)" for column in table.columns if column.name != "content")
            rows += session.execute(text(f"SELECT {names} FROM {table.name}")).all()
        rows += [bytes(content) for content in session.scalars(text("SELECT content FROM artifact"))]
    files = [path.read_bytes() for path in domain.settings.var.glob("swallowtail.db*")]
    return repr(rows) + repr(files)


def _check_readable(domain: Domain, task_id: str) -> None:
    with domain.db.read() as session:
        assert read_task(session, task_id)["input"] == {"text": MARK}
        assert read_task(session, task_id)["result"] == {"said": MARK}
        outputs = read_outputs(session, task_id)
        assert [outputs[0], outputs[2], outputs[3]] == [[MARK], {"$sealed": MARK}, {"$as_is": 1}]
        assert read_schedule(session, list_schedules(session, "demo", limit=10)[0][0]["id"])["input"] == {"text": MARK}
        events = read_events(session, "demo", 0, 100)
    assert events == domain.announced or not domain.announced


@pytest.fixture
def sealed(new_domain_on: NewDomain) -> tuple[Domain, str]:
    domain = new_domain_on(encryption_keys=OLD, inline_output_bytes=1024)
    return domain, _fill(domain)


def test_no_payload_is_readable_in_the_database_or_its_files(sealed: tuple[Domain, str]) -> None:
    domain, task_id = sealed
    _check_readable(domain, task_id)
    assert MARK not in _raw(domain)


def test_without_keys_nothing_is_encrypted_and_values_like_ciphertext_are_unchanged(new_domain: NewDomain) -> None:
    domain = new_domain(inline_output_bytes=1024)
    _check_readable(domain, _fill(domain))
    assert MARK in _raw(domain)


def test_the_next_attempt_and_later_processes_decrypt_payloads(
    sealed: tuple[Domain, str], new_domain_on: NewDomain
) -> None:
    _, task_id = sealed
    later = new_domain_on(encryption_keys=f"{NEW},{OLD}")
    _check_readable(later, task_id)
    assert later.submit(input={"text": MARK}) != task_id


def test_values_of_a_missing_key_are_marked_and_others_are_readable(
    sealed: tuple[Domain, str], new_domain_on: NewDomain
) -> None:
    _, task_id = sealed
    later = new_domain_on(encryption_keys=NEW)
    with later.db.read() as session:
        assert read_task(session, task_id)["input"] == {"$unreadable": "key_missing"}
        assert all(event.data["$unreadable"] == "key_missing" for event in read_events(session, "demo", 0, 10))
    fresh = later.submit(input={"text": MARK})
    assert later.claim(fresh).input == {"text": MARK}


def test_ciphertext_that_was_moved_to_another_row_is_detected(sealed: tuple[Domain, str]) -> None:
    domain, task_id = sealed
    other = domain.submit(input={"text": "mine"})
    task, step, event = (Base.metadata.tables[name] for name in ("task", "step", "event"))
    with domain.db.write() as session:
        stolen = session.scalar(select(task.c.input).where(task.c.id == task_id))
        session.execute(update(task).where(task.c.id == other).values(input=stolen))
        session.execute(update(step).where(step.c.key == "small").values(output=stolen))
        session.execute(update(event).where(event.c.seq == 2).values(data=stolen))
    mark = {"$unreadable": "tampered"}
    with domain.db.read() as session:
        assert read_task(session, other)["input"] == mark
        assert mark in read_outputs(session, task_id)
        assert mark.items() <= read_events(session, "demo", 1, 1)[0].data.items()


def test_rotation_seals_everything_with_the_current_key_and_can_be_interrupted(
    sealed: tuple[Domain, str], new_domain_on: NewDomain
) -> None:
    _, task_id = sealed
    later = new_domain_on(encryption_keys=f"{NEW},{OLD}", inline_output_bytes=1024)
    for _ in zip(range(3), rotate(later.db, batch=2), strict=False):
        pass
    _check_readable(later, task_id)
    rest = sum(done for _, done in rotate(later.db, batch=2))
    assert rest > 0
    assert list(rotate(later.db, batch=2)) == []
    use = count_use(later.db)
    assert {(one.plain, one.encrypted.get("old", 0)) for one in use} == {(0, 0)}
    assert sum(one.encrypted["new"] for one in use if "new" in one.encrypted) > 10
    _check_readable(new_domain_on(encryption_keys=NEW), task_id)


def test_rotation_encrypts_values_from_before_the_first_key(new_domain_on: NewDomain) -> None:
    domain = new_domain_on(inline_output_bytes=1024)
    task_id = _fill(domain)
    assert all(not any(one.encrypted.values()) for one in count_use(domain.db))
    with pytest.raises(SettingsError):
        list(rotate(domain.db))
    later = new_domain_on(encryption_keys=NEW)
    assert sum(done for _, done in rotate(later.db)) > 10
    _check_readable(later, task_id)
    with later.db.read() as session:
        for column in (Task.__table__.c.input, Event.__table__.c.data, Schedule.__table__.c.input):
            assert all(set(stored) == {"$sealed"} for stored in session.scalars(select(column)))
        assert set(session.scalars(select(Artifact.key_id))) == {"new"}


@pytest.mark.parametrize("batch", [1, 2, 100])
def test_rotation_skips_damaged_rows_and_encrypts_the_others(new_domain: NewDomain, batch: int) -> None:
    domain = new_domain()
    claims = [domain.running(input={"text": f"open {number}"}) for number in range(4)]
    with domain.db.write() as session:
        # Most of them damaged, so that batches of nothing else come first, between and last.
        session.execute(text("UPDATE event SET data = '{' WHERE seq % 4 != 0"))
    later = new_domain(encryption_keys=NEW)
    done = [number for _, number in islice(rotate(later.db, batch=batch), 1000)]
    assert len(done) < 1000
    with later.db.read() as session:
        stored = session.execute(text("SELECT data FROM event ORDER BY seq")).scalars().all()
    assert {"$sealed" in one for one in stored if one != "{"} == {True}
    assert stored.count("{") == sum(number % 4 != 0 for number in range(1, len(stored) + 1))
    assert len(claims) * 3 == len(stored)


def test_use_names_the_keys_that_are_not_here(sealed: tuple[Domain, str], new_domain_on: NewDomain) -> None:
    use = count_use(new_domain_on(encryption_keys=NEW).db)
    assert {name for one in use for name, number in one.encrypted.items() if number} == {"old (missing)", "old"}


@pytest.mark.parametrize(
    ("keys", "complaint"),
    [
        ("nonsense", "key 1 must be id:base64"),
        ("a b:AAAA", "key 1 must be id:base64"),
        ("short:AAAA", "key 'short' must be 32 bytes"),
        ("bad:!!!!", "key 'bad' must be 32 bytes"),
        (f"{OLD},{OLD}", "the id 'old' is repeated"),
    ],
)
def test_unusable_keys_are_refused_without_being_shown(keys: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint) as refused:
        Keyring.parse(keys)
    assert "AAAA" not in str(refused.value)


def test_the_files_of_a_database_hold_no_key(sealed: tuple[Domain, str], tmp_path: Path) -> None:
    domain, _ = sealed
    assert OLD.partition(":")[2] not in _raw(domain)
    assert OLD.partition(":")[2] not in repr(domain.settings)


def test_rotation_discards_redactions_of_a_removed_key_and_encrypts_the_others(
    new_domain_on: NewDomain, sealed: tuple[Domain, str]
) -> None:
    domain, task_id = sealed
    lost = Keyring.parse(NEW.replace("new", "gone"))
    with domain.db.write() as session:
        for model, columns in ENCRYPTED_COLUMNS.items():
            table = Base.metadata.tables[model.__tablename__]
            for name in DERIVED & set(columns):
                for row_id in session.scalars(select(table.c.id)).all():
                    stored = encrypt_value(lost, model, row_id, name, {"of": "other"})
                    session.execute(update(table).where(table.c.id == row_id).values({name: stored}))
    later = new_domain_on(encryption_keys=f"{NEW},{OLD}", inline_output_bytes=1024)
    assert sum(done for _, done in rotate(later.db)) > 10
    assert {name for one in count_use(later.db) for name, number in one.encrypted.items() if number} == {"new"}
    _check_readable(new_domain_on(encryption_keys=NEW), task_id)


def test_rotation_stops_at_a_value_that_cannot_be_decrypted(
    new_domain_on: NewDomain, sealed: tuple[Domain, str]
) -> None:
    with pytest.raises(KeyMissing):
        list(rotate(new_domain_on(encryption_keys=NEW).db))
