"""The actor of a request: the authenticated user or token, with the limits of the token."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from swallowtail.app.core.security.roles import Act

ActorKind = Literal["system", "open", "user", "front_end", "nobody"]
Entrance = Literal["system", "rest", "ui", "cli", "socket", "beat"]


@dataclass(frozen=True, slots=True)
class Actor:
    """Who makes a request. `system` (our processes) and `open` (every caller without sign-in) may do everything."""

    kind: ActorKind
    #: Id of the user, or of the API token.
    id: str
    name: str
    user_id: str | None = None
    token_id: str | None = None
    is_superuser: bool = False
    #: Acts that the token allows; None for all acts of the user.
    acts: frozenset[Act] | None = None
    #: The only instance, and the only task, that the token is for.
    instance_id: str | None = None
    task_id: str | None = None
    #: Fields of `data` that the token shows; None for all.
    fields: frozenset[str] | None = None
    expires_at: datetime | None = None

    @property
    def is_trusted(self) -> bool:
        """Whether the actor needs no membership."""
        return self.kind in ("system", "open")

    def has_same_bearer(self, other: Actor) -> bool:
        """Return whether another token is of the same user, or an API token with the same view."""
        actors = (self, other)
        users = [actor.user_id if actor.kind == "user" else None for actor in actors]
        views = [(actor.kind, actor.instance_id, actor.task_id, actor.fields) for actor in actors]
        return users[0] == users[1] and views[0] == views[1] and self.kind in ("user", "front_end")


SYSTEM = Actor("system", "system", "system")
OPEN = Actor("open", "anybody", "anybody", is_superuser=True)
ANONYMOUS = Actor("nobody", "", "")


@dataclass(frozen=True, slots=True)
class Caller:
    """An actor with the entrance and the network address of the request."""

    actor: Actor
    entrance: Entrance
    address: str = ""


SYSTEM_CALLER = Caller(SYSTEM, "system")
