"""Reads and changes an instance's policy: how long it keeps events and tasks, and what it hides."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy.orm import Session

from swallowtail.app.core.call_context import CallContext
from swallowtail.app.core.errors import InvalidInput, NotFound
from swallowtail.app.core.events import stamp
from swallowtail.app.core.ledger.event_log import Change, read_head
from swallowtail.app.core.privacy.redaction_rules import normal
from swallowtail.app.core.schemas.instances import PolicyView
from swallowtail.app.core.security.permissions import require
from swallowtail.app.core.security.roles import Act
from swallowtail.app.core.tables.instances import InstancePolicy
from swallowtail.app.core.validation import check_instance_id, check_line

#: A hundred years; more is for ever.
_MOST_DAYS = 36_525.0
_MOST_FIELDS = 100


@dataclass(frozen=True, slots=True)
class PolicyWish:
    """What an instance is to decide: days of events and of ended tasks (0: for ever), and what is hidden."""

    event_days: float | None = None
    task_days: float | None = None
    secret_fields: Sequence[str] | None = None
    hide_emails: bool | None = None


def read_own_policy(session: Session, instance_id: str) -> PolicyView:
    """Return an instance's policy. Raises NotFound."""
    if read_head(session, instance_id) is None:
        raise NotFound("there is no such instance", field="instance_id")
    row = session.get(InstancePolicy, instance_id)
    return view_policy(instance_id, row)


def show_policy(runtime: CallContext, instance_id: str) -> PolicyView:
    """Return an instance's policy to a caller who may change it.

    Raises:
        InvalidInput, NotFound, Unauthenticated, Forbidden: see `put_policy`.
    """
    instance_id = check_instance_id(instance_id)
    with runtime.db.read() as session:
        require(session, runtime.caller.actor, Act.MANAGE_POLICY, instance_id)
        return read_own_policy(session, instance_id)


def put_policy(runtime: CallContext, instance_id: str, wish: PolicyWish) -> PolicyView:
    """Put a policy in the place of the one before.

    Raises:
        InvalidInput: names the field that is wrong.
        NotFound: there is no such instance for the caller.
        Unauthenticated, Forbidden: the caller may not.
    """
    instance_id = check_instance_id(instance_id)
    event_days, task_days = check_days(wish.event_days, "event_days"), check_days(wish.task_days, "task_days")
    secret_fields = _check_fields(wish.secret_fields)
    if wish.hide_emails is not None and not isinstance(wish.hide_emails, bool):
        raise InvalidInput("hide_emails must be true, false or null", field="hide_emails")

    def work(change: Change) -> PolicyView:
        change.require(Act.MANAGE_POLICY, instance_id)
        if read_head(change.session, instance_id) is None:
            raise NotFound("there is no such instance", field="instance_id")
        row = change.session.get(InstancePolicy, instance_id, with_for_update=True)
        row = row or InstancePolicy(instance_id=instance_id)
        row.event_days, row.task_days = event_days, task_days
        row.secret_fields, row.hide_emails = secret_fields, wish.hide_emails
        row.updated_at = change.now
        change.session.add(row)
        change.session.flush()
        view = view_policy(instance_id, row)
        entry = {name: value for name, value in view.items() if name not in ("instance_id", "updated_at")}
        change.audit(instance_id, Act.MANAGE_POLICY, "policy", instance_id, entry)
        return view

    view: PolicyView = runtime.commit(work)
    runtime.db.policies.forget()
    return view


def view_policy(instance_id: str, row: InstancePolicy | None) -> PolicyView:
    """Return the view of one row, or of none."""
    return PolicyView(
        instance_id=instance_id,
        event_days=None if row is None else row.event_days,
        task_days=None if row is None else row.task_days,
        secret_fields=None if row is None else row.secret_fields,
        hide_emails=None if row is None else row.hide_emails,
        updated_at=None if row is None else stamp(row.updated_at),
    )


def check_days(value: Any, field: str) -> float | None:
    """Return how many days something is kept, if that is a number of them. Raises InvalidInput."""
    if value is None:
        return None
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not math.isfinite(value) or not 0 <= value <= _MOST_DAYS:
        raise InvalidInput(f"{field} must be days, 0 (for ever) to {_MOST_DAYS:.0f}, or null", field=field)
    return float(value)


def _check_fields(names: Any) -> list[str] | None:
    if names is None:
        return None
    if isinstance(names, str) or not isinstance(names, Sequence) or len(names) > _MOST_FIELDS:
        raise InvalidInput(f"secret_fields must be a list of at most {_MOST_FIELDS} names", field="secret_fields")
    checked = []
    for place, name in enumerate(names):
        field = f"secret_fields[{place}]"
        checked.append(check_line(name, field, longest=100))
        if not normal(checked[-1]):
            raise InvalidInput(f"{field} must have a letter of a to z, or a digit", field=field)
    return checked
