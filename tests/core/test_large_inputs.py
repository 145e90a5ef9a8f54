"""Large inputs: the row and the views carry a reference, the run gets the whole, and readers what they may see."""

from __future__ import annotations

import base64
from datetime import timedelta
from typing import Any

import orjson
import pytest

from app.core.access import Actor
from app.core.artifacts import find_owner, read_artifact
from app.core.catalogue import AgentCard, register
from app.core.errors import NotFound
from app.core.events import now
from app.core.export import export_instance
from app.core.firing import fire_due
from app.core.models import Step, Task
from app.core.models_privacy import Artifact
from app.core.planning import NewSchedule, add_schedule, remove_schedule
from app.core.reads import list_tasks, read_schedule, read_task
from app.core.sight import Sight
from tests.core.conftest import NewStage
from tests.core.stage import ERROR, Stage

TOKEN = "ghp_" + "a1B2" * 9
GIVEN = {"text": "x" * 2000, "said": TOKEN, "password": "open sesame"}
SHOWN = {"text": "x" * 2000, "said": "[redacted:token]", "password": "[redacted:secret]"}
KEY = f"one:{base64.b64encode(bytes(32)).decode()}"


@pytest.fixture(params=["", KEY], ids=["open", "sealed"])
def stage(request: pytest.FixtureRequest, new_stage_on: NewStage) -> Stage:
    return new_stage_on(
        inline_input_bytes=1024, inline_output_bytes=1024, preview_chars=20, encryption_keys=request.param
    )


def _reference(stage: Stage, task_id: str) -> dict[str, Any]:
    with stage.db.read() as session:
        view = read_task(session, task_id)
    assert set(view["input"]) == {"$artifact"}
    reference: dict[str, Any] = view["input"]["$artifact"]
    return reference


def test_the_view_of_a_task_refers_to_its_large_input_and_readers_get_what_they_may_see(stage: Stage) -> None:
    task_id = stage.submit(input=GIVEN)
    reference = _reference(stage, task_id)
    assert reference["preview"] == '{"text":"xxxxxxxxxxx'
    with stage.db.read() as session:
        found = read_artifact(session, reference["id"])
        assert find_owner(session, reference["id"]) == (task_id, None)
    assert orjson.loads(found.content) == SHOWN
    assert (reference["size"], reference["sha256"]) == (len(found.content), found.sha256)


def test_every_attempt_gets_the_whole_input(stage: Stage) -> None:
    claim = stage.claim(stage.submit(input=GIVEN))
    assert claim.input == GIVEN
    stage.runs.retry_later(claim, ERROR, 0.0)
    assert stage.claim(claim.task_id, 2).input == GIVEN


def test_its_secret_values_are_hidden_in_what_is_told_of_the_task_by_any_process(stage: Stage) -> None:
    claim = stage.claim(stage.submit(input=GIVEN))
    stage.db.policies.forget()
    stage.perform(claim, "a", message="open sesame!")
    assert stage.events()[-1].data["message"] == "[redacted:secret]!"
    stage.db.policies.forget()
    with stage.db.read() as session:
        assert list_tasks(session, "demo", limit=1)[0][0]["message"] == "[redacted:secret]!"
    assert "open sesame" not in repr(stage.events())


def test_a_small_input_stays_in_its_row(stage: Stage) -> None:
    task_id = stage.submit(input={"text": "x" * 900})
    with stage.db.read() as session:
        assert session.get_one(Task, task_id).input_artifact_id is None
        assert read_task(session, task_id)["input"] == {"text": "x" * 900}


def test_who_may_see_outputs_only_does_not_get_the_input_for_that(stage: Stage) -> None:
    claim = stage.claim(stage.submit(input=GIVEN))
    stage.perform(claim, "a", GIVEN)
    given = _reference(stage, claim.task_id)["id"]
    with stage.db.read() as session:
        made = session.query(Step).one().artifact_id
        assert made not in (None, given)
        for field, mine, other in (("output", made, given), ("input", given, made)):
            actor = Actor("open", "t", "t", fields=frozenset({field}))
            assert Sight(session, actor).artifact(str(mine)).task_id == claim.task_id
            with pytest.raises(NotFound):
                Sight(session, actor).artifact(str(other))


