"""Adds indexes for queries that read or sorted a whole table.

Revision: 0020, after 0019.
"""

from __future__ import annotations

from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None

_NEW = (
    ("ix_step_position", "step", ["task_id", "position"]),
    ("ix_schedule_instance", "schedule", ["instance_id", "id"]),
    ("ix_user_account_superuser", "user_account", ["is_superuser", "id"]),
    ("ix_access_token_user", "access_token", ["user_id", "kind", "expires_at"]),
    ("ix_access_token_instance", "access_token", ["instance_id", "kind", "expires_at"]),
    ("ix_audit_entry_action_actor", "audit_entry", ["scope", "action", "actor_id", "at", "number"]),
    ("ix_audit_entry_action_actor_name", "audit_entry", ["scope", "action", "actor_name", "at", "number"]),
)
#: Indexes that a new one replaces.
_OLD = (
    ("ix_schedule_instance_id", "schedule", ["instance_id"]),
    ("ix_access_token_user_id", "access_token", ["user_id"]),
    ("ix_access_token_instance_id", "access_token", ["instance_id"]),
)


def upgrade() -> None:
    """Create the new indexes, and drop those that they replace."""
    for name, table, columns in _NEW:
        op.create_index(name, table, columns)
    for name, table, _ in _OLD:
        op.drop_index(name, table_name=table)
    _order_artifacts("id")


def downgrade() -> None:
    """Create the old indexes again, and drop the new ones."""
    _order_artifacts("created_at")
    for name, table, columns in _OLD:
        op.create_index(name, table, columns)
    for name, table, _ in _NEW:
        op.drop_index(name, table_name=table)


def _order_artifacts(column: str) -> None:
    op.drop_index("ix_artifact_instance", table_name="artifact")
    op.create_index("ix_artifact_instance", "artifact", ["instance_id", column])
