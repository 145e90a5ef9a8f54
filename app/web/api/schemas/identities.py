"""What callers of REST send and get about users, sessions and their own tokens. Off the road."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from swallowtail.app.web.api.requests import Asked, Given
from swallowtail.app.web.api.schemas.resources import Moment, Shown, Uuid


class Login(Given):
    """Who signs in."""

    name: str
    """Name of the user, in any case"""
    password: str
    """Their password"""


class RefreshRequest(Given):
    """How a session goes on."""

    session_token: str
    """The session token of the last answer"""


class NewPassword(Given):
    """Another password for oneself."""

    password: str
    """The present password"""
    new_password: str
    """The new one; `SWALLOWTAIL_PASSWORD_MIN_LENGTH` characters at least"""


class GivenPassword(Given):
    """Another password for somebody."""

    password: str
    """The new password; `SWALLOWTAIL_PASSWORD_MIN_LENGTH` characters at least"""


class NewUser(Given):
    """A user to make known: by `password`, or as whom an identity provider knows by `issuer` and `subject`."""

    name: str
    """1 to 100 of `a` to `z`, digits and `._@+-`; unique in any case"""
    password: str | None = None
    """For those who sign in here"""
    is_superuser: bool = False
    """Whether they may keep users"""
    issuer: str | None = None
    """`iss` of the identity provider"""
    subject: str | None = None
    """`sub` of the user at the provider"""


class UserQuery(Asked):
    """Which page of the users."""

    cursor: str | None = Field(None, max_length=500)
    """`next_cursor` of the page before; the first page when absent"""
    limit: int | None = Field(None, ge=1)
    """Most users on the page"""


class NewToken(Given):
    """A personal token to mint."""

    name: str
    """What it is for; 1 to 200 characters"""
    acts: list[str] | None = None
    """What it may do at most, such as `instance.read`; all that its user may when absent"""
    instance_id: str | None = None
    """The one instance that it is for; all when absent"""
    lifetime: float | None = None
    """Seconds that it is good; `SWALLOWTAIL_PERSONAL_TOKEN_DAYS` when absent"""


class SessionTokens(Shown):
    """A session: a token to show, and one to go on with. Neither is kept by the server."""

    access_token: str
    """To be sent as `Authorization: Bearer …`"""
    token_type: Literal["Bearer"]
    """Always `Bearer`"""
    expires_at: Moment
    """When the access token expires"""
    session_token: str
    """For `/auth/refresh`, once; it is no bearer token"""
    session_expires_at: Moment
    """When the session ends: then one signs in again"""
    user_id: Uuid
    """Who signed in"""
    name: str
    """What they are called"""


class Whoami(Shown):
    """Who makes the request, and what their token allows at most."""

    kind: str = Field(examples=["user", "front_end", "open"])
    """What they are; `open` where nobody has to say who they are"""
    id: str
    """Id of the user, or of a front end's token"""
    name: str
    """What they are called"""
    is_superuser: bool
    """Whether they may keep users"""
    acts: list[str] | None
    """What the token allows at most; null for all that its user may"""
    instance_id: str | None
    """The one instance that the token is for"""
    task_id: str | None
    """The one task that the token is for"""
    fields: list[str] | None
    """The fields that the token shows; null for all"""
    expires_at: Moment | None
    """When the token expires"""


class User(Shown):
    """Somebody who is known."""

    id: Uuid
    """Names them for ever"""
    name: str
    """What they sign in with"""
    is_superuser: bool
    """Whether they may keep users"""
    has_password: bool
    """Whether they sign in here"""
    issuer: str | None
    """The identity provider that vouches for them"""
    subject: str | None
    """Who they are to the provider"""
    disabled_at: Moment | None
    """Since when they are let in no more"""
    created_at: Moment
    """When they were made known"""


class UserPage(Shown):
    """Users by name."""

    items: list[User]
    """The users on this page"""
    next_cursor: str | None
    """`cursor` of the next page; null on the last"""


class Token(Shown):
    """A token, without its secret."""

    id: Uuid
    """Its part of addresses"""
    kind: str = Field(examples=["personal", "front_end"])
    """What it is for: programs of a user's own, or a front end"""
    name: str
    """What people call it"""
    acts: list[str] | None
    """What it may do at most; null for all that its user may"""
    instance_id: str | None
    """The one instance that it is for"""
    task_id: str | None
    """The one task that it is for"""
    fields: list[str] | None
    """The fields that it shows; null for all"""
    expires_at: Moment | None
    """When it expires"""
    revoked_at: Moment | None
    """When it was revoked"""
    last_used_at: Moment | None
    """When it was last used, to the minute"""
    created_at: Moment
    """When it was minted"""


class TokenList(Shown):
    """The tokens that are good, the latest first."""

    items: list[Token]
    """The tokens"""
    next_cursor: None
    """Always null"""


class MintedToken(Shown):
    """A new token with its secret, which is shown this once and not kept."""

    token: Token
    """The token"""
    secret: str
    """To be sent as `Authorization: Bearer …`"""
