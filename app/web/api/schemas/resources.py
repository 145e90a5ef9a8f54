"""The things of the REST API as callers see them, for the OpenAPI document; `answers` is made of them. Off the road.

Answers are built by `core/queries/rows` and not validated again on their way out; a test holds them against these models.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema

from swallowtail.app.core.states import StepStatus, TaskStatus

Moment = Annotated[str, WithJsonSchema({"type": "string", "format": "date-time"})]
InstanceId = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$", examples=["demo"])]
Uuid = Annotated[str, WithJsonSchema({"type": "string", "format": "uuid"})]
AnyJson = Annotated[Any, WithJsonSchema({"description": "Any JSON value"})]


#: Text that a token may not show its bearer.
Told = str | None


class Shown(BaseModel):
    """Base of answers."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)


class Instance(Shown):
    """A workspace: one event log, one room."""

    id: InstanceId
    """Its part of addresses"""
    name: str
    """What people call it"""
    epoch: str
    """Name of the present log; another one means that numbers begin anew"""
    seq: int
    """Number of the latest event"""
    created_at: Moment
    """When it was created"""


class Failure(Shown):
    """What went wrong in a task or step."""

    model_config = ConfigDict(extra="allow", use_attribute_docstrings=True)

    code: str
    """Name of the kind of failure"""
    message: str
    """What happened, for people"""


class TaskOutline(Shown):
    """A task without its input and its result."""

    id: Uuid
    """Its part of addresses"""
    instance_id: InstanceId
    """Where it was submitted"""
    kind: str
    """Which agent performs it"""
    title: Told
    """What people call it; null when the caller's token does not show it"""
    status: TaskStatus
    """Its state; COMPLETED, FAILED, CANCELLED and EXPIRED are ends"""
    progress: float = Field(ge=0, le=100)
    """Percent that is done; never goes back within an attempt"""
    message: Told
    """What it is at, for people; null when the caller's token does not show it"""
    attempt: int
    """How many times a worker has begun it"""
    error: Failure | None
    """Why it did not go on, with RETRYING and FAILED"""
    cancel_requested: bool
    """Whether its run was asked to stop and has not yet"""
    submitted_by: Told
    """Who submitted it; null when the caller's token does not show it"""
    last_seq: int
    """Number of its latest event"""
    created_at: Moment
    """When it was submitted"""
    started_at: Moment | None
    """When a worker first began it"""
    finished_at: Moment | None
    """When it ended"""
    updated_at: Moment
    """When anything about it last changed"""
    expires_at: Moment | None
    """When it expires unless a worker has begun it"""


class Task(TaskOutline):
    """One piece of work, through all its attempts."""

    input: AnyJson
    """What the agent was given, with defaults filled in"""
    result: AnyJson
    """What the agent returned, once COMPLETED"""


class StepOutline(Shown):
    """A step without its output."""

    step_id: Uuid
    """The same in every attempt"""
    task_id: Uuid
    """The task that it is part of"""
    key: Told
    """Its name within the task; null when the caller's token does not show it"""
    position: int
    """1 for the step that was started first"""
    agent: Told
    """Who performs it; null when the caller's token does not show it"""
    action: Told
    """What is done; null when the caller's token does not show it"""
    status: StepStatus
    """Its state"""
    message: str | None
    """What the agent said when it was done"""
    error: Failure | None
    """Why it failed"""
    attempt: int
    """The attempt of the task that last started it"""
    tries: int
    """How often it was started"""
    started_at: Moment
    """When it was last started"""
    completed_at: Moment | None
    """When it ended"""


class Step(StepOutline):
    """One journalled unit inside a task."""

    output: AnyJson
    """What came of it, once completed"""


