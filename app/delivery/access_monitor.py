"""Looks at connected clients again whenever somebody's access has changed, and ends what is no longer theirs.

Beside the road, under the hub. Every web process compares the access version with the database each `access_check`; a
message through Redis makes it look at once. Then all clients are looked at together, in a few queries. A client whose
token is good no longer is disconnected; one that is no member of an instance any more loses that instance.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Literal, Protocol

import structlog
from prometheus_client import Counter

from swallowtail.app.core.config.settings import Settings
from swallowtail.app.core.errors import Unavailable
from swallowtail.app.core.security.permissions import Actor
from swallowtail.app.delivery.cursor import Client
from swallowtail.app.delivery.database_reader import Archive
from swallowtail.app.delivery.hub import Hub

log = structlog.get_logger(__name__)

CUT = Counter("swallowtail_access_cut_total", "What clients lost since it was theirs no longer", ["what"])

#: Why a token is good no longer.
End = Literal["expired", "revoked", "disabled"]
#: Several reasons to look within this time, in seconds, make one look.
_JOIN = 0.02


class Reach(Protocol):
    """How the warden reaches clients."""

    def leave_rooms(self, client_id: str, instance_id: str, task_ids: Sequence[str]) -> None:
        """Take a client out of the rooms of an instance and of tasks."""

    def warn(self, client_id: str, expires_at: datetime) -> None:
        """Tell a client that its token is about to expire."""

    def expel(self, client_id: str, why: End) -> None:
        """Tell a client why, and disconnect it."""


class Warden:
    """Of one web process. `look_soon` may be called from any thread."""

    def __init__(
        self,
        settings: Settings,
        hub: Hub,
        archive: Archive,
        find_ended: Callable[[Collection[Actor]], Mapping[Actor, End]],
        reach: Reach,
    ) -> None:
        """`find_ended` tells which of many tokens are good no longer."""
        self._period = settings.access_check
        self._warning = timedelta(seconds=settings.token_warning)
        self._hub = hub
        self._archive = archive
        self._find_ended = find_ended
        self._reach = reach
        #: Clients that have been warned, with the expiry that they were warned of.
        self._warned: dict[str, datetime] = {}
        self._due = threading.Event()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Look in a thread from now on; the database may be away."""
        self._thread = threading.Thread(target=self._run, name="warden", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread."""
        self._stopping.set()
        self._due.set()

    def look_soon(self) -> None:
        """Look at once."""
        self._due.set()

    def look(self) -> None:
        """Compare with the database, and end what is no longer anybody's. Raises Unavailable."""
        # First: what expires does so whether the database is there or not.
        self._mind_the_clock(self._hub.guarded())
        if not self._hub.passes.learn(self._archive.read_access_version()):
            return
        try:
            # Those who have come since the version was read are looked at, too.
            self._review(self._hub.guarded())
        except Exception:
            # The version is known by now, and nobody would be looked at again because of it.
            self._hub.passes.doubt()
            raise

    def _run(self) -> None:
        while not self._stopping.is_set():
            if self._due.wait(self._period):
                self._stopping.wait(_JOIN)
            self._due.clear()
            try:
                if not self._stopping.is_set():
                    self.look()
            except Unavailable as away:
                log.warning("access_check_postponed", reason=away.message)
            except Exception:
                log.exception("access_check_failed")

    def _mind_the_clock(self, clients: Sequence[Client]) -> None:
        """Warn those whose token expires soon, once, and end those whose token has."""
        moment = datetime.now(UTC)
        warned, self._warned = self._warned, {}
        for client in clients:
            actor = client.actor
            expires = actor.expires_at
            if expires is None or expires - self._warning > moment:
                continue
            if expires <= moment:
                self._attempt(partial(self._end, client, actor, "expired"))
            else:
                if warned.get(client.id) != expires:
                    self._reach.warn(client.id, expires)
                self._warned[client.id] = expires

    def _review(self, clients: Sequence[Client]) -> None:
        ended = self._find_ended({client.actor for client in clients})
        pairs = {
            (client.actor, instance_id)
            for client in clients
            if client.actor not in ended
            for instance_id in {*list(client.watches), *list(client.tasks.values())}
        }
        lost = self._archive.find_unreadable(pairs) if pairs else set()
        for client in clients:
            actor = client.actor
            if actor in ended:
                self._attempt(partial(self._end, client, actor, ended[actor]))
                continue
            for instance_id in {*list(client.watches), *list(client.tasks.values())}:
                if (actor, instance_id) in lost:
                    self._attempt(partial(self._withdraw, client, instance_id))

    def _attempt(self, cut: Callable[[], None]) -> None:
        """Cut something off; if that goes wrong, the others are cut off all the same, and this again next time."""
        try:
            cut()
        except Exception:
            log.exception("cut_failed")
            self._hub.passes.doubt()

    def _end(self, client: Client, actor: Actor, why: End) -> None:
        if not self._hub.passes.end(client, actor):
            # Its token was refreshed while this one was looked at.
            return
        CUT.labels("connection").inc()
        for instance_id in {*list(client.watches), *list(client.tasks.values())}:
            self._hub.withdraw(client, instance_id, "expired" if why == "expired" else "revoked")
        self._reach.expel(client.id, why)

    def _withdraw(self, client: Client, instance_id: str) -> None:
        CUT.labels("subscription").inc()
        task_ids = self._hub.withdraw(client, instance_id, "revoked")
        self._reach.leave_rooms(client.id, instance_id, task_ids)
