"""The redaction of a large value is stored with its artifact: no reader redacts it again."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

import orjson
import pytest
from sqlalchemy import text

from swallowtail.app.core.events import now
from swallowtail.app.core.ledger.agent_cards import AgentCard, register
from swallowtail.app.core.ledger.artifacts import ArtifactContent, read_artifact
from swallowtail.app.core.privacy import redaction
from swallowtail.app.core.queries.rows import read_step, read_task
from swallowtail.app.core.schemas.schedules import NewSchedule
from swallowtail.app.core.services.schedules import add_schedule
from swallowtail.app.core.tables.artifacts import Artifact
from swallowtail.app.core.tables.instances import InstancePolicy
from swallowtail.app.core.tables.tasks import Step, Task
from tests.core.conftest import NewDomain
from tests.core.domain import Away, Domain, compute_by

KEY = f"one:{base64.b64encode(bytes(32)).decode()}"
PAYLOAD = {"text": "x" * 2000, "street": "Main Road 1", "password": "open sesame"}
PLAIN = {"text": "y" * 2000, "street": "Main Road 1"}


@pytest.fixture(params=["", KEY], ids=["open", "sealed"])
def domain(request: pytest.FixtureRequest, new_domain_on: NewDomain) -> Domain:
    domain = new_domain_on(inline_input_bytes=1024, inline_output_bytes=1024, encryption_keys=request.param)
    register(domain.db, [AgentCard(kind="any", title="Any", description="", version="1", input_schema={})])
    return domain


@pytest.fixture
def searched(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Every payload that is searched for secrets from now on."""
    payloads: list[Any] = []

    def counted(value: Any, rules: Any) -> Any:
        payloads.append(value)
        return walk(value, rules)

    walk = redaction._redact
    monkeypatch.setattr(redaction, "_redact", counted)
    return payloads


def _make(domain: Domain) -> int:
    """Store large values of every kind. Returns how many."""
    claim = domain.running(input=PAYLOAD)
    for key, output in (("a", {**PAYLOAD, "of": "step"}), ("b", PLAIN), ("c", "open sesame " * 200)):
        domain.perform(claim, key, output)
    domain.runs.complete(claim, {**PAYLOAD, "of": "task"})
    add_schedule(domain.rt, "demo", NewSchedule(name="S", kind="any", input=PAYLOAD, interval_seconds=60))
    return 6


def _read(domain: Domain) -> dict[str, ArtifactContent]:
    with domain.db.read() as session:
        ids = [row.id for row in session.query(Artifact)]
        return {one: read_artifact(session, one) for one in ids}


def _street(content: ArtifactContent) -> str:
    return str(orjson.loads(content.content)["street"]) if content.media_type == "application/json" else ""


def test_a_large_value_is_redacted_once(domain: Domain, searched: list[Any]) -> None:
    number = _make(domain)
    searched.clear()
    shown = _read(domain)
    assert len(shown) == number
    assert searched == []
    assert not any(b"open sesame" in one.content for one in shown.values())
    assert sum(b"[redacted:secret]" in one.content for one in shown.values()) == number - 1
    with domain.db.read() as session:
        for row in session.query(Artifact):
            assert (row.size, row.sha256) == (len(shown[row.id].content), shown[row.id].sha256)
        raw = [str(one) for one in session.scalars(text("SELECT CAST(content_shown AS TEXT) FROM artifact"))]
    sealed = domain.db.keyring.current is not None
    assert all(one.startswith('{"$sealed":"one:' if sealed else '{"of":') for one in raw)
    # Where nothing is hidden, only a hash is kept.
    assert sealed or sum(len(one) < 100 for one in raw) == 1


def test_an_artifact_of_an_older_version_is_redacted_at_the_first_read(domain: Domain, searched: list[Any]) -> None:
    number = _make(domain)
    shown = _read(domain)
    with domain.db.write() as session:
        session.execute(text("UPDATE artifact SET content_shown = NULL"))
    searched.clear()
    assert _read(domain) == shown
    assert len(searched) == number
    assert _read(domain) == shown
    assert len(searched) == number


def test_a_stricter_policy_hides_at_once(domain: Domain, searched: list[Any]) -> None:
    _make(domain)
    assert {_street(one) for one in _read(domain).values()} == {"", "Main Road 1"}
    with domain.db.write() as session:
        session.merge(InstancePolicy(instance_id="demo", secret_fields=["street"], updated_at=now()))
    domain.db.policies.forget()
    assert {_street(one) for one in _read(domain).values()} == {"", "[redacted:secret]"}
    searched.clear()
    assert {_street(one) for one in _read(domain).values()} == {"", "[redacted:secret]"}
    assert searched == []


def test_nothing_of_a_value_is_opened_encoded_or_hashed_where_it_would_hold_others_up(
    new_domain: NewDomain, monkeypatch: pytest.MonkeyPatch
) -> None:
    domain, away, held = new_domain(inline_output_bytes=4096), Away(), list[str]()
    claim = domain.running(input={"text": ["x"] * 900})
    domain.perform(claim, "inline", {"text": ["x"] * 900})
    domain.perform(claim, "apart", {"text": ["x"] * 4000})

    def record(module: str, name: str) -> None:
        work: Callable[..., Any] = getattr(__import__(module, fromlist=[name]), name)

        def recorded(*args: Any) -> Any:
            if not away.is_at_work:
                held.append(f"{module}.{name}")
            return work(*args)

        monkeypatch.setattr(f"{module}.{name}", recorded)

    for module, name in (
        ("swallowtail.app.core.payload_redaction.stored_redactions", "to_json"),
        ("swallowtail.app.core.payload_redaction.stored_redactions", "limit_depth"),
        ("swallowtail.app.core.payload_redaction.stored_redactions", "_hash"),
        ("swallowtail.app.core.payload_redaction.stored_redactions", "deserialize"),
        ("swallowtail.app.core.ledger.artifacts", "decrypt_bytes"),
        ("swallowtail.app.core.ledger.artifacts", "_split"),
    ):
        record(module, name)
    compute_by(domain, away)
    with domain.db.read() as session:
        read_task(session, claim.task_id)
        for step in session.query(Step):
            read_step(session, claim.task_id, step.id)
        (artifact,) = session.query(Artifact)
        read_artifact(session, artifact.id)
        assert session.get_one(Task, claim.task_id).input == {"text": ["x"] * 900}
    assert held == []
