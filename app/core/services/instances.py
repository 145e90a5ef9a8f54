"""Creates instances, for every entry point; a user who creates one becomes its owner."""

from __future__ import annotations

import uuid

from swallowtail.app.core.call_context import CallContext
from swallowtail.app.core.ledger.event_log import Change
from swallowtail.app.core.ledger.instances import add_instance
from swallowtail.app.core.schemas.fields import view_row
from swallowtail.app.core.schemas.instances import InstanceView
from swallowtail.app.core.security.roles import Act
from swallowtail.app.core.validation import check_instance_id, check_line


def create_instance(context: CallContext, name: str, instance_id: str | None = None) -> InstanceView:
    """Create an instance. A user who creates it becomes its owner.

    Raises:
        InvalidInput, Conflict: the name or the id is invalid, or the id is taken.
        TooMany: the caller has created as many as one user may.
        Unauthenticated, Forbidden: see `require_outside`.
    """
    epoch, own_id = uuid.uuid4().hex[:16], uuid.uuid4().hex

    def work(change: Change) -> InstanceView:
        change.require_outside(Act.CREATE_INSTANCE)
        title = check_line(name, "name", longest=200)
        new_id = own_id if instance_id is None else check_instance_id(instance_id, "id")
        return view_row(InstanceView, add_instance(change, title, new_id, epoch, context.settings.max_user_instances))

    return context.commit(work)
