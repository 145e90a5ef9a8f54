"""Deletes the rows of tokens that expired or were revoked `token_keep_days` ago.

A token without a row is refused as unknown; until then the refusal says whether it expired or was revoked.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from sqlalchemy import ColumnElement, delete, select
from sqlalchemy.orm import Session

from swallowtail.app.core.call_context import CallContext
from swallowtail.app.core.coordination.periodic_lock import take_turn
from swallowtail.app.core.database.database import db_now_once
from swallowtail.app.core.maintenance.retention import delete_in_batches
from swallowtail.app.core.tables.auth import AccessToken

#: The name of the turn.
DUTY = "tokens"
_DAY = 86_400.0


def delete_spent(runtime: CallContext, may_go_on: Callable[[], bool]) -> int:
    """Delete tokens that expired or were revoked `token_keep_days` ago, if it is this process's turn; how many.

    Args:
        runtime: the domain.
        may_go_on: asked between two transactions of at most `prune_batch` rows; what is left is for the next time.

    Raises:
        Unavailable: the database stayed away.
    """
    settings = runtime.settings
    if not settings.token_keep_days or not take_turn(runtime.db, DUTY, settings.prune_interval):
        return 0
    long_ago = db_now_once(-settings.token_keep_days * _DAY)
    deleted = 0
    # One after the other: each is found by an index of its own, and a question about both might use neither.
    for is_spent in (AccessToken.expires_at < long_ago, AccessToken.revoked_at < long_ago):
        deleted += delete_in_batches(
            "tokens", settings.prune_batch, partial(_delete_batch, runtime, is_spent), may_go_on
        )
    return deleted


def _delete_batch(runtime: CallContext, is_spent: ColumnElement[bool]) -> int:
    def work(session: Session) -> int:
        some = session.scalars(select(AccessToken.id).where(is_spent).limit(runtime.settings.prune_batch)).all()
        gone = delete(AccessToken).where(AccessToken.id.in_(some)).returning(AccessToken.id)
        return len(session.execute(gone.execution_options(synchronize_session=False)).all())

    with runtime.db.read() as session:
        if session.scalar(select(AccessToken.id).where(is_spent).limit(1)) is None:
            return 0
    done: int = runtime.db.run(work)
    return done
