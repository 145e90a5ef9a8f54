"""Adds indexes for periodic queries, whose cost then does not grow with the tables.

Revision: 0011, after 0010.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

_OPEN = sa.text("status IN ('SUBMITTED', 'QUEUED', 'IN_PROGRESS', 'WAITING', 'RETRYING')")
_UNCLAIMED = sa.text("status IN ('SUBMITTED', 'QUEUED') AND attempt = 0")
_HAS_EXPIRY = sa.text("expires_at IS NOT NULL")
_WHOLE = (
    ("ix_task_kind", "task", ["instance_id", "kind", "created_at", "id"]),
    ("ix_task_status", "task", ["instance_id", "status", "created_at", "id"]),
    ("ix_task_kind_status", "task", ["instance_id", "kind", "status", "created_at", "id"]),
    ("ix_task_finished", "task", ["instance_id", "finished_at"]),
    ("ix_slot_task_id", "slot", ["task_id"]),
    ("ix_audit_entry_action", "audit_entry", ["scope", "action", "number"]),
    ("ix_audit_entry_actor", "audit_entry", ["scope", "actor_id", "number"]),
    ("ix_audit_entry_actor_name", "audit_entry", ["scope", "actor_name", "number"]),
    ("ix_audit_entry_object", "audit_entry", ["scope", "object_id", "number"]),
)


def upgrade() -> None:
    """Create the indexes; the one of expiries contains only tasks that can still expire."""
    for name, table, columns in _WHOLE:
        op.create_index(name, table, columns)
    op.create_index("ix_task_open", "task", ["status"], sqlite_where=_OPEN, postgresql_where=_OPEN)
    op.drop_index("ix_task_expiry", table_name="task")
    op.create_index("ix_task_expiry", "task", ["expires_at"], sqlite_where=_UNCLAIMED, postgresql_where=_UNCLAIMED)


def downgrade() -> None:
    """Drop them."""
    op.drop_index("ix_task_expiry", table_name="task")
    op.create_index("ix_task_expiry", "task", ["expires_at"], sqlite_where=_HAS_EXPIRY, postgresql_where=_HAS_EXPIRY)
    op.drop_index("ix_task_open", table_name="task")
    for name, table, _ in reversed(_WHOLE):
        op.drop_index(name, table_name=table)
