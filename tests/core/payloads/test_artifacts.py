"""Large outputs: events carry a reference, the next run gets the whole output, and readers its redacted form."""

from __future__ import annotations

import hashlib

import orjson
import pytest

from swallowtail.app.core.errors import NotFound
from swallowtail.app.core.ledger.artifacts import find_owner, read_artifact, read_output
from swallowtail.app.core.ledger.event_log import read_events
from swallowtail.app.core.queries.rows import read_task
from swallowtail.app.core.tables.tasks import Task
from tests.core.conftest import NewDomain
from tests.core.domain import ERROR, Domain, read_outputs

TOKEN = "ghp_" + "a1B2" * 9


@pytest.fixture
def domain(new_domain_on: NewDomain) -> Domain:
    return new_domain_on(inline_output_bytes=1024, preview_chars=20)


def _with_large_step(domain: Domain, output: object) -> str:
    task_id = domain.submit()
    claim = domain.claim(task_id)
    domain.runs.start_step(claim, "one", "Agent", "work")
    domain.runs.finish_step(claim, "one", output)
    domain.runs.retry_later(claim, ERROR, 0.0)
    return task_id


def test_the_event_and_the_views_of_a_large_output_carry_a_reference(domain: Domain) -> None:
    output = {"text": "x" * 2000, "token": TOKEN}
    task_id = _with_large_step(domain, output)
    with domain.db.read() as session:
        (event_output,) = [e.data["output"] for e in read_events(session, "demo", 0, 100) if e.data.get("completed_at")]
        assert read_outputs(session, task_id)[0] == event_output
        reference = event_output["$artifact"]
        assert set(reference) == {"id", "size", "sha256", "media_type", "preview"}
        artifact = read_artifact(session, reference["id"])
        assert find_owner(session, reference["id"]) == (task_id, None)
    assert orjson.loads(artifact.content) == {"text": "x" * 2000, "token": "[redacted:token]"}
    assert (reference["size"], reference["sha256"]) == (
        len(artifact.content),
        hashlib.sha256(artifact.content).hexdigest(),
    )
    assert (reference["media_type"], reference["preview"]) == ("application/json", '{"text":"xxxxxxxxxxx')


def test_the_next_attempt_gets_the_whole_output(domain: Domain) -> None:
    output = {"text": "x" * 2000, "token": TOKEN}
    task_id = _with_large_step(domain, output)
    claim = domain.claim(task_id, 2)
    assert claim.saved["one"].output == output
    domain.runs.complete(claim, output)
    with domain.db.read() as session:
        task = session.get_one(Task, task_id)
        assert read_output(session, task) == output
        assert read_task(session, task_id)["result"] == read_outputs(session, task_id)[0]


def test_text_artifacts_are_text_and_small_outputs_stay_in_their_rows(domain: Domain) -> None:
    task_id = _with_large_step(domain, "ü" * 2000)
    with domain.db.read() as session:
        reference = read_outputs(session, task_id)[0]["$artifact"]
        artifact = read_artifact(session, reference["id"])
    assert (artifact.media_type, artifact.content.decode()) == ("text/plain; charset=utf-8", "ü" * 2000)
    small = _with_large_step(domain, "x" * 1000)
    with domain.db.read() as session:
        assert read_outputs(session, small)[0] == "x" * 1000


def test_an_output_that_only_looks_like_a_reference_leads_nowhere(domain: Domain) -> None:
    owner = _with_large_step(domain, "x" * 2000)
    with domain.db.read() as session:
        stolen = read_outputs(session, owner)[0]
    task_id = _with_large_step(domain, stolen)
    assert domain.claim(task_id, 2).saved["one"].output == stolen
    with domain.db.read() as session, pytest.raises(NotFound):
        read_artifact(session, "0f8fad5b-d9cb-469f-a165-70867728950e")
