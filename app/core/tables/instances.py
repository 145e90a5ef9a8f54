"""The tables of instances: the workspace with the counter of its event log, and its retention and redaction policy."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import JSON, BigInteger, Boolean, Float, ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column

from swallowtail.app.core.tables.base import Base, Moment


class Instance(Base):
    """A tenant's workspace: one room, one event log."""

    __tablename__ = "instance"

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    name: Mapped[str] = mapped_column(String(200))
    #: Number of the latest event; the counter that numbers the log.
    seq: Mapped[int] = mapped_column(BigInteger, default=0)
    #: Number of the latest event that is no longer stored: replay is possible from here on.
    min_seq: Mapped[int] = mapped_column(BigInteger, default=0)
    #: Random name of this log. It changes when event numbers may be used again.
    epoch: Mapped[str] = mapped_column(String(32))
    created_at: Mapped[datetime] = mapped_column(Moment)
    #: The user who created it, for the quota; not necessarily a member any more.
    created_by: Mapped[str | None] = mapped_column(String(36), index=True)


class InstancePolicy(Base):
    """The policy of an instance; None means the value of the settings. No row means None everywhere."""

    __tablename__ = "instance_policy"

    instance_id: Mapped[str] = mapped_column(ForeignKey("instance.id", ondelete="CASCADE"), primary_key=True)
    #: Days after which events, and ended tasks, are deleted.
    event_days: Mapped[float | None] = mapped_column(Float)
    task_days: Mapped[float | None] = mapped_column(Float)
    #: Names of fields, at any depth, whose values are redacted.
    secret_fields: Mapped[list[str] | None] = mapped_column(JSON(none_as_null=True))
    #: Whether e-mail addresses are redacted.
    hide_emails: Mapped[bool | None] = mapped_column(Boolean)
    updated_at: Mapped[datetime] = mapped_column(Moment)
