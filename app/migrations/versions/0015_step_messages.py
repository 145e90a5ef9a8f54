"""Stores the message of a finished step.

Revision: 0015, after 0014. Older steps have no message.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column."""
    op.add_column("step", sa.Column("message", sa.Text(), nullable=True))


def downgrade() -> None:
    """Drop the column."""
    op.drop_column("step", "message")
