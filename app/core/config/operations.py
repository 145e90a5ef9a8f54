"""Settings of operations: logs, metrics, readiness and the supervisor."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field

from swallowtail.app.core.config.basic import basic


class OperationSettings(BaseModel):
    """How processes log, serve metrics, judge readiness and are restarted."""

    # The supervisor of `scripts/up` and of several web processes
    stop_grace: float = Field(20.0, gt=0, description="How long a stopped process may take before it is killed")
    restart_pause: float = Field(0.5, ge=0, description="Pause before an ended process is restarted; doubles each time")
    restart_pause_max: float = Field(15.0, ge=0, description="Longest such pause")
    restart_forget: float = Field(30.0, gt=0, description="How long a process must live until the pause is short again")

    # Logs
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = basic("INFO", description="Lowest level that is logged")
    log_format: Literal["console", "json"] = basic("console", description="Format of log lines")

    # Metrics and readiness
    metrics_host: str = Field("127.0.0.1", description="Address on which workers and beat serve their metrics")
    worker_metrics_port: int = Field(0, ge=0, le=65535, description="Port of a worker's metrics; 0 for none")
    beat_metrics_port: int = Field(0, ge=0, le=65535, description="Port of beat's metrics; 0 for none")
    broker_check: float = Field(5.0, gt=0, description="How often a process asks the broker how many messages wait")
    count_limit: int = Field(
        10_000, ge=1, description="Largest number of tasks that metrics and readiness count; this number means: or more"
    )
    ready_wait: float = Field(60.0, gt=0, description="How long a task or slot may wait until readiness is `degraded`")
