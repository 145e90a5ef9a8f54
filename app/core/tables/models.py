"""The tables. Only the ledger writes tasks, steps, events and wishes, and only `core/maintenance/retention` deletes
them; `core/services/tasks` and the scheduler own the rest.

Moments are stored as microseconds since 1970 (`Moment`), so that comparing with the database's clock is arithmetic on
integers on SQLite and PostgreSQL alike.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Dialect,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.types import TypeDecorator

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Moment(TypeDecorator[datetime]):
    """An aware `datetime`, stored as integer microseconds since 1970-01-01T00:00Z."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:
        """Encode; a naive moment is refused, since nobody could say which clock it was read from."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a naive datetime cannot be stored")
        return (value - _EPOCH) // timedelta(microseconds=1)

    def process_result_value(self, value: int | None, dialect: Dialect) -> datetime | None:
        """Decode. What is no moment, as in a damaged row, is the first one, so that the other rows can be read."""
        try:
            return None if value is None else _EPOCH + timedelta(microseconds=value)
        except (TypeError, OverflowError):
            return _EPOCH


class Base(DeclarativeBase):
    """Base of every table; constraint names are fixed so that migrations can name them."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )


# What partial indexes are about, in the words in which they are asked for: SQLite compares these, not what they mean.
IS_OPEN = text("status IN ('SUBMITTED', 'QUEUED', 'IN_PROGRESS', 'WAITING', 'RETRYING')")
IS_RUNNING = text("status = 'IN_PROGRESS'")
IS_UNCLAIMED = text("status IN ('SUBMITTED', 'QUEUED') AND attempt = 0")


class Instance(Base):
    """A tenant's workspace: one room, one event log."""

    __tablename__ = "instance"

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    name: Mapped[str] = mapped_column(String(200))
    #: Number of the latest event; the counter that numbers the log.
    seq: Mapped[int] = mapped_column(BigInteger, default=0)
    #: Number of the latest event that is no longer stored: replay is possible from here on.
    min_seq: Mapped[int] = mapped_column(BigInteger, default=0)
    #: Random name of this log; another one means that numbers may be used again.
    epoch: Mapped[str] = mapped_column(String(32))
    created_at: Mapped[datetime] = mapped_column(Moment)
    #: The user who created it, for counting; they need not be a member any more.
    created_by: Mapped[str | None] = mapped_column(String(36), index=True)


