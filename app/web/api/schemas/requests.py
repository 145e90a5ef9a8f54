"""Pydantic models of the queries, headers and bodies of REST requests that no service takes as a whole."""

from __future__ import annotations

from pydantic import ConfigDict, Field

from swallowtail.app.core.schemas.identities import AuditFilter
from swallowtail.app.core.schemas.requests import Request, RequestBody, Time
from swallowtail.app.core.states import TaskStatus


class PageQuery(Request):
    """One page of a list."""

    # The longest name of a schedule takes 1072.
    cursor: str | None = Field(None, max_length=1100)
    """`next_cursor` of the previous page; absent for the first page"""
    limit: int | None = Field(None, ge=1)
    """Maximum number of items on the page"""


class UserQuery(PageQuery):
    """One page of the users."""

    cursor: str | None = Field(None, max_length=500)
    """`next_cursor` of the previous page; absent for the first page"""


class TaskQuery(PageQuery):
    """Filters of a task list."""

    status: TaskStatus | None = None
    """Only tasks with this status"""
    kind: str | None = Field(None, max_length=100)
    """Only tasks of this kind"""
    since: Time | None = None
    """Only tasks that were submitted at or after this time"""
    until: Time | None = None
    """Only tasks that were submitted before this time"""
    text: str | None = Field(None, min_length=1, max_length=200)
    """Only tasks whose title or kind contains this text, in any case. A page may then have fewer than `limit` tasks \
although there is a next page"""


class AuditQuery(AuditFilter, PageQuery):
    """One page of an audit log, with filters."""


class EventQuery(Request):
    """One part of an instance's event log."""

    since: int = Field(0, ge=0, le=2**63 - 1)
    """Number of the last known event; the response starts after it"""
    epoch: str | None = Field(None, max_length=64)
    """Epoch that `since` belongs to; another epoch is refused with `epoch`"""
    limit: int | None = Field(None, ge=1)
    """Maximum number of events"""
    task_id: str | None = Field(None, max_length=64)
    """Only events of this task"""


class SlotQuery(Request):
    """The number of a schedule's slots to list."""

    limit: int | None = Field(None, ge=1)
    """Maximum number of slots, the latest first"""


class SubmissionHeaders(Request):
    """Headers of a submission."""

    model_config = ConfigDict(extra="ignore")

    idempotency_key: str | None = None
    """Any text of at most 200 characters. The same key again returns the first task (200), or `conflict` \
if the submission differs"""


class NewInstance(RequestBody):
    """An instance to create."""

    name: str
    """Display name; 1 to 200 characters"""
    id: str | None = None
    """Id for URLs: 1 to 64 letters, digits, `-` or `_`; random if absent"""


class Retry(RequestBody):
    """A retry."""

    from_step: str | None = None
    """Key of the first step to repeat; if absent, all finished steps are kept"""


class Confirmation(Request):
    """Confirmation of a deletion."""

    confirm: str | None = Field(None, max_length=100)
    """The instance's id again"""


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


class NewRole(RequestBody):
    """A role to assign."""

    role: str = Field(examples=["viewer", "operator", "admin", "owner"])
    """`viewer`, `operator`, `admin` or `owner`"""
