"""Large inputs: row and views carry a reference, the run gets the whole input, and readers its redacted form."""

from __future__ import annotations

import base64
from datetime import timedelta
from typing import Any

import orjson
import pytest

from swallowtail.app.core.errors import NotFound
from swallowtail.app.core.events import now
from swallowtail.app.core.ledger.agent_cards import AgentCard, register
from swallowtail.app.core.ledger.artifacts import find_owner, read_artifact
from swallowtail.app.core.queries.authorized import AuthorizedReads
from swallowtail.app.core.queries.rows import list_tasks, read_schedule, read_task
from swallowtail.app.core.schemas.schedules import NewSchedule
from swallowtail.app.core.security.actors import Actor
from swallowtail.app.core.services.instance_export import export_instance
from swallowtail.app.core.services.schedule_firing import fire_due
from swallowtail.app.core.services.schedules import add_schedule, remove_schedule
from swallowtail.app.core.tables.artifacts import Artifact
from swallowtail.app.core.tables.tasks import Step, Task
from tests.core.conftest import NewDomain
from tests.core.domain import ERROR, Domain, compute_by

TOKEN = "ghp_" + "a1B2" * 9
PAYLOAD = {"text": "x" * 2000, "said": TOKEN, "password": "open sesame"}
SHOWN = {"text": "x" * 2000, "said": "[redacted:token]", "password": "[redacted:secret]"}
KEY = f"one:{base64.b64encode(bytes(32)).decode()}"


@pytest.fixture(params=["", KEY], ids=["open", "sealed"])
def domain(request: pytest.FixtureRequest, new_domain_on: NewDomain) -> Domain:
    return new_domain_on(
        inline_input_bytes=1024, inline_output_bytes=1024, preview_chars=20, encryption_keys=request.param
    )


def _reference(domain: Domain, task_id: str) -> dict[str, Any]:
    with domain.db.read() as session:
        view = read_task(session, task_id)
    assert set(view["input"]) == {"$artifact"}
    reference: dict[str, Any] = view["input"]["$artifact"]
    return reference


def test_the_view_of_a_task_refers_to_its_large_input_which_readers_get_redacted(domain: Domain) -> None:
    task_id = domain.submit(input=PAYLOAD)
    reference = _reference(domain, task_id)
    assert reference["preview"] == '{"text":"xxxxxxxxxxx'
    with domain.db.read() as session:
        stored = read_artifact(session, reference["id"])
        assert find_owner(session, reference["id"]) == (task_id, None)
    assert orjson.loads(stored.content) == SHOWN
    assert (reference["size"], reference["sha256"]) == (len(stored.content), stored.sha256)


def test_every_attempt_gets_the_whole_input(domain: Domain) -> None:
    claim = domain.claim(domain.submit(input=PAYLOAD))
    assert claim.input == PAYLOAD
    domain.runs.retry_later(claim, ERROR, 0.0)
    assert domain.claim(claim.task_id, 2).input == PAYLOAD


def test_its_secret_values_are_hidden_in_the_events_of_every_process(domain: Domain) -> None:
    claim = domain.claim(domain.submit(input=PAYLOAD))
    domain.db.policies.forget()
    domain.perform(claim, "a", message="open sesame!")
    assert domain.events()[-1].data["message"] == "[redacted:secret]!"
    domain.db.policies.forget()
    with domain.db.read() as session:
        assert list_tasks(session, "demo", limit=1)[0][0]["message"] == "[redacted:secret]!"
    assert "open sesame" not in repr(domain.events())


def test_a_small_input_stays_in_its_row(domain: Domain) -> None:
    task_id = domain.submit(input={"text": "x" * 900})
    with domain.db.read() as session:
        assert session.get_one(Task, task_id).input_artifact_id is None
        assert read_task(session, task_id)["input"] == {"text": "x" * 900}


