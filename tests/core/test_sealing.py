"""Encryption at rest: no payload is readable in the database's files, keys can be changed, and tampering is noticed."""

from __future__ import annotations

import base64
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, text, update

from app.core.errors import SettingsError
from app.core.keyring import KeyMissing, Keyring
from app.core.log import read_events
from app.core.models import Base, Event, Schedule, Task
from app.core.models_privacy import Artifact
from app.core.planning import NewSchedule, add_schedule
from app.core.reads import list_schedules, read_schedule, read_task
from app.core.rotation import count_use, rotate
from app.core.sealing import DERIVED, SEALED, seal
from tests.core.conftest import NewStage
from tests.core.stage import Stage, read_outputs

OLD, NEW = (f"{name}:{base64.b64encode(bytes([number]) * 32).decode()}" for name, number in (("old", 1), ("new", 2)))
MARK = "MARK-in-the-sand"
LARGE = MARK + "x" * 2000


def _fill(stage: Stage) -> str:
    """One of everything that holds a payload; the task's id."""
    task_id = stage.submit(input={"text": MARK})
    claim = stage.claim(task_id)
    for key, output in (
        ("small", [MARK]),
        ("large", LARGE),
        ("lookalike", {"$sealed": MARK}),
        ("other", {"$as_is": 1}),
    ):
        stage.runs.start_step(claim, key, "Agent", "work")
        stage.runs.finish_step(claim, key, output)
    stage.runs.start_step(claim, "broken", "Agent", "work")
    stage.runs.fail_step(claim, "broken", {"code": "exception", "message": MARK})
    stage.runs.complete(claim, {"said": MARK})
    with stage.db.write() as session:
        session.execute(
            text(
                "INSERT INTO agent (kind, title, description, version, input_schema, updated_at) "
                "VALUES ('any', 'Any', '', '1', '{}', 0)"
            )
        )
    add_schedule(stage.rt, NewSchedule("demo", "nightly", "any", {"text": MARK}, cron="0 0 * * *"))
    return task_id


def _raw(stage: Stage) -> str:
    """Every row of every table as the database has it, and the bytes of its files."""
    rows: list[Any] = []
    with stage.db.read() as session:
        for table in Base.metadata.sorted_tables:
            names = ", ".join(f"CAST({column.name} AS TEXT)" for column in table.columns if column.name != "content")
            rows += session.execute(text(f"SELECT {names} FROM {table.name}")).all()
        rows += [bytes(content) for content in session.scalars(text("SELECT content FROM artifact"))]
    files = [path.read_bytes() for path in stage.settings.var.glob("swallowtail.db*")]
    return repr(rows) + repr(files)


def _check_readable(stage: Stage, task_id: str) -> None:
    with stage.db.read() as session:
        assert read_task(session, task_id)["input"] == {"text": MARK}
        assert read_task(session, task_id)["result"] == {"said": MARK}
        outputs = read_outputs(session, task_id)
        assert [outputs[0], outputs[2], outputs[3]] == [[MARK], {"$sealed": MARK}, {"$as_is": 1}]
        assert read_schedule(session, list_schedules(session, "demo", limit=10)[0][0]["id"])["input"] == {"text": MARK}
        events = read_events(session, "demo", 0, 100)
    assert events == stage.announced or not stage.announced


@pytest.fixture
def sealed(new_stage_on: NewStage) -> tuple[Stage, str]:
    stage = new_stage_on(encryption_keys=OLD, inline_output_bytes=1024)
    return stage, _fill(stage)


def test_no_payload_is_readable_in_the_database_or_its_files(sealed: tuple[Stage, str]) -> None:
    stage, task_id = sealed
    _check_readable(stage, task_id)
    assert MARK not in _raw(stage)


def test_without_keys_nothing_is_sealed_and_what_looks_so_is_what_it_is(new_stage: NewStage) -> None:
    stage = new_stage(inline_output_bytes=1024)
    _check_readable(stage, _fill(stage))
    assert MARK in _raw(stage)


def test_the_next_attempt_and_later_processes_read_what_was_sealed(
    sealed: tuple[Stage, str], new_stage_on: NewStage
) -> None:
    _, task_id = sealed
    later = new_stage_on(encryption_keys=f"{NEW},{OLD}")
    _check_readable(later, task_id)
    assert later.submit(input={"text": MARK}) != task_id


def test_what_a_missing_key_sealed_is_marked_and_nothing_else_breaks(
    sealed: tuple[Stage, str], new_stage_on: NewStage
) -> None:
    _, task_id = sealed
    later = new_stage_on(encryption_keys=NEW)
    with later.db.read() as session:
        assert read_task(session, task_id)["input"] == {"$unreadable": "key_missing"}
        assert all(event.data["$unreadable"] == "key_missing" for event in read_events(session, "demo", 0, 10))
    fresh = later.submit(input={"text": MARK})
    assert later.claim(fresh).input == {"text": MARK}


def test_what_was_moved_to_another_place_is_noticed(sealed: tuple[Stage, str]) -> None:
    stage, task_id = sealed
    other = stage.submit(input={"text": "mine"})
    task, step, event = (Base.metadata.tables[name] for name in ("task", "step", "event"))
    with stage.db.write() as session:
        stolen = session.scalar(select(task.c.input).where(task.c.id == task_id))
        session.execute(update(task).where(task.c.id == other).values(input=stolen))
        session.execute(update(step).where(step.c.key == "small").values(output=stolen))
        session.execute(update(event).where(event.c.seq == 2).values(data=stolen))
    mark = {"$unreadable": "tampered"}
    with stage.db.read() as session:
        assert read_task(session, other)["input"] == mark
        assert mark in read_outputs(session, task_id)
        assert mark.items() <= read_events(session, "demo", 1, 1)[0].data.items()


