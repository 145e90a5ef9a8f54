"""Reads and dates back the events and tasks of a test's instance, for the tests of retention."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from sqlalchemy import select, update

from swallowtail.app.core.database.database import db_now
from swallowtail.app.core.ledger.event_log import Head, read_events, read_head
from swallowtail.app.core.maintenance.retention import Policy, read_policy
from swallowtail.app.core.tables.instances import InstancePolicy
from swallowtail.app.core.tables.tasks import Event, Task
from tests.core.domain import Domain, numbers

EVERYTHING = Policy(events=0)


def head(domain: Domain, instance_id: str = "demo") -> Head:
    """Return the head of an instance's log."""
    with domain.db.read() as session:
        present = read_head(session, instance_id)
    assert present is not None
    return present


def stored(domain: Domain) -> list[int]:
    """Return the numbers of the stored events."""
    with domain.db.read() as session:
        return numbers(read_events(session, "demo", 0, 1_000_000))


def age(domain: Domain, days: float, *, first: int = 1, last: int = 1_000_000) -> None:
    """Date events back by so many days, and with them their tasks."""
    with domain.db.write() as session:
        moment = session.scalars(select(db_now())).one() - timedelta(days=days)
        session.execute(update(Event).where(Event.seq >= first, Event.seq <= last).values(created_at=moment))
        tasks = select(Event.task_id).where(Event.seq >= first, Event.seq <= last)
        session.execute(update(Task).where(Task.id.in_(tasks)).values(created_at=moment))
        session.execute(
            update(Task).where(Task.id.in_(tasks), Task.finished_at.is_not(None)).values(finished_at=moment)
        )


def completed(domain: Domain) -> str:
    """Return the id of a completed task, which has six events."""
    claim = domain.running()
    domain.perform(claim, "a")
    domain.runs.complete(claim, {})
    return claim.task_id


def set_policy(domain: Domain, **fields: Any) -> None:
    """Store the policy of the instance."""
    with domain.db.write() as session:
        session.merge(InstancePolicy(instance_id="demo", updated_at=session.scalars(select(db_now())).one(), **fields))


def policy_of(domain: Domain) -> Policy:
    """Return what the instance keeps."""
    with domain.db.read() as session:
        return read_policy(session, domain.settings, "demo")


def tasks(domain: Domain) -> set[str]:
    """Return the ids of the stored tasks."""
    with domain.db.read() as session:
        return set(session.scalars(select(Task.id)))
