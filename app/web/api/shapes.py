"""What callers of the REST API get, for the OpenAPI document. (What they send is in `given`.) Beside the road.

Answers are built by `core/reads` and not validated again on their way out; a test holds them against these models.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema

from app.core.states import StepStatus, TaskStatus

Moment = Annotated[str, WithJsonSchema({"type": "string", "format": "date-time"})]
InstanceId = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$", examples=["demo"])]
Uuid = Annotated[str, WithJsonSchema({"type": "string", "format": "uuid"})]
AnyJson = Annotated[Any, WithJsonSchema({"description": "Any JSON value"})]


class Shown(BaseModel):
    """Base of answers."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)


class Instance(Shown):
    """A workspace: one event log, one room."""

    id: InstanceId
    name: str
    epoch: str
    """Name of the present log; another one means that numbers begin anew"""
    seq: int
    """Number of the latest event"""
    created_at: Moment


class Failure(Shown):
    """What went wrong in a task or step."""

    model_config = ConfigDict(extra="allow", use_attribute_docstrings=True)

    code: str
    message: str


class Task(Shown):
    """One piece of work, through all its attempts."""

    id: Uuid
    instance_id: InstanceId
    kind: str
    title: str
    status: TaskStatus
    progress: float = Field(ge=0, le=100)
    message: str
    attempt: int
    """How many times a worker has begun it"""
    input: AnyJson
    result: AnyJson
    """What the agent returned, once COMPLETED"""
    error: Failure | None
    cancel_requested: bool
    submitted_by: str
    last_seq: int
    """Number of its latest event"""
    created_at: Moment
    started_at: Moment | None
    finished_at: Moment | None
    updated_at: Moment
    expires_at: Moment | None


class Step(Shown):
    """One journalled unit inside a task."""

    step_id: Uuid
    task_id: Uuid
    key: str
    position: int
    agent: str
    action: str
    status: StepStatus
    output: AnyJson
    error: Failure | None
    attempt: int
    tries: int
    started_at: Moment
    completed_at: Moment | None


class Event(Shown):
    """One numbered fact, exactly as Socket.IO clients receive it."""

    instance_id: InstanceId
    task_id: Uuid
    type: str = Field(examples=["task_update", "execution_step"])
    data: dict[str, Any]
    seq: int
    epoch: str
    id: Uuid
    attempt: int


class Agent(Shown):
    """An agent's card."""

    kind: str
    title: str
    description: str
    version: str
    input_schema: dict[str, Any]
    """JSON Schema 2020-12 of a submission's `input`"""
    soft_time_limit: float | None
    hard_time_limit: float | None


class Schedule(Shown):
    """A plan to submit one kind of task again and again, or once."""

    id: Uuid
    instance_id: InstanceId
    name: str
    kind: str
    input: AnyJson
    timing: str = Field(examples=["cron", "interval", "once"])
    cron: str | None
    timezone: str
    interval_seconds: float | None
    run_at: Moment | None
    catch_up: str
    overlap: str
    paused: bool
    next_slot_at: Moment | None
    last_slot_at: Moment | None
    created_at: Moment


class Slot(Shown):
    """One firing of a schedule, and what came of it."""

    schedule_id: Uuid
    planned_at: Moment
    outcome: str = Field(examples=["fired", "skipped"])
    reason: str
    task_id: Uuid | None


class TaskWithSteps(Task):
    """A task and its steps, in the order in which they were first started."""

    steps: list[Step]


class Snapshot(Shown):
    """The present state of an instance, all of one moment: read on from `head`."""

    instance_id: InstanceId
    epoch: str
    head: int
    min_seq: int
    tasks: list[TaskWithSteps]
    complete: bool
    """Whether these are all of the instance's tasks, and not just the latest"""


class InstancePage(Shown):
    """Instances by id."""

    items: list[Instance]
    next_cursor: str | None


class TaskPage(Shown):
    """Tasks, the latest first."""

    items: list[Task]
    next_cursor: str | None


class StepList(Shown):
    """All steps of a task, in the order in which they were first started."""

    items: list[Step]
    next_cursor: None


class AgentList(Shown):
    """All agents by kind."""

    items: list[Agent]
    next_cursor: None


class ScheduleList(Shown):
    """All schedules of an instance by name."""

    items: list[Schedule]
    next_cursor: None


class SlotList(Shown):
    """The latest slots of a schedule, the latest first."""

    items: list[Slot]
    next_cursor: None


class EventPage(Shown):
    """Events in their order; ask again with `next_since` until it equals `head`."""

    items: list[Event]
    epoch: str
    head: int
    """Number of the instance's latest event"""
    min_seq: int
    """Least `since` that can still be answered"""
    next_since: int


class TaskOutcome(Shown):
    """The task after a write, and the event to wait for in order to see its effect."""

    task: Task
    seq: int
    """Number of the latest event that the write caused"""
    epoch: str


class Component(Shown):
    """One part that delivery stands on."""

    status: str = Field(examples=["ok", "degraded", "down"])
    detail: str


class Health(Shown):
    """Whether the process works, part by part."""

    status: str = Field(examples=["ok", "degraded", "down"])
    components: dict[str, Component]


class Finding(Shown):
    """One thing that is wrong with the input."""

    field: str = Field(examples=["input.platforms[0]"])
    message: str


class Problem(BaseModel):
    """Problem details (RFC 9457)."""

    model_config = ConfigDict(extra="allow", use_attribute_docstrings=True)

    type: str
    """Address of a text about this kind of problem"""
    title: str
    status: int
    detail: str
    code: str
    field: str | None = None
    """The part of the input that is to blame"""
    errors: list[Finding] | None = None
    """Everything that is wrong with the input"""
    error_id: str | None = None
    """Finds a failure of the server in its log"""
    min_seq: int | None = None
    """With `too_old`: the least `since` that can still be answered"""
