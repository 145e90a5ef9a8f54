"""Reviews connected clients whenever the permission version changes, and ends what they may no longer see."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Literal, Protocol

import structlog
from prometheus_client import Counter

from swallowtail.app.core.config.settings import Settings
from swallowtail.app.core.process.periodic_thread import PeriodicThread
from swallowtail.app.core.security.actors import Actor
from swallowtail.app.delivery.clients.client import Client
from swallowtail.app.delivery.hub import Hub
from swallowtail.app.delivery.log.database_reader import DatabaseReader

log = structlog.get_logger(__name__)

CUT = Counter("swallowtail_access_cut_total", "Connections and subscriptions ended for lack of access", ["what"])

#: Why a token is no longer valid.
EndReason = Literal["expired", "revoked", "disabled"]
#: Several reasons to review within this time, in seconds, make one review.
SETTLE_SECONDS = 0.02


class Connections(Protocol):
    """How the monitor acts on connections."""

    def leave_rooms(self, client_id: str, instance_id: str, task_ids: Sequence[str]) -> None:
        """Remove a client from the rooms of an instance and of tasks."""

    def warn(self, client_id: str, expires_at: datetime) -> None:
        """Warn a client that its token is about to expire."""

    def expel(self, client_id: str, reason: EndReason) -> None:
        """Send a client the reason, and disconnect it."""


class AccessMonitor:
    """The monitor of one web process."""

    def __init__(
        self,
        settings: Settings,
        hub: Hub,
        reader: DatabaseReader,
        find_ended: Callable[[Collection[Actor]], Mapping[Actor, EndReason]],
        connections: Connections,
        due: threading.Event,
    ) -> None:
        """`find_ended` returns which actors' tokens are no longer valid. Setting `due` starts a review at once."""
        self._warning = timedelta(seconds=settings.token_warning)
        self._hub = hub
        self._permissions = hub.permissions
        self._reader = reader
        self._find_ended = find_ended
        self._connections = connections
        #: Clients that were warned, with the expiry that they were warned of.
        self._warned: dict[str, datetime] = {}
        self._thread = PeriodicThread(
            "access_check", self.review, settings.access_check, settle=SETTLE_SECONDS, woken=due
        )
        self.start, self.stop = self._thread.start, self._thread.stop

    def review(self) -> None:
        """Compare with the database, and end what is no longer allowed. Raises Unavailable."""
        # First: a token expires whether the database is there or not.
        self._check_expiry(self._hub.clients.find_restricted())
        if not self._permissions.update(self._reader.read_permission_version()):
            return
        try:
            # Includes the clients that have come since the version was read.
            self._review_clients(self._hub.clients.find_restricted())
        except Exception:
            # The version counts as known by now, so that only this flag leads to another review.
            self._permissions.mark_stale()
            raise

    def _check_expiry(self, clients: Sequence[Client]) -> None:
        """Warn clients whose token expires soon, once, and disconnect those whose token has expired."""
        now = datetime.now(UTC)
        warned, self._warned = self._warned, {}
        for client in clients:
            actor = client.actor
            expires = actor.expires_at
            if expires is None or expires - self._warning > now:
                continue
            if expires <= now:
                self._attempt(partial(self._disconnect, client, actor, "expired"))
            else:
                if warned.get(client.id) != expires:
                    self._connections.warn(client.id, expires)
                self._warned[client.id] = expires

    def _review_clients(self, clients: Sequence[Client]) -> None:
        ended = self._find_ended({client.actor for client in clients})
        pairs = {
            (client.actor, instance_id)
            for client in clients
            if client.actor not in ended
            for instance_id in client.scope
        }
        lost = self._reader.find_unreadable(pairs) if pairs else set()
        for client in clients:
            actor = client.actor
            if actor in ended:
                self._attempt(partial(self._disconnect, client, actor, ended[actor]))
                continue
            for instance_id in client.scope:
                if (actor, instance_id) in lost:
                    self._attempt(partial(self._withdraw, client, instance_id))

    def _attempt(self, end: Callable[[], None]) -> None:
        """Call `end`; if it fails, the caller continues with the others, and this one is tried again next time."""
        try:
            end()
        except Exception:
            log.exception("disconnect_failed")
            self._permissions.mark_stale()

    def _disconnect(self, client: Client, actor: Actor, reason: EndReason) -> None:
        if not self._permissions.end(client, actor):
            # The client got another token during the review.
            return
        CUT.labels("connection").inc()
        for instance_id in client.scope:
            self._hub.subscriptions.withdraw(client, instance_id, "expired" if reason == "expired" else "revoked")
        self._connections.expel(client.id, reason)

    def _withdraw(self, client: Client, instance_id: str) -> None:
        CUT.labels("subscription").inc()
        task_ids = self._hub.subscriptions.withdraw(client, instance_id, "revoked")
        self._connections.leave_rooms(client.id, instance_id, task_ids)
