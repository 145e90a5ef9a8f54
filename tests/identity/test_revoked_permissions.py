"""A permission that ends between a request and its transaction: the change is refused and writes nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import select, update

from swallowtail.app.core.errors import Forbidden, SwallowtailError, Unauthenticated
from swallowtail.app.core.events import now
from swallowtail.app.core.identity import api_tokens, members, user_passwords, users
from swallowtail.app.core.runtime import Runtime
from swallowtail.app.core.schemas.identities import NewFrontEndToken, NewToken
from swallowtail.app.core.security.roles import Act, Role
from swallowtail.app.core.tables.auth import AccessToken, Membership, User
from tests.core.interleaving import before_next_commit
from tests.identity.bench import PASSWORD, Bench

NO_TOKEN = "00000000-0000-4000-8000-000000000000"
NEW = "staple after staple"
PAGE = NewFrontEndToken(name="page")

CHANGES: dict[str, Callable[[Bench, Runtime], object]] = {
    "create a user": lambda bench, rt: users.create_user(rt, "new", PASSWORD),
    "disable a user": lambda bench, rt: users.disable_user(rt, "ann"),
    "enable a user": lambda bench, rt: users.enable_user(rt, "ann"),
    "promote a user": lambda bench, rt: users.set_superuser(rt, "ann", is_superuser=True),
    "set a password": lambda bench, rt: user_passwords.set_password(rt, "ann", NEW),
    "change the own password": lambda bench, rt: user_passwords.change_own_password(rt, PASSWORD, NEW),
    "issue a personal token": lambda bench, rt: api_tokens.issue_personal(rt, NewToken(name="script")),
    "issue an API token": lambda bench, rt: api_tokens.issue_front_end(rt, bench.tokens, "mine", PAGE),
    "revoke a personal token": lambda bench, rt: api_tokens.revoke_own(rt, NO_TOKEN),
    "revoke an API token": lambda bench, rt: api_tokens.revoke_front_end(rt, "mine", NO_TOKEN),
    "set a member": lambda bench, rt: members.set_member(rt, "mine", "ann", "viewer"),
    "remove a member": lambda bench, rt: members.remove_member(rt, "mine", "adam"),
    "leave an instance": lambda bench, rt: members.remove_member(rt, "mine", "root"),
}
FOR_SUPERUSERS = [name for name in CHANGES if name.endswith("a user")] + ["set a password"]
FOR_ADMINS = ["issue an API token", "revoke an API token", "set a member", "remove a member"]


@pytest.fixture
def root(bench: Bench) -> Runtime:
    """Return the runtime for the superuser `root`, an owner of `mine`, where `adam` is an admin."""
    bench.add("adam", role=Role.ADMIN)
    bench.add("root", is_superuser=True, role=Role.OWNER)
    bench.add("other", is_superuser=True, role=Role.OWNER)
    return bench.by(bench.sign_in("root").actor)


def rows(bench: Bench) -> list[list[str]]:
    """Return all users, members and tokens."""
    with bench.rt.db.read() as session:
        return [
            sorted(map(str, session.execute(select(*table.__table__.columns)).all()))
            for table in (User, Membership, AccessToken)
        ]


def assert_refused(
    bench: Bench,
    monkeypatch: pytest.MonkeyPatch,
    runtime: Runtime,
    change: str,
    end: Any,
    error: type[SwallowtailError],
) -> None:
    """Check that a change is refused and writes nothing if the statement `end` runs before its transaction."""
    before: list[Any] = []

    def run_end() -> None:
        with bench.rt.db.write() as session:
            session.execute(end)
        before.append((rows(bench), bench.audit(), bench.audit("mine")))

    before_next_commit(monkeypatch, run_end)
    with pytest.raises(error):
        CHANGES[change](bench, runtime)
    assert before == [(rows(bench), bench.audit(), bench.audit("mine"))]


@pytest.mark.parametrize("change", CHANGES)
def test_a_user_who_is_disabled_meanwhile_changes_nothing(
    bench: Bench, root: Runtime, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    end = update(User).where(User.name == "root").values(disabled_at=now())
    assert_refused(bench, monkeypatch, root, change, end, Unauthenticated)


@pytest.mark.parametrize("change", CHANGES)
def test_a_session_that_is_revoked_meanwhile_changes_nothing(
    bench: Bench, root: Runtime, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    end = update(AccessToken).values(revoked_at=now())
    assert_refused(bench, monkeypatch, root, change, end, Unauthenticated)


@pytest.mark.parametrize("change", FOR_SUPERUSERS)
def test_a_superuser_who_is_demoted_meanwhile_changes_no_user(
    bench: Bench, root: Runtime, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    end = update(User).where(User.name == "root").values(is_superuser=False)
    assert_refused(bench, monkeypatch, root, change, end, Forbidden)


@pytest.mark.parametrize("change", FOR_ADMINS)
def test_a_member_whose_role_is_lowered_meanwhile_changes_nothing_of_the_instance(
    bench: Bench, root: Runtime, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    end = update(Membership).where(Membership.role == Role.OWNER).values(role=Role.VIEWER.value)
    assert_refused(bench, monkeypatch, root, change, end, Forbidden)


def test_an_owner_who_becomes_an_admin_meanwhile_appoints_no_owner(
    bench: Bench, root: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    end = update(Membership).where(Membership.role == Role.OWNER).values(role=Role.ADMIN.value)
    monkeypatch.setitem(CHANGES, "appoint", lambda bench, rt: members.set_member(rt, "mine", "adam", "owner"))
    assert_refused(bench, monkeypatch, root, "appoint", end, Forbidden)


def test_an_api_token_allows_nothing_that_its_creator_lost_meanwhile(
    bench: Bench, root: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    def issue(bench: Bench, rt: Runtime) -> object:
        new = NewFrontEndToken(name="page", acts=[Act.READ, Act.SUBMIT])
        return api_tokens.issue_front_end(rt, bench.tokens, "mine", new)

    monkeypatch.setitem(CHANGES, "issue", issue)
    end = update(Membership).where(Membership.role == Role.OWNER).values(role=Role.VIEWER.value)
    assert_refused(bench, monkeypatch, root, "issue", end, Forbidden)
