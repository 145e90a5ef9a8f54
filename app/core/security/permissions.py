"""Who may see and do what: the one place where it is decided. Every entrance to the road comes through here.

An `Actor` is who asks, as `core/identity` found out; `require` decides whether they may. What somebody is no member of
looks to them as if it were not there (`NotFound`); what their role does not allow is told (`Forbidden`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Literal

from sqlalchemy import ColumnElement, select, true
from sqlalchemy.orm import Session

from swallowtail.app.core.errors import Forbidden, NotFound, Unauthenticated
from swallowtail.app.core.events import now
from swallowtail.app.core.tables.auth import AccessToken, Membership, User
from swallowtail.app.core.tables.instances import Instance
from swallowtail.app.core.tables.schedules import Schedule
from swallowtail.app.core.tables.tasks import Task


class Role(StrEnum):
    """What a member is to an instance; each may do what those before it may."""

    #: Sees everything.
    VIEWER = "viewer"
    #: Submits, cancels and retries tasks, and keeps schedules.
    OPERATOR = "operator"
    #: Keeps members, tokens and the policy, and reads the audit log.
    ADMIN = "admin"
    #: Exports and deletes the instance, and makes others owners.
    OWNER = "owner"


class Act(StrEnum):
    """One kind of thing that may be allowed. The value is its name in tokens and in the audit log."""

    #: Read tasks, steps, events and schedules, and watch them.
    READ = "instance.read"
    SUBMIT = "task.submit"
    CANCEL = "task.cancel"
    RETRY = "task.retry"
    SCHEDULE = "schedule.write"
    MINT = "token.mint"
    READ_MEMBERS = "member.read"
    KEEP_MEMBERS = "member.write"
    KEEP_POLICY = "policy.write"
    READ_AUDIT = "audit.read"
    EXPORT = "instance.export"
    DELETE = "instance.delete"
    #: Forget old events and tasks before their time.
    PRUNE = "instance.prune"
    RENEW_EPOCH = "instance.renew_epoch"
    #: These belong to no instance.
    CREATE_INSTANCE = "instance.create"
    READ_AGENTS = "agent.read"
    KEEP_OWN_TOKENS = "own_token.write"
    KEEP_USERS = "user.write"
    #: What is about every instance at once: the keys that payloads are sealed with, and epochs after a restore.
    KEEP_DEPLOYMENT = "deployment.write"
    READ_SYSTEM_AUDIT = "system_audit.read"
    READ_METRICS = "metrics.read"


#: The least role that may do something in an instance.
LEAST_ROLE = {
    Act.READ: Role.VIEWER,
    Act.SUBMIT: Role.OPERATOR,
    Act.CANCEL: Role.OPERATOR,
    Act.RETRY: Role.OPERATOR,
    Act.SCHEDULE: Role.OPERATOR,
    Act.MINT: Role.ADMIN,
    Act.READ_MEMBERS: Role.ADMIN,
    Act.KEEP_MEMBERS: Role.ADMIN,
    Act.KEEP_POLICY: Role.ADMIN,
    Act.READ_AUDIT: Role.ADMIN,
    Act.EXPORT: Role.OWNER,
    Act.DELETE: Role.OWNER,
    Act.PRUNE: Role.OWNER,
    Act.RENEW_EPOCH: Role.OWNER,
}
#: What superusers alone may do; the other acts outside of instances are everybody's who is known.
SUPERUSERS_ONLY = frozenset({Act.KEEP_USERS, Act.KEEP_DEPLOYMENT, Act.READ_SYSTEM_AUDIT, Act.READ_METRICS})
#: What a token for one task may allow: whatever else an instance knows is about more than the task.
OF_ONE_TASK = frozenset({Act.READ, Act.CANCEL, Act.RETRY})
#: Most ids in one query; SQLite has a limit on parameters.
_AT_ONCE = 500
_RANK = {role: rank for rank, role in enumerate(Role)}

ActorKind = Literal["system", "open", "user", "front_end", "nobody"]
Entrance = Literal["system", "rest", "ui", "cli", "socket", "beat"]


@dataclass(frozen=True, slots=True)
class Actor:
    """Who asks. `system` (our own processes) and `open` (anybody, where that is set) may do everything."""

    kind: ActorKind
    #: Id of the user, or of the token that stands for one front end.
    id: str
    name: str
    user_id: str | None = None
    token_id: str | None = None
    is_superuser: bool = False
    #: What the token allows at most; None: all that the user may.
    acts: frozenset[Act] | None = None
    #: The one instance, and the one task in it, that the token is for.
    instance_id: str | None = None
    task_id: str | None = None
    #: The fields of `data` that the token lets its bearer see; None: all.
    fields: frozenset[str] | None = None
    expires_at: datetime | None = None

    @property
    def is_trusted(self) -> bool:
        """Whether nothing is asked about memberships."""
        return self.kind in ("system", "open")

    def is_same_bearer(self, other: Actor) -> bool:
        """Tell whether another token stands for the same: one user, or one front end, with the same view."""
        who = self.user_id if self.kind == "user" else None
        its = other.user_id if other.kind == "user" else None
        views = [(actor.kind, actor.instance_id, actor.task_id, actor.fields) for actor in (self, other)]
        return who == its and views[0] == views[1] and self.kind in ("user", "front_end")


SYSTEM = Actor("system", "system", "system")
OPEN = Actor("open", "anybody", "anybody", is_superuser=True)
NOBODY = Actor("nobody", "", "")


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks, by which entrance, and from which address."""

    actor: Actor
    entrance: Entrance
    address: str = ""


