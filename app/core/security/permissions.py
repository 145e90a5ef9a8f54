"""Checks whether an actor may do something: REST, pages, command line, Socket.IO and schedules use these checks.

Non-members get NotFound; members without the role get Forbidden.
"""

from __future__ import annotations

from dataclasses import replace

from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from swallowtail.app.core.errors import Forbidden, NotFound, Unauthenticated
from swallowtail.app.core.events import now
from swallowtail.app.core.security.actors import Actor
from swallowtail.app.core.security.roles import LEAST_ROLE, OF_ONE_TASK, SUPERUSERS_ONLY, Act, Role
from swallowtail.app.core.tables.auth import AccessToken, Membership, User
from swallowtail.app.core.tables.instances import Instance
from swallowtail.app.core.tables.schedules import Schedule
from swallowtail.app.core.tables.tasks import Task

_RANK = {role: rank for rank, role in enumerate(Role)}


def require(session: Session, actor: Actor, act: Act, instance_id: str) -> None:
    """Check that an actor may do something in an instance.

    Raises NotFound if there is no such instance or the actor has no access to it, Unauthenticated, Forbidden.
    """
    require_authenticated(actor)
    if actor.is_trusted:
        return
    require_readable(actor)
    role = read_role(session, actor, instance_id)
    if role is None:
        raise NotFound("there is no such instance", field="instance_id")
    allowed = actor.acts if actor.kind != "front_end" else actor.acts or frozenset({Act.READ})
    if allowed is not None and act not in allowed:
        raise Forbidden(f"this token does not allow {act}")
    if act not in OF_ONE_TASK:
        require_all_tasks(actor)
    if actor.kind != "front_end" and _RANK[role] < _RANK[LEAST_ROLE[act]]:
        raise Forbidden(f"this requires the role {LEAST_ROLE[act]}; your role is {role}")


def require_task(session: Session, actor: Actor, act: Act, task_id: str) -> str:
    """Check that an actor may do something with a task and return its instance's id. Raises as `require` does."""
    query, is_hidden = select(Task.instance_id).where(Task.id == task_id), actor.task_id not in (None, task_id)
    return _require_object(session, actor, act, query, "task", is_hidden=is_hidden)


def require_schedule(session: Session, actor: Actor, act: Act, schedule_id: str) -> str:
    """Check that an actor may do something with a schedule and return its instance's id. Raises as `require` does."""
    query = select(Schedule.instance_id).where(Schedule.id == schedule_id)
    return _require_object(session, actor, act, query, "schedule", is_hidden=actor.task_id is not None)


def _require_object(session: Session, actor: Actor, act: Act, query: Select[str], noun: str, *, is_hidden: bool) -> str:
    require_authenticated(actor)
    missing = NotFound(f"there is no such {noun}", field=f"{noun}_id")
    instance_id = session.scalar(query)
    if instance_id is None or is_hidden:
        raise missing
    try:
        require(session, actor, act, instance_id)
    except NotFound:
        raise missing from None
    return instance_id


def confirm(session: Session, actor: Actor) -> Actor:
    """Return an actor as its user and token are now.

    Raises Unauthenticated if the token was revoked or has expired, or if the user was disabled or deleted.
    """
    require_authenticated(actor)
    if actor.is_trusted:
        return actor
    if actor.user_id is not None:
        state = select(User.disabled_at, User.is_superuser).where(User.id == actor.user_id)
        user = session.execute(state).one_or_none()
        if user is None or user.disabled_at is not None:
            raise _revoked(actor)
        actor = replace(actor, is_superuser=user.is_superuser and actor.kind == "user")
    if actor.token_id is not None:
        validity = select(AccessToken.revoked_at, AccessToken.expires_at).where(AccessToken.id == actor.token_id)
        token = session.execute(validity).one_or_none()
        if token is None or token.revoked_at is not None or (token.expires_at and token.expires_at <= now()):
            raise _revoked(actor)
    return actor


def _revoked(actor: Actor) -> Unauthenticated:
    refusal = Unauthenticated("this token was revoked")
    refusal.is_of_token, refusal.token_id = actor.token_id is not None, actor.token_id
    return refusal


def require_all_tasks(actor: Actor) -> None:
    """Raise Forbidden for a token of one task."""
    if actor.task_id is not None:
        raise Forbidden("this token is for one task")


def require_outside(actor: Actor, act: Act) -> None:
    """Check that an actor may do something outside of instances. Raises Unauthenticated, Forbidden."""
    require_authenticated(actor)
    if actor.is_trusted:
        return
    narrow = actor.instance_id is not None and act is not Act.READ_AGENTS
    # A token that may read an instance may also read the agents.
    allowed = Act.READ if act is Act.READ_AGENTS else act
    if narrow or (actor.acts is not None and act not in actor.acts and allowed not in actor.acts):
        raise Forbidden(f"this token does not allow {act}")
    if act in SUPERUSERS_ONLY and not actor.is_superuser:
        raise Forbidden("this requires a superuser")


def read_role(session: Session, actor: Actor, instance_id: str) -> Role | None:
    """Return an actor's role in an instance, None without one."""
    if actor.is_trusted:
        return Role.OWNER
    if actor.instance_id not in (None, instance_id):
        return None
    if actor.kind == "front_end":
        existing = session.scalar(select(Instance.id).where(Instance.id == instance_id))
        return Role.VIEWER if existing is not None else None
    key = (Membership.instance_id == instance_id, Membership.user_id == actor.user_id)
    role = session.scalar(select(Membership.role).where(*key))
    return None if role is None else Role(role)


def require_readable(actor: Actor) -> None:
    """Raise Forbidden for a token without reading: it must not reveal the instances of its user."""
    if actor.acts is not None and Act.READ not in actor.acts:
        raise Forbidden(f"this token does not allow {Act.READ}")


def require_authenticated(actor: Actor) -> None:
    """Raise Unauthenticated for an anonymous caller."""
    if actor.kind == "nobody":
        raise Unauthenticated