class Task(Base):
    """The row that a user sees: one piece of work, through all its attempts."""

    __tablename__ = "task"

    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    instance_id: Mapped[str] = mapped_column(ForeignKey("instance.id", ondelete="CASCADE"))
    kind: Mapped[str] = mapped_column(String(100))
    title: Mapped[str] = mapped_column(String(200))
    input: Mapped[Any] = mapped_column(JSON)
    #: What is shown of the input (see `core/payload_redaction/kept_values`), and the texts in its secret fields (see `core/payload_redaction/input_secrets`).
    input_shown: Mapped[Any | None] = mapped_column(JSON(none_as_null=True), deferred=True)
    secrets: Mapped[Any | None] = mapped_column(JSON(none_as_null=True), deferred=True)
    #: Where the input is, when it is too large for the row, which then holds the reference to it.
    input_artifact_id: Mapped[str | None] = mapped_column(String(36))
    status: Mapped[str] = mapped_column(String(16))
    progress: Mapped[float] = mapped_column(Float, default=0.0)
    message: Mapped[str] = mapped_column(Text, default="")
    #: How many claims there have been; the next wake-up message carries `attempt + 1`.
    attempt: Mapped[int] = mapped_column(Integer, default=0)
    #: Claims in a row that ended without a trace and without a newly finished step.
    losses: Mapped[int] = mapped_column(Integer, default=0)
    #: Errors of the agent outside of any step, since the last clean slate.
    failures: Mapped[int] = mapped_column(Integer, default=0, server_default="0")
    #: How often somebody asked for a retry after the end; keeps the ids of repeated moves apart.
    retries: Mapped[int] = mapped_column(Integer, default=0)
    #: Random secret of the present claim: who does not know it may not write.
    token: Mapped[str | None] = mapped_column(String(36))
    worker: Mapped[str | None] = mapped_column(String(200))
    lease_until: Mapped[datetime | None] = mapped_column(Moment)
    cancel_requested_at: Mapped[datetime | None] = mapped_column(Moment)
    result: Mapped[Any | None] = mapped_column(JSON(none_as_null=True))
    #: What is shown of the result (see `core/payload_redaction/kept_values`).
    result_shown: Mapped[Any | None] = mapped_column(JSON(none_as_null=True), deferred=True)
    #: Where the result is, when it is too large for the row, which then holds the reference to it.
    artifact_id: Mapped[str | None] = mapped_column(String(36))
    error: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    #: Number of the task's latest event.
    last_seq: Mapped[int] = mapped_column(BigInteger, default=0)
    soft_time_limit: Mapped[float | None] = mapped_column(Float)
    hard_time_limit: Mapped[float | None] = mapped_column(Float)
    submitted_by: Mapped[str] = mapped_column(String(100), default="api")
    idempotency_key: Mapped[str | None] = mapped_column(String(200))
    #: SHA-256 of what was submitted, to tell a repeat from a clash of keys.
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
    #: 1 for the first step that the task ever started, and so on.
    position: Mapped[int] = mapped_column(Integer)
    agent: Mapped[str] = mapped_column(String(100))
    action: Mapped[str] = mapped_column(String(100))
    status: Mapped[str] = mapped_column(String(16))
    #: The attempt that last started it.
    attempt: Mapped[int] = mapped_column(Integer)
    #: Which try this is: one more than there were failures when it was started; 0 after a clean slate.
    tries: Mapped[int] = mapped_column(Integer, default=1)
    #: Tries that ended in an error of the step's own, since it last had a clean slate. A lost worker is none.
    failures: Mapped[int] = mapped_column(Integer, default=0, server_default="0")
    #: Whether `output` may stand in for running the step again; a retry from an earlier step takes it back.
    saved: Mapped[bool] = mapped_column(Boolean, default=False)
    #: Percent of the task that is done once this step is.
    progress: Mapped[float | None] = mapped_column(Float)
    #: What the agent said when it was done; None when it said nothing.
    message: Mapped[str | None] = mapped_column(Text)
    output: Mapped[Any | None] = mapped_column(JSON(none_as_null=True))
    #: What is shown of the output (see `core/payload_redaction/kept_values`).
    output_shown: Mapped[Any | None] = mapped_column(JSON(none_as_null=True), deferred=True)
    #: Where the output is, when it is too large for the row, which then holds the reference to it.
    artifact_id: Mapped[str | None] = mapped_column(String(36))
    error: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    started_at: Mapped[datetime] = mapped_column(Moment)
    completed_at: Mapped[datetime | None] = mapped_column(Moment)

    __table_args__ = (UniqueConstraint("task_id", "key"), Index("ix_step_position", "task_id", "position"))


class Event(Base):
    """One numbered fact; rows are only ever added, and pruned from the old end."""

    __tablename__ = "event"

    instance_id: Mapped[str] = mapped_column(ForeignKey("instance.id", ondelete="CASCADE"), primary_key=True)
    seq: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    #: Deterministic (see `core/events.event_id`), so that a fact told twice is stored once.
    id: Mapped[str] = mapped_column(String(36), unique=True)
    epoch: Mapped[str] = mapped_column(String(32))
    task_id: Mapped[str] = mapped_column(String(36))
    type: Mapped[str] = mapped_column(String(32))
    attempt: Mapped[int] = mapped_column(Integer)
    data: Mapped[dict[str, Any]] = mapped_column(JSON)
    created_at: Mapped[datetime] = mapped_column(Moment)

    __table_args__ = (Index("ix_event_task", "task_id", "seq"),)


