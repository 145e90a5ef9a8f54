"""The tables of the deployment: its identity, periodic locks, agents and workers."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, Float, Integer, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from swallowtail.app.core.tables.base import Base, Moment


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
