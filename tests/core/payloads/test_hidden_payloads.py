"""Secrets are in no event, view or text of a row, while the run and its next attempt get the true values."""

from __future__ import annotations

import base64
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
from sqlalchemy import text

from swallowtail.app.core.ledger.agent_cards import AgentCard, register
from swallowtail.app.core.ledger.event_log import read_events
from swallowtail.app.core.queries.rows import list_steps, list_tasks, read_step, read_task
from swallowtail.app.core.queries.snapshot import SnapshotLimits, read_snapshot_rows
from swallowtail.app.core.schemas.tasks import NewTask
from swallowtail.app.core.services.tasks import submit
from swallowtail.app.core.tables.base import Base
from swallowtail.app.core.tables.instances import InstancePolicy
from tests.core.conftest import NewDomain
from tests.core.domain import ERROR, Domain

SECRET = "plain-as-day-0815"
TOKEN = "ghp_" + "a1B2" * 9
CARD = AgentCard(
    kind="login",
    title="Login",
    description="",
    version="1",
    input_schema={
        "type": "object",
        "properties": {"user": {"type": "string"}, "phrase": {"type": "string", "x-secret": True}},
    },
    output_schema={"type": "object", "properties": {"cookie": {"type": "string", "x-secret": True}}},
)
INPUT = {"user": "joe@example.com", "phrase": SECRET}


@pytest.fixture
def task_id(domain: Domain) -> str:
    register(domain.db, [CARD])
    return submit(domain.rt, "demo", NewTask(kind="login", input=INPUT, title=f"With {TOKEN}")).task["id"]


def _seen(domain: Domain, task_id: str) -> str:
    """Return all that readers see of the task."""
    with domain.db.read() as session:
        shown: list[Any] = [
            read_task(session, task_id),
            [read_step(session, task_id, step["step_id"]) for step in list_steps(session, task_id)],
            list_steps(session, task_id),
            read_snapshot_rows(session, "demo", SnapshotLimits()).build(),
        ]
        shown += [list_tasks(session, "demo", limit=10)]
        shown += [event.wire() for event in read_events(session, "demo", 0, 100)]
    return orjson.dumps([*shown, *(event.wire() for event in domain.announced)]).decode()


def test_a_marked_field_is_hidden_in_every_view_and_available_to_every_attempt(domain: Domain, task_id: str) -> None:
    claim = domain.claim(task_id)
    assert claim.input == INPUT
    domain.runs.start_step(claim, "one", "Agent", "work")
    output = {"cookie": "c-is-for-cookie", "said": f"I am {SECRET}", "key": TOKEN}
    domain.runs.finish_step(claim, "one", output, message=f"Used {SECRET}")
    domain.runs.start_step(claim, "two", "Agent", "work")
    domain.runs.fail_step(claim, "two", {**ERROR, "message": f"{SECRET} was refused"})
    domain.runs.retry_later(claim, {**ERROR, "message": f"{SECRET} was refused"}, 0.0)
    again = domain.claim(task_id, 2)
    assert again.input == INPUT
    assert again.saved["one"].output == output
    domain.runs.complete(again, {"cookie": "c-is-for-cookie", "text": TOKEN})
    seen = _seen(domain, task_id)
    for hidden in (SECRET, TOKEN, "c-is-for-cookie"):
        assert hidden not in seen
    assert '"phrase":"[redacted:secret]"' in seen
    assert "joe@example.com" in seen
    with domain.db.read() as session:
        assert read_task(session, task_id)["title"] == "With [redacted:token]"
        assert read_task(session, task_id)["result"] == {"cookie": "[redacted:secret]", "text": "[redacted:token]"}
        last = read_events(session, "demo", 0, 100)[-1]
    assert last == domain.announced[-1]
    assert last.data["result"] == {"cookie": "[redacted:secret]", "text": "[redacted:token]"}


def test_an_instance_hides_fields_and_e_mail_of_its_own_choice(domain: Domain, task_id: str) -> None:
    domain.create_instance("Other", "other")
    with domain.db.write() as session:
        session.add(
            InstancePolicy(
                instance_id="other", secret_fields=["User-Name"], hide_emails=True, updated_at=datetime.now(UTC)
            )
        )
    domain.db.policies.forget()
    payload = {"user": "joe@example.com", "user_name": "joe"}
    other = submit(domain.rt, "other", NewTask(kind="login", input=payload)).task
    assert other["input"] == {"user": "[redacted:email]", "user_name": "[redacted:secret]"}
    assert submit(domain.rt, "demo", NewTask(kind="login", input=payload)).task["input"] == payload


def test_a_repeated_submission_is_recognized_although_its_secrets_are_hidden(domain: Domain, task_id: str) -> None:
    first = submit(domain.rt, "demo", NewTask(kind="login", input=INPUT), idempotency_key="once")
    assert (
        submit(domain.rt, "demo", NewTask(kind="login", input=INPUT), idempotency_key="once").task["id"]
        == first.task["id"]
    )


@pytest.mark.parametrize("form", ["encrypted", "as it is"])
@pytest.mark.parametrize(
    ("secret", "redacted"),
    [
        (TOKEN, "[redacted:token]"),
        ("sk-" + "abc123def456ghi789jkl", "[redacted:api_key]"),
        ("4111 1111 1111 1111", "[redacted:card]"),
        ("joe@example.com", "[redacted:email]"),
        (SECRET, "[redacted:secret]"),
    ],
    ids=["token", "api_key", "card", "email", "secret input"],
)
def test_titles_messages_and_errors_are_redacted_in_the_rows_themselves(
    new_domain_on: NewDomain, form: str, secret: str, redacted: str
) -> None:
    keys = f"only:{base64.b64encode(bytes(32)).decode()}" if form == "encrypted" else ""
    domain = new_domain_on(encryption_keys=keys, hide_emails=True)
    register(domain.db, [CARD])
    task_id = submit(domain.rt, "demo", NewTask(kind="login", input={"phrase": SECRET}, title=f"Title {secret}")).task[
        "id"
    ]
    claim = domain.claim(task_id)
    error = {**ERROR, "message": f"Error {secret}"}
    domain.runs.heartbeat(claim, 5, f"Beat {secret}")
    assert domain.task(task_id).message == f"Beat {redacted}"
    domain.runs.start_step(claim, "one", "Agent", "work")
    domain.runs.finish_step(claim, "one", None, message=f"Done {secret}")
    assert domain.task(task_id).message == f"Done {redacted}"
    domain.runs.start_step(claim, "two", "Agent", "work")
    domain.runs.fail_step(claim, "two", error)
    domain.runs.fail(claim, error)
    row = domain.task(task_id)
    assert (row.title, row.message) == (f"Title {redacted}", f"Error {redacted}")
    assert row.error is not None
    assert row.error["message"] == domain.steps(task_id)[1].error["message"] == f"Error {redacted}"  # type: ignore[index]
    stored = _rows(domain, without={"task": {"input", "secrets"}} if form == "as it is" else {})
    assert secret not in stored
    # What a task that failed says of itself is the text of its error, and is not sealed.
    assert f"Error {redacted}" in stored


def _rows(domain: Domain, without: dict[str, set[str]]) -> str:
    """Return every row as it is stored, without these columns."""
    rows: list[Any] = []
    with domain.db.read() as session:
        for table in Base.metadata.sorted_tables:
            names = [column.name for column in table.columns if column.name not in without.get(table.name, set())]
            casts = ", ".join(f"CAST({name} AS TEXT)" for name in names)
            rows += session.execute(text(f"SELECT {casts} FROM {table.name}")).all()
    return repr(rows)
