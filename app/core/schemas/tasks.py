"""Schemas of tasks, steps, events and snapshots, and of a task to submit."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, WithJsonSchema, with_config
from typing_extensions import TypedDict

from swallowtail.app.core.schemas.fields import AnyJson, InstanceId, Schema, Timestamp, Uuid
from swallowtail.app.core.schemas.requests import RequestBody
from swallowtail.app.core.states import StepStatus, TaskStatus

_TaskStatus = Annotated[str, WithJsonSchema({"type": "string", "enum": [status.value for status in TaskStatus]})]
_StepStatus = Annotated[str, WithJsonSchema({"type": "string", "enum": [status.value for status in StepStatus]})]

_HIDDEN = "null if the caller's token does not show it"


class NewTask(RequestBody):
    """A task to submit."""

    kind: str
    """Kind of agent that performs it; `/agents` lists them"""
    input: AnyJson = None
    """Input of the agent; the agent's card has the JSON Schema"""
    title: str | None = None
    """Display name; the agent's title if absent"""
    expires_in: float | None = None
    """Seconds in which a worker must start it; it becomes EXPIRED afterwards"""


@with_config(ConfigDict(extra="allow"))
class ErrorView(TypedDict):
    """What went wrong in a task or step."""

    code: Annotated[str, Field(description="Error code, for programs")]
    message: Annotated[str, Field(description="Error message, for people")]


class Wait(Schema):
    """Why a task waits although it should start."""

    reason: Annotated[
        Literal["no_worker", "no_worker_for_kind", "broker_unavailable"], Field(description="Reason, for programs")
    ]
    message: Annotated[str, Field(description="Reason, for people")]


class TaskState(Schema):
    """What is stored of a task, without its input and its result."""

    id: Annotated[Uuid, Field(description="Id, used in URLs")]
    instance_id: Annotated[InstanceId, Field(description="Instance that the task belongs to")]
    kind: Annotated[str, Field(description="Kind of agent that performs it")]
    title: Annotated[str | None, Field(description=f"Title; {_HIDDEN}")]
    status: Annotated[_TaskStatus, Field(description="Status; COMPLETED, FAILED, CANCELLED and EXPIRED are final")]
    progress: Annotated[float, Field(ge=0, le=100, description="Percentage done; never decreases within an attempt")]
    message: Annotated[str | None, Field(description=f"Latest progress message; {_HIDDEN}")]
    attempt: Annotated[int, Field(description="Number of times that a worker has started it")]
    error: Annotated[ErrorView | None, Field(description="Why it stopped; set with RETRYING and FAILED")]
    cancel_requested: Annotated[bool, Field(description="Whether its run was asked to stop and has not stopped yet")]
    submitted_by: Annotated[str | None, Field(description=f"Who submitted it; {_HIDDEN}")]
    last_seq: Annotated[int, Field(description="Number of its latest event")]
    created_at: Annotated[Timestamp, Field(description="When it was submitted")]
    started_at: Annotated[Timestamp | None, Field(description="When a worker first started it")]
    finished_at: Annotated[Timestamp | None, Field(description="When it ended")]
    updated_at: Annotated[Timestamp, Field(description="When it last changed")]
    expires_at: Annotated[Timestamp | None, Field(description="When it expires if no worker has started it")]


class TaskSummary(TaskState):
    """A task without its input and its result."""

    waiting: Annotated[
        Wait | None,
        Field(description="Why no worker starts it; null while a worker that knows its kind runs, and once it started"),
    ]


class TaskView(TaskSummary):
    """One piece of work, through all its attempts."""

    input: Annotated[AnyJson, Field(description="Input of the agent, with defaults filled in")]
    result: Annotated[AnyJson, Field(description="Result of the agent, once COMPLETED")]


class StepSummary(Schema):
    """A step without its output."""

    step_id: Annotated[Uuid, Field(description="Id; the same in every attempt")]
    task_id: Annotated[Uuid, Field(description="Task that the step belongs to")]
    key: Annotated[str | None, Field(description=f"Name within the task; {_HIDDEN}")]
    position: Annotated[int, Field(description="Position in the order of first starts, from 1")]
    agent: Annotated[str | None, Field(description=f"Agent that performs it; {_HIDDEN}")]
    action: Annotated[str | None, Field(description=f"What the agent does; {_HIDDEN}")]
    status: Annotated[_StepStatus, Field(description="Status")]
    message: Annotated[str | None, Field(description="Message of the agent at the end of the step")]
    error: Annotated[ErrorView | None, Field(description="Why it failed")]
    attempt: Annotated[int, Field(description="Attempt of the task that last started it")]
    tries: Annotated[int, Field(description="Number of times that it was started")]
    started_at: Annotated[Timestamp, Field(description="When it was last started")]
    completed_at: Annotated[Timestamp | None, Field(description="When it ended")]


class StepView(StepSummary):
    """One journalled unit inside a task."""

    output: Annotated[AnyJson, Field(description="Output, once completed")]


class TaskWithSteps(TaskState):
    """A task with its steps, in the order in which they were first started."""

    steps: Annotated[list[StepSummary], Field(description="Its steps, or the latest of them")]
    steps_complete: Annotated[bool, Field(description="Whether these are all of its steps")]


class SnapshotView(Schema):
    """The current state of an instance at one point in time; continue reading events from `head`."""

    instance_id: Annotated[InstanceId, Field(description="Instance")]
    epoch: Annotated[str, Field(description="Log that `head` belongs to")]
    head: Annotated[int, Field(description="Number of the latest event: continue from here")]
    min_seq: Annotated[int, Field(description="Least `since` that the log can still answer")]
    tasks: Annotated[list[TaskWithSteps], Field(description="The latest tasks first")]
    complete: Annotated[bool, Field(description="Whether these are all tasks of the instance")]


class WarningView(Schema):
    """A warning about a request that succeeded."""

    code: Annotated[str, Field(examples=["no_worker"], description="Warning code, for programs")]
    message: Annotated[str, Field(description="Warning text, for people")]


class EventView(Schema):
    """One numbered event, exactly as Socket.IO clients receive it."""

    instance_id: Annotated[InstanceId, Field(description="Instance whose log contains it")]
    task_id: Annotated[Uuid, Field(description="Task that it is about")]
    type: Annotated[str, Field(examples=["task_update", "execution_step"], description="Name of the Socket.IO event")]
    data: Annotated[dict[str, Any], Field(description="What happened")]
    seq: Annotated[int, Field(description="Number; one more than that of the previous event")]
    epoch: Annotated[str, Field(description="Log that the number belongs to")]
    id: Annotated[Uuid, Field(description="Id; the same each time the event is sent")]
    attempt: Annotated[int, Field(description="Number of times that a worker had started the task")]
