"""How many instances one user may create. Beside the road, asked by `core/ledger/tasks` in the transaction that creates one.

Counted are those that the user created and that are still there, whoever owns them now: handing them over gives nothing
back, deleting them does.
"""

from __future__ import annotations

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from swallowtail.app.core.errors import Forbidden, TooMany
from swallowtail.app.core.security.permissions import Actor
from swallowtail.app.core.tables.auth import User
from swallowtail.app.core.tables.instances import Instance


def count_creation(session: Session, actor: Actor, most: int) -> str | None:
    """Return the id of the user who creates an instance, who may have `most`; None where nobody signed in.

    Superusers are not counted. Raises Forbidden when nobody else may create any, TooMany when it would be too many.
    """
    user_id = actor.user_id
    if user_id is None or actor.is_superuser:
        return user_id
    if most == 0:
        raise Forbidden("only superusers create instances here; ask one for yours")
    # Whoever comes at the same moment waits here, and then counts this one too.
    session.execute(select(User.id).where(User.id == user_id).with_for_update())
    has = session.scalar(select(func.count()).select_from(Instance).where(Instance.created_by == user_id)) or 0
    if has >= most:
        raise TooMany(
            f"you have created {has} instances and may have {most} at once; delete one first, or ask an operator"
        )
    return user_id
