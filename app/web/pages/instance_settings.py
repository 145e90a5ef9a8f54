"""Collects the state of an instance's settings page: members, API tokens, policy, export and deletion.

The page shows only what the caller may do. Its forms use the REST API, which checks the permissions again.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from swallowtail.app.core.call_context import CallContext
from swallowtail.app.core.identity.api_tokens import FOR_FRONT_ENDS, list_front_ends
from swallowtail.app.core.identity.members import list_members
from swallowtail.app.core.queries.authorized import AuthorizedReads
from swallowtail.app.core.security.field_mask import MASKABLE
from swallowtail.app.core.security.permissions import require
from swallowtail.app.core.security.roles import Act, Role
from swallowtail.app.core.services.instance_policy import show_policy

#: Each of these permissions gives access to the page.
_MANAGING = frozenset({Act.READ_MEMBERS, Act.ISSUE_TOKENS, Act.MANAGE_POLICY, Act.EXPORT, Act.DELETE})


def has_settings(may: Collection[str]) -> bool:
    """Return whether permissions in an instance give access to its settings page."""
    return any(act in _MANAGING for act in may)


def read_caller(reader: AuthorizedReads, instance_id: str) -> dict[str, Any]:
    """Return the caller's part of the page's state: `{instance, me, roles, may}`.

    `roles` are the roles that the caller may assign. Raises the errors of `permissions.require`.
    """
    may = reader.allowed_acts(instance_id)
    if not has_settings(may):
        require(reader.session, reader.actor, Act.READ_MEMBERS, instance_id)
    is_owner = reader.role(instance_id) is Role.OWNER
    roles = [role.value for role in Role if is_owner or role is not Role.OWNER]
    return {"instance": instance_id, "me": reader.actor.user_id, "roles": roles, "may": may}


def read_state(context: CallContext, caller: dict[str, Any]) -> dict[str, Any]:
    """Return the page's state; `caller` is the result of `read_caller`."""
    settings, instance_id, may = context.settings, caller["instance"], caller["may"]
    state = {
        **caller,
        "acts": sorted(act.value for act in FOR_FRONT_ENDS - {Act.READ} if act in may),
        "fields": sorted(MASKABLE),
        "longest": settings.front_end_token_hours * 3600,
        "usual": {
            "event_days": settings.event_retention_days,
            "task_days": settings.task_retention_days,
            "hide_emails": settings.hide_emails,
        },
    }
    if Act.READ_MEMBERS in may:
        state["members"] = list_members(context, instance_id)
    if Act.ISSUE_TOKENS in may:
        state["tokens"] = list_front_ends(context, instance_id)
    if Act.MANAGE_POLICY in may:
        state["policy"] = show_policy(context, instance_id)
    return state
