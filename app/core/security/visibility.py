"""Lists what an actor may read or do: conditions and batches for lists, menus and live connections."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from sqlalchemy import ColumnElement, select, true
from sqlalchemy.orm import Session

from swallowtail.app.core.errors import Forbidden, NotFound
from swallowtail.app.core.security.actors import Actor
from swallowtail.app.core.security.permissions import require, require_authenticated, require_readable
from swallowtail.app.core.security.roles import LEAST_ROLE, Act
from swallowtail.app.core.tables.auth import Membership
from swallowtail.app.core.tables.instances import Instance

#: Most ids in one query; SQLite limits parameters.
_AT_ONCE = 500


def visible(actor: Actor) -> ColumnElement[bool]:
    """Return the condition on `Instance` for those that an actor may read. Raises Unauthenticated, Forbidden."""
    require_authenticated(actor)
    if actor.is_trusted:
        return true()
    require_readable(actor)
    if actor.kind == "front_end":
        return Instance.id == actor.instance_id
    is_member = Instance.id.in_(select(Membership.instance_id).where(Membership.user_id == actor.user_id))
    return is_member if actor.instance_id is None else is_member & (Instance.id == actor.instance_id)


def list_allowed(session: Session, actor: Actor, instance_id: str) -> frozenset[Act]:
    """Return what an actor may do in an instance, for menus. `require` checks each request again."""
    allowed = set()
    for act in LEAST_ROLE:
        try:
            require(session, actor, act, instance_id)
        except (Forbidden, NotFound):
            continue
        allowed.add(act)
    return frozenset(allowed)


def find_readable(session: Session, pairs: Collection[tuple[Actor, str]]) -> set[tuple[Actor, str]]:
    """Return the pairs in which the actor may read the instance, with few queries for all pairs."""
    members = {actor.user_id for actor, _ in pairs if actor.kind == "user" and actor.user_id}
    joined: set[tuple[str, str]] = set()
    for ids in batched(sorted(members)):
        rows = session.execute(select(Membership.user_id, Membership.instance_id).where(Membership.user_id.in_(ids)))
        joined.update((row.user_id, row.instance_id) for row in rows)
    existing: set[str] = set()
    for ids in batched(sorted({instance_id for actor, instance_id in pairs if actor.kind == "front_end"})):
        existing.update(session.scalars(select(Instance.id).where(Instance.id.in_(ids))))
    return {pair for pair in pairs if _may_read(*pair, joined, existing)}


def _may_read(actor: Actor, instance_id: str, joined: Collection[tuple[str, str]], existing: Collection[str]) -> bool:
    if actor.is_trusted:
        return True
    if actor.instance_id not in (None, instance_id) or (actor.acts is not None and Act.READ not in actor.acts):
        return False
    if actor.kind == "front_end":
        return instance_id in existing
    return actor.kind == "user" and (actor.user_id or "", instance_id) in joined


def batched(ids: Sequence[str]) -> Iterator[Sequence[str]]:
    """Yield ids in batches for one query each."""
    for start in range(0, len(ids), _AT_ONCE):
        yield ids[start : start + _AT_ONCE]
