"""Settings of tasks: leases, retries, time limits, the outbox, workers and schedules."""

from __future__ import annotations

import math

from pydantic import BaseModel, Field, ValidationInfo, field_validator

from swallowtail.app.core.config.basic import basic


class TaskSettings(BaseModel):
    """How runs hold, repeat and end their tasks, and how schedules fire."""

    # Tasks
    lease_seconds: float = Field(15.0, gt=0, description="How long a run holds its task without a heartbeat")
    heartbeat_seconds: float = Field(1.0, gt=0, description="How often a run extends its lease and checks for a cancel")
    cancel_grace: float = Field(10.0, ge=0, description="How long a cancelled run may continue before its interruption")
    shutdown_grace: float = Field(
        5.0, ge=0, description="How long a step may continue once its worker stops, before the step is interrupted"
    )
    sweep_interval: float = Field(1.0, gt=0, description="How often lost messages, leases and expired tasks are found")
    resend_idle: float = Field(
        3.0, gt=0, description="When an unclaimed wake-up message is sent again if the broker's queue is empty"
    )
    resend_after: float = Field(10.0, gt=0, description="When an unclaimed wake-up message is first sent again")
    resend_max: float = Field(300.0, gt=0, description="Longest pause between two sends of one message")
    send_timeout: float = Field(2.0, gt=0, description="Longest time to send one message to the broker")
    max_losses: int = Field(5, ge=0, description="Workers that a task may lose in a row without finishing a step")
    step_tries: int = Field(3, ge=1, description="Tries of a step before its task fails")
    backoff_base: float = Field(1.0, ge=0, description="Pause before the second try; doubles with each further one")
    backoff_max: float = Field(60.0, ge=0, description="Longest pause between two tries")
    retry_after_max: float = Field(
        3600.0, ge=0, description="Longest pause before the next try that an error may request (`Retry-After`)"
    )
    soft_time_limit: float = Field(
        600.0, gt=0, description="When a run is asked to stop, unless its agent sets a limit"
    )
    hard_time_limit: float = Field(660.0, gt=0, description="When a run is killed, unless its agent sets a limit")
    max_output_bytes: int = Field(
        1_048_576, ge=1024, description="Largest output of a step or result of a task, in JSON"
    )
    kind_patience: float = Field(600.0, ge=0, description="How long a task waits for a worker that knows its kind")
    announce_interval: float = Field(
        5.0, gt=0, description="How often a worker announces itself and its kinds; six misses mark it as lost"
    )
    worker_concurrency: int = basic(2, ge=1, description="Runs that one worker performs at once")
    worker_max_runs: int = Field(0, ge=0, description="Runs after which a pool process is replaced; 0 for never")
    beat_interval: float = Field(1.0, gt=0, description="How often beat fires due schedules")
    catch_up_after: float = Field(
        60.0, gt=0, description="How late a slot may be when beat first sees it before it counts as missed"
    )
    max_catch_up: int = Field(100, ge=1, description="Most missed slots that catch-up `all` fires afterwards")

    @field_validator("heartbeat_seconds")
    @classmethod
    def _check_heartbeat(cls, value: float, info: ValidationInfo) -> float:
        if value >= info.data.get("lease_seconds", math.inf):
            raise ValueError("must be shorter than SWALLOWTAIL_LEASE_SECONDS, or every run would lose its lease")
        return value

    @field_validator("hard_time_limit")
    @classmethod
    def _check_hard_limit(cls, value: float, info: ValidationInfo) -> float:
        if value < info.data.get("soft_time_limit", 0.0):
            raise ValueError("must not be shorter than SWALLOWTAIL_SOFT_TIME_LIMIT")
        return value
