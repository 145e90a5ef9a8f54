"""Who may watch what: asked for at every subscription, and remembered for as long as nobody's access has changed.

On the road before `delivery/instance_stream`. What is remembered is worth nothing once the access version that it was asked at is
known not to be the present one; `delivery/access_monitor` learns of that.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from swallowtail.app.core.errors import NotFound
from swallowtail.app.core.security.permissions import Actor
from swallowtail.app.delivery.cursor import Client
from swallowtail.app.delivery.database_reader import Archive

#: Most that is remembered.
_MOST = 100_000


class Passes:
    """The positive decisions of one web process. Safe for threads."""

    def __init__(self, archive: Archive) -> None:
        self._archive = archive
        self._lock = threading.Lock()
        self._held: set[tuple[Actor, str]] = set()
        self._version = 0
        self._is_doubtful = False
        #: Called when everybody should be looked at soon.
        self.on_doubt: Callable[[], None] = lambda: None

    @property
    def version(self) -> int:
        """The latest access version that this process knows of."""
        return self._version

    def holds(self, actor: Actor, instance_id: str) -> bool:
        """Tell, without asking the database, whether somebody may watch an instance. False: only it can tell."""
        return actor.is_trusted or (actor, instance_id) in self._held

    def ask(self, actor: Actor, instance_id: str) -> int:
        """Ask the database whether somebody may watch an instance; returns the version that the answer is of.

        Raises:
            Unauthenticated, NotFound, Forbidden: see `access.require`.
            Unavailable: the database is away.
        """
        if actor.is_trusted:
            return self._version
        version = self._archive.allow_watch(actor, instance_id)
        with self._lock:
            if version >= self._version and len(self._held) < _MOST:
                self._held.add((actor, instance_id))
        return version

    def confirm(self, version: int) -> None:
        """Note that something was begun on a decision of a version; if it is an old one, everybody is looked at."""
        with self._lock:
            is_old = version < self._version
        if is_old:
            self.doubt()
            self.on_doubt()

    def doubt(self) -> None:
        """Have everybody looked at next time, whatever the version is."""
        with self._lock:
            self._is_doubtful = True

    def learn(self, version: int) -> bool:
        """Take the present version; tells whether clients have to be looked at again."""
        with self._lock:
            changed = version != self._version or self._is_doubtful
            self._is_doubtful = False
            if version != self._version:
                self._held.clear()
                self._version = version
        return changed

    def renew(self, client: Client, actor: Actor) -> None:
        """Take a client's new token. Raises NotFound when the client is being sent away."""
        with self._lock:
            if client.ended:
                raise NotFound("this connection is closed")
            client.actor = actor

    def end(self, client: Client, actor: Actor) -> bool:
        """Let a client begin nothing more, since its token is good no longer; False when it has another by now."""
        with self._lock:
            if client.actor is not actor:
                return False
            client.ended = True
            return True
