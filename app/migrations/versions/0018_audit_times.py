"""Orders the indexes of the audit log by time, for filters by time.

Revision: 0018, after 0017.
"""

from __future__ import annotations

from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

_FILTERS = (("action", "action"), ("actor", "actor_id"), ("actor_name", "actor_name"), ("object", "object_id"))


def upgrade() -> None:
    """Order the indexes by time, then by number."""
    op.create_index("ix_audit_entry_list", "audit_entry", ["scope", "at", "number"])
    _order(["at", "number"])


def downgrade() -> None:
    """Order the indexes by number."""
    _order(["number"])
    op.drop_index("ix_audit_entry_list", table_name="audit_entry")


def _order(columns: list[str]) -> None:
    for name, column in _FILTERS:
        op.drop_index(f"ix_audit_entry_{name}", table_name="audit_entry")
        op.create_index(f"ix_audit_entry_{name}", "audit_entry", ["scope", column, *columns])
