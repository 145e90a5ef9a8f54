"""Schemas of REST responses: lists, outcomes, sessions, health and problems, made of the schemas in `core/schemas`.

Responses are dictionaries of these types and are not validated on their way out; a test checks them against the
OpenAPI document.
"""

from __future__ import annotations

from functools import cache
from typing import Annotated, Any, Literal, NotRequired

from pydantic import BaseModel, ConfigDict, Field, RootModel, create_model

from swallowtail.app.core.schemas.components import Component
from swallowtail.app.core.schemas.fields import Schema, Timestamp, Uuid
from swallowtail.app.core.schemas.identities import AuditEntryView, MemberView, TokenView, UserView
from swallowtail.app.core.schemas.instances import AgentView, InstanceView
from swallowtail.app.core.schemas.schedules import ScheduleSummary, ScheduleView, SlotView
from swallowtail.app.core.schemas.tasks import EventView, StepSummary, TaskSummary, TaskView, WarningView


@cache
def response(schema: Any) -> type[BaseModel]:
    """Return a schema as the model that `bp.output` takes; the same model each time, so that it is described once."""
    return create_model(schema.__name__, __base__=RootModel[schema])


def _page(name: str, description: str, item: Any, *, paged: bool = True) -> type[BaseModel]:
    """Return the model of a list of items; one that is not `paged` always has all items."""
    cursor: Any = (str | None, Field(description="`cursor` of the next page; null on the last page"))
    return create_model(
        name,
        __doc__=description,
        __config__=ConfigDict(extra="forbid"),
        items=(list[item], Field(description="Items of this page" if paged else "All items")),
        next_cursor=cursor if paged else (type(None), Field(description="Always null")),
    )


InstancePage = _page("InstancePage", "Instances by id.", InstanceView)
TaskPage = _page("TaskPage", "Tasks without their inputs and results, the latest first.", TaskSummary)
SchedulePage = _page("SchedulePage", "Schedules of an instance without their inputs, by name.", ScheduleSummary)
UserPage = _page("UserPage", "Users by name.", UserView)
AuditPage = _page(
    "AuditPage",
    "Audit entries, the latest first. A page with fewer than `limit` entries is not necessarily the last.",
    AuditEntryView,
)
StepList = _page(
    "StepList", "Steps of a task without outputs, in the order of their first starts.", StepSummary, paged=False
)
AgentList = _page("AgentList", "Agents by kind.", AgentView, paged=False)
SlotList = _page("SlotList", "Latest slots of a schedule, the latest first.", SlotView, paged=False)
MemberList = _page("MemberList", "Members of an instance by name.", MemberView, paged=False)
TokenList = _page("TokenList", "Valid tokens, the latest first.", TokenView, paged=False)


class EventPage(Schema):
    """Events in order; repeat the request with `next_since` until it equals `head`."""

    items: Annotated[list[EventView], Field(description="Events")]
    epoch: Annotated[str, Field(description="Log that the numbers belong to")]
    head: Annotated[int, Field(description="Number of the instance's latest event")]
    min_seq: Annotated[int, Field(description="Least `since` that the log can still answer")]
    next_since: Annotated[int, Field(description="`since` of the next request")]


_Warnings = Annotated[list[WarningView], Field(description="Warnings; absent if there are none")]


class AddedSchedule(ScheduleView):
    """A schedule that was just added."""

    warnings: NotRequired[_Warnings]


class TaskOutcome(Schema):
    """A task after a write, and the number of the event that the write caused."""

    task: Annotated[TaskView, Field(description="The task after the write")]
    seq: Annotated[int, Field(description="Number of the latest event that the write caused")]
    epoch: Annotated[str, Field(description="Log that `seq` belongs to")]
    warnings: NotRequired[_Warnings]


class SessionTokens(Schema):
    """A session: an access token, and a session token to renew it with. The server stores neither."""

    access_token: Annotated[str, Field(description="Access token, sent as `Authorization: Bearer …`")]
    token_type: Annotated[Literal["Bearer"], Field(description="Always `Bearer`")]
    expires_at: Annotated[Timestamp, Field(description="When the access token expires")]
    session_token: Annotated[str, Field(description="Session token, for one call of `/auth/refresh`; no bearer token")]
    session_expires_at: Annotated[Timestamp, Field(description="When the session ends")]
    user_id: Annotated[Uuid, Field(description="Id of the user")]
    name: Annotated[str, Field(description="Name of the user")]


class CallerView(Schema):
    """The caller, and the limits of their token."""

    kind: Annotated[
        str, Field(examples=["user", "front_end", "open"], description="Kind; `open` if no sign-in is required")
    ]
    id: Annotated[str, Field(description="Id of the user or of the front end's token")]
    name: Annotated[str, Field(description="Name of the user or token")]
    is_superuser: Annotated[bool, Field(description="Whether they may manage users")]
    acts: Annotated[list[str] | None, Field(description="Permissions; null means all permissions of the user")]
    instance_id: Annotated[str | None, Field(description="The only instance that the token can access")]
    task_id: Annotated[str | None, Field(description="The only task that the token can access")]
    fields: Annotated[list[str] | None, Field(description="Fields that the token shows; null means all")]
    expires_at: Annotated[Timestamp | None, Field(description="When the token expires")]


class Health(Schema):
    """State of the process, component by component."""

    status: Annotated[str, Field(examples=["ok", "degraded", "down"], description="Status of the worst component")]
    components: Annotated[dict[str, Component], Field(description="Components by name")]
    process: Annotated[int, Field(description="Id of the process that answered")]


class InputError(Schema):
    """One error in the input."""

    field: Annotated[str, Field(examples=["input.platforms[0]"], description="Part of the input")]
    message: Annotated[str, Field(description="What is wrong with it")]


class Problem(BaseModel):
    """Problem details (RFC 9457)."""

    model_config = ConfigDict(extra="allow", use_attribute_docstrings=True)

    type: str
    """URL of a description of this kind of error"""
    title: str
    """Kind of error"""
    status: int
    """HTTP status"""
    detail: str
    """What is wrong with this request"""
    code: str
    """Error code, for programs"""
    field: str | None = None
    """Part of the input that caused the error"""
    errors: list[InputError] | None = None
    """All errors in the input"""
    error_id: str | None = None
    """Id of a server error in the server's log"""
    retry_after_ms: int | None = None
    """With `rate_limited` and `too_many`: when to try again, if known"""
    min_seq: int | None = None
    """With `too_old`: least `since` that the log can still answer"""