class Event(Shown):
    """One numbered fact, exactly as Socket.IO clients receive it."""

    instance_id: InstanceId
    """Whose log it is in"""
    task_id: Uuid
    """The task that it is about"""
    type: str = Field(examples=["task_update", "execution_step"])
    """Name of the Socket.IO event"""
    data: dict[str, Any]
    """What happened"""
    seq: int
    """Its number: one more than that of the event before"""
    epoch: str
    """The log that the number belongs to"""
    id: Uuid
    """The same however often it is told"""
    attempt: int
    """How many times a worker had begun the task"""


class Agent(Shown):
    """An agent's card."""

    kind: str
    """What a submission calls it"""
    title: str
    """What people call it"""
    description: str
    """What it does"""
    version: str
    """Version of the agent"""
    input_schema: dict[str, Any]
    """JSON Schema 2020-12 of a submission's `input`"""
    soft_time_limit: float | None
    """Seconds after which a run is told to stop; null for the usual"""
    hard_time_limit: float | None
    """Seconds after which a run is killed; null for the usual"""


class ScheduleOutline(Shown):
    """A schedule without its input."""

    id: Uuid
    """Its part of addresses"""
    instance_id: InstanceId
    """Where it submits"""
    name: str
    """What people call it"""
    kind: str
    """Which agent is run"""
    timing: str = Field(examples=["cron", "interval", "once"])
    """Which of the three timings it has"""
    cron: str | None
    """Minute, hour, day, month, weekday"""
    timezone: str
    """Zone whose wall clock `cron` is about"""
    interval_seconds: float | None
    """Seconds from one slot to the next"""
    run_at: Moment | None
    """The one moment"""
    catch_up: str
    """Which missed slots are made up for"""
    overlap: str
    """What to do with a slot when the last task still runs"""
    paused: bool
    """Whether no slot comes for now"""
    next_slot_at: Moment | None
    """The next slot; null when there is none to come"""
    last_slot_at: Moment | None
    """The last slot that was decided"""
    created_at: Moment
    """When it was added"""


class Schedule(ScheduleOutline):
    """A plan to submit one kind of task again and again, or once."""

    input: AnyJson
    """The input of each task"""


class Slot(Shown):
    """One firing of a schedule, and what came of it."""

    schedule_id: Uuid
    """Whose slot it is"""
    planned_at: Moment
    """When it was due"""
    outcome: str = Field(examples=["fired", "skipped"])
    """What came of it"""
    reason: str
    """Why it was skipped"""
    task_id: Uuid | None
    """The task that it submitted"""


class TaskWithSteps(TaskOutline):
    """A task in outline and its steps, in the order in which they were first started."""

    steps: list[StepOutline]
    """Its steps, or the latest of them"""
    steps_complete: bool
    """Whether these are all of its steps"""


class AuditEntry(Shown):
    """One thing that was done, or that somebody was refused."""

    scope: str
    """The instance that it was done in; empty when in none"""
    number: int
    """Its place in the log, from 1"""
    at: Moment
    """When"""
    actor_kind: str = Field(examples=["user", "front_end", "open", "nobody"])
    """What kind of somebody did it"""
    actor_id: str
    """Who: id of the user or token"""
    actor_name: str
    """Who, for people"""
    action: str = Field(examples=["task.cancel", "denied"])
    """What was done"""
    object_type: str
    """What kind of thing it was done to"""
    object_id: str
    """Which of them"""
    entrance: str = Field(examples=["rest", "ui", "cli", "socket"])
    """By which entrance"""
    address: str
    """From which address"""
    detail: dict[str, Any]
    """More about it"""
    hash: str
    """SHA-256 of the entry and of the hash before it"""


class Policy(Shown):
    """What an instance has decided for itself; null is as the settings say."""

    instance_id: InstanceId
    """Whose it is"""
    event_days: float | None
    """Days that events are kept; 0 for ever"""
    task_days: float | None
    """Days that ended tasks, and events at most, are kept; 0 for ever"""
    secret_fields: list[str] | None
    """Fields that nobody sees, beside those of the settings and of the agents"""
    hide_emails: bool | None
    """Whether e-mail addresses are hidden"""
    updated_at: Moment | None
    """When it was decided; null when nothing was"""
