"""Reads and changes an instance's policy: how long it keeps events and tasks, and what it hides."""

from __future__ import annotations

from sqlalchemy.orm import Session

from swallowtail.app.core.call_context import CallContext
from swallowtail.app.core.errors import InvalidInput, NotFound
from swallowtail.app.core.events import stamp
from swallowtail.app.core.ledger.event_log import Change, read_head
from swallowtail.app.core.privacy.redaction_rules import normal
from swallowtail.app.core.schemas.instances import NewPolicy, PolicyView
from swallowtail.app.core.security.permissions import require
from swallowtail.app.core.security.roles import Act
from swallowtail.app.core.tables.instances import InstancePolicy
from swallowtail.app.core.validation import check_instance_id, check_line

#: A hundred years; more means forever.
_MOST_DAYS = 36_525.0
_MOST_FIELDS = 100


def read_own_policy(session: Session, instance_id: str) -> PolicyView:
    """Return an instance's policy. Raises NotFound."""
    if read_head(session, instance_id) is None:
        raise NotFound("there is no such instance", field="instance_id")
    return _view_policy(session.get(InstancePolicy, instance_id) or InstancePolicy(instance_id=instance_id))


def show_policy(context: CallContext, instance_id: str) -> PolicyView:
    """Return an instance's policy to a caller who may change it. Raises as `put_policy` does."""
    instance_id = check_instance_id(instance_id)
    with context.db.read() as session:
        require(session, context.caller.actor, Act.MANAGE_POLICY, instance_id)
        return read_own_policy(session, instance_id)


def put_policy(context: CallContext, instance_id: str, new: NewPolicy) -> PolicyView:
    """Replace an instance's policy.

    Raises:
        InvalidInput: names the invalid field.
        Unauthenticated, NotFound, Forbidden: see `require`.
    """
    instance_id = check_instance_id(instance_id)

    def work(change: Change) -> PolicyView:
        change.require(Act.MANAGE_POLICY, instance_id)
        if read_head(change.session, instance_id) is None:
            raise NotFound("there is no such instance", field="instance_id")
        event_days, task_days = check_days(new.event_days, "event_days"), check_days(new.task_days, "task_days")
        secret_fields = None if new.secret_fields is None else _check_fields(new.secret_fields)
        row = change.session.get(InstancePolicy, instance_id, with_for_update=True)
        row = row or InstancePolicy(instance_id=instance_id)
        row.event_days, row.task_days = event_days, task_days
        row.secret_fields, row.hide_emails = secret_fields, new.hide_emails
        row.updated_at = change.now
        change.session.add(row)
        change.session.flush()
        view = _view_policy(row)
        entry = {name: value for name, value in view.items() if name not in ("instance_id", "updated_at")}
        change.audit(instance_id, Act.MANAGE_POLICY, "policy", instance_id, entry)
        return view

    view = context.commit(work)
    context.db.policies.forget()
    return view


def check_days(value: float | None, field: str) -> float | None:
    """Return a number of days to keep something. Raises InvalidInput."""
    if value is not None and not 0 <= value <= _MOST_DAYS:
        raise InvalidInput(f"{field} must be a number of days from 0 (forever) to {_MOST_DAYS:.0f}", field=field)
    return value


def _view_policy(row: InstancePolicy) -> PolicyView:
    return PolicyView(
        instance_id=row.instance_id,
        event_days=row.event_days,
        task_days=row.task_days,
        secret_fields=row.secret_fields,
        hide_emails=row.hide_emails,
        updated_at=stamp(row.updated_at),
    )


def _check_fields(names: list[str]) -> list[str]:
    if len(names) > _MOST_FIELDS:
        raise InvalidInput(f"secret_fields must be a list of at most {_MOST_FIELDS} names", field="secret_fields")
    checked = [check_line(name, f"secret_fields[{place}]", longest=100) for place, name in enumerate(names)]
    for place, name in enumerate(checked):
        if not normal(name):
            field = f"secret_fields[{place}]"
            raise InvalidInput(f"{field} must have a letter of a to z, or a digit", field=field)
    return checked
