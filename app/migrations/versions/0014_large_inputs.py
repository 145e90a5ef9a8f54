"""Inputs that are too large for their task's row are kept apart from it, as outputs are.

Revision: 0014, after 0013. Inputs that are in their rows stay there.
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
    """Drop the column: what it referred to stays as an artifact, and the row keeps the reference."""
    op.drop_column("task", "input_artifact_id")
