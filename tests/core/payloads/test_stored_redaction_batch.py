"""Stored redactions are read with the rows of a page in one query, and decrypted in a worker thread."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from sqlalchemy import event

from swallowtail.app.core.ledger.agent_cards import AgentCard, register
from swallowtail.app.core.privacy.keyring import Keyring
from swallowtail.app.core.process.offload import SMALL
from swallowtail.app.core.queries.rows import list_tasks
from swallowtail.app.core.schemas.schedules import NewSchedule
from swallowtail.app.core.services.instance_export import export_instance
from swallowtail.app.core.services.schedules import add_schedule
from tests.core.conftest import NewDomain
from tests.core.domain import Away, Domain, compute_by

KEY = f"one:{base64.b64encode(bytes(32)).decode()}"


def _make(domain: Domain, number: int) -> None:
    payload = {"password": f"open sesame {number}", "text": "open"}
    claim = domain.running(input=payload)
    for key in "ab":
        domain.perform(claim, key, payload)
    domain.runs.complete(claim, payload)
    add_schedule(domain.rt, "demo", NewSchedule(name=f"S {number}", kind="any", input=payload, interval_seconds=60))


def _count_statements(domain: Domain) -> int:
    statements: list[str] = []

    def note(*args: Any) -> None:
        statements.append(str(args[2]))

    event.listen(domain.db.engine, "before_cursor_execute", note)
    try:
        lines = list(export_instance(domain.rt, "demo"))
    finally:
        event.remove(domain.db.engine, "before_cursor_execute", note)
    assert b"open sesame" not in b"".join(lines)
    assert b"[redacted:secret]" in b"".join(lines)
    return len(statements)


def test_an_export_asks_no_more_often_for_a_page_of_many_values_than_for_one_of_few(new_domain_on: NewDomain) -> None:
    domain = new_domain_on()
    register(domain.db, [AgentCard(kind="any", title="Any", description="", version="1", input_schema={})])
    _make(domain, 0)
    domain.db.policies.forget()
    few = _count_statements(domain)
    for number in range(1, 8):
        _make(domain, number)
    domain.db.policies.forget()
    assert _count_statements(domain) == few


def test_the_secret_texts_of_a_list_of_tasks_are_decrypted_in_a_thread(
    new_domain_on: NewDomain, monkeypatch: pytest.MonkeyPatch
) -> None:
    domain, away, opened = new_domain_on(encryption_keys=KEY), Away(), list[bool]()
    for number in range(60):
        domain.submit(input={"password": f"{number}" + "x" * SMALL}, title="T")
    domain.db.policies.forget()

    def recorded(keyring: Keyring, *args: Any) -> bytes:
        opened.append(away.is_at_work)
        return keep(keyring, *args)

    keep = Keyring.decrypt
    monkeypatch.setattr(Keyring, "decrypt", recorded)
    compute_by(domain, away)
    with domain.db.read() as session:
        assert len(list_tasks(session, "demo", limit=100)[0]) == 60
    assert opened == [True] * 60
