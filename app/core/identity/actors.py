"""Builds the actors of users and tokens: identity and permissions of an authenticated caller."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from swallowtail.app.core.security.actors import Actor
from swallowtail.app.core.security.roles import Act
from swallowtail.app.core.tables.auth import AccessToken, User


def user_actor(user: User, *, expires_at: datetime | None = None) -> Actor:
    """Return the actor of a user with all of the user's permissions."""
    return Actor("user", user.id, user.name, user_id=user.id, is_superuser=user.is_superuser, expires_at=expires_at)


def token_actor(token: AccessToken, user: User | None, expires: datetime | None) -> Actor:
    """Return the actor of a token, with the permissions that both the token and its user have."""
    is_user = user is not None and token.kind != "front_end"
    actor = user_actor(user) if user is not None and is_user else Actor("front_end", token.id, token.name)
    return replace(
        actor,
        user_id=token.user_id,
        token_id=token.id,
        acts=None if token.acts is None else frozenset(Act(act) for act in token.acts),
        instance_id=token.instance_id,
        task_id=token.task_id,
        fields=None if token.fields is None else frozenset(token.fields),
        expires_at=expires,
    )
