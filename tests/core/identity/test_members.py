"""Roles of members are set and removed, those of owners only by owners, and the last owner remains."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import select, update

from swallowtail.app.core.errors import Conflict, Forbidden, InvalidInput, NotFound
from swallowtail.app.core.events import now
from swallowtail.app.core.identity.members import list_members, remove_member, set_member
from swallowtail.app.core.runtime import Runtime
from swallowtail.app.core.security.actors import Actor, Caller
from swallowtail.app.core.security.permission_version import read_version
from swallowtail.app.core.security.roles import Role
from swallowtail.app.core.services.instances import create_instance
from swallowtail.app.core.tables.audit import AuditEntry
from swallowtail.app.core.tables.auth import AccessToken, Membership, User
from tests.harness.database.tables import create_tables
from tests.harness.settings import make_settings

PEOPLE = ("ann", "bob", "cid", "dora")


@pytest.fixture
def runtime(tmp_path: Path) -> Iterator[Runtime]:
    runtime = Runtime.build(make_settings(var_dir=tmp_path))
    create_tables(runtime.db.engine)
    with runtime.db.write() as session:
        session.add_all(User(id=name, name=name, created_at=now()) for name in PEOPLE)
    create_instance(by(runtime, "ann"), "Mine", "mine")
    yield runtime
    runtime.close()


def by(runtime: Runtime, name: str) -> Runtime:
    return runtime.by(Caller(Actor("user", name, name, user_id=name), "rest"))


def roles(runtime: Runtime) -> dict[str, str]:
    return {member["name"]: member["role"] for member in list_members(runtime, "mine")}


def version(runtime: Runtime) -> int:
    with runtime.db.read() as session:
        return read_version(session)


def test_an_owner_gives_changes_and_takes_roles_and_each_raises_the_version(runtime: Runtime) -> None:
    ann = by(runtime, "ann")
    before = version(runtime)
    assert set_member(ann, "mine", "Bob", "viewer")["role"] == "viewer"
    assert set_member(ann, "mine", "bob", "admin")["role"] == "admin"
    assert roles(ann) == {"ann": "owner", "bob": "admin"}
    set_member(ann, "mine", "bob", "admin")
    assert version(runtime) == before + 2
    remove_member(ann, "mine", "bob")
    assert (roles(ann), version(runtime)) == ({"ann": "owner"}, before + 3)


def test_every_change_of_a_role_is_audited(runtime: Runtime) -> None:
    ann = by(runtime, "ann")
    set_member(ann, "mine", "bob", "viewer")
    set_member(ann, "mine", "bob", "operator")
    remove_member(ann, "mine", "bob")
    with runtime.db.read() as session:
        query = select(AuditEntry).where(AuditEntry.action == "member.write").order_by(AuditEntry.number)
        entries = [(entry.actor_name, entry.object_id, entry.detail) for entry in session.scalars(query)]
    assert entries == [
        ("ann", "bob", {"name": "bob", "before": None, "after": "viewer"}),
        ("ann", "bob", {"name": "bob", "before": "viewer", "after": "operator"}),
        ("ann", "bob", {"name": "bob", "before": "operator", "after": None}),
    ]


def test_the_last_owner_can_neither_be_removed_nor_become_less(runtime: Runtime) -> None:
    ann = by(runtime, "ann")
    with pytest.raises(Conflict, match="the last owner"):
        remove_member(ann, "mine", "ann")
    with pytest.raises(Conflict, match="the last owner"):
        set_member(ann, "mine", "ann", "admin")
    set_member(ann, "mine", "bob", "owner")
    set_member(by(runtime, "bob"), "mine", "ann", "viewer")
    with pytest.raises(Conflict):
        remove_member(runtime, "mine", "bob")


def test_admins_manage_members_but_no_owners(runtime: Runtime) -> None:
    set_member(runtime, "mine", "bob", "admin")
    bob = by(runtime, "bob")
    set_member(bob, "mine", "cid", "admin")
    for call in (
        lambda: set_member(bob, "mine", "ann", "viewer"),
        lambda: remove_member(bob, "mine", "ann"),
        lambda: set_member(bob, "mine", "cid", "owner"),
    ):
        with pytest.raises(Forbidden, match="only an owner"):
            call()
    assert roles(bob) == {"ann": "owner", "bob": "admin", "cid": "admin"}


@pytest.mark.parametrize("role", ["viewer", "operator"])
def test_other_members_change_no_members_and_may_leave(runtime: Runtime, role: str) -> None:
    set_member(runtime, "mine", "bob", role)
    bob = by(runtime, "bob")
    for call in (
        lambda: list_members(bob, "mine"),
        lambda: set_member(bob, "mine", "cid", "viewer"),
        lambda: remove_member(bob, "mine", "ann"),
    ):
        with pytest.raises(Forbidden):
            call()
    remove_member(bob, "mine", "bob")
    assert roles(runtime) == {"ann": "owner"}


def test_non_members_do_not_find_the_instance(runtime: Runtime) -> None:
    dora = by(runtime, "dora")
    for instance_id in ("mine", "nowhere"):
        with pytest.raises(NotFound, match="there is no such instance"):
            list_members(dora, instance_id)
        with pytest.raises(NotFound, match="there is no such instance"):
            set_member(dora, instance_id, "dora", "owner")
    with pytest.raises(NotFound, match="there is no such instance"):
        set_member(runtime, "nowhere", "dora", "owner")


def test_errors_name_the_field(runtime: Runtime) -> None:
    with pytest.raises(NotFound, match="no such user"):
        set_member(runtime, "mine", "zoe", "viewer")
    with pytest.raises(InvalidInput, match="role must be one of viewer, operator, admin, owner"):
        set_member(runtime, "mine", "bob", "king")
    with pytest.raises(NotFound, match="there is no such member"):
        remove_member(runtime, "mine", "bob")


def test_an_owner_cannot_find_out_which_names_exist(runtime: Runtime) -> None:
    """The error for a name that exists and for one that does not is exactly the same."""
    with runtime.db.write() as session:
        session.add(User(id="0b7a2c9e-53f4", name="zoe", created_at=now()))
    ann = by(runtime, "ann")
    answers = []
    for act in (lambda name: set_member(ann, "mine", name, "viewer"), lambda name: remove_member(ann, "mine", name)):
        for name in ("zoe", "ZOE", "nobody"):
            with pytest.raises(NotFound) as refused:
                act(name)
            answers.append(refused.value.as_dict())
    assert answers == answers[:1] * 6
    assert set_member(ann, "mine", "0b7a2c9e-53f4", "viewer")["name"] == "zoe"
    assert set_member(ann, "mine", "zoe", "operator")["role"] == "operator"
    # Users who share one instance may know the name in another.
    create_instance(ann, "Other", "other")
    assert set_member(ann, "other", "zoe", "viewer")["role"] == "viewer"
    # A superuser manages the users, and may know all names.
    boss = runtime.by(Caller(Actor("user", "cid", "cid", user_id="cid", is_superuser=True), "rest"))
    assert set_member(ann, "mine", "cid", "admin")["role"] == "admin"
    with runtime.db.write() as session:
        session.add(User(id="9d", name="yan", created_at=now()))
    with pytest.raises(NotFound, match="no such user"):
        # The request was authenticated before `cid` was demoted.
        set_member(boss, "mine", "yan", "viewer")
    with runtime.db.write() as session:
        session.execute(update(User).where(User.id == "cid").values(is_superuser=True))
    assert set_member(boss, "mine", "yan", "viewer")["role"] == "viewer"


def test_the_id_of_one_user_is_not_read_as_the_name_of_another(runtime: Runtime) -> None:
    with runtime.db.write() as session:
        session.add_all(
            [User(id="7", name="eve", created_at=now()), User(id="8", name="7", created_at=now())],
        )
    assert set_member(runtime, "mine", "7", "viewer")["name"] == "eve"


def test_a_member_whose_name_is_the_id_of_another_removes_only_themselves(runtime: Runtime) -> None:
    with runtime.db.write() as session:
        session.add_all([User(id="7", name="eve", created_at=now()), User(id="8", name="7", created_at=now())])
    for user_id, role in (("7", "admin"), ("8", "viewer")):
        set_member(runtime, "mine", user_id, role)
    eight = runtime.by(Caller(Actor("user", "8", "7", user_id="8"), "rest"))
    with pytest.raises(Forbidden):
        remove_member(eight, "mine", "7")
    assert roles(runtime) == {"ann": "owner", "eve": "admin", "7": "viewer"}
    remove_member(eight, "mine", "8")
    assert roles(runtime) == {"ann": "owner", "eve": "admin"}


@pytest.mark.parametrize("after", [None, "operator"])
def test_api_tokens_are_revoked_when_their_creator_loses_the_role(runtime: Runtime, after: str | None) -> None:
    set_member(runtime, "mine", "bob", "admin")
    with runtime.db.write() as session:
        for user in ("ann", "bob"):
            session.add(
                AccessToken(id=user, kind="front_end", name="page", user_id=user, instance_id="mine", created_at=now())
            )
    if after is None:
        remove_member(runtime, "mine", "bob")
    else:
        set_member(runtime, "mine", "bob", after)
    with runtime.db.read() as session:
        revoked = {token.id: token.revoked_at is not None for token in session.scalars(select(AccessToken))}
        assert session.scalars(select(Membership.role).where(Membership.user_id == "ann")).one() == Role.OWNER
    assert revoked == {"ann": False, "bob": True}
