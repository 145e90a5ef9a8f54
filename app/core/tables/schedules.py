"""The tables of schedules: the plans, and each of their firings."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, Boolean, Float, ForeignKey, Index, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from swallowtail.app.core.tables.base import Base, Moment


class Schedule(Base):
    """A plan to submit one kind of task again and again, or once."""

    __tablename__ = "schedule"

    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    instance_id: Mapped[str] = mapped_column(ForeignKey("instance.id", ondelete="CASCADE"))
    name: Mapped[str] = mapped_column(String(200))
    kind: Mapped[str] = mapped_column(String(100))
    input: Mapped[Any] = mapped_column(JSON)
    #: The redacted input (see `core/payload_redaction/stored_redactions`).
    input_shown: Mapped[Any | None] = mapped_column(JSON(none_as_null=True), deferred=True)
    #: The artifact of an input that is too large for the row.
    input_artifact_id: Mapped[str | None] = mapped_column(String(36))
    #: `cron`, `interval` or `once`; exactly the fields of that one are set.
    timing: Mapped[str] = mapped_column(String(16))
    cron: Mapped[str | None] = mapped_column(String(200))
    timezone: Mapped[str] = mapped_column(String(64), default="UTC")
    interval_seconds: Mapped[float | None] = mapped_column(Float)
    run_at: Mapped[datetime | None] = mapped_column(Moment)
    #: What to do with missed slots: `skip`, `latest` or `all`.
    catch_up: Mapped[str] = mapped_column(String(16), default="latest")
    #: What to do when the last slot's task still runs: `allow` or `skip`.
    overlap: Mapped[str] = mapped_column(String(16), default="allow")
    paused: Mapped[bool] = mapped_column(Boolean, default=False)
    #: The next planned firing; None when there is none to come.
    next_slot_at: Mapped[datetime | None] = mapped_column(Moment)
    last_slot_at: Mapped[datetime | None] = mapped_column(Moment)
    created_at: Mapped[datetime] = mapped_column(Moment)

    __table_args__ = (
        UniqueConstraint("instance_id", "name"),
        Index("ix_schedule_instance", "instance_id", "id"),
        Index("ix_schedule_due", "paused", "next_slot_at"),
    )


class Slot(Base):
    """One planned firing of a schedule; its key makes two beats fire it only once."""

    __tablename__ = "slot"

    schedule_id: Mapped[str] = mapped_column(ForeignKey("schedule.id", ondelete="CASCADE"), primary_key=True)
    planned_at: Mapped[datetime] = mapped_column(Moment, primary_key=True)
    #: `fired` or `skipped`.
    outcome: Mapped[str] = mapped_column(String(16))
    reason: Mapped[str] = mapped_column(String(200), default="")
    #: Indexed for the deletion of tasks.
    task_id: Mapped[str | None] = mapped_column(ForeignKey("task.id", ondelete="SET NULL"), index=True)
    created_at: Mapped[datetime] = mapped_column(Moment)
