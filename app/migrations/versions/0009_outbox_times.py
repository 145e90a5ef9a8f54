"""Records when an outbox entry was last sent, and since when workers have postponed it.

Revision: 0009, after 0008. Times are integer microseconds since 1970.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns."""
    op.add_column("outbox", sa.Column("sent_at", sa.BigInteger(), nullable=True))
    op.add_column("outbox", sa.Column("held_since", sa.BigInteger(), nullable=True))
    op.create_index(op.f("ix_outbox_sent_at"), "outbox", ["sent_at"], unique=False)


def downgrade() -> None:
    """Drop the columns."""
    op.drop_index(op.f("ix_outbox_sent_at"), table_name="outbox")
    op.drop_column("outbox", "held_since")
    op.drop_column("outbox", "sent_at")