THE_SYSTEM = Caller(SYSTEM, "system")


def require(session: Session, actor: Actor, act: Act, instance_id: str, *, hold: bool = False) -> None:
    """Let an actor do something in an instance, or raise.

    With `hold`, for a change: the membership stays as it is until the transaction ends.

    Raises:
        Unauthenticated: nobody said who they are.
        NotFound: there is no such instance, or none for this actor.
        Forbidden: the actor sees the instance but may not do this.
    """
    refuse_nobody(actor)
    if actor.is_trusted:
        return
    _refuse_blind(actor)
    role = read_role(session, actor, instance_id, hold=hold)
    if role is None:
        raise NotFound("there is no such instance", field="instance_id")
    allowed = actor.acts if actor.kind != "front_end" else actor.acts or frozenset({Act.READ})
    if allowed is not None and act not in allowed:
        raise Forbidden(f"this token does not allow {act}")
    if act not in OF_ONE_TASK:
        require_whole(actor)
    if actor.kind != "front_end" and _RANK[role] < _RANK[LEAST_ROLE[act]]:
        raise Forbidden(f"this requires the role {LEAST_ROLE[act]}; your role is {role}")


def require_task(session: Session, actor: Actor, act: Act, task_id: str, *, hold: bool = False) -> str:
    """Let an actor do something with a task, or raise as `require` does; returns the id of the task's instance."""
    refuse_nobody(actor)
    instance_id = session.scalar(select(Task.instance_id).where(Task.id == task_id))
    if instance_id is None or actor.task_id not in (None, task_id):
        raise NotFound("there is no such task", field="task_id")
    _require_inside(session, actor, act, instance_id, NotFound("there is no such task", field="task_id"), hold)
    return instance_id


def require_schedule(session: Session, actor: Actor, act: Act, schedule_id: str, *, hold: bool = False) -> str:
    """Let an actor do something with a schedule, or raise as `require` does; returns the id of its instance."""
    refuse_nobody(actor)
    missing = NotFound("there is no such schedule", field="schedule_id")
    instance_id = session.scalar(select(Schedule.instance_id).where(Schedule.id == schedule_id))
    if instance_id is None or actor.task_id is not None:
        raise missing
    _require_inside(session, actor, act, instance_id, missing, hold)
    return instance_id


def confirm(session: Session, actor: Actor, *, alone: bool = False) -> Actor:
    """Return an actor as its user and token are in this transaction, which holds both until it ends.

    Args:
        session: of a transaction that writes.
        actor: as it was when the caller was identified.
        alone: whether no other transaction may hold the user meanwhile.

    Raises:
        Unauthenticated: the token was revoked or has expired, or the user was disabled or deleted.
    """
    refuse_nobody(actor)
    if actor.is_trusted:
        return actor
    # The user before the token, as where both are changed.
    if actor.user_id is not None:
        query = select(User.disabled_at, User.is_superuser).where(User.id == actor.user_id)
        user = session.execute(query.with_for_update(read=not alone)).one_or_none()
        if user is None or user.disabled_at is not None:
            raise _revoked(actor)
        actor = replace(actor, is_superuser=user.is_superuser and actor.kind == "user")
    if actor.token_id is not None:
        mine = select(AccessToken.revoked_at, AccessToken.expires_at).where(AccessToken.id == actor.token_id)
        token = session.execute(mine.with_for_update(read=True)).one_or_none()
        if token is None or token.revoked_at is not None or (token.expires_at and token.expires_at <= now()):
            raise _revoked(actor)
    return actor


def _revoked(actor: Actor) -> Unauthenticated:
    refusal = Unauthenticated("this token was revoked")
    refusal.is_of_token, refusal.token_id = actor.token_id is not None, actor.token_id
    return refusal


def require_whole(actor: Actor) -> None:
    """Raise Forbidden when a token is for one task and what is asked for is about more."""
    if actor.task_id is not None:
        raise Forbidden("this token is for one task")


