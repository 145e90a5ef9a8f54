"""Schemas of users, members, tokens and audit entries."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from swallowtail.app.core.schemas.fields import Schema, Timestamp, Uuid
from swallowtail.app.core.schemas.requests import Request, RequestBody, Time


class UserView(Schema):
    """A user account."""

    id: Annotated[Uuid, Field(description="Id; never changes")]
    name: Annotated[str, Field(description="Sign-in name")]
    is_superuser: Annotated[bool, Field(description="Whether they may manage users")]
    has_password: Annotated[bool, Field(description="Whether they sign in with a password")]
    issuer: Annotated[str | None, Field(description="Issuer of their identity provider")]
    subject: Annotated[str | None, Field(description="Their subject at the identity provider")]
    disabled_at: Annotated[Timestamp | None, Field(description="When the account was disabled")]
    created_at: Annotated[Timestamp, Field(description="When the account was created")]


class MemberView(Schema):
    """A user's role in an instance."""

    user_id: Annotated[Uuid, Field(description="Id of the user")]
    name: Annotated[str, Field(description="Sign-in name")]
    role: Annotated[str, Field(examples=["viewer", "operator", "admin", "owner"], description="Role in the instance")]
    created_at: Annotated[Timestamp, Field(description="When they became a member")]


class NewToken(RequestBody):
    """A personal token to create."""

    name: str
    """Name; 1 to 200 characters"""
    acts: list[str] | None = None
    """Permissions, such as `instance.read`; all permissions of the user if absent"""
    instance_id: str | None = None
    """The only instance that it can access; all if absent"""
    lifetime: float | None = None
    """Lifetime in seconds; `SWALLOWTAIL_PERSONAL_TOKEN_DAYS` if absent"""


class NewFrontEndToken(RequestBody):
    """An API token for an instance's front end to create."""

    name: str
    """Name; 1 to 200 characters"""
    task_id: str | None = None
    """The only task that it can access; all if absent"""
    acts: list[str] = Field(default_factory=lambda: ["instance.read"])
    """Permissions: `instance.read`, and optionally `task.submit`, `task.cancel` and `task.retry`"""
    fields: list[str] | None = None
    """Fields of tasks, steps and events that it shows; all if absent. Statuses, numbers and times are always shown"""
    lifetime: float | None = None
    """Lifetime in seconds; `SWALLOWTAIL_FRONT_END_TOKEN_HOURS` at most, and if absent"""


class TokenView(Schema):
    """A token, without its secret."""

    id: Annotated[Uuid, Field(description="Id, used in URLs")]
    kind: Annotated[
        str,
        Field(examples=["personal", "front_end"], description="Personal token, or token of an instance's front end"),
    ]
    name: Annotated[str, Field(description="Name")]
    acts: Annotated[list[str] | None, Field(description="Permissions; null means all permissions of its user")]
    instance_id: Annotated[str | None, Field(description="The only instance that it can access; null means all")]
    task_id: Annotated[str | None, Field(description="The only task that it can access; null means all")]
    fields: Annotated[list[str] | None, Field(description="Fields that it shows; null means all")]
    expires_at: Annotated[Timestamp | None, Field(description="When it expires")]
    revoked_at: Annotated[Timestamp | None, Field(description="When it was revoked")]
    last_used_at: Annotated[Timestamp | None, Field(description="When it was last used, to the minute")]
    created_at: Annotated[Timestamp, Field(description="When it was created")]


class CreatedToken(Schema):
    """A new token with its secret, which is shown only once and not stored."""

    token: Annotated[TokenView, Field(description="Token")]
    secret: Annotated[str, Field(description="Secret, sent as `Authorization: Bearer …`")]


class AuditFilter(Request):
    """Which entries of an audit log to list; all by default."""

    action: str | None = Field(None, max_length=64)
    """Only entries with this action, such as `task.cancel`"""
    actor: str | None = Field(None, max_length=200)
    """Only entries of the user or token with this id or name"""
    object_id: str | None = Field(None, max_length=100)
    """Only entries about the object with this id"""
    since: Time | None = None
    """Only entries at or after this time"""
    until: Time | None = None
    """Only entries before this time"""


class AuditEntryView(Schema):
    """One audit entry: an action that was done or denied."""

    scope: Annotated[str, Field(description="Instance; empty if none")]
    number: Annotated[int, Field(description="Position in the log, from 1")]
    at: Annotated[Timestamp, Field(description="When")]
    actor_kind: Annotated[str, Field(examples=["user", "front_end", "open", "nobody"], description="Kind of actor")]
    actor_id: Annotated[str, Field(description="Id of the user or token")]
    actor_name: Annotated[str, Field(description="Name of the user or token")]
    action: Annotated[str, Field(examples=["task.cancel", "denied"], description="Action")]
    object_type: Annotated[str, Field(description="Type of the object")]
    object_id: Annotated[str, Field(description="Id of the object")]
    entrance: Annotated[str, Field(examples=["rest", "ui", "cli", "socket"], description="Entry point")]
    address: Annotated[str, Field(description="Client address")]
    detail: Annotated[dict[str, Any], Field(description="Further details")]
    hash: Annotated[str, Field(description="SHA-256 of the entry and of the previous hash")]