def test_the_same_submission_twice_keeps_one_input(stage: Stage) -> None:
    first = stage.submit(input=GIVEN, idempotency_key="once")
    assert stage.submit(input=GIVEN, idempotency_key="once") == first
    with stage.db.read() as session:
        assert len(session.query(Artifact).all()) == 1


def test_work_on_it_is_done_where_it_holds_nobody_up(stage: Stage) -> None:
    done: list[str] = []

    def offload(work: Any, /, *given: Any) -> Any:
        done.append(work.__name__)
        return work(*given)

    stage.db.compute_by(offload)
    task_id = stage.submit(input=GIVEN)
    assert done == ["tell"]
    with stage.db.read() as session:
        read_artifact(session, _reference(stage, task_id)["id"])
    assert done == ["tell", "work"]


def _plan(stage: Stage, given: Any = GIVEN) -> str:
    register(stage.db, [AgentCard(kind="any", title="Any", description="", version="1", input_schema={})])
    row = add_schedule(stage.rt, NewSchedule("demo", "nightly", "any", given, interval_seconds=60))
    with stage.db.read() as session:
        assert read_schedule(session, row["id"])["input"] == row["input"]
    return row["id"]


def test_a_schedule_refers_to_its_large_input_too_and_fires_with_the_whole(stage: Stage) -> None:
    plan = _plan(stage)
    with stage.db.read() as session:
        reference = read_schedule(session, plan)["input"]["$artifact"]
        assert set(reference) == {"id", "size", "sha256", "media_type"}, "a preview would show what is hidden later"
        found = read_artifact(session, reference["id"])
        assert find_owner(session, reference["id"]) == (None, plan)
    assert orjson.loads(found.content) == SHOWN
    assert (reference["size"], reference["sha256"]) == (len(found.content), found.sha256)
    assert fire_due(stage.rt, at=now() + timedelta(seconds=100)) == 1
    with stage.db.read() as session:
        task_id = session.query(Task).one().id
    assert stage.claim(task_id).input == GIVEN
    line = next(line for line in export_instance(stage.rt, "demo") if reference["id"].encode() in line[:90])
    assert orjson.loads(line)["artifact"]["content"] == SHOWN


def test_the_large_input_of_a_schedule_is_for_whoever_may_see_the_schedule_and_goes_with_it(stage: Stage) -> None:
    plan = _plan(stage)
    with stage.db.read() as session:
        artifact_id = read_schedule(session, plan)["input"]["$artifact"]["id"]
        for fields, task_id in ((frozenset({"output"}), None), (None, stage.submit())):
            with pytest.raises(NotFound):
                Sight(session, Actor("open", "t", "t", fields=fields, task_id=task_id)).artifact(artifact_id)
        sight = Sight(session, Actor("open", "t", "t", fields=frozenset({"input"})))
        assert sight.artifact(artifact_id).schedule_id == plan
    remove_schedule(stage.rt, plan)
    with stage.db.read() as session:
        assert session.query(Artifact).all() == []


@pytest.mark.parametrize("given", [[[] for _ in range(900)], "\U0001f600" * 500, {"k" * 1100: 5.0}, ["\n" * 600]])
def test_a_schedule_is_held_to_what_a_task_is(stage: Stage, given: Any) -> None:
    plan = _plan(stage, given)
    with stage.db.read() as session:
        shown = read_schedule(session, plan)["input"]
        assert set(shown) == {"$artifact"}
        assert read_artifact(session, shown["$artifact"]["id"]).content.decode() == (
            given if isinstance(given, str) else orjson.dumps(given).decode()
        )
