"""A permission that ends between a request and its transaction: the change is refused and leaves nothing."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from sqlalchemy import delete, update

from swallowtail.app.core.call_context import CallContext
from swallowtail.app.core.errors import Forbidden, NotFound, SwallowtailError, Unauthenticated
from swallowtail.app.core.events import now
from swallowtail.app.core.identity.api_tokens import issue_personal
from swallowtail.app.core.identity.members import remove_member, set_member
from swallowtail.app.core.identity.users import disable_user, set_superuser
from swallowtail.app.core.ledger.agent_cards import AgentCard, register
from swallowtail.app.core.schemas.identities import NewToken
from swallowtail.app.core.schemas.instances import NewPolicy
from swallowtail.app.core.schemas.schedules import NewSchedule
from swallowtail.app.core.schemas.tasks import NewTask
from swallowtail.app.core.security.actors import Actor, Caller
from swallowtail.app.core.services.instance_policy import put_policy
from swallowtail.app.core.services.instances import create_instance
from swallowtail.app.core.services.schedules import add_schedule, pause_schedule
from swallowtail.app.core.services.tasks import cancel, retry, submit
from swallowtail.app.core.tables.auth import AccessToken, Membership, User
from tests.core.conftest import NewDomain
from tests.core.domain import Domain
from tests.core.interleaving import before_next_commit

ANN = Actor("user", "ann", "ann", user_id="ann", is_superuser=True)
WITH_TOKEN = Actor("user", "ann", "ann", user_id="ann", token_id="token")
NAMES = ("ann", "max", "olga")
KIND = AgentCard("brief", "Brief", "", "1", {})

Change = Callable[[CallContext, Domain], object]
CHANGES: dict[str, Change] = {
    "submit": lambda context, domain: submit(context, "demo", NewTask(kind="brief", input={"text": "x"})),
    "submit a large input": lambda context, domain: submit(
        context, "demo", NewTask(kind="brief", input={"text": "x" * 2000})
    ),
    "cancel": lambda context, domain: cancel(context, task_of(domain)),
    "retry": lambda context, domain: retry(context, task_of(domain)),
    "add a schedule": lambda context, domain: add_schedule(context, "demo", plan("second")),
    "pause a schedule": lambda context, domain: pause_schedule(context, schedule_of(domain)),
    "set a member": lambda context, domain: set_member(context, "demo", "max", "viewer"),
    "put a policy": lambda context, domain: put_policy(context, "demo", NewPolicy(secret_fields=["iban"])),
}


def plan(name: str) -> NewSchedule:
    return NewSchedule(name=name, kind="brief", input={}, interval_seconds=60)


def task_of(domain: Domain) -> str:
    return domain.events()[0].task_id


def schedule_of(domain: Domain) -> str:
    with domain.db.read() as session:
        return str(session.connection().exec_driver_sql("SELECT id FROM schedule").scalar())


@pytest.fixture
def domain(new_domain_on: NewDomain) -> Domain:
    """An instance whose admin is `ann`, with a failed task and a schedule."""
    domain = new_domain_on()
    register(domain.db, [KIND])
    with domain.db.write() as session:
        session.add_all(User(id=name, name=name, is_superuser=True, generation=1, created_at=now()) for name in NAMES)
        session.flush()
        session.add(Membership(instance_id="demo", user_id="ann", role="admin", created_at=now()))
        session.add(AccessToken(id="token", kind="personal", user_id="ann", created_at=now()))
    domain.failed()
    add_schedule(domain.rt, "demo", plan("first"))
    return domain


def remove(domain: Domain) -> None:
    with domain.db.write() as session:
        session.execute(delete(Membership).where(Membership.user_id == "ann"))


def demote(domain: Domain) -> None:
    with domain.db.write() as session:
        session.execute(update(Membership).where(Membership.user_id == "ann").values(role="viewer"))


def disable(domain: Domain) -> None:
    with domain.db.write() as session:
        session.execute(update(User).where(User.id == "ann").values(disabled_at=now()))


def revoke(domain: Domain) -> None:
    with domain.db.write() as session:
        session.execute(update(AccessToken).values(revoked_at=now()))


TAKEN: dict[str, tuple[Callable[[Domain], None], type[SwallowtailError]]] = {
    "the member is removed": (remove, NotFound),
    "the member is demoted": (demote, Forbidden),
    "the user is disabled": (disable, Unauthenticated),
    "the token is revoked": (revoke, Unauthenticated),
}


@pytest.mark.parametrize("right", TAKEN)
@pytest.mark.parametrize("what", CHANGES)
def test_a_change_is_refused_when_the_right_to_it_ended_before_its_transaction(
    domain: Domain, monkeypatch: pytest.MonkeyPatch, what: str, right: str
) -> None:
    act, refusal = TAKEN[right]
    before = domain.events()
    before_next_commit(monkeypatch, lambda: act(domain))
    with pytest.raises(refusal):
        CHANGES[what](domain.rt.by(Caller(WITH_TOKEN, "rest")), domain)
    assert domain.events() == before


@pytest.mark.parametrize(
    "what",
    [
        lambda context: disable_user(context, "max"),
        lambda context: set_superuser(context, "max", is_superuser=False),
        lambda context: issue_personal(context, NewToken(name="script")),
        lambda context: create_instance(context, "New", "new"),
        lambda context: remove_member(context, "demo", "ann"),
    ],
)
def test_a_disabled_superuser_changes_nothing_any_more(
    domain: Domain, monkeypatch: pytest.MonkeyPatch, what: Callable[[CallContext], object]
) -> None:
    before_next_commit(monkeypatch, lambda: disable(domain))
    with pytest.raises(Unauthenticated):
        what(domain.rt.by(Caller(ANN, "rest")))


def test_a_superuser_who_was_demoted_meanwhile_cannot_manage_users(
    domain: Domain, monkeypatch: pytest.MonkeyPatch
) -> None:
    before_next_commit(monkeypatch, lambda: set_superuser(domain.rt, "ann", is_superuser=False))
    with pytest.raises(Forbidden):
        disable_user(domain.rt.by(Caller(ANN, "rest")), "max")


def test_a_demoted_superuser_is_limited_in_instances(new_domain_on: NewDomain) -> None:
    """Stale permission: the limit was applied to the actor of the request, not to the user as in the transaction."""
    domain = new_domain_on(max_user_instances=0)
    with domain.db.write() as session:
        session.add(User(id="ann", name="ann", is_superuser=False, generation=1, created_at=now()))
    with pytest.raises(Forbidden):
        create_instance(domain.rt.by(Caller(ANN, "rest")), "New", "new")
