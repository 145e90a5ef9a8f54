"""A view stores the redaction that it computed, unless the database is locked; it never waits for that."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

import pytest
from sqlalchemy import event, text, update
from sqlalchemy.exc import InvalidRequestError

from swallowtail.app.core.database.faults import REFUSALS
from swallowtail.app.core.tables.tasks import Task
from tests.core.conftest import NewDomain
from tests.core.domain import Domain
from tests.core.payloads.stored_redactions import clear_stored, make_task, read_views


def test_a_view_that_cannot_store_a_redaction_shows_it_nevertheless(new_domain: NewDomain) -> None:
    domain = new_domain()
    task_id = make_task(domain)
    shown = read_views(domain, task_id)
    clear_stored(domain)
    # On SQLite there is one writer at a time.
    with domain.db.write() as session:
        session.execute(update(Task).values(losses=0))
        assert read_views(domain, task_id) == shown


def test_a_view_that_cannot_store_a_redaction_at_once_does_not_wait_and_reports_nothing(
    domain: Domain, redacted: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    task_id = make_task(domain)
    shown = read_views(domain, task_id)
    clear_stored(domain)
    waits: list[float] = []
    monkeypatch.setattr("swallowtail.app.core.database.backoff.time.sleep", waits.append)
    refusals = _refusals()
    with ExitStack() as stack:
        writer = stack.enter_context(domain.db.engine.connect())
        writer.execution_options(swallowtail_write=True).begin()
        if domain.db.engine.dialect.name == "postgresql":
            # As the migration that adds a column, behind which every write waits.
            writer.execute(text("LOCK TABLE task, step IN EXCLUSIVE MODE"))
        assert read_views(domain, task_id) == shown
    redacted.clear()
    assert (waits, domain.db.write_fault, _refusals()) == ([], None, refusals)
    assert read_views(domain, task_id) == shown
    assert redacted, "nothing was stored"
    redacted.clear()
    assert read_views(domain, task_id) == shown
    assert redacted == []


def test_a_view_stores_a_redaction_when_every_connection_is_in_use(
    new_domain_on: NewDomain, redacted: list[Any]
) -> None:
    domain = new_domain_on(database_pool_size=1, database_pool_overflow=0, database_wait=3600)
    task_id = make_task(domain)
    shown = read_views(domain, task_id)
    clear_stored(domain)
    checkouts: list[object] = []
    event.listen(domain.db.engine, "checkout", lambda *args: checkouts.append(args))
    assert read_views(domain, task_id) == shown
    assert len(checkouts) == 1, "no second connection is used"
    redacted.clear()
    assert read_views(domain, task_id) == shown
    assert redacted == []
    _write_again(domain, task_id)


def _write_again(domain: Domain, task_id: str) -> None:
    """Check that the connection reads and writes as before."""
    with domain.db.write() as session:
        session.execute(update(Task).where(Task.id == task_id).values(losses=1))
    if domain.db.engine.dialect.name == "postgresql":
        with pytest.raises(InvalidRequestError), domain.db.read() as session:
            session.execute(update(Task).where(Task.id == task_id).values(losses=2))


def _refusals() -> list[float]:
    [metric] = REFUSALS.collect()
    return [sample.value for sample in metric.samples if sample.name.endswith("_total")]
