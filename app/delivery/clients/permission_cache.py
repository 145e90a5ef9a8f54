"""Remembers which actors may subscribe to which instances, until the permission version changes."""

from __future__ import annotations

import threading
from collections.abc import Callable

from swallowtail.app.core.errors import Forbidden, NotFound
from swallowtail.app.core.security.actors import Actor
from swallowtail.app.delivery.clients.client import Client
from swallowtail.app.delivery.log.database_reader import DatabaseReader

#: Most decisions that are remembered.
_MOST = 100_000


class PermissionCache:
    """The positive decisions of one web process. Safe for threads."""

    def __init__(self, reader: DatabaseReader, on_stale: Callable[[], None]) -> None:
        """`on_stale` is called when all clients should be reviewed soon."""
        self._reader = reader
        self._on_stale = on_stale
        self._lock = threading.Lock()
        self._allowed: set[tuple[Actor, str]] = set()
        #: The latest permission version that this process knows.
        self.version = 0
        self._is_stale = False

    def allows(self, actor: Actor, instance_id: str) -> bool:
        """Return whether an actor is known to be allowed; on False only the database can decide."""
        return actor.is_trusted or (actor, instance_id) in self._allowed

    def authorize(self, actor: Actor, instance_id: str) -> int:
        """Ask the database whether an actor may subscribe, or raise; returns the permission version of the decision."""
        if actor.is_trusted:
            return self.version
        version = self._reader.authorize_instance(actor, instance_id)
        with self._lock:
            if version >= self.version and len(self._allowed) < _MOST:
                self._allowed.add((actor, instance_id))
        return version

    def confirm(self, version: int) -> None:
        """Record that a subscription started by a decision of a version; an old one makes all clients be reviewed."""
        with self._lock:
            is_old = version < self.version
        if is_old:
            self.mark_stale()
            self._on_stale()

    def mark_stale(self) -> None:
        """Have all clients reviewed next time, even at the same version."""
        with self._lock:
            self._is_stale = True

    def update(self, version: int) -> bool:
        """Record the present version; returns whether clients have to be reviewed."""
        with self._lock:
            changed = version != self.version or self._is_stale
            self._is_stale = False
            if version != self.version:
                self._allowed.clear()
                self.version = version
        return changed

    def replace_token(self, client: Client, actor: Actor) -> None:
        """Give a client a new token of the same bearer. Raises Forbidden for another, NotFound if it is closed."""
        if not actor.has_same_bearer(client.actor):
            raise Forbidden("this token belongs to another user or has other rights", field="token")
        for instance_id in client.scope:
            self.authorize(actor, instance_id)
        with self._lock:
            if client.ended:
                raise NotFound("this connection is closed")
            client.actor = actor

    def end(self, client: Client, actor: Actor) -> bool:
        """Let a client start nothing more, since its token is not valid; returns False when it has another by now."""
        with self._lock:
            if client.actor is not actor:
                return False
            client.ended = True
            return True
