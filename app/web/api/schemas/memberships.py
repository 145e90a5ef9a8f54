"""What callers of REST send and get about members and front ends' tokens. Off the road."""

from __future__ import annotations

from pydantic import Field

from swallowtail.app.web.api.requests import Given
from swallowtail.app.web.api.schemas.resources import Moment, Shown, Uuid


class NewRole(Given):
    """What somebody is to be."""

    role: str = Field(examples=["viewer", "operator", "admin", "owner"])
    """`viewer`, `operator`, `admin` or `owner`"""


class NewFrontEndToken(Given):
    """A front end's token to mint."""

    name: str
    """What it is for; 1 to 200 characters"""
    task_id: str | None = None
    """The one task that it shows; all when absent"""
    acts: list[str] = Field(default_factory=lambda: ["instance.read"])
    """What it allows: `instance.read`, and perhaps `task.submit`, `task.cancel` and `task.retry`"""
    fields: list[str] | None = None
    """The fields of tasks, steps and events that it shows; all when absent. States, numbers and moments are always \
shown"""
    lifetime: float | None = None
    """Seconds that it is good; `SWALLOWTAIL_FRONT_END_TOKEN_HOURS` at most, and when absent"""


class Member(Shown):
    """Somebody's role in an instance."""

    user_id: Uuid
    """Who it is"""
    name: str
    """What they sign in with"""
    role: str = Field(examples=["viewer", "operator", "admin", "owner"])
    """What they are to the instance"""
    created_at: Moment
    """Since when they are a member"""


class MemberList(Shown):
    """All members of an instance by name."""

    items: list[Member]
    """The members"""
    next_cursor: None
    """Always null"""
