"""Deleting an instance during concurrent writes: the writers get NotFound, and nothing is half written."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from sqlalchemy import func, select, update

from swallowtail.app.core.audit.reader import verify
from swallowtail.app.core.call_context import CallContext
from swallowtail.app.core.database.database import db_now
from swallowtail.app.core.errors import Conflict, LeaseLost, NotFound
from swallowtail.app.core.events import now
from swallowtail.app.core.identity.api_tokens import issue_front_end
from swallowtail.app.core.identity.authenticate import Tokens
from swallowtail.app.core.identity.members import set_member
from swallowtail.app.core.ledger.agent_cards import AgentCard, register
from swallowtail.app.core.schemas.identities import NewFrontEndToken
from swallowtail.app.core.schemas.instances import DeletedRows, NewPolicy
from swallowtail.app.core.schemas.schedules import NewSchedule
from swallowtail.app.core.schemas.tasks import NewTask
from swallowtail.app.core.security.actors import SYSTEM_CALLER, Actor, Caller
from swallowtail.app.core.services.instance_deletion import delete_instance
from swallowtail.app.core.services.instance_policy import put_policy
from swallowtail.app.core.services.schedule_firing import fire_due
from swallowtail.app.core.services.schedules import add_schedule
from swallowtail.app.core.services.tasks import submit
from swallowtail.app.core.tables.audit import AuditEntry
from swallowtail.app.core.tables.auth import Membership, User
from swallowtail.app.core.tables.base import Base
from swallowtail.app.core.tables.schedules import Schedule
from tests.core.conftest import NewDomain
from tests.core.domain import Domain
from tests.core.interleaving import ThreadedAct, before_commit_of, before_next_commit, before_statement

CARD = AgentCard("brief", "Brief", "", "1", {"type": "object"})
#: Tables with rows of an instance, except the audit log.
THEIRS = (
    "access_token", "artifact", "event", "instance", "instance_policy", "membership", "outbox", "schedule", "slot",
    "step", "task",
)  # fmt: skip
KEY = "k" * 40
OLGA = Caller(Actor("user", "olga", "olga", user_id="olga"), "rest")
PLAN = NewSchedule(name="plan", kind="brief", input={}, interval_seconds=60)

Write = Callable[[CallContext], object]
WRITES: dict[str, Write] = {
    "a submission": lambda context: submit(context, "demo", NewTask(kind="brief", input={"text": "x"})),
    "a schedule": lambda context: add_schedule(context, "demo", PLAN),
    "a member": lambda context: set_member(context, "demo", "max", "viewer"),
    "a policy": lambda context: put_policy(context, "demo", NewPolicy(secret_fields=["iban"])),
    "a token": lambda context: issue_front_end(context, Tokens(context), "demo", NewFrontEndToken(name="page")),
}
#: The first statement of each write.
FIRST = {
    "a submission": "INSERT INTO task",
    "a schedule": "INSERT INTO schedule",
    "a member": "INSERT INTO membership",
    "a policy": "INSERT INTO instance_policy",
    "a token": "INSERT INTO access_token",
}


def prepare(domain: Domain) -> Domain:
    """Add an owner of the instance, an agent and another user."""
    register(domain.db, [CARD])
    with domain.db.write() as session:
        for name in ("olga", "max"):
            session.add(User(id=name, name=name, is_superuser=False, generation=1, created_at=now()))
        session.flush()
        session.add(Membership(instance_id="demo", user_id="olga", role="owner", created_at=now()))
    return domain


@pytest.fixture
def writer(new_domain_on: NewDomain) -> Domain:
    return prepare(new_domain_on(secret_key=KEY))


@pytest.fixture
def remover(new_domain_on: NewDomain, writer: Domain) -> Domain:
    """Another process on the same database."""
    return new_domain_on()


@pytest.fixture
def there(new_postgres_domain: NewDomain) -> tuple[Domain, Domain]:
    """A writer and a remover on PostgreSQL, where two transactions write at the same time."""
    return prepare(new_postgres_domain(secret_key=KEY)), new_postgres_domain()


def remove(domain: Domain) -> DeletedRows:
    return delete_instance(domain.rt, "demo", "demo")


def left(domain: Domain) -> dict[str, int]:
    """Return the number of rows of each table that has rows."""
    with domain.db.read() as session:
        counts = {name: session.scalar(select(func.count()).select_from(Base.metadata.tables[name])) for name in THEIRS}
    return {name: count for name, count in counts.items() if count}


def audited(domain: Domain) -> list[str]:
    """Return the audited actions of the instance; the chain must be whole."""
    with domain.db.read() as session:
        assert verify(session, "demo").is_whole
        query = select(AuditEntry.action).where(AuditEntry.scope == "demo").order_by(AuditEntry.number)
        return list(session.scalars(query))


@pytest.mark.parametrize("what", WRITES)
def test_a_write_checked_before_the_deletion_is_refused_after_it(
    writer: Domain, remover: Domain, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before_next_commit(monkeypatch, lambda: remove(remover))
    with pytest.raises(NotFound) as refused:
        WRITES[what](writer.rt.by(OLGA))
    assert refused.value.field == "instance_id"
    assert left(writer) == {}
    assert audited(writer) == []


@pytest.mark.parametrize("caller", [SYSTEM_CALLER, OLGA], ids=["system", "owner"])
@pytest.mark.parametrize("what", sorted(WRITES.keys() - {"a member"}))
def test_a_late_write_of_a_process_that_read_the_instance_is_refused(
    there: tuple[Domain, Domain], what: str, caller: Caller
) -> None:
    writer, remover = there
    before_statement(writer, FIRST[what], lambda: remove(remover))
    with pytest.raises(NotFound) as refused:
        WRITES[what](writer.rt.by(caller))
    assert refused.value.field == "instance_id"
    assert left(writer) == {}
    assert audited(writer) == []


def test_the_end_waits_for_a_change_of_members_that_was_checked(there: tuple[Domain, Domain]) -> None:
    writer, remover = there
    end = ThreadedAct(lambda: remove(remover))
    before_statement(writer, FIRST["a member"], lambda: end.start_and_wait_for_lock(remover))
    with end.ended():
        WRITES["a member"](writer.rt.by(OLGA))
    assert end.fault is None
    assert left(writer) == {}


@pytest.mark.parametrize("what", WRITES)
def test_a_write_that_waits_for_the_deletion_is_refused(there: tuple[Domain, Domain], what: str) -> None:
    writer, remover = there
    # The first transaction of the deletion removes members other than the caller.
    late = ThreadedAct(lambda: WRITES[what](writer.rt.by(OLGA)))
    before_commit_of(remover, "DELETE FROM instance ", lambda: late.start_and_wait_for_lock(remover))
    keep_owner(remover)
    with late.ended():
        remove(remover)
    assert isinstance(late.fault, NotFound)
    assert left(writer) == {}


def keep_owner(domain: Domain) -> None:
    """Delete as the owner: the caller keeps access until the end."""
    domain.rt = domain.rt.by(OLGA)


@pytest.mark.parametrize("what", WRITES)
def test_a_write_committed_while_the_deletion_waits_is_deleted_too(there: tuple[Domain, Domain], what: str) -> None:
    writer, remover = there
    end = ThreadedAct(lambda: remove(remover))
    before_commit_of(writer, FIRST[what], lambda: end.start_and_wait_for_lock(remover))
    with end.ended():
        WRITES[what](writer.rt.by(OLGA))
    assert end.fault is None
    assert left(writer) == {}


def test_the_second_of_two_concurrent_deletions_is_not_found(
    writer: Domain, remover: Domain, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer.submit()
    before_next_commit(monkeypatch, lambda: remove(remover))
    with pytest.raises(NotFound):
        delete_instance(writer.rt.by(OLGA), "demo", "demo")
    assert left(writer) == {}
    assert audited(writer) == []


def test_an_instance_that_got_the_id_since_is_left_alone(
    writer: Domain, remover: Domain, monkeypatch: pytest.MonkeyPatch
) -> None:
    def replace() -> None:
        remove(remover)
        remover.create_instance("Another", "demo")
        remover.submit()

    before_next_commit(monkeypatch, replace)
    with pytest.raises(Conflict):
        remove(writer)
    assert left(writer) == {"instance": 1, "task": 1, "outbox": 1, "event": 1}


def test_a_step_that_ends_after_the_end_is_not_saved_and_its_run_learns_it(
    writer: Domain, remover: Domain, monkeypatch: pytest.MonkeyPatch
) -> None:
    claim = writer.running()
    writer.runs.start_step(claim, "one", "Agent", "work")
    before_next_commit(monkeypatch, lambda: remove(remover))
    with pytest.raises(LeaseLost):
        writer.runs.finish_step(claim, "one", "out")
    assert left(writer) == {}
    for write in (
        lambda: writer.runs.start_step(claim, "two", "Agent", "work"),
        lambda: writer.runs.complete(claim, {}),
        lambda: writer.runs.retry_later(claim, {"code": "exception", "message": "It broke"}, 0.0),
    ):
        with pytest.raises(LeaseLost):
            write()
    assert not writer.runs.heartbeat(claim, 50, "").alive
    assert writer.runs.claim(claim.task_id, 2, "worker") is None
    assert left(writer) == {}


def test_a_step_that_is_being_saved_is_waited_for_and_then_deleted(there: tuple[Domain, Domain]) -> None:
    writer, remover = there
    claim = writer.running()
    writer.runs.start_step(claim, "one", "Agent", "work")
    end = ThreadedAct(lambda: remove(remover))
    before_commit_of(writer, "UPDATE step", lambda: end.start_and_wait_for_lock(remover))
    with end.ended():
        wrote = writer.runs.finish_step(claim, "one", "out" * 50_000)
    assert wrote.seq == 5
    assert end.fault is None
    assert left(writer) == {}


def test_a_run_and_the_end_that_wait_for_each_other_are_parted(there: tuple[Domain, Domain]) -> None:
    """A run locks a task that was added after the others were deleted, and waits for the instance's counter."""
    writer, remover = there
    claims = [writer.running()]
    writer.runs.start_step(claims[0], "one", "Agent", "work")

    def come_late() -> None:
        claims.append(writer.running())
        writer.runs.start_step(claims[1], "one", "Agent", "work")

    step = ThreadedAct(lambda: writer.runs.finish_step(claims[1], "one", "out"))
    before_statement(remover, "DELETE FROM event", come_late)
    before_statement(remover, "DELETE FROM instance ", lambda: step.start_and_wait_for_lock(remover))
    with step.ended():
        remove(remover)
    assert step.fault is None or isinstance(step.fault, LeaseLost), step.fault
    assert left(writer) == {}


def due(domain: Domain) -> None:
    """Add a schedule whose first slot is due."""
    add_schedule(domain.rt, "demo", PLAN)
    with domain.db.write() as session:
        moment = session.scalars(select(db_now())).one()
        session.execute(update(Schedule).values(created_at=moment - timedelta(seconds=60), next_slot_at=moment))


def test_a_schedule_that_is_due_after_the_end_fires_nothing(
    writer: Domain, remover: Domain, monkeypatch: pytest.MonkeyPatch
) -> None:
    due(writer)
    before_next_commit(monkeypatch, lambda: remove(remover))
    fire_due(writer.rt)
    assert left(writer) == {}
    assert fire_due(writer.rt) == 0


def test_a_slot_that_is_being_fired_is_waited_for_and_then_deleted_with_its_task(there: tuple[Domain, Domain]) -> None:
    writer, remover = there
    due(writer)
    end = ThreadedAct(lambda: remove(remover))
    before_commit_of(writer, "INSERT INTO slot", lambda: end.start_and_wait_for_lock(remover))
    with end.ended():
        assert fire_due(writer.rt) == 1
    assert end.outcome == DeletedRows(tasks=1, events=2), end.fault
    assert left(writer) == {}
