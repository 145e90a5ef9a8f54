"""Settings of the database, its connections and its durability. Part of `core/settings`, whose docstring holds."""

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
