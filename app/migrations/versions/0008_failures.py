"""Counts failures separately from losses, so that a lost worker costs no try.

Revision: 0008, after 0007.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the counts."""
    for table in ("task", "step"):
        op.add_column(table, sa.Column("failures", sa.Integer(), server_default="0", nullable=False))


def downgrade() -> None:
    """Drop the counts."""
    for table in ("step", "task"):
        op.drop_column(table, "failures")
