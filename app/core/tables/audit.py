"""The tables of the audit log. `core/audit/writer` adds entries, and `core/maintenance/audit_cleanup` deletes them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, BigInteger, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from swallowtail.app.core.tables.base import Base, Moment


class AuditChain(Base):
    """The end of one chain of the audit log, and how far it was pruned.

    There is one chain for each instance, and one (`""`) for everything else. It has no foreign key: the log outlives
    the instance.
    """

    __tablename__ = "audit_chain"

    scope: Mapped[str] = mapped_column(String(64), primary_key=True)
    number: Mapped[int] = mapped_column(BigInteger, default=0)
    hash: Mapped[str] = mapped_column(String(64))
    #: Number and hash of the last deleted entry; the chain begins after it.
    pruned_number: Mapped[int] = mapped_column(BigInteger, default=0, server_default="0")
    pruned_hash: Mapped[str] = mapped_column(String(64), default="0" * 64, server_default="0" * 64)


class AuditEntry(Base):
    """Who did what to which object, from where. `hash` covers the entry and the hash of the one before it."""

    __tablename__ = "audit_entry"

    scope: Mapped[str] = mapped_column(String(64), primary_key=True)
    number: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    at: Mapped[datetime] = mapped_column(Moment)
    actor_kind: Mapped[str] = mapped_column(String(16))
    actor_id: Mapped[str] = mapped_column(String(100))
    actor_name: Mapped[str] = mapped_column(String(200))
    #: Such as `task.cancel`.
    action: Mapped[str] = mapped_column(String(64))
    object_type: Mapped[str] = mapped_column(String(32))
    object_id: Mapped[str] = mapped_column(String(100))
    #: `rest`, `ui`, `cli` or `socket`, and the address that the request came from.
    entrance: Mapped[str] = mapped_column(String(16))
    address: Mapped[str] = mapped_column(String(64), default="")
    detail: Mapped[dict[str, Any]] = mapped_column(JSON)
    previous_hash: Mapped[str] = mapped_column(String(64))
    hash: Mapped[str] = mapped_column(String(64))

    __table_args__ = (
        Index("ix_audit_entry_at", "at"),
        Index("ix_audit_entry_list", "scope", "at", "number"),
        Index("ix_audit_entry_action", "scope", "action", "at", "number"),
        Index("ix_audit_entry_actor", "scope", "actor_id", "at", "number"),
        Index("ix_audit_entry_actor_name", "scope", "actor_name", "at", "number"),
        Index("ix_audit_entry_object", "scope", "object_id", "at", "number"),
        Index("ix_audit_entry_action_actor", "scope", "action", "actor_id", "at", "number"),
        Index("ix_audit_entry_action_actor_name", "scope", "action", "actor_name", "at", "number"),
    )