class Outbox(Base):
    """The wish to wake a worker for a task's next attempt. It stays until the claim that fulfils it."""

    __tablename__ = "outbox"

    task_id: Mapped[str] = mapped_column(ForeignKey("task.id", ondelete="CASCADE"), primary_key=True)
    #: The attempt that the message asks for.
    attempt: Mapped[int] = mapped_column(Integer)
    #: When to send it, or to doubt that it arrived.
    available_at: Mapped[datetime] = mapped_column(Moment, index=True)
    sends: Mapped[int] = mapped_column(Integer, default=0)
    #: When it was last handed to the broker; None before that.
    sent_at: Mapped[datetime | None] = mapped_column(Moment, index=True)
    #: Since when workers have given it back, because they could not begin it.
    held_since: Mapped[datetime | None] = mapped_column(Moment)
    created_at: Mapped[datetime] = mapped_column(Moment, index=True)
    #: Since when it waits for a worker: when it was to be sent first, whatever happened since.
    due_at: Mapped[datetime | None] = mapped_column(Moment, index=True)


class Duty(Base):
    """What one process at a time does for all; who moves `next_at` on has the turn until then."""

    __tablename__ = "duty"

    name: Mapped[str] = mapped_column(String(32), primary_key=True)
    next_at: Mapped[datetime] = mapped_column(Moment)


class Deployment(Base):
    """One row: what tells this deployment's channels, keys and queues from those of others (`core/deployment`)."""

    __tablename__ = "deployment"

    id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    identity: Mapped[str] = mapped_column(String(32))


class Agent(Base):
    """What the web, the CLI and beat know of an agent: the card that workers publish."""

    __tablename__ = "agent"

    kind: Mapped[str] = mapped_column(String(100), primary_key=True)
    title: Mapped[str] = mapped_column(String(200))
    description: Mapped[str] = mapped_column(Text)
    version: Mapped[str] = mapped_column(String(50))
    input_schema: Mapped[dict[str, Any]] = mapped_column(JSON)
    #: What the agent's outputs look like; None when it does not say.
    output_schema: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    soft_time_limit: Mapped[float | None] = mapped_column(Float)
    hard_time_limit: Mapped[float | None] = mapped_column(Float)
    updated_at: Mapped[datetime] = mapped_column(Moment)


class Worker(Base):
    """A worker that said it lives, and which kinds of task it knows."""

    __tablename__ = "worker"

    id: Mapped[str] = mapped_column(String(200), primary_key=True)
    kinds: Mapped[list[str]] = mapped_column(JSON)
    #: Until when it counts as living, if it says nothing more.
    good_until: Mapped[datetime] = mapped_column(Moment)


class Schedule(Base):
    """A plan to submit one kind of task again and again, or once."""

    __tablename__ = "schedule"

    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    instance_id: Mapped[str] = mapped_column(ForeignKey("instance.id", ondelete="CASCADE"))
    name: Mapped[str] = mapped_column(String(200))
    kind: Mapped[str] = mapped_column(String(100))
    input: Mapped[Any] = mapped_column(JSON)
    #: What is shown of the input (see `core/payload_redaction/kept_values`).
    input_shown: Mapped[Any | None] = mapped_column(JSON(none_as_null=True), deferred=True)
    #: Where the input is, when it is too large for the row, which then holds the reference to it.
    input_artifact_id: Mapped[str | None] = mapped_column(String(36))
    #: `cron`, `interval` or `once`; exactly the fields of that one are set.
    timing: Mapped[str] = mapped_column(String(16))
    cron: Mapped[str | None] = mapped_column(String(200))
    timezone: Mapped[str] = mapped_column(String(64), default="UTC")
    interval_seconds: Mapped[float | None] = mapped_column(Float)
    run_at: Mapped[datetime | None] = mapped_column(Moment)
    #: What to do with slots that passed while nobody looked: `skip`, `latest` or `all`.
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
    """One planned firing of a schedule; its key is what makes two beats fire it once."""

    __tablename__ = "slot"

    schedule_id: Mapped[str] = mapped_column(ForeignKey("schedule.id", ondelete="CASCADE"), primary_key=True)
    planned_at: Mapped[datetime] = mapped_column(Moment, primary_key=True)
    #: `fired` or `skipped`.
    outcome: Mapped[str] = mapped_column(String(16))
    reason: Mapped[str] = mapped_column(String(200), default="")
    #: With an index: a task that is deleted is looked for here.
    task_id: Mapped[str | None] = mapped_column(ForeignKey("task.id", ondelete="SET NULL"), index=True)
    created_at: Mapped[datetime] = mapped_column(Moment)
