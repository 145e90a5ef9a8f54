"""Finds which instance a hidden object belongs to, for the audit log.

Callers cannot distinguish a hidden object from a missing one (`core/security/permissions`), not even by the response
time: these functions run only after the response was sent.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from swallowtail.app.core.errors import NotFound, SwallowtailError
from swallowtail.app.core.events import clean
from swallowtail.app.core.queries.authorized import AuthorizedReads
from swallowtail.app.core.security.actors import Actor
from swallowtail.app.core.security.permissions import require, require_schedule, require_task
from swallowtail.app.core.security.roles import Act
from swallowtail.app.core.tables.artifacts import Artifact
from swallowtail.app.core.tables.auth import AccessToken
from swallowtail.app.core.tables.instances import Instance
from swallowtail.app.core.tables.schedules import Schedule
from swallowtail.app.core.tables.tasks import Task

_SCOPES: dict[str, Callable[[str], Select[Any]]] = {
    "instance": lambda value: select(Instance.id).where(Instance.id == value),
    "task": lambda value: select(Task.instance_id).where(Task.id == value),
    "schedule": lambda value: select(Schedule.instance_id).where(Schedule.id == value),
    "artifact": lambda value: select(Artifact.instance_id).where(Artifact.id == value),
    "token": lambda value: select(AccessToken.instance_id).where(
        AccessToken.id == value, AccessToken.kind == "front_end"
    ),
}
_CHECKS: dict[str, Callable[[Session, Actor, str], object]] = {
    "instance": lambda session, actor, value: require(session, actor, Act.READ, value),
    "task": lambda session, actor, value: require_task(session, actor, Act.READ, value),
    "schedule": lambda session, actor, value: require_schedule(session, actor, Act.READ, value),
    "artifact": lambda session, actor, value: AuthorizedReads(session, actor).artifact(value),
}
#: Kinds of objects that can be hidden.
KINDS = frozenset(_CHECKS)


def find_instance(session: Session, kind: str, object_id: str) -> str | None:
    """Return the id of an object's instance; None if the object has none or does not exist."""
    instance_id: str | None = session.scalar(_SCOPES[kind](clean(object_id))) if kind in _SCOPES else None
    return instance_id


def find_hidden_instance(session: Session, actor: Actor, kind: str, object_id: str) -> str | None:
    """Return the instance of an object that is hidden from an actor; None if it is not hidden or does not exist."""
    scope = find_instance(session, kind, object_id) if kind in KINDS else None
    if scope is None:
        return None
    try:
        _CHECKS[kind](session, actor, clean(object_id))
    except NotFound:
        return scope
    except SwallowtailError:
        return None
    return None
