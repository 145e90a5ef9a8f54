"""Permissions of roles and of limited tokens; to non-members, an instance looks as if it did not exist."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import select

from swallowtail.app.core.audit.writer import BEGINNING, hash_entry
from swallowtail.app.core.errors import Forbidden, NotFound, Unauthenticated
from swallowtail.app.core.events import now
from swallowtail.app.core.runtime import Runtime
from swallowtail.app.core.security.actors import ANONYMOUS, SYSTEM, Actor, Caller
from swallowtail.app.core.security.permissions import require, require_outside
from swallowtail.app.core.security.roles import LEAST_ROLE, Act, Role
from swallowtail.app.core.security.visibility import visible
from swallowtail.app.core.services.instances import create_instance
from swallowtail.app.core.tables.audit import AuditEntry
from swallowtail.app.core.tables.auth import Membership, User
from swallowtail.app.core.tables.instances import Instance
from tests.harness.database.tables import create_tables
from tests.harness.settings import make_settings

USER = Actor("user", "u1", "ann", user_id="u1")
FRONT_END = Actor("front_end", "t1", "page", token_id="t1", acts=frozenset({Act.READ}), instance_id="mine")


@pytest.fixture
def runtime(tmp_path: Path) -> Iterator[Runtime]:
    runtime = Runtime.build(make_settings(var_dir=tmp_path))
    create_tables(runtime.db.engine)
    for name in ("mine", "theirs"):
        create_instance(runtime, name, name)
    with runtime.db.write() as session:
        session.add(User(id="u1", name="ann", created_at=now()))
    yield runtime
    runtime.close()


def join(runtime: Runtime, role: Role) -> None:
    with runtime.db.write() as session:
        session.add(Membership(instance_id="mine", user_id="u1", role=role.value, created_at=now()))


@pytest.mark.parametrize("role", list(Role))
@pytest.mark.parametrize("act", list(LEAST_ROLE))
def test_a_role_allows_exactly_its_acts(runtime: Runtime, role: Role, act: Act) -> None:
    join(runtime, role)
    ranks = list(Role)
    with runtime.db.read() as session:
        if ranks.index(role) >= ranks.index(LEAST_ROLE[act]):
            require(session, USER, act, "mine")
        else:
            with pytest.raises(Forbidden):
                require(session, USER, act, "mine")


@pytest.mark.parametrize("instance_id", ["theirs", "nowhere"])
def test_an_instance_is_not_found_by_non_members(runtime: Runtime, instance_id: str) -> None:
    with runtime.db.read() as session, pytest.raises(NotFound, match="there is no such instance"):
        require(session, USER, Act.READ, instance_id)


def test_anonymous_callers_are_unauthenticated(runtime: Runtime) -> None:
    with runtime.db.read() as session, pytest.raises(Unauthenticated):
        require(session, ANONYMOUS, Act.READ, "mine")
    with pytest.raises(Unauthenticated):
        require_outside(ANONYMOUS, Act.READ_AGENTS)
    with pytest.raises(Unauthenticated):
        visible(ANONYMOUS)


def test_a_token_allows_no_more_than_it_says(runtime: Runtime) -> None:
    join(runtime, Role.OWNER)
    narrow = replace(USER, acts=frozenset({Act.READ, Act.SUBMIT}), instance_id="mine")
    with runtime.db.read() as session:
        require(session, narrow, Act.SUBMIT, "mine")
        with pytest.raises(Forbidden, match=r"does not allow task\.cancel"):
            require(session, narrow, Act.CANCEL, "mine")
        with pytest.raises(NotFound):
            require(session, narrow, Act.READ, "theirs")
    with pytest.raises(Forbidden):
        require_outside(narrow, Act.CREATE_INSTANCE)


@pytest.mark.parametrize(
    "acts", [{Act.READ_METRICS}, {Act.MANAGE_USERS, Act.CREATE_INSTANCE}, {Act.READ_AGENTS}, set()]
)
def test_a_token_that_allows_no_reading_learns_of_no_instance(runtime: Runtime, acts: set[Act]) -> None:
    """Neither lists nor single reads reveal instances: of the user, of other users, or missing ones."""
    join(runtime, Role.OWNER)
    blind = replace(USER, acts=frozenset(acts), is_superuser=True)
    with pytest.raises(Forbidden, match=r"does not allow instance\.read"):
        visible(blind)
    answers = set()
    with runtime.db.read() as session:
        for instance_id in ("mine", "theirs", "nowhere"):
            with pytest.raises(Forbidden) as refused:
                require(session, blind, Act.READ, instance_id)
            answers.add(str(refused.value))
    assert len(answers) == 1


def test_a_front_end_reads_its_instance_and_nothing_else(runtime: Runtime) -> None:
    with runtime.db.read() as session:
        require(session, FRONT_END, Act.READ, "mine")
        with pytest.raises(Forbidden):
            require(session, FRONT_END, Act.SUBMIT, "mine")
        with pytest.raises(NotFound):
            require(session, FRONT_END, Act.READ, "theirs")


@pytest.mark.parametrize(
    ("actor", "seen"),
    [(SYSTEM, ["mine", "theirs"]), (USER, ["mine"]), (FRONT_END, ["mine"])],
    ids=lambda x: str(x)[:20],
)
def test_lists_contain_only_readable_objects(runtime: Runtime, actor: Actor, seen: list[str]) -> None:
    join(runtime, Role.VIEWER)
    with runtime.db.read() as session:
        entry_rows = session.scalars(select(Instance.id).where(visible(actor)).order_by(Instance.id)).all()
    assert entry_rows == seen


def test_superusers_alone_keep_users(runtime: Runtime) -> None:
    require_outside(replace(USER, is_superuser=True), Act.MANAGE_USERS)
    with pytest.raises(Forbidden):
        require_outside(USER, Act.MANAGE_USERS)
    require_outside(USER, Act.CREATE_INSTANCE)


def test_the_creator_of_an_instance_owns_it_and_it_is_audited(runtime: Runtime) -> None:
    context = runtime.by(Caller(USER, "rest", "192.0.2.1"))
    create_instance(context, "New", "new")
    with runtime.db.read() as session:
        require(session, USER, Act.DELETE, "new")
        entries = session.scalars(select(AuditEntry)).all()
    assert [(e.scope, e.number, e.action, e.object_id, e.actor_name, e.address) for e in entries] == [
        ("new", 1, "instance.create", "new", "ann", "192.0.2.1")
    ]
    assert entries[0].previous_hash == BEGINNING
    assert entries[0].hash == hash_entry({c.name: getattr(entries[0], c.name) for c in AuditEntry.__table__.columns})
