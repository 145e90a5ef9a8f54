"""Stores large inputs of schedules as artifacts, and the redacted copies of artifacts.

Revision: 0019, after 0018. Existing inputs stay in their schedules. No table refers to
artifacts, so SQLite can copy that table.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None

_KEY = "fk_artifact_schedule_id_schedule"
_BACK = {
    "postgresql": "UPDATE schedule SET input = convert_from(artifact.content, 'UTF8')::json FROM artifact "
    "WHERE artifact.id = schedule.input_artifact_id AND artifact.key_id IS NULL",
    "sqlite": "UPDATE schedule SET input = CAST(artifact.content AS TEXT) FROM artifact "
    "WHERE artifact.id = schedule.input_artifact_id AND artifact.key_id IS NULL",
}
_REMOVE = (
    "DELETE FROM schedule WHERE id IN "
    "(SELECT schedule_id FROM artifact WHERE schedule_id IS NOT NULL AND key_id IS NOT NULL)"
)


def upgrade() -> None:
    """Let an artifact belong to a schedule."""
    op.add_column("schedule", sa.Column("input_artifact_id", sa.String(length=36), nullable=True))
    with op.batch_alter_table("artifact") as table:
        table.alter_column("task_id", existing_type=sa.String(length=36), nullable=True)
        table.add_column(sa.Column("schedule_id", sa.String(length=36), nullable=True))
        table.add_column(sa.Column("content_shown", sa.JSON(none_as_null=True), nullable=True))
        table.create_foreign_key(op.f(_KEY), "schedule", ["schedule_id"], ["id"], ondelete="CASCADE")
        table.create_index(op.f("ix_artifact_schedule_id"), ["schedule_id"], unique=False)


def downgrade() -> None:
    """Put the inputs back into their schedules, and delete schedules whose input is encrypted."""
    connection = op.get_bind()
    connection.execute(sa.text(_BACK[connection.dialect.name]))
    connection.execute(sa.text(_REMOVE))
    connection.execute(sa.text("DELETE FROM artifact WHERE task_id IS NULL"))
    with op.batch_alter_table("artifact") as table:
        table.drop_index(op.f("ix_artifact_schedule_id"))
        table.drop_constraint(op.f(_KEY), type_="foreignkey")
        table.drop_column("content_shown")
        table.drop_column("schedule_id")
        table.alter_column("task_id", existing_type=sa.String(length=36), nullable=False)
    op.drop_column("schedule", "input_artifact_id")
