"""Records since when an outbox entry is due, with indexes for waiting tasks.

Revision: 0021, after 0020. Times are integer microseconds since 1970. A revision of its own, so that
submissions do not wait for the indexes of larger tables.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column, filled from existing times, and the indexes."""
    op.add_column("outbox", sa.Column("due_at", sa.BigInteger(), nullable=True))
    op.execute(
        "UPDATE outbox SET due_at = CASE WHEN sent_at IS NULL AND sends = 0 AND available_at > created_at"
        " THEN available_at ELSE created_at END"
    )
    op.create_index("ix_outbox_created_at", "outbox", ["created_at"])
    op.create_index("ix_outbox_due_at", "outbox", ["due_at"])


def downgrade() -> None:
    """Drop them."""
    op.drop_index("ix_outbox_due_at", table_name="outbox")
    op.drop_index("ix_outbox_created_at", table_name="outbox")
    op.drop_column("outbox", "due_at")
