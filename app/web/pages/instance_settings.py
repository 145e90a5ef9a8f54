"""What an instance's settings page shows to whom: members, front ends' tokens, the policy, its copy and its end.

Beside the road. What somebody may not do is not on their page; what they do there goes through `web/api`, where it is
decided again.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from swallowtail.app.core.identity.api_tokens import FOR_FRONT_ENDS, list_front_ends
from swallowtail.app.core.identity.members import list_members
from swallowtail.app.core.queries.authorized import Sight
from swallowtail.app.core.runtime import Runtime
from swallowtail.app.core.security.field_mask import NAMEABLE
from swallowtail.app.core.security.permissions import Act, Role, require
from swallowtail.app.core.services.instance_policy import show_policy

#: One of these is what it takes to have such a page at all.
_KEPT = frozenset({Act.READ_MEMBERS, Act.MINT, Act.KEEP_POLICY, Act.EXPORT, Act.DELETE})


def keeps(may: Collection[str]) -> bool:
    """Tell whether somebody who may do this in an instance has something to do on its settings page."""
    return any(act in _KEPT for act in may)


def enter(sight: Sight, instance_id: str) -> dict[str, Any]:
    """Return who the actor is to an instance whose settings they may see some of: `{instance, me, roles, may}`.

    `roles` are those that they may give. Raises as `access.require` does.
    """
    may = sight.allowed(instance_id)
    if not keeps(may):
        require(sight.session, sight.actor, Act.READ_MEMBERS, instance_id)
    is_owner = sight.role(instance_id) is Role.OWNER
    roles = [role.value for role in Role if is_owner or role is not Role.OWNER]
    return {"instance": instance_id, "me": sight.actor.user_id, "roles": roles, "may": may}


def gather(runtime: Runtime, entered: dict[str, Any]) -> dict[str, Any]:
    """Return what of an instance's settings the caller may see. `entered` is what `enter` said of them."""
    settings, instance_id, may = runtime.settings, entered["instance"], entered["may"]
    state = {
        **entered,
        "acts": sorted(act.value for act in FOR_FRONT_ENDS - {Act.READ} if act in may),
        "fields": sorted(NAMEABLE),
        "longest": settings.front_end_token_hours * 3600,
        "usual": {
            "event_days": settings.event_retention_days,
            "task_days": settings.task_retention_days,
            "hide_emails": settings.hide_emails,
        },
    }
    if Act.READ_MEMBERS in may:
        state["members"] = list_members(runtime, instance_id)
    if Act.MINT in may:
        state["tokens"] = list_front_ends(runtime, instance_id)
    if Act.KEEP_POLICY in may:
        state["policy"] = show_policy(runtime, instance_id)
    return state
