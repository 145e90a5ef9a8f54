"""What is shown of a payload is kept beside it, and the texts of a task's secret fields with the task.

Revision: 0017, after 0016. Of rows that are there nothing is kept yet: it is made when it is first needed.
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
    """Drop the columns: all of it can be made again."""
    for table, column in _COLUMNS:
        op.drop_column(table, column)