def require_known(actor: Actor) -> None:
    """Raise Unauthenticated when nobody said who they are."""
    refuse_nobody(actor)


def require_outside(actor: Actor, act: Act) -> None:
    """Let an actor do something that belongs to no instance, or raise Unauthenticated or Forbidden."""
    refuse_nobody(actor)
    if actor.is_trusted:
        return
    narrow = actor.instance_id is not None and act is not Act.READ_AGENTS
    # What can be submitted is part of reading an instance, and no tenant's.
    allowed = Act.READ if act is Act.READ_AGENTS else act
    if narrow or (actor.acts is not None and act not in actor.acts and allowed not in actor.acts):
        raise Forbidden(f"this token does not allow {act}")
    if act in SUPERUSERS_ONLY and not actor.is_superuser:
        raise Forbidden("this requires a superuser")


def read_role(session: Session, actor: Actor, instance_id: str, *, hold: bool = False) -> Role | None:
    """Return an actor's role in an instance, None without one; with `hold` it is locked against changes."""
    if actor.is_trusted:
        return Role.OWNER
    if actor.instance_id not in (None, instance_id):
        return None
    if actor.kind == "front_end":
        there = session.scalar(select(Instance.id).where(Instance.id == instance_id))
        return Role.VIEWER if there is not None else None
    mine = (Membership.instance_id == instance_id, Membership.user_id == actor.user_id)
    query = select(Membership.role).where(*mine)
    role = session.scalar(query.with_for_update(read=True) if hold else query)
    return None if role is None else Role(role)


def find_readable(session: Session, pairs: Collection[tuple[Actor, str]]) -> set[tuple[Actor, str]]:
    """Return those of many pairs of an actor and an instance in which the actor may read it: few queries for all."""
    members = {actor.user_id for actor, _ in pairs if actor.kind == "user" and actor.user_id}
    joined: set[tuple[str, str]] = set()
    for ids in batched(sorted(members)):
        rows = session.execute(select(Membership.user_id, Membership.instance_id).where(Membership.user_id.in_(ids)))
        joined.update((row.user_id, row.instance_id) for row in rows)
    there: set[str] = set()
    for ids in batched(sorted({instance_id for actor, instance_id in pairs if actor.kind == "front_end"})):
        there.update(session.scalars(select(Instance.id).where(Instance.id.in_(ids))))
    return {pair for pair in pairs if _may_read(*pair, joined, there)}


def _may_read(actor: Actor, instance_id: str, joined: Collection[tuple[str, str]], there: Collection[str]) -> bool:
    if actor.is_trusted:
        return True
    if actor.instance_id not in (None, instance_id) or (actor.acts is not None and Act.READ not in actor.acts):
        return False
    if actor.kind == "front_end":
        return instance_id in there
    return actor.kind == "user" and (actor.user_id or "", instance_id) in joined


def batched(ids: Sequence[str]) -> Iterator[Sequence[str]]:
    """Yield ids in portions that one query takes."""
    for start in range(0, len(ids), _AT_ONCE):
        yield ids[start : start + _AT_ONCE]


def list_allowed(session: Session, actor: Actor, instance_id: str) -> frozenset[Act]:
    """Return what an actor may do in an instance, for menus; whatever is asked for is decided by `require` again."""
    allowed = set()
    for act in LEAST_ROLE:
        try:
            require(session, actor, act, instance_id)
        except (Forbidden, NotFound):
            continue
        allowed.add(act)
    return frozenset(allowed)


def visible(actor: Actor) -> ColumnElement[bool]:
    """Return the condition on `Instance` that leaves those which an actor may read.

    Raises:
        Unauthenticated: nobody said who they are.
        Forbidden: the token does not allow reading.
    """
    refuse_nobody(actor)
    if actor.is_trusted:
        return true()
    _refuse_blind(actor)
    if actor.kind == "front_end":
        return Instance.id == actor.instance_id
    mine = Instance.id.in_(select(Membership.instance_id).where(Membership.user_id == actor.user_id))
    return mine if actor.instance_id is None else mine & (Instance.id == actor.instance_id)


def _require_inside(session: Session, actor: Actor, act: Act, instance_id: str, missing: NotFound, hold: bool) -> None:
    try:
        require(session, actor, act, instance_id, hold=hold)
    except NotFound:
        raise missing from None


def _refuse_blind(actor: Actor) -> None:
    """Raise Forbidden when a token allows no reading: its bearer must not learn which instances its user has."""
    if actor.acts is not None and Act.READ not in actor.acts:
        raise Forbidden(f"this token does not allow {Act.READ}")


def refuse_nobody(actor: Actor) -> None:
    """Raise Unauthenticated when nobody said who they are."""
    if actor.kind == "nobody":
        raise Unauthenticated
