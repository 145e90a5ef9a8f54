"""A permission that ends during a write on PostgreSQL: the write is refused, and does not delay the revocation."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import event, select

from swallowtail.app.core.errors import Forbidden, NotFound, SwallowtailError, Unauthenticated
from swallowtail.app.core.events import now
from swallowtail.app.core.identity.api_tokens import revoke_own
from swallowtail.app.core.identity.members import list_members, remove_member, set_member
from swallowtail.app.core.identity.user_passwords import set_password
from swallowtail.app.core.identity.users import disable_user, set_superuser
from swallowtail.app.core.ledger.agent_cards import AgentCard, register
from swallowtail.app.core.schemas.schedules import NewSchedule
from swallowtail.app.core.schemas.tasks import NewTask
from swallowtail.app.core.security.actors import Actor, Caller
from swallowtail.app.core.services.instances import create_instance
from swallowtail.app.core.services.schedules import add_schedule, remove_schedule
from swallowtail.app.core.services.tasks import submit
from swallowtail.app.core.tables.auth import AccessToken, Membership, User
from swallowtail.app.core.tables.schedules import Schedule
from tests.core.conftest import NewDomain
from tests.core.domain import Domain
from tests.core.interleaving import before_commit_of, before_statement
from tests.harness.waiting import PATIENCE, wait_until

TOKEN = "00000000-0000-4000-8000-000000000000"
ANN = Caller(Actor("user", "ann", "ann", user_id="ann", token_id=TOKEN), "rest")
ROOT = Caller(Actor("user", "root", "root", user_id="root", is_superuser=True), "rest")
NAMES = ("ann", "max", "root", *(f"user{number}" for number in range(8)))

REVOCATIONS: dict[str, tuple[Callable[[Domain], object], type[SwallowtailError]]] = {
    "the user is disabled": (lambda domain: disable_user(domain.rt, "ann"), Unauthenticated),
    "the password is changed": (lambda domain: set_password(domain.rt, "ann", "staple after staple"), Unauthenticated),
    "the token is revoked": (lambda domain: revoke_own(domain.rt.by(ANN), TOKEN), Unauthenticated),
    "the member is demoted": (lambda domain: set_member(domain.rt, "demo", "ann", "viewer"), Forbidden),
    "the member is removed": (lambda domain: remove_member(domain.rt, "demo", "ann"), NotFound),
}


@pytest.fixture
def both(new_postgres_domain: NewDomain) -> tuple[Domain, Domain]:
    """A process that writes, and one that takes permissions away and waits at most three seconds for a lock."""
    writer, revoker = new_postgres_domain(), new_postgres_domain(database_wait=3.0)
    register(writer.db, [AgentCard("brief", "Brief", "", "1", {})])
    with writer.db.write() as session:
        for name in NAMES:
            session.add(User(id=name, name=name, is_superuser=name in ("max", "root"), generation=1, created_at=now()))
        session.flush()
        session.add(Membership(instance_id="demo", user_id="ann", role="owner", created_at=now()))
        session.add(Membership(instance_id="demo", user_id="max", role="owner", created_at=now()))
        session.add(AccessToken(id=TOKEN, kind="personal", user_id="ann", created_at=now()))
    return writer, revoker


def write(domain: Domain) -> object:
    return submit(domain.rt.by(ANN), "demo", NewTask(kind="brief", input={}))


@pytest.mark.parametrize("moment", ["INSERT INTO task", "UPDATE instance SET seq", "INSERT INTO event"])
@pytest.mark.parametrize("what", REVOCATIONS)
def test_a_permission_that_ends_during_a_write_stops_it(both: tuple[Domain, Domain], what: str, moment: str) -> None:
    """Lost revocation: a write that was checked before a revocation was committed after it."""
    writer, revoker = both
    revoke, refusal = REVOCATIONS[what]
    before_statement(writer, moment, lambda: revoke(revoker))
    with pytest.raises(refusal):
        write(writer)
    assert writer.events() == []


@pytest.mark.parametrize("what", REVOCATIONS)
def test_no_revocation_waits_for_a_write_of_the_user(both: tuple[Domain, Domain], what: str) -> None:
    """Starvation: writers locked the rows of the user, the token and the member until their commits."""
    writer, revoker = both
    revoke, refusal = REVOCATIONS[what]
    before_commit_of(writer, "INSERT INTO task", lambda: revoke(revoker))
    write(writer)
    assert len(writer.events()) == 1
    with pytest.raises(refusal):
        write(writer)


def test_overlapping_writes_of_a_user_do_not_keep_an_operator_from_disabling_the_user(
    both: tuple[Domain, Domain],
) -> None:
    """Starvation: each write shared the lock of the user's row with the next, and the exclusive lock never came."""
    writer, revoker = both
    event.listen(writer.db.engine, "commit", lambda connection: time.sleep(0.1))
    writes: list[object] = []

    def write_on() -> None:
        while True:
            try:
                writes.append(write(writer))
            except Unauthenticated:
                return

    with ThreadPoolExecutor(4) as pool:
        streams = [pool.submit(write_on) for _ in range(4)]
        try:
            wait_until(lambda: len(writes) > 3, "writes overlap")
        finally:
            # Without this the streams would never end.
            disable_user(revoker.rt, "ann")
        for stream in streams:
            stream.result(PATIENCE)


