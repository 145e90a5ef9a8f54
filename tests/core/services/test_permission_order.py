"""Services check the permission before anything else: a refusal says nothing about the request or what it names."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from swallowtail.app.core.call_context import CallContext
from swallowtail.app.core.errors import Forbidden, InvalidInput, NotFound, SwallowtailError, Unauthenticated
from swallowtail.app.core.events import now
from swallowtail.app.core.identity.api_tokens import issue_front_end, issue_personal, revoke_front_end, revoke_own
from swallowtail.app.core.identity.authenticate import Tokens
from swallowtail.app.core.identity.members import remove_member, set_member
from swallowtail.app.core.identity.user_passwords import change_own_password, set_password
from swallowtail.app.core.identity.users import create_user, disable_user
from swallowtail.app.core.ledger.agent_cards import AgentCard, register
from swallowtail.app.core.schemas.identities import NewFrontEndToken, NewToken
from swallowtail.app.core.schemas.instances import NewPolicy
from swallowtail.app.core.schemas.schedules import NewSchedule
from swallowtail.app.core.schemas.tasks import NewTask
from swallowtail.app.core.security.actors import ANONYMOUS, Actor, Caller
from swallowtail.app.core.security.roles import Act
from swallowtail.app.core.services.instance_deletion import delete_instance
from swallowtail.app.core.services.instance_policy import put_policy
from swallowtail.app.core.services.instances import create_instance
from swallowtail.app.core.services.schedules import add_schedule
from swallowtail.app.core.services.tasks import retry, submit
from swallowtail.app.core.tables.auth import Membership, User
from tests.core.conftest import NewDomain
from tests.core.domain import Domain

Call = Callable[[CallContext, Domain], object]
#: Invalid requests to services of one instance.
IN_AN_INSTANCE: dict[str, Call] = {
    "a task of an unknown kind": lambda context, domain: submit(context, "demo", NewTask(kind="none")),
    "a large input of an unknown kind": lambda context, domain: submit(
        context, "demo", NewTask(kind="none", input={"text": "x" * 9000})
    ),
    "a retry from no step": lambda context, domain: retry(context, domain.events()[0].task_id, ""),
    "a schedule without a time": lambda context, domain: add_schedule(
        context, "demo", NewSchedule(name="", kind="none", input={})
    ),
    "a policy of negative days": lambda context, domain: put_policy(context, "demo", NewPolicy(event_days=-1.0)),
    "an unknown role": lambda context, domain: set_member(context, "demo", "ann", "king"),
    "a nameless member": lambda context, domain: set_member(context, "demo", "", "viewer"),
    "the removal of a nameless member": lambda context, domain: remove_member(context, "demo", ""),
    "an API token of unknown acts": lambda context, domain: issue_front_end(
        context, Tokens(domain.rt), "demo", NewFrontEndToken(name="", acts=["x"])
    ),
    "the revocation of no API token": lambda context, domain: revoke_front_end(context, "demo", "x"),
    "a deletion without confirmation": lambda context, domain: delete_instance(context, "demo", "x"),
}
#: Invalid requests to services that superusers use.
ABOUT_USERS: dict[str, Call] = {
    "a nameless user": lambda context, domain: create_user(context, "", "staple after staple"),
    "an empty password": lambda context, domain: set_password(context, "ann", ""),
    "a user that does not exist": lambda context, domain: disable_user(context, "nobody"),
}
#: Invalid requests about the caller's own things.
ABOUT_ONESELF: dict[str, Call] = {
    "a personal token of unknown acts": lambda context, domain: issue_personal(context, NewToken(name="", acts=["x"])),
    "a personal token for an invalid instance": lambda context, domain: issue_personal(
        context, NewToken(name="a", instance_id="no id")
    ),
    "the revocation of no personal token": lambda context, domain: revoke_own(context, "x"),
    "an instance without a name": lambda context, domain: create_instance(context, ""),
    "an empty password of one's own": lambda context, domain: change_own_password(context, "x", ""),
}


@pytest.fixture
def domain(new_domain_on: NewDomain) -> Domain:
    """An instance with a failed task, of which `olga` is the owner, `vera` a viewer and `ann` no member."""
    domain = new_domain_on()
    register(domain.db, [AgentCard("brief", "Brief", "", "1", {})])
    with domain.db.write() as session:
        session.add_all(User(id=name, name=name, generation=1, created_at=now()) for name in ("ann", "olga", "vera"))
        session.flush()
        for name, role in (("olga", "owner"), ("vera", "viewer")):
            session.add(Membership(instance_id="demo", user_id=name, role=role, created_at=now()))
    domain.failed()
    return domain


def by(domain: Domain, name: str, **more: object) -> CallContext:
    return domain.rt.by(Caller(Actor("user", name, name, user_id=name, **more), "rest"))  # type: ignore[arg-type]


def refusal_of(call: Call, context: CallContext, domain: Domain) -> type[SwallowtailError]:
    with pytest.raises(SwallowtailError) as refused:
        call(context, domain)
    return type(refused.value)


@pytest.mark.parametrize("what", IN_AN_INSTANCE)
def test_only_members_with_the_role_get_an_error_of_the_request(domain: Domain, what: str) -> None:
    call = IN_AN_INSTANCE[what]
    anonymous = domain.rt.by(Caller(ANONYMOUS, "rest"))
    refusals = [refusal_of(call, context, domain) for context in (anonymous, by(domain, "ann"), by(domain, "vera"))]
    assert refusals == [Unauthenticated, NotFound, Forbidden]
    assert refusal_of(call, by(domain, "olga"), domain) is InvalidInput


@pytest.mark.parametrize("what", ABOUT_USERS)
def test_only_superusers_get_an_error_of_a_request_about_users(domain: Domain, what: str) -> None:
    call = ABOUT_USERS[what]
    assert refusal_of(call, domain.rt.by(Caller(ANONYMOUS, "rest")), domain) is Unauthenticated
    assert refusal_of(call, by(domain, "olga"), domain) is Forbidden
    assert refusal_of(call, domain.rt, domain) in (InvalidInput, NotFound)


@pytest.mark.parametrize("what", ABOUT_ONESELF)
def test_only_tokens_that_allow_a_request_get_its_error(domain: Domain, what: str) -> None:
    call = ABOUT_ONESELF[what]
    assert refusal_of(call, domain.rt.by(Caller(ANONYMOUS, "rest")), domain) is Unauthenticated
    assert refusal_of(call, by(domain, "olga", acts=frozenset({Act.READ})), domain) is Forbidden
    assert refusal_of(call, by(domain, "olga"), domain) is InvalidInput


@pytest.mark.parametrize("values", [{"acts": ["x"]}, {"name": ""}, {"lifetime": -1.0}, {"acts": []}])
def test_a_personal_token_for_an_instance_of_others_is_refused_first(domain: Domain, values: dict[str, object]) -> None:
    """Order: the name, the acts and the lifetime were checked before the membership."""
    new = NewToken(**{"name": "ci", "instance_id": "demo", **values})  # type: ignore[arg-type]
    with pytest.raises(NotFound):
        issue_personal(by(domain, "ann"), new)
    with pytest.raises(InvalidInput):
        issue_personal(by(domain, "olga"), new)
