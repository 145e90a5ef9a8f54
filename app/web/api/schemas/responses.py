"""The answers of the REST API, made of the things in `shapes`: lists, outcomes, health and problems. Off the road."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from swallowtail.app.web.api.schemas.resources import (
    Agent,
    AuditEntry,
    Event,
    Instance,
    InstanceId,
    Schedule,
    ScheduleOutline,
    Shown,
    Slot,
    StepOutline,
    Task,
    TaskOutline,
    TaskWithSteps,
)


class Snapshot(Shown):
    """The present state of an instance, all of one moment: read on from `head`."""

    instance_id: InstanceId
    """Which instance"""
    epoch: str
    """The log that `head` belongs to"""
    head: int
    """Number of the latest event: read on from here"""
    min_seq: int
    """Least `since` that can be read on from"""
    tasks: list[TaskWithSteps]
    """The latest tasks first"""
    complete: bool
    """Whether these are all of the instance's tasks, and not just the latest"""


class InstancePage(Shown):
    """Instances by id."""

    items: list[Instance]
    """The instances on this page"""
    next_cursor: str | None
    """`cursor` of the next page; null on the last"""


class TaskPage(Shown):
    """Tasks without their inputs and results, the latest first."""

    items: list[TaskOutline]
    """The tasks on this page"""
    next_cursor: str | None
    """`cursor` of the next page; null on the last"""


class AuditPage(Shown):
    """Entries of an audit log, the latest first."""

    items: list[AuditEntry]
    """The entries on this page; fewer than `limit`, even none, does not mean that it is the last"""
    next_cursor: str | None
    """`cursor` of the next page; null on the last"""


class StepList(Shown):
    """All steps of a task in outline, in the order in which they were first started."""

    items: list[StepOutline]
    """The steps"""
    next_cursor: None
    """Always null"""


class AgentList(Shown):
    """All agents by kind."""

    items: list[Agent]
    """The agents"""
    next_cursor: None
    """Always null"""


class ScheduleList(Shown):
    """Schedules of an instance in outline, by name."""

    items: list[ScheduleOutline]
    """The schedules"""
    next_cursor: str | None
    """`cursor` of the next page; null on the last"""


class SlotList(Shown):
    """The latest slots of a schedule, the latest first."""

    items: list[Slot]
    """The slots"""
    next_cursor: None
    """Always null"""


class EventPage(Shown):
    """Events in their order; ask again with `next_since` until it equals `head`."""

    items: list[Event]
    """The events"""
    epoch: str
    """The log that the numbers belong to"""
    head: int
    """Number of the instance's latest event"""
    min_seq: int
    """Least `since` that can still be answered"""
    next_since: int
    """`since` of the next question"""


class Caution(Shown):
    """Something that may not go as the caller expects."""

    code: str = Field(examples=["no_worker"])
    """Its name, for programs"""
    message: str
    """Its text, for people"""


class AddedSchedule(Schedule):
    """A schedule that was just added."""

    warnings: list[Caution] = Field(default_factory=list)
    """What you should know although it was done; left out when there is nothing"""


class TaskOutcome(Shown):
    """The task after a write, and the event to wait for in order to see its effect."""

    task: Task
    """The task as it is now"""
    seq: int
    """Number of the latest event that the write caused"""
    epoch: str
    """The log that `seq` belongs to"""
    warnings: list[Caution] = Field(default_factory=list)
    """What you should know although it was done; left out when there is nothing"""


class Component(Shown):
    """One part that delivery stands on."""

    status: str = Field(examples=["ok", "degraded", "down"])
    """How it is"""
    detail: str
    """What was found"""


class Health(Shown):
    """Whether the process works, part by part."""

    status: str = Field(examples=["ok", "degraded", "down"])
    """That of the worst part"""
    components: dict[str, Component]
    """Each part by name"""
    process: int
    """The id of the process that answered, one of those that share the address"""


class Finding(Shown):
    """One thing that is wrong with the input."""

    field: str = Field(examples=["input.platforms[0]"])
    """The part of the input"""
    message: str
    """What is wrong with it"""


class Problem(BaseModel):
    """Problem details (RFC 9457)."""

    model_config = ConfigDict(extra="allow", use_attribute_docstrings=True)

    type: str
    """Address of a text about this kind of problem"""
    title: str
    """The kind of problem"""
    status: int
    """The HTTP status"""
    detail: str
    """What is wrong this time"""
    code: str
    """Name of the kind of problem"""
    field: str | None = None
    """The part of the input that is to blame"""
    errors: list[Finding] | None = None
    """Everything that is wrong with the input"""
    error_id: str | None = None
    """Finds a failure of the server in its log"""
    retry_after_ms: int | None = None
    """With `rate_limited` and `too_many`: when to try again, where that is known"""
    min_seq: int | None = None
    """With `too_old`: the least `since` that can still be answered"""


class Removed(Shown):
    """How much was deleted."""

    tasks: int
    """Tasks, with their steps and artifacts"""
    events: int
    """Events"""
