"""The tables of tasks: tasks, steps, events and the outbox. Only `core/ledger` writes them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Float,
    ForeignKey,
    Index,
    Integer,
    String,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from swallowtail.app.core.tables.base import Base, Moment

# The conditions of partial indexes, in the text of the queries: SQLite compares texts.
IS_OPEN = text("status IN ('SUBMITTED', 'QUEUED', 'IN_PROGRESS', 'WAITING', 'RETRYING')")
IS_RUNNING = text("status = 'IN_PROGRESS'")
IS_UNCLAIMED = text("status IN ('SUBMITTED', 'QUEUED') AND attempt = 0")


class Task(Base):
    """The row that a user sees: one piece of work, through all its attempts."""

    __tablename__ = "task"

    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    instance_id: Mapped[str] = mapped_column(ForeignKey("instance.id", ondelete="CASCADE"))
    kind: Mapped[str] = mapped_column(String(100))
    title: Mapped[str] = mapped_column(String(200))
    input: Mapped[Any] = mapped_column(JSON)
    #: The redacted input (see `core/payload_redaction/stored_redactions`), and the texts of its secret fields
    #: (see `core/payload_redaction/input_secrets`).
    input_shown: Mapped[Any | None] = mapped_column(JSON(none_as_null=True), deferred=True)
    secrets: Mapped[Any | None] = mapped_column(JSON(none_as_null=True), deferred=True)
    #: The artifact of an input that is too large for the row.
    input_artifact_id: Mapped[str | None] = mapped_column(String(36))
    status: Mapped[str] = mapped_column(String(16))
    progress: Mapped[float] = mapped_column(Float, default=0.0)
    message: Mapped[str] = mapped_column(Text, default="")
    #: How many claims there have been; the next wake-up message carries `attempt + 1`.
    attempt: Mapped[int] = mapped_column(Integer, default=0)
    #: Claims in a row whose worker was lost without a newly finished step.
    losses: Mapped[int] = mapped_column(Integer, default=0)
    #: Errors of the agent outside of steps, since the last reset.
    failures: Mapped[int] = mapped_column(Integer, default=0, server_default="0")
    #: How often a retry was requested after the end; it makes the ids of repeated moves unique.
    retries: Mapped[int] = mapped_column(Integer, default=0)
    #: Random fencing token of the current claim: a writer needs it.
    token: Mapped[str | None] = mapped_column(String(36))
    worker: Mapped[str | None] = mapped_column(String(200))
    lease_until: Mapped[datetime | None] = mapped_column(Moment)
    cancel_requested_at: Mapped[datetime | None] = mapped_column(Moment)
    result: Mapped[Any | None] = mapped_column(JSON(none_as_null=True))
    #: The redacted result (see `core/payload_redaction/stored_redactions`).
    result_shown: Mapped[Any | None] = mapped_column(JSON(none_as_null=True), deferred=True)
    #: The artifact of a result that is too large for the row.
    artifact_id: Mapped[str | None] = mapped_column(String(36))
    error: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    #: Number of the task's latest event.
    last_seq: Mapped[int] = mapped_column(BigInteger, default=0)
    soft_time_limit: Mapped[float | None] = mapped_column(Float)
    hard_time_limit: Mapped[float | None] = mapped_column(Float)
    submitted_by: Mapped[str] = mapped_column(String(100), default="api")
    idempotency_key: Mapped[str | None] = mapped_column(String(200))
    #: SHA-256 of the submission; it distinguishes a repeat from another use of the idempotency key.
    fingerprint: Mapped[str] = mapped_column(String(64))
    created_at: Mapped[datetime] = mapped_column(Moment)
    updated_at: Mapped[datetime] = mapped_column(Moment)
    started_at: Mapped[datetime | None] = mapped_column(Moment)
    finished_at: Mapped[datetime | None] = mapped_column(Moment)
    expires_at: Mapped[datetime | None] = mapped_column(Moment)

    __table_args__ = (
        UniqueConstraint("instance_id", "idempotency_key"),
        Index("ix_task_list", "instance_id", "created_at", "id"),
        Index("ix_task_kind", "instance_id", "kind", "created_at", "id"),
        Index("ix_task_status", "instance_id", "status", "created_at", "id"),
        Index("ix_task_kind_status", "instance_id", "kind", "status", "created_at", "id"),
        Index("ix_task_finished", "instance_id", "finished_at"),
        Index("ix_task_open", "status", sqlite_where=IS_OPEN, postgresql_where=IS_OPEN),
        Index("ix_task_lease", "lease_until", sqlite_where=IS_RUNNING, postgresql_where=IS_RUNNING),
        Index("ix_task_expiry", "expires_at", sqlite_where=IS_UNCLAIMED, postgresql_where=IS_UNCLAIMED),
    )


class Step(Base):
    """One journalled unit inside a task; its row is the journal entry."""

    __tablename__ = "step"

    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    task_id: Mapped[str] = mapped_column(ForeignKey("task.id", ondelete="CASCADE"))
    key: Mapped[str] = mapped_column(String(200))
    #: Order of the first starts, from 1 on.
    position: Mapped[int] = mapped_column(Integer)
    agent: Mapped[str] = mapped_column(String(100))
    action: Mapped[str] = mapped_column(String(100))
    status: Mapped[str] = mapped_column(String(16))
    #: The attempt that last started it.
    attempt: Mapped[int] = mapped_column(Integer)
    #: Number of this try: one more than the failures at its start; 0 after a reset.
    tries: Mapped[int] = mapped_column(Integer, default=1)
    #: Tries that ended in an error of the step since the last reset. Lost workers do not count.
    failures: Mapped[int] = mapped_column(Integer, default=0, server_default="0")
    #: Whether `output` replaces running the step again; a retry from an earlier step resets it.
    saved: Mapped[bool] = mapped_column(Boolean, default=False)
    #: Percent of the task that is done once this step is.
    progress: Mapped[float | None] = mapped_column(Float)
    #: The agent's message at the end of the step, if any.
    message: Mapped[str | None] = mapped_column(Text)
    output: Mapped[Any | None] = mapped_column(JSON(none_as_null=True))
    #: The redacted output (see `core/payload_redaction/stored_redactions`).
    output_shown: Mapped[Any | None] = mapped_column(JSON(none_as_null=True), deferred=True)
    #: The artifact of an output that is too large for the row.
    artifact_id: Mapped[str | None] = mapped_column(String(36))
    error: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    started_at: Mapped[datetime] = mapped_column(Moment)
    completed_at: Mapped[datetime | None] = mapped_column(Moment)

    __table_args__ = (UniqueConstraint("task_id", "key"), Index("ix_step_position", "task_id", "position"))


class Event(Base):
    """One numbered event; rows are only added, and deleted from the oldest on."""

    __tablename__ = "event"

    instance_id: Mapped[str] = mapped_column(ForeignKey("instance.id", ondelete="CASCADE"), primary_key=True)
    seq: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    #: Deterministic (see `core/events.event_id`), so that a repeat is stored once.
    id: Mapped[str] = mapped_column(String(36), unique=True)
    epoch: Mapped[str] = mapped_column(String(32))
    task_id: Mapped[str] = mapped_column(String(36))
    type: Mapped[str] = mapped_column(String(32))
    attempt: Mapped[int] = mapped_column(Integer)
    data: Mapped[dict[str, Any]] = mapped_column(JSON)
    created_at: Mapped[datetime] = mapped_column(Moment)

    __table_args__ = (Index("ix_event_task", "task_id", "seq"),)


class Outbox(Base):
    """The entry that wakes a worker for a task's next attempt. The claim deletes it."""

    __tablename__ = "outbox"

    task_id: Mapped[str] = mapped_column(ForeignKey("task.id", ondelete="CASCADE"), primary_key=True)
    #: The attempt that the message asks for.
    attempt: Mapped[int] = mapped_column(Integer)
    #: When to send it, or to send it again.
    available_at: Mapped[datetime] = mapped_column(Moment, index=True)
    sends: Mapped[int] = mapped_column(Integer, default=0)
    #: When it was last sent to the broker.
    sent_at: Mapped[datetime | None] = mapped_column(Moment, index=True)
    #: Since when workers have returned it, because they could not begin.
    held_since: Mapped[datetime | None] = mapped_column(Moment)
    created_at: Mapped[datetime] = mapped_column(Moment, index=True)
    #: When it was first due: since then the task waits for a worker.
    due_at: Mapped[datetime | None] = mapped_column(Moment, index=True)
