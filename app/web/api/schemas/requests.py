"""Pydantic models of REST requests about instances, tasks and schedules: bodies, queries and headers."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field

from swallowtail.app.core.schemas.fields import AnyJson
from swallowtail.app.core.states import TaskStatus


def _parse_timestamp(value: object) -> object:
    # Strict models accept no text for a datetime; lenient ones accept numbers too.
    try:
        return datetime.fromisoformat(value) if isinstance(value, str) else value
    except ValueError:
        return value


_Datetime = Annotated[AwareDatetime, BeforeValidator(_parse_timestamp)]


class RequestBody(BaseModel):
    """Base of request bodies: no coercion, no unknown fields."""

    model_config = ConfigDict(extra="forbid", strict=True, use_attribute_docstrings=True)


class Query(BaseModel):
    """Base of query strings: text becomes numbers, unknown parameters are refused."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)


class PageQuery(Query):
    """One page of a list."""

    # The longest name of a schedule takes 1072.
    cursor: str | None = Field(None, max_length=1100)
    """`next_cursor` of the previous page; absent for the first page"""
    limit: int | None = Field(None, ge=1)
    """Maximum number of items on the page"""


class TaskQuery(PageQuery):
    """Filters of a task list."""

    status: TaskStatus | None = None
    """Only tasks with this status"""
    kind: str | None = Field(None, max_length=100)
    """Only tasks of this kind"""


class AuditQuery(PageQuery):
    """Filters of an audit log."""

    action: str | None = Field(None, max_length=64)
    """Only entries with this action, such as `task.cancel`"""
    actor: str | None = Field(None, max_length=200)
    """Only entries of the user or token with this id or name"""
    object_id: str | None = Field(None, max_length=100)
    """Only entries about the object with this id"""
    since: _Datetime | None = None
    """Only entries at or after this time"""
    until: _Datetime | None = None
    """Only entries before this time"""


class EventQuery(Query):
    """One part of an instance's event log."""

    since: int = Field(0, ge=0, le=2**63 - 1)
    """Number of the last known event; the response starts after it"""
    epoch: str | None = Field(None, max_length=64)
    """Epoch that `since` belongs to; another epoch is refused with `epoch`"""
    limit: int | None = Field(None, ge=1)
    """Maximum number of events"""
    task_id: str | None = Field(None, max_length=64)
    """Only events of this task"""


class SlotQuery(Query):
    """The number of a schedule's slots to list."""

    limit: int | None = Field(None, ge=1)
    """Maximum number of slots, the latest first"""


class SubmissionHeaders(BaseModel):
    """Headers of a submission."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    idempotency_key: str | None = None
    """Any text of at most 200 characters. The same key again returns the first task (200), or `conflict` \
if the submission differs"""


class NewInstance(RequestBody):
    """An instance to create."""

    name: str
    """Display name; 1 to 200 characters"""
    id: str | None = None
    """Id for URLs: 1 to 64 letters, digits, `-` or `_`; random if absent"""


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


class Retry(RequestBody):
    """A retry."""

    from_step: str | None = None
    """Key of the first step to repeat; if absent, all finished steps are kept"""


class NewScheduleBody(RequestBody):
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
    run_at: _Datetime | None = None
    """Time of a single run, RFC 3339 with an offset"""
    catch_up: Literal["skip", "latest", "all"] = "latest"
    """Which missed slots are submitted later"""
    overlap: Literal["allow", "skip"] = "allow"
    """What happens to a slot while the previous task still runs"""


class NewPolicy(RequestBody):
    """Retention and redaction rules to set; null or absent means the server's setting."""

    event_days: float | None = None
    """Days that events are kept; 0 means forever"""
    task_days: float | None = None
    """Days that finished tasks are kept, and the most for events; 0 means forever"""
    secret_fields: list[str] | None = None
    """Names of fields to hide, at any depth, in any spelling"""
    hide_emails: bool | None = None
    """Whether e-mail addresses are hidden"""


class Confirmation(Query):
    """Confirmation of a deletion."""

    confirm: str | None = Field(None, max_length=100)
    """The instance's id again"""