def test_a_token_for_outputs_does_not_show_the_input(domain: Domain) -> None:
    claim = domain.claim(domain.submit(input=PAYLOAD))
    domain.perform(claim, "a", PAYLOAD)
    payload = _reference(domain, claim.task_id)["id"]
    with domain.db.read() as session:
        output = session.query(Step).one().artifact_id
        assert output not in (None, payload)
        for field, readable, other in (("output", output, payload), ("input", payload, output)):
            actor = Actor("open", "t", "t", fields=frozenset({field}))
            assert AuthorizedReads(session, actor).artifact(str(readable)).task_id == claim.task_id
            with pytest.raises(NotFound):
                AuthorizedReads(session, actor).artifact(str(other))


def test_the_same_submission_twice_keeps_one_input(domain: Domain) -> None:
    first = domain.submit(input=PAYLOAD, idempotency_key="once")
    assert domain.submit(input=PAYLOAD, idempotency_key="once") == first
    with domain.db.read() as session:
        assert len(session.query(Artifact).all()) == 1


def test_work_on_a_large_input_does_not_block_the_loop(domain: Domain) -> None:
    done: list[str] = []

    def offload(work: Any, /, *args: Any) -> Any:
        done.append(work.__name__)
        return work(*args)

    compute_by(domain, offload)
    task_id = domain.submit(input=PAYLOAD)
    assert done == ["redact_input"]
    with domain.db.read() as session:
        read_artifact(session, _reference(domain, task_id)["id"])
    assert done == ["redact_input", "work"]


def _plan(domain: Domain, payload: Any = PAYLOAD) -> str:
    register(domain.db, [AgentCard(kind="any", title="Any", description="", version="1", input_schema={})])
    row = add_schedule(domain.rt, "demo", NewSchedule(name="nightly", kind="any", input=payload, interval_seconds=60))
    with domain.db.read() as session:
        assert read_schedule(session, row["id"])["input"] == row["input"]
    return row["id"]


def test_a_schedule_refers_to_its_large_input_too_and_fires_with_the_whole(domain: Domain) -> None:
    plan = _plan(domain)
    with domain.db.read() as session:
        reference = read_schedule(session, plan)["input"]["$artifact"]
        assert set(reference) == {"id", "size", "sha256", "media_type"}, "a preview would show what is hidden later"
        stored = read_artifact(session, reference["id"])
        assert find_owner(session, reference["id"]) == (None, plan)
    assert orjson.loads(stored.content) == SHOWN
    assert (reference["size"], reference["sha256"]) == (len(stored.content), stored.sha256)
    assert fire_due(domain.rt, at=now() + timedelta(seconds=100)) == 1
    with domain.db.read() as session:
        task_id = session.query(Task).one().id
    assert domain.claim(task_id).input == PAYLOAD
    line = next(line for line in export_instance(domain.rt, "demo") if reference["id"].encode() in line[:90])
    assert orjson.loads(line)["artifact"]["content"] == SHOWN


def test_the_large_input_of_a_schedule_has_its_permissions_and_is_deleted_with_it(domain: Domain) -> None:
    plan = _plan(domain)
    with domain.db.read() as session:
        artifact_id = read_schedule(session, plan)["input"]["$artifact"]["id"]
        for fields, task_id in ((frozenset({"output"}), None), (None, domain.submit())):
            with pytest.raises(NotFound):
                AuthorizedReads(session, Actor("open", "t", "t", fields=fields, task_id=task_id)).artifact(artifact_id)
        reads = AuthorizedReads(session, Actor("open", "t", "t", fields=frozenset({"input"})))
        assert reads.artifact(artifact_id).schedule_id == plan
    remove_schedule(domain.rt, plan)
    with domain.db.read() as session:
        assert session.query(Artifact).all() == []


@pytest.mark.parametrize("payload", [[[] for _ in range(900)], "\U0001f600" * 500, {"k" * 1100: 5.0}, ["\n" * 600]])
def test_a_schedule_has_the_limits_of_a_task(domain: Domain, payload: Any) -> None:
    plan = _plan(domain, payload)
    with domain.db.read() as session:
        shown = read_schedule(session, plan)["input"]
        assert set(shown) == {"$artifact"}
        assert read_artifact(session, shown["$artifact"]["id"]).content.decode() == (
            payload if isinstance(payload, str) else orjson.dumps(payload).decode()
        )
