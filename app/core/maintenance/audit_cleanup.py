"""Deletes audit entries that are older than `audit_keep_days`, from the old end of each chain.

The same transaction stores the last deleted entry in the chain's row and records it in the system's chain, so that
`core/audit/reader` can still verify the rest.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import partial

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from swallowtail.app.core.audit.writer import PRUNE, SYSTEM_SCOPE, AuditRecord, append, lock_end
from swallowtail.app.core.call_context import CallContext
from swallowtail.app.core.coordination.periodic_lock import acquire_periodic_lock
from swallowtail.app.core.database.database import db_now
from swallowtail.app.core.events import now
from swallowtail.app.core.maintenance.retention import delete_in_batches
from swallowtail.app.core.security.actors import SYSTEM_CALLER
from swallowtail.app.core.tables.audit import AuditChain, AuditEntry

#: Name of the periodic lock.
LOCK = "audit"
_DAY = 86_400.0


def delete_old_entries(context: CallContext, may_continue: Callable[[], bool]) -> int:
    """Delete entries older than `audit_keep_days`, if this process gets the lock. Returns how many. See `prune_due`."""
    settings = context.settings
    if not settings.audit_keep_days or not acquire_periodic_lock(context.db, LOCK, settings.prune_interval):
        return 0
    with context.db.read() as session:
        moment = session.scalars(select(db_now(-settings.audit_keep_days * _DAY))).one()
        # Whole days: each pruning of a chain adds an entry.
        before = moment.replace(hour=0, minute=0, second=0, microsecond=0)
        first_kept = (AuditEntry.scope == AuditChain.scope, AuditEntry.number == AuditChain.pruned_number + 1)
        due = select(AuditChain.scope).join(AuditEntry, first_kept[0] & first_kept[1]).where(AuditEntry.at < before)
        scopes = session.scalars(due.order_by(AuditChain.scope)).all()
    deleted = 0
    for scope in scopes:
        prune_batch = partial(_prune_batch, context, scope, before)
        deleted += delete_in_batches("audit", settings.prune_batch, prune_batch, may_continue)
    return deleted


def _prune_batch(context: CallContext, scope: str, before: datetime) -> int:
    def work(session: Session) -> int:
        # In the order in which `append` locks the ends of chains.
        for each in sorted({SYSTEM_SCOPE, scope}):
            lock_end(session, each)
        pruned = select(AuditChain.pruned_number).where(AuditChain.scope == scope).scalar_subquery()
        entries = (AuditEntry.scope == scope, AuditEntry.number > pruned)
        oldest = select(AuditEntry.number, AuditEntry.hash, AuditEntry.at).where(*entries).order_by(AuditEntry.number)
        count, last = 0, None
        for row in session.execute(oldest.limit(context.settings.prune_batch)):
            if row.at >= before:
                break
            count, last = count + 1, row
        if last is None:
            return 0
        _delete(session, scope, last.number, last.hash)
        detail = {"scope": scope, "count": count, "number": last.number, "hash": last.hash}
        append(session, SYSTEM_CALLER, [AuditRecord(SYSTEM_SCOPE, PRUNE, "audit", scope, detail)], now())
        return count

    count: int = context.db.run(work)
    return count


def _delete(session: Session, scope: str, number: int, last_hash: str) -> None:
    # The number comes first: the database refuses to delete entries above it.
    pruned = update(AuditChain).where(AuditChain.scope == scope).values(pruned_number=number, pruned_hash=last_hash)
    deletion = delete(AuditEntry).where(AuditEntry.scope == scope, AuditEntry.number <= number)
    for statement in (pruned, deletion):
        session.execute(statement.execution_options(synchronize_session=False))
