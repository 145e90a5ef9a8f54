"""Records who created an instance, so that the number of instances per user can be limited.

Revision: 0010, after 0009. The creator of an existing instance is its oldest owner.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column and fill it."""
    op.add_column("instance", sa.Column("created_by", sa.String(length=36), nullable=True))
    op.create_index(op.f("ix_instance_created_by"), "instance", ["created_by"], unique=False)
    op.execute(
        "UPDATE instance SET created_by = (SELECT user_id FROM membership WHERE membership.instance_id = instance.id"
        " AND role = 'owner' ORDER BY created_at, user_id LIMIT 1)"
    )


def downgrade() -> None:
    """Drop the column."""
    op.drop_index(op.f("ix_instance_created_by"), table_name="instance")
    op.drop_column("instance", "created_by")
