"""Settings of the database, its connections and its durability. Part of `core/config/settings`, whose docstring holds."""

from __future__ import annotations

from typing import Literal

from pydantic import Field
from pydantic_settings import BaseSettings


class DatabaseSettings(BaseSettings):
    """How the database is waited for, written to and connected to."""

    # Database
    database_wait: float = Field(30.0, gt=0, description="How long a write waits for a locked or absent database")
    database_sync: Literal["full", "normal"] = Field(
        "full",
        description="When SQLite writes to the disk: `full` at each commit, `normal` now and then, so that a power "
        "failure takes the latest commits with it",
    )
    database_pool_size: int = Field(10, ge=1, le=1000, description="Connections to PostgreSQL that one process keeps")
    database_pool_overflow: int = Field(
        10, ge=0, le=1000, description="Connections that it opens beyond these in a crowd and closes afterwards"
    )
    database_prepare_threshold: int = Field(
        5,
        ge=0,
        description="Executions after which a statement is prepared; 0 for never, "
        "as behind PgBouncer in transaction mode",
    )
    database_spare: int = Field(
        10, ge=0, description="Connections that PostgreSQL should have left; fewer make readiness `degraded`"
    )
    database_reserve: int = Field(
        10,
        ge=0,
        description="Connections to PostgreSQL that web processes, beat and commands leave to the runs of workers; "
        "at most half of those that there may be",
    )
    database_recycle: float = Field(
        0.0, ge=0, description="Age in seconds at which a connection to PostgreSQL is replaced; 0 for never"
    )
