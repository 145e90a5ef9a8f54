"""Stores the redacted copies of payloads, and the secret texts of a task's input.

Revision: 0017, after 0016. Existing rows get their copies when they are first needed.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

_COLUMNS = (
    ("task", "input_shown"),
    ("task", "secrets"),
    ("task", "result_shown"),
    ("step", "output_shown"),
    ("schedule", "input_shown"),
)


def upgrade() -> None:
    """Add the columns."""
    for table, column in _COLUMNS:
        op.add_column(table, sa.Column(column, sa.JSON(none_as_null=True), nullable=True))


def downgrade() -> None:
    """Drop the columns; the copies can be made again."""
    for table, column in _COLUMNS:
        op.drop_column(table, column)
