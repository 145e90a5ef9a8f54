"""Adds policies of instances, artifacts, and the schemas of agents' outputs.

Revision: 0004, after 0003. Times are integer microseconds since 1970.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables, referenced tables first."""
    _create_instance_policy()
    _create_artifact()
    for table in ("task", "step"):
        op.add_column(table, sa.Column("artifact_id", sa.String(length=36), nullable=True))
    op.add_column("agent", sa.Column("output_schema", sa.JSON(), nullable=True))


def downgrade() -> None:
    """Drop the columns and the tables; the indexes go with them."""
    op.drop_column("agent", "output_schema")
    for name in ("step", "task"):
        op.drop_column(name, "artifact_id")
    for name in ("artifact", "instance_policy"):
        op.drop_table(name)


def _create_instance_policy() -> None:
    op.create_table(
        "instance_policy",
        sa.Column("instance_id", sa.String(length=64), nullable=False),
        sa.Column("event_days", sa.Float(), nullable=True),
        sa.Column("task_days", sa.Float(), nullable=True),
        sa.Column("secret_fields", sa.JSON(), nullable=True),
        sa.Column("hide_emails", sa.Boolean(), nullable=True),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["instance_id"], ["instance.id"], name=op.f("fk_instance_policy_instance_id_instance"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("instance_id", name=op.f("pk_instance_policy")),
    )


def _create_artifact() -> None:
    op.create_table(
        "artifact",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("instance_id", sa.String(length=64), nullable=False),
        sa.Column("task_id", sa.String(length=36), nullable=False),
        sa.Column("media_type", sa.String(length=100), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.Column("key_id", sa.String(length=64), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["instance_id"], ["instance.id"], name=op.f("fk_artifact_instance_id_instance"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["task_id"], ["task.id"], name=op.f("fk_artifact_task_id_task"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_artifact")),
    )
    op.create_index(op.f("ix_artifact_task_id"), "artifact", ["task_id"], unique=False)
    op.create_index(op.f("ix_artifact_instance"), "artifact", ["instance_id", "created_at"], unique=False)
