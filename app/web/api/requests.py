"""What callers of the REST API send: bodies, queries and headers, checked by Pydantic before a view sees them.

On the road between `web/request/json_body` and the views. What callers get is in `shapes` and `answers`.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from swallowtail.app.core.states import TaskStatus

AnyJson = Annotated[Any, WithJsonSchema({"description": "Any JSON value"})]


def _read_moment(value: object) -> object:
    # Strict models take no text for a moment, lenient ones take numbers as well.
    try:
        return datetime.fromisoformat(value) if isinstance(value, str) else value
    except ValueError:
        return value


class Given(BaseModel):
    """Base of what callers send: no coercion, no unknown fields."""

    model_config = ConfigDict(extra="forbid", strict=True, use_attribute_docstrings=True)


class Asked(BaseModel):
    """Base of query strings: text becomes numbers, unknown parameters are refused."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)


class PageQuery(Asked):
    """Which page of a list."""

    # The longest name of a schedule takes 1072.
    cursor: str | None = Field(None, max_length=1100)
    """`next_cursor` of the page before; the first page when absent"""
    limit: int | None = Field(None, ge=1)
    """Most items on the page"""


class TaskQuery(PageQuery):
    """Which of an instance's tasks."""

    status: TaskStatus | None = None
    """Only tasks in this state"""
    kind: str | None = Field(None, max_length=100)
    """Only tasks of this kind"""


class AuditQuery(PageQuery):
    """Which entries of an audit log."""

    action: str | None = Field(None, max_length=64)
    """Only what is of this kind, such as `task.cancel`"""
    actor: str | None = Field(None, max_length=200)
    """Only what was done by the user or token of this id or name"""
    object_id: str | None = Field(None, max_length=100)
    """Only what was done to this"""
    since: Annotated[AwareDatetime, BeforeValidator(_read_moment)] | None = None
    """Only what was done at this moment or after it"""
    until: Annotated[AwareDatetime, BeforeValidator(_read_moment)] | None = None
    """Only what was done before this moment"""


class EventQuery(Asked):
    """Which part of an instance's log."""

    since: int = Field(0, ge=0, le=2**63 - 1)
    """Number of the last event that is known; events after it are given"""
    epoch: str | None = Field(None, max_length=64)
    """Epoch that `since` belongs to; another one is refused with `epoch`"""
    limit: int | None = Field(None, ge=1)
    """Most events in the answer"""
    task_id: str | None = Field(None, max_length=64)
    """Only events of this task"""


class SlotQuery(Asked):
    """How many of a schedule's slots."""

    limit: int | None = Field(None, ge=1)
    """Most slots in the answer, the latest first"""


class SubmissionHeaders(BaseModel):
    """Headers of a submission."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    idempotency_key: str | None = None
    """Any text of at most 200 characters. The same key again answers with the task that it gave before (200), or with \
`conflict` when the submission differs"""


class NewInstance(Given):
    """A workspace to create."""

    name: str
    """Shown to people; 1 to 200 characters"""
    id: str | None = None
    """Part of addresses: 1 to 64 letters, digits, `-` or `_`. A random one when absent"""


class NewTask(Given):
    """A task to submit."""

    kind: str
    """Which agent is to do it; `/agents` lists them"""
    input: AnyJson = None
    """What the agent needs; its card has the JSON Schema"""
    title: str | None = None
    """Shown to people; the agent's title when absent"""
    expires_in: float | None = None
    """Seconds in which a worker must have begun; the task is EXPIRED after that"""


class Retry(Given):
    """How to retry."""

    from_step: str | None = None
    """Key of the first step to do again; when absent, every finished step is kept"""


class NewSchedule(Given):
    """A schedule to add: exactly one of `cron`, `interval_seconds` and `run_at`."""

    name: str
    """Unique in its instance; 1 to 200 characters"""
    kind: str
    """Which agent is to be run"""
    input: AnyJson = None
    """The input of each task"""
    cron: str | None = None
    """Five fields: minute, hour, day, month, weekday"""
    timezone: str = "UTC"
    """IANA name of the zone whose wall clock `cron` is about"""
    interval_seconds: float | None = None
    """Seconds from one slot to the next"""
    run_at: Annotated[AwareDatetime, BeforeValidator(_read_moment)] | None = None
    """The one moment, RFC 3339 with an offset"""
    catch_up: Literal["skip", "latest", "all"] = "latest"
    """Which of the slots that passed while nobody looked are made up for"""
    overlap: Literal["allow", "skip"] = "allow"
    """What to do with a slot when the task of the last one still runs"""


class NewPolicy(Given):
    """What an instance decides for itself; null, or nothing, is as the settings say."""

    event_days: float | None = None
    """Days that events are kept; 0 for ever"""
    task_days: float | None = None
    """Days that ended tasks, and events at most, are kept; 0 for ever"""
    secret_fields: list[str] | None = None
    """Fields that nobody is to see, at any depth of any payload, however they are spelt"""
    hide_emails: bool | None = None
    """Whether e-mail addresses are hidden"""


class Confirmation(Asked):
    """That somebody means it."""

    confirm: str | None = Field(None, max_length=100)
    """The instance's id once more"""
