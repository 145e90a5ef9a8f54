"""Stores the version that each worker runs.

Revision: 0022, after 0021. Workers of earlier versions store none.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column."""
    op.add_column("worker", sa.Column("version", sa.String(length=50), nullable=True))


def downgrade() -> None:
    """Drop the column."""
    op.drop_column("worker", "version")
