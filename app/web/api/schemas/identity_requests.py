"""Pydantic models of REST requests about users, sessions, members and tokens."""

from __future__ import annotations

from pydantic import Field

from swallowtail.app.web.api.schemas.requests import Query, RequestBody


class Login(RequestBody):
    """A name and a password."""

    name: str
    """Sign-in name; case does not matter"""
    password: str
    """Password"""


class RefreshRequest(RequestBody):
    """A session to continue."""

    session_token: str
    """Session token of the last response"""


class PasswordChange(RequestBody):
    """A new password for the caller."""

    password: str
    """Current password"""
    new_password: str
    """New password; at least `SWALLOWTAIL_PASSWORD_MIN_LENGTH` characters"""


class PasswordReset(RequestBody):
    """A new password for another user."""

    password: str
    """New password; at least `SWALLOWTAIL_PASSWORD_MIN_LENGTH` characters"""


class NewUser(RequestBody):
    """A user to create: with a `password`, or with the `issuer` and `subject` of an identity provider."""

    name: str
    """1 to 100 of `a` to `z`, digits and `._@+-`; unique, case does not matter"""
    password: str | None = None
    """Password, for users who sign in here"""
    is_superuser: bool = False
    """Whether they may manage users"""
    issuer: str | None = None
    """`iss` of the identity provider"""
    subject: str | None = None
    """`sub` of the user at the provider"""


class UserQuery(Query):
    """One page of the users."""

    cursor: str | None = Field(None, max_length=500)
    """`next_cursor` of the previous page; absent for the first page"""
    limit: int | None = Field(None, ge=1)
    """Maximum number of users on the page"""


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


class NewRole(RequestBody):
    """A role to assign."""

    role: str = Field(examples=["viewer", "operator", "admin", "owner"])
    """`viewer`, `operator`, `admin` or `owner`"""


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
