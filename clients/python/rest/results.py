"""What the client returns: the JSON objects of the REST API as typed objects, each with its JSON in `raw`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

Json = dict[str, Any]

#: The statuses after which a task changes only by a retry.
FINAL = frozenset({"COMPLETED", "FAILED", "CANCELLED", "EXPIRED"})


@dataclass(frozen=True)
class Waiting:
    """Why no worker has started a task: `reason` for programs, `message` for people."""

    reason: str
    message: str


@dataclass(frozen=True)
class Task:
    """A task. `input` and `result` are None in lists, and a field that the token does not show is None."""

    id: str
    instance_id: str
    kind: str
    title: str | None
    status: str
    progress: float
    message: str | None
    attempt: int
    error: Json | None
    cancel_requested: bool
    submitted_by: str | None
    last_seq: int
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    updated_at: datetime
    expires_at: datetime | None
    waiting: Waiting | None
    input: Any
    result: Any
    raw: Json = field(repr=False, compare=False)

    @property
    def is_final(self) -> bool:
        """Whether the task has ended."""
        return self.status in FINAL

    @classmethod
    def from_json(cls, raw: Json) -> Task:
        """Read a task of the REST API."""
        waiting = raw.get("waiting")
        return cls(
            id=raw["id"],
            instance_id=raw["instance_id"],
            kind=raw["kind"],
            title=raw["title"],
            status=raw["status"],
            progress=raw["progress"],
            message=raw["message"],
            attempt=raw["attempt"],
            error=raw["error"],
            cancel_requested=raw["cancel_requested"],
            submitted_by=raw["submitted_by"],
            last_seq=raw["last_seq"],
            created_at=_moment(raw["created_at"]),
            started_at=_moment_or_none(raw["started_at"]),
            finished_at=_moment_or_none(raw["finished_at"]),
            updated_at=_moment(raw["updated_at"]),
            expires_at=_moment_or_none(raw["expires_at"]),
            waiting=Waiting(waiting["reason"], waiting["message"]) if waiting else None,
            input=raw.get("input"),
            result=raw.get("result"),
            raw=raw,
        )


@dataclass(frozen=True)
class Step:
    """A step of a task. `output` is None in lists."""

    step_id: str
    task_id: str
    key: str | None
    position: int
    agent: str | None
    action: str | None
    status: str
    message: str | None
    error: Json | None
    attempt: int
    tries: int
    started_at: datetime
    completed_at: datetime | None
    output: Any
    raw: Json = field(repr=False, compare=False)

    @classmethod
    def from_json(cls, raw: Json) -> Step:
        """Read a step of the REST API."""
        return cls(
            step_id=raw["step_id"],
            task_id=raw["task_id"],
            key=raw["key"],
            position=raw["position"],
            agent=raw["agent"],
            action=raw["action"],
            status=raw["status"],
            message=raw["message"],
            error=raw["error"],
            attempt=raw["attempt"],
            tries=raw["tries"],
            started_at=_moment(raw["started_at"]),
            completed_at=_moment_or_none(raw["completed_at"]),
            output=raw.get("output"),
            raw=raw,
        )


@dataclass(frozen=True)
class ApiWarning:
    """A warning about a request that succeeded."""

    code: str
    message: str


@dataclass(frozen=True)
class Submission:
    """A task after a write. `seq` is the number of the event that the write caused, in the log `epoch`."""

    task: Task
    seq: int
    epoch: str
    #: False when the idempotency key was used before: `task` is the one of the first submission.
    created: bool
    warnings: tuple[ApiWarning, ...]
    raw: Json = field(repr=False, compare=False)

    @classmethod
    def from_json(cls, raw: Json, status: int) -> Submission:
        """Read the outcome of a submission, a cancel request or a retry."""
        warnings = tuple(ApiWarning(warning["code"], warning["message"]) for warning in raw.get("warnings", ()))
        return cls(Task.from_json(raw["task"]), raw["seq"], raw["epoch"], status == 201, warnings, raw)


@dataclass(frozen=True)
class Agent:
    """An agent's card."""

    kind: str
    title: str
    description: str
    version: str
    input_schema: Json
    raw: Json = field(repr=False, compare=False)

    @classmethod
    def from_json(cls, raw: Json) -> Agent:
        """Read an agent of the REST API."""
        return cls(raw["kind"], raw["title"], raw["description"], raw["version"], raw["input_schema"], raw)


@dataclass(frozen=True)
class Event:
    """A numbered event of an instance's log: `type` is `task_update` or `execution_step`."""

    instance_id: str
    task_id: str
    type: str
    data: Json
    seq: int
    epoch: str
    id: str
    attempt: int
    raw: Json = field(repr=False, compare=False)

    @property
    def status(self) -> str | None:
        """The task's new status, or the step's status; None for an update without one."""
        status = self.data.get("status")
        return None if status is None else str(status)

    @property
    def ends_task(self) -> bool:
        """Whether the task has ended with this event."""
        return self.type == "task_update" and self.status in FINAL

    @classmethod
    def from_json(cls, raw: Json) -> Event:
        """Read an event, of the REST API or of a websocket."""
        return cls(
            instance_id=raw["instance_id"],
            task_id=raw["task_id"],
            type=raw["type"],
            data=raw["data"],
            seq=raw["seq"],
            epoch=raw["epoch"],
            id=raw["id"],
            attempt=raw["attempt"],
            raw=raw,
        )


@dataclass(frozen=True)
class EventPage:
    """Events of a log, the number after which the next page begins, and whether there is one."""

    events: list[Event]
    epoch: str
    next_since: int
    is_last: bool

    @classmethod
    def from_json(cls, raw: Json) -> EventPage:
        """Read a page of the REST API."""
        events = [Event.from_json(item) for item in raw["items"]]
        return cls(events, raw["epoch"], raw["next_since"], raw["next_since"] >= raw["head"])


@dataclass(frozen=True)
class LiveUpdate:
    """Progress or a piece of text of a running step, which no log stores: `type` is `progress` or `text`.

    `progress` has `progress` and `message`. `text` has `step_id` and `text`, the piece that begins at character
    `offset` of the step's text; with `is_start`, it replaces the text so far.
    """

    instance_id: str
    task_id: str
    type: str
    attempt: int
    progress: float | None = None
    message: str | None = None
    step_id: str | None = None
    text: str | None = None
    offset: int = 0
    is_start: bool = False
    raw: Json = field(default_factory=dict, repr=False, compare=False)


@dataclass(frozen=True)
class Reset:
    """The log does not continue where the stream was: `tasks` is the present state, which replaces what is known."""

    instance_id: str
    epoch: str
    head: int
    tasks: tuple[Task, ...]
    raw: Json = field(repr=False, compare=False)

    @classmethod
    def from_json(cls, raw: Json) -> Reset:
        """Read a snapshot."""
        tasks = tuple(Task.from_json(task) for task in raw["tasks"])
        return cls(raw["instance_id"], raw["epoch"], raw["head"], tasks, raw)


def read_items(raw: Mapping[str, Any]) -> list[Json]:
    """Return the items of a list."""
    return list(raw["items"])


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _moment_or_none(text: str | None) -> datetime | None:
    return None if text is None else _moment(text)
