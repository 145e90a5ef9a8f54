"""Lets a task refer to an artifact with its large input.

Revision: 0014, after 0013. Existing inputs stay in their rows.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column."""
    op.add_column("task", sa.Column("input_artifact_id", sa.String(length=36), nullable=True))


def downgrade() -> None:
    """Drop the column; the artifact and the reference in the row stay."""
    op.drop_column("task", "input_artifact_id")
