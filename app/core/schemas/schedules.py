"""Schemas of schedules and their slots, and of a schedule to add."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from swallowtail.app.core.schemas.fields import AnyJson, InstanceId, Schema, Timestamp, Uuid
from swallowtail.app.core.schemas.requests import RequestBody, Time


class NewSchedule(RequestBody):
    """A schedule to add: exactly one of `cron`, `interval_seconds` and `run_at`."""

    name: str
    """Name, unique in its instance; 1 to 200 characters"""
    kind: str
    """Kind of agent to run"""
    input: AnyJson = None
    """Input of each task"""
    cron: str | None = None
    """Five fields: minute, hour, day, month, weekday"""
    timezone: str = "UTC"
    """IANA name of the time zone of `cron`"""
    interval_seconds: float | None = None
    """Seconds from one slot to the next"""
    run_at: Time | None = None
    """Time of a single run, RFC 3339 with an offset"""
    catch_up: Literal["skip", "latest", "all"] = "latest"
    """Which missed slots are submitted later"""
    overlap: Literal["allow", "skip"] = "allow"
    """What happens to a slot while the previous task still runs"""


class ScheduleSummary(Schema):
    """A schedule without its input."""

    id: Annotated[Uuid, Field(description="Id, used in URLs")]
    instance_id: Annotated[InstanceId, Field(description="Instance that it submits to")]
    name: Annotated[str, Field(description="Name, unique in its instance")]
    kind: Annotated[str, Field(description="Kind of agent that it runs")]
    timing: Annotated[str, Field(examples=["cron", "interval", "once"], description="Kind of timing")]
    cron: Annotated[str | None, Field(description="Minute, hour, day, month, weekday")]
    timezone: Annotated[str, Field(description="IANA name of the time zone of `cron`")]
    interval_seconds: Annotated[float | None, Field(description="Seconds from one slot to the next")]
    run_at: Annotated[Timestamp | None, Field(description="When it runs once")]
    catch_up: Annotated[str, Field(description="Which missed slots are submitted later")]
    overlap: Annotated[str, Field(description="What happens to a slot while the previous task still runs")]
    paused: Annotated[bool, Field(description="Whether it is paused")]
    next_slot_at: Annotated[Timestamp | None, Field(description="Next slot; null if there is none")]
    last_slot_at: Annotated[Timestamp | None, Field(description="Last slot that was fired or skipped")]
    created_at: Annotated[Timestamp, Field(description="When it was added")]


class ScheduleView(ScheduleSummary):
    """A plan to submit one kind of task repeatedly, or once."""

    input: Annotated[AnyJson, Field(description="Input of each task")]


class SlotView(Schema):
    """One planned firing of a schedule, and its outcome."""

    schedule_id: Annotated[Uuid, Field(description="Schedule")]
    planned_at: Annotated[Timestamp, Field(description="When it was due")]
    outcome: Annotated[str, Field(examples=["fired", "skipped"], description="Outcome")]
    reason: Annotated[str, Field(description="Why it was skipped")]
    task_id: Annotated[Uuid | None, Field(description="Task that it submitted")]