def test_rotation_seals_everything_with_the_current_key_and_can_be_interrupted(
    sealed: tuple[Stage, str], new_stage_on: NewStage
) -> None:
    _, task_id = sealed
    later = new_stage_on(encryption_keys=f"{NEW},{OLD}", inline_output_bytes=1024)
    for _ in zip(range(3), rotate(later.db, batch=2), strict=False):
        pass
    _check_readable(later, task_id)
    rest = sum(done for _, done in rotate(later.db, batch=2))
    assert rest > 0
    assert list(rotate(later.db, batch=2)) == []
    use = count_use(later.db)
    assert {(one.unsealed, one.sealed.get("old", 0)) for one in use} == {(0, 0)}
    assert sum(one.sealed["new"] for one in use if "new" in one.sealed) > 10
    _check_readable(new_stage_on(encryption_keys=NEW), task_id)


def test_rotation_seals_what_was_stored_before_there_were_keys(new_stage_on: NewStage) -> None:
    stage = new_stage_on(inline_output_bytes=1024)
    task_id = _fill(stage)
    assert all(not any(one.sealed.values()) for one in count_use(stage.db))
    with pytest.raises(SettingsError):
        list(rotate(stage.db))
    later = new_stage_on(encryption_keys=NEW)
    assert sum(done for _, done in rotate(later.db)) > 10
    _check_readable(later, task_id)
    with later.db.read() as session:
        for column in (Task.__table__.c.input, Event.__table__.c.data, Schedule.__table__.c.input):
            assert all(set(stored) == {"$sealed"} for stored in session.scalars(select(column)))
        assert set(session.scalars(select(Artifact.key_id))) == {"new"}


@pytest.mark.parametrize("batch", [1, 2, 100])
def test_rotation_passes_over_damaged_rows_and_seals_those_behind_them(new_stage: NewStage, batch: int) -> None:
    stage = new_stage()
    claims = [stage.running(input={"text": f"open {number}"}) for number in range(4)]
    with stage.db.write() as session:
        # Most of them damaged, so that batches of nothing else come first, between and last.
        session.execute(text("UPDATE event SET data = '{' WHERE seq % 4 != 0"))
    later = new_stage(encryption_keys=NEW)
    done = [number for _, number in islice(rotate(later.db, batch=batch), 1000)]
    assert len(done) < 1000
    with later.db.read() as session:
        stored = session.execute(text("SELECT data FROM event ORDER BY seq")).scalars().all()
    assert {"$sealed" in one for one in stored if one != "{"} == {True}
    assert stored.count("{") == sum(number % 4 != 0 for number in range(1, len(stored) + 1))
    assert len(claims) * 3 == len(stored)


def test_use_names_the_keys_that_are_not_here(sealed: tuple[Stage, str], new_stage_on: NewStage) -> None:
    use = count_use(new_stage_on(encryption_keys=NEW).db)
    assert {name for one in use for name, number in one.sealed.items() if number} == {"old (missing)", "old"}


@pytest.mark.parametrize(
    ("keys", "complaint"),
    [
        ("nonsense", "key 1 must be id:base64"),
        ("a b:AAAA", "key 1 must be id:base64"),
        ("short:AAAA", "key 'short' must be 32 bytes"),
        ("bad:!!!!", "key 'bad' must be 32 bytes"),
        (f"{OLD},{OLD}", "the id 'old' is there twice"),
    ],
)
def test_keys_that_cannot_be_used_are_refused_without_being_told(keys: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint) as refused:
        Keyring.parse(keys)
    assert "AAAA" not in str(refused.value)


def test_the_files_of_a_database_hold_no_key(sealed: tuple[Stage, str], tmp_path: Path) -> None:
    stage, _ = sealed
    assert OLD.partition(":")[2] not in _raw(stage)
    assert OLD.partition(":")[2] not in repr(stage.settings)


def test_rotation_forgets_what_is_kept_under_a_key_that_is_gone_and_seals_the_rest(
    new_stage_on: NewStage, sealed: tuple[Stage, str]
) -> None:
    stage, task_id = sealed
    lost = Keyring.parse(NEW.replace("new", "gone"))
    with stage.db.write() as session:
        for model, columns in SEALED.items():
            table = Base.metadata.tables[model.__tablename__]
            for name in DERIVED & set(columns):
                for row_id in session.scalars(select(table.c.id)).all():
                    stored = seal(lost, model, row_id, name, {"of": "other"})
                    session.execute(update(table).where(table.c.id == row_id).values({name: stored}))
    later = new_stage_on(encryption_keys=f"{NEW},{OLD}", inline_output_bytes=1024)
    assert sum(done for _, done in rotate(later.db)) > 10
    assert {name for one in count_use(later.db) for name, number in one.sealed.items() if number} == {"new"}
    _check_readable(new_stage_on(encryption_keys=NEW), task_id)


def test_rotation_ends_at_a_value_that_cannot_be_opened_nor_made_again(
    new_stage_on: NewStage, sealed: tuple[Stage, str]
) -> None:
    with pytest.raises(KeyMissing):
        list(rotate(new_stage_on(encryption_keys=NEW).db))
