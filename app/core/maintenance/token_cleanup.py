"""Deletes the rows of tokens that expired or were revoked `token_keep_days` ago.

A token without a row is refused as unknown; until then, the error names whether it expired or was revoked.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from sqlalchemy import ColumnElement, delete, select
from sqlalchemy.orm import Session

from swallowtail.app.core.call_context import CallContext
from swallowtail.app.core.coordination.periodic_lock import acquire_periodic_lock
from swallowtail.app.core.database.database import db_now_once
from swallowtail.app.core.maintenance.retention import delete_in_batches
from swallowtail.app.core.tables.auth import AccessToken

#: Name of the periodic lock.
LOCK = "tokens"
_DAY = 86_400.0


def delete_ended_tokens(context: CallContext, may_continue: Callable[[], bool]) -> int:
    """Delete old tokens, if this process gets the lock. Returns how many. See `prune_due`."""
    settings = context.settings
    if not settings.token_keep_days or not acquire_periodic_lock(context.db, LOCK, settings.prune_interval):
        return 0
    long_ago = db_now_once(-settings.token_keep_days * _DAY)
    deleted = 0
    # One after the other: each condition has an index of its own, and a query with both might use neither.
    for is_ended in (AccessToken.expires_at < long_ago, AccessToken.revoked_at < long_ago):
        delete_batch = partial(_delete_batch, context, is_ended)
        deleted += delete_in_batches("tokens", settings.prune_batch, delete_batch, may_continue)
    return deleted


def _delete_batch(context: CallContext, is_ended: ColumnElement[bool]) -> int:
    def work(session: Session) -> int:
        some = session.scalars(select(AccessToken.id).where(is_ended).limit(context.settings.prune_batch)).all()
        deletion = delete(AccessToken).where(AccessToken.id.in_(some)).returning(AccessToken.id)
        return len(session.execute(deletion.execution_options(synchronize_session=False)).all())

    with context.db.read() as session:
        if session.scalar(select(AccessToken.id).where(is_ended).limit(1)) is None:
            return 0
    count: int = context.db.run(work)
    return count
