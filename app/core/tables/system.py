"""The tables of the deployment: its identity, periodic locks, agents and workers."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, Float, Integer, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from swallowtail.app.core.tables.base import Base, Moment


class PeriodicLock(Base):
    """A periodic job that one process does for all: the process that moves `next_at` has the job until then."""

    __tablename__ = "duty"

    name: Mapped[str] = mapped_column(String(32), primary_key=True)
    next_at: Mapped[datetime] = mapped_column(Moment)


class Deployment(Base):
    """One row: the identity in the names of channels, keys and queues (`core/deployment_identity`)."""

    __tablename__ = "deployment"

    id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    identity: Mapped[str] = mapped_column(String(32))


class Agent(Base):
    """The card of an agent that workers publish, for the web process, the CLI and beat."""

    __tablename__ = "agent"

    kind: Mapped[str] = mapped_column(String(100), primary_key=True)
    title: Mapped[str] = mapped_column(String(200))
    description: Mapped[str] = mapped_column(Text)
    version: Mapped[str] = mapped_column(String(50))
    input_schema: Mapped[dict[str, Any]] = mapped_column(JSON)
    #: JSON Schema of the agent's outputs, if it has one.
    output_schema: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    soft_time_limit: Mapped[float | None] = mapped_column(Float)
    hard_time_limit: Mapped[float | None] = mapped_column(Float)
    updated_at: Mapped[datetime] = mapped_column(Moment)


class Worker(Base):
    """A live worker with the kinds of tasks that it knows."""

    __tablename__ = "worker"

    id: Mapped[str] = mapped_column(String(200), primary_key=True)
    kinds: Mapped[list[str]] = mapped_column(JSON)
    #: When it counts as lost, without another announcement.
    good_until: Mapped[datetime] = mapped_column(Moment)
    #: The version of Swallowtail that it runs; None for one that stores none.
    version: Mapped[str | None] = mapped_column(String(50))
