"""Lets the database refuse to empty the audit log, or to replace an entry.

Revision: 0006, after 0005.
"""

from __future__ import annotations

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_TABLES = ("audit_entry", "audit_chain")


def upgrade() -> None:
    """Add triggers for statements that bypass the triggers of 0003."""
    if op.get_context().dialect.name == "postgresql":
        for table in _TABLES:
            op.execute(
                f"CREATE TRIGGER {table}_no_truncate BEFORE TRUNCATE ON {table} "
                "FOR EACH STATEMENT EXECUTE FUNCTION refuse_audit_change()"
            )
        return
    # SQLite has no TRUNCATE, and INSERT OR REPLACE deletes rows without the triggers on DELETE.
    op.execute(
        "CREATE TRIGGER audit_entry_no_replace BEFORE INSERT ON audit_entry "
        "WHEN EXISTS (SELECT 1 FROM audit_entry WHERE scope = NEW.scope AND number = NEW.number) "
        "BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END"
    )


def downgrade() -> None:
    """Drop the triggers."""
    if op.get_context().dialect.name == "postgresql":
        for table in _TABLES:
            op.execute(f"DROP TRIGGER {table}_no_truncate ON {table}")
        return
    op.execute("DROP TRIGGER audit_entry_no_replace")
