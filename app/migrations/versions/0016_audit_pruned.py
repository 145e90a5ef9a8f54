"""Lets old entries of the audit log be deleted, once the row of their chain records how far.

Revision: 0016, after 0015. After a downgrade, deleted entries are reported as missing.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

_BEGINNING = "0" * 64


def upgrade() -> None:
    """Add the columns, and triggers that allow only the deletion of entries that the chain records as pruned."""
    op.add_column("audit_chain", sa.Column("pruned_number", sa.BigInteger(), server_default="0", nullable=False))
    op.add_column("audit_chain", sa.Column("pruned_hash", sa.String(64), server_default=_BEGINNING, nullable=False))
    if op.get_context().dialect.name == "postgresql":
        _upgrade_postgresql()
        return
    op.execute("DROP TRIGGER audit_entry_no_delete")
    op.execute(
        "CREATE TRIGGER audit_entry_no_delete BEFORE DELETE ON audit_entry WHEN NOT EXISTS "
        "(SELECT 1 FROM audit_chain WHERE scope = OLD.scope AND pruned_number >= OLD.number) "
        "BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END"
    )


def _upgrade_postgresql() -> None:
    # With the name of its schema: a temporary table of the same name would take precedence.
    op.execute(
        "CREATE FUNCTION refuse_audit_delete() RETURNS trigger LANGUAGE plpgsql AS $$ "
        "DECLARE is_pruned boolean; BEGIN "
        "EXECUTE format('SELECT EXISTS (SELECT 1 FROM %I.audit_chain WHERE scope = $1 AND pruned_number >= $2)', "
        "TG_TABLE_SCHEMA) INTO is_pruned USING OLD.scope, OLD.number; "
        "IF is_pruned THEN RETURN OLD; END IF; "
        "RAISE EXCEPTION 'the audit log is append-only'; END $$"
    )
    op.execute("DROP TRIGGER audit_entry_append_only ON audit_entry")
    for name, what, function in (
        ("append_only", "UPDATE", "refuse_audit_change"),
        ("no_delete", "DELETE", "refuse_audit_delete"),
    ):
        op.execute(
            f"CREATE TRIGGER audit_entry_{name} BEFORE {what} ON audit_entry FOR EACH ROW EXECUTE FUNCTION {function}()"
        )


def downgrade() -> None:
    """Refuse all deletions again, and drop the columns."""
    if op.get_context().dialect.name == "postgresql":
        for name in ("no_delete", "append_only"):
            op.execute(f"DROP TRIGGER audit_entry_{name} ON audit_entry")
        op.execute("DROP FUNCTION refuse_audit_delete()")
        op.execute(
            "CREATE TRIGGER audit_entry_append_only BEFORE UPDATE OR DELETE ON audit_entry "
            "FOR EACH ROW EXECUTE FUNCTION refuse_audit_change()"
        )
    else:
        op.execute("DROP TRIGGER audit_entry_no_delete")
        op.execute(
            "CREATE TRIGGER audit_entry_no_delete BEFORE DELETE ON audit_entry "
            "BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END"
        )
    for name in ("pruned_hash", "pruned_number"):
        op.drop_column("audit_chain", name)
