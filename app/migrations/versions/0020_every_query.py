"""Indexes for every question that read a table from end to end, or sorted much of it, and since when a wish is due.

Revision: 0020, after 0019. Moments are integer microseconds since 1970.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None

_NEW = (
    ("ix_step_position", "step", ["task_id", "position"]),
    ("ix_outbox_created_at", "outbox", ["created_at"]),
    ("ix_outbox_due_at", "outbox", ["due_at"]),
    ("ix_schedule_instance", "schedule", ["instance_id", "id"]),
    ("ix_user_account_superuser", "user_account", ["is_superuser", "id"]),
    ("ix_access_token_user", "access_token", ["user_id", "kind", "expires_at"]),
    ("ix_access_token_instance", "access_token", ["instance_id", "kind", "expires_at"]),
    ("ix_audit_entry_action_actor", "audit_entry", ["scope", "action", "actor_id", "at", "number"]),
    ("ix_audit_entry_action_actor_name", "audit_entry", ["scope", "action", "actor_name", "at", "number"]),
)
#: Those whose work one of the new ones does.
_OLD = (
    ("ix_schedule_instance_id", "schedule", ["instance_id"]),
    ("ix_access_token_user_id", "access_token", ["user_id"]),
    ("ix_access_token_instance_id", "access_token", ["instance_id"]),
)


def upgrade() -> None:
    """Add the column, filled as well as can be known, and the indexes."""
    op.add_column("outbox", sa.Column("due_at", sa.BigInteger(), nullable=True))
    op.execute(
        "UPDATE outbox SET due_at = CASE WHEN sent_at IS NULL AND sends = 0 AND available_at > created_at"
        " THEN available_at ELSE created_at END"
    )
    for name, table, columns in _NEW:
        op.create_index(name, table, columns)
    for name, table, _ in _OLD:
        op.drop_index(name, table_name=table)
    _order_artifacts("id")


def downgrade() -> None:
    """Drop them."""
    _order_artifacts("created_at")
    for name, table, columns in _OLD:
        op.create_index(name, table, columns)
    for name, table, _ in _NEW:
        op.drop_index(name, table_name=table)
    op.drop_column("outbox", "due_at")


def _order_artifacts(column: str) -> None:
    op.drop_index("ix_artifact_instance", table_name="artifact")
    op.create_index("ix_artifact_instance", "artifact", ["instance_id", column])
