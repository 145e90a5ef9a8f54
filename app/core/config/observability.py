"""Settings of what tells how the system is. Part of `core/config/settings`, whose docstring holds."""

from __future__ import annotations

from pydantic import Field
from pydantic_settings import BaseSettings


class WatchingSettings(BaseSettings):
    """Where workers and beat serve their metrics, and what readiness takes for too long."""

    # Metrics and readiness
    metrics_host: str = Field(
        "127.0.0.1",
        description="Address on which workers and beat serve their metrics",
    )
    worker_metrics_port: int = Field(
        0,
        ge=0,
        le=65535,
        description="Port on which a worker serves its metrics; 0 for none",
    )
    beat_metrics_port: int = Field(0, ge=0, le=65535, description="Port on which beat serves its metrics; 0 for none")
    broker_check: float = Field(5.0, gt=0, description="How often a process asks the broker how many messages wait")
    count_limit: int = Field(
        10_000,
        ge=1,
        description="Most tasks of one status, and most that wait, that metrics and readiness count; that many means: "
        "or more",
    )
    ready_wait: float = Field(
        60.0, gt=0, description="How long a task or a slot may wait before readiness says `degraded`"
    )