def test_an_owner_makes_many_owners_at_once(both: tuple[Domain, Domain]) -> None:
    """Deadlock: each change shared the lock of the owner's row, and then wanted all owners' rows alone."""
    writer, _ = both
    before = deadlocks(writer)

    def change(name: str) -> None:
        set_member(writer.rt.by(ANN), "demo", name, "owner")
        set_member(writer.rt.by(ANN), "demo", name, "viewer")

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(change, NAMES[3:]))
    roles: list[Any] = [member["role"] for member in list_members(writer.rt, "demo")]
    assert sorted(roles) == ["owner"] * 2 + ["viewer"] * 8
    # Other tests use the same database.
    assert deadlocks(writer) == before


def deadlocks(domain: Domain) -> int:
    """Return how many deadlocks the server's log of this database has counted."""
    with domain.db.engine.connect() as connection:
        connection.exec_driver_sql("SELECT pg_stat_force_next_flush()")
        query = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
        return int(connection.exec_driver_sql(query).scalar() or 0)


def test_two_superusers_demote_each_other_and_the_second_is_refused(both: tuple[Domain, Domain]) -> None:
    """Write skew: each was checked before the other's change was committed."""
    writer, revoker = both
    demote = lambda: set_superuser(revoker.rt, "root", is_superuser=False)  # noqa: E731
    before_statement(writer, "SELECT pg_advisory_xact_lock", demote)
    with pytest.raises(Forbidden):
        set_superuser(writer.rt.by(ROOT), "max", is_superuser=False)
    with writer.db.read() as session:
        assert session.scalars(select(User.name).where(User.is_superuser.is_(True))).all() == ["max"]


def test_other_changes_of_permissions_do_not_fail_a_write(both: tuple[Domain, Domain]) -> None:
    """False refusal: the repeated check must not look for the schedule that the change itself has deleted."""
    writer, revoker = both
    new = NewSchedule(name="plan", kind="brief", input={}, interval_seconds=60)
    schedule_id = add_schedule(writer.rt, "demo", new)["id"]
    before_statement(writer, "DELETE FROM schedule", lambda: disable_user(revoker.rt, "max"))
    remove_schedule(writer.rt.by(ANN), schedule_id)
    before_statement(writer, "INSERT INTO instance", lambda: disable_user(revoker.rt, "user0"))
    create_instance(writer.rt.by(ANN), "New", "new")
    with writer.db.read() as session:
        assert session.scalars(select(Schedule.id)).all() == []
