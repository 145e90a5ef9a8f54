"""Settings of the database: waiting times, durability and connections."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field


class DatabaseSettings(BaseModel):
    """How long transactions wait, when SQLite writes to disk, and how many PostgreSQL connections there are."""

    # Database
    database_wait: float = Field(30.0, gt=0, description="How long a write waits for a locked or absent database")
    database_sync: Literal["full", "normal"] = Field(
        "full",
        description="When SQLite syncs to the disk: `full` at each commit, `normal` at checkpoints, so that a power "
        "failure loses the latest commits",
    )
    database_pool_size: int = Field(10, ge=1, le=1000, description="PostgreSQL connections that one process keeps open")
    database_pool_overflow: int = Field(
        10, ge=0, le=1000, description="Further connections that it opens under load and closes afterwards"
    )
    database_prepare_threshold: int = Field(
        5, ge=0, description="Executions after which a statement is prepared; 0 for never, as behind PgBouncer"
    )
    database_spare: int = Field(10, ge=0, description="Free connections below which readiness reports `degraded`")
    database_reserve: int = Field(
        10,
        ge=0,
        description="PostgreSQL connections that web processes, beat and commands leave to the runs of workers; "
        "at most half of all",
    )
    database_recycle: float = Field(
        0.0, ge=0, description="Age in seconds at which a connection to PostgreSQL is replaced; 0 for never"
    )
