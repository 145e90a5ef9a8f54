"""Handles the Socket.IO events of docs/protocol.md: from here messages reach the clients.

Handlers translate: they validate what a client sent, call the hub, and respond. A refusal is an `error` event and the
same in the acknowledgement; the connection stays open, unless the packet was malformed. A client's events are handled
one after another, in order.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime
from functools import partial
from typing import Any, ClassVar

import structlog
from socketio import Server

from swallowtail.app.core.errors import Busy, NotFound, SwallowtailError, Unauthenticated, Unavailable
from swallowtail.app.core.events import stamp
from swallowtail.app.core.security.actors import Actor, Caller
from swallowtail.app.core.validation import check_instance_id, check_task_id
from swallowtail.app.delivery import wire
from swallowtail.app.delivery.access_monitor import EndReason
from swallowtail.app.delivery.hub import Hub
from swallowtail.app.web.background.denied_requests import DeniedRequestQueue
from swallowtail.app.web.engineio.connect_timeout import ConnectTimeouts
from swallowtail.app.web.engineio.packets import Ack, InvalidPacket
from swallowtail.app.web.limits.message_limits import MessageLimits
from swallowtail.app.web.socketio.connect_auth import ClientTokens
from swallowtail.app.web.socketio.event_input import Payload, read_payload, read_since, refusal_of
from swallowtail.app.web.socketio.resume_rate import ResumeRate
from swallowtail.app.web.socketio.transport import SocketTransport

log = structlog.get_logger(__name__)

#: When to try again after the database was unavailable.
RETRY_AFTER_MS = 1000
#: Reasons of python-socketio for a client that left the namespace, or was disconnected from it: its connection stays.
_STAYS_CONNECTED = (Server.reason.CLIENT_DISCONNECT, Server.reason.SERVER_DISCONNECT)
_ENDS = {"expired": "your token has expired", "revoked": "your token was revoked", "disabled": "your token was revoked"}
#: The kind of object that an event names.
_KINDS = {"subscribe_instance": "instance", "subscribe_task": "task"}


class SocketHandlers:
    """The event handlers of one web process."""

    def __init__(
        self,
        hub: Hub,
        transport: SocketTransport,
        connect_timeout: ConnectTimeouts,
        tokens: ClientTokens,
        limits: MessageLimits,
        resume_rate: ResumeRate,
        denied_requests: DeniedRequestQueue,
        sizes: tuple[int, int],
    ) -> None:
        """`sizes`: most bytes of a message before a client has joined the namespace, and after."""
        self._max_first_message, self._max_message = sizes
        self._tokens = tokens
        self._hub = hub
        self._transport = transport
        self._connect_timeout = connect_timeout
        self._limits = limits
        self._resume_rate = resume_rate
        self._denied_requests = denied_requests

    def close(self) -> None:
        """Stop the connect timeouts, for the end of the process."""
        self._connect_timeout.stop()

    def connect(self, sid: str, actor: Actor, version: int) -> None:
        """Handle an accepted connection; `version`: the permission version of that decision."""
        self._limits.begin(sid, actor)
        self._hub.clients.add(sid, actor)
        self._hub.permissions.confirm(version)
        self._transport.set_max_message(sid, self._max_message)
        self._transport.emit(sid, wire.CONNECTED, {"message": "Connected"})

    def disconnect(self, sid: str, reason: str) -> None:
        """Handle a closed connection, or a client that has left the namespace and may keep its connection."""
        self._hub.subscriptions.disconnect(sid)
        self._limits.forget(sid)
        if reason in _STAYS_CONNECTED:
            self._transport.set_max_message(sid, self._max_first_message)
            self._connect_timeout.namespace_left(sid)

    def receive(self, event: str, sid: str, *arguments: Any) -> None:
        """Handle one event of a client."""
        ack = arguments[-1] if arguments and isinstance(arguments[-1], Ack) else None
        values = arguments if ack is None else arguments[:-1]

        def handle() -> None:
            self._limits.check(sid, event)
            handler = self.EVENTS.get(event)
            if handler is None:
                raise refusal_of(event, values)
            handler(self, sid, read_payload(values), ack)

        self._attempt(sid, ack, event, handle)

    def _attempt(self, sid: str, ack: Ack | None, event: str, work: Callable[[], None], object_id: str = "") -> None:
        """Run work for a client, about the object of this id; an error becomes its response."""
        try:
            work()
        except SwallowtailError as refusal:
            self._refuse(sid, ack, refusal)
            self._note(sid, refusal, event, object_id)
            if isinstance(refusal, InvalidPacket):
                self._transport.close_client(sid)
        except Exception:
            log.exception("event_failed", socket_event=event[:100])
            self._refuse(sid, ack, SwallowtailError("an unexpected error occurred"))

    def _subscribe_instance(self, sid: str, payload: Payload, ack: Ack | None) -> None:
        instance_id = check_instance_id(payload.get("instance_id"))
        since = read_since(payload.get("since"))
        if since is not None and (wait := self._resume_rate.acquire()):
            raise Busy(retry_after=wait)

        def on_start(start: wire.SubscriptionStart) -> None:
            # Other programs' messages into the room are about the whole instance and cannot be masked.
            if self._hub.clients.find(sid).view.is_full:
                self._transport.enter_room(sid, wire.room_of(instance_id))
            self._transport.emit(sid, wire.SUBSCRIBED, {"instance_id": instance_id})
            self._transport.acknowledge(sid, ack, start.wire(), start.snapshot)

        if not self._hub.subscriptions.subscribe_now(sid, instance_id, since, on_start):
            subscribe = partial(self._hub.subscriptions.subscribe, sid, instance_id, since, on_start)
            self._defer(sid, ack, "subscribe_instance", subscribe, instance_id)

    def _unsubscribe_instance(self, sid: str, payload: Payload, ack: Ack | None) -> None:
        instance_id = check_instance_id(payload.get("instance_id"))

        def on_end() -> None:
            self._transport.leave_room(sid, wire.room_of(instance_id))
            self._transport.emit(sid, wire.UNSUBSCRIBED, {"instance_id": instance_id})
            self._transport.acknowledge(sid, ack, {"ok": True, "instance_id": instance_id})

        self._hub.subscriptions.unsubscribe(sid, instance_id, on_end)

    def _subscribe_task(self, sid: str, payload: Payload, ack: Ack | None) -> None:
        task_id = check_task_id(payload.get("task_id"))

        def enter() -> None:
            if self._hub.clients.find(sid).view.fields is None:
                self._transport.enter_room(sid, wire.task_room_of(task_id))

        def subscribe() -> None:
            self._hub.subscriptions.subscribe_task(sid, task_id, enter)
            self._transport.acknowledge(sid, ack, {"ok": True, "task_id": task_id})

        self._defer(sid, ack, "subscribe_task", subscribe, task_id)

    def _unsubscribe_task(self, sid: str, payload: Payload, ack: Ack | None) -> None:
        task_id = check_task_id(payload.get("task_id"))
        self._hub.subscriptions.unsubscribe_task(sid, task_id)
        self._transport.leave_room(sid, wire.task_room_of(task_id))
        self._transport.acknowledge(sid, ack, {"ok": True, "task_id": task_id})

    def _refresh_token(self, sid: str, payload: Payload, ack: Ack | None) -> None:
        token = payload.get("token")

        def refresh() -> None:
            actor, version = self._tokens.read(token)
            self._hub.permissions.replace_token(self._hub.clients.find(sid), actor)
            self._hub.permissions.confirm(version)
            self._transport.acknowledge(sid, ack, {"ok": True, "expires_at": stamp(actor.expires_at)})

        self._defer(sid, ack, "refresh_token", refresh)

    def leave_rooms(self, client_id: str, instance_id: str, task_ids: Sequence[str]) -> None:
        """See `Connections`."""
        for room in (wire.room_of(instance_id), *map(wire.task_room_of, task_ids)):
            self._transport.leave_room(client_id, room)

    def warn(self, client_id: str, expires_at: datetime) -> None:
        """See `Connections`."""
        self._transport.emit(client_id, wire.EXPIRING, {"expires_at": stamp(expires_at)})

    def expel(self, client_id: str, reason: EndReason) -> None:
        """See `Connections`."""
        refusal = Unauthenticated(_ENDS[reason]).as_dict()
        self._transport.emit(
            client_id, wire.ERROR, {**refusal, "reason": "expired" if reason == "expired" else "revoked"}
        )
        self._transport.disconnect(client_id)

    def _defer(self, sid: str, ack: Ack | None, event: str, work: Callable[[], None], object_id: str = "") -> None:
        """Run work that may block on the database."""
        self._transport.defer(sid, lambda: self._attempt(sid, ack, event, work, object_id))

    def _note(self, sid: str, refusal: SwallowtailError, event: str, object_id: str) -> None:
        if event not in self.EVENTS:
            return
        address = self._transport.find_address(sid)
        with suppress(NotFound):
            caller = Caller(self._hub.clients.find(sid).actor, "socket", address)
            self._denied_requests.note(refusal, caller, event, _KINDS.get(event, ""), object_id)

    def _refuse(self, sid: str, ack: Ack | None, refusal: SwallowtailError) -> None:
        shape = refusal.as_dict()
        if isinstance(refusal, Unavailable):
            shape["retry_after_ms"] = RETRY_AFTER_MS
        self._transport.emit(sid, wire.ERROR, shape)
        self._transport.acknowledge(sid, ack, {"ok": False, "error": shape})

    #: The events that clients may send.
    EVENTS: ClassVar[dict[str, Callable[[SocketHandlers, str, Payload, Ack | None], None]]] = {
        "subscribe_instance": _subscribe_instance,
        "unsubscribe_instance": _unsubscribe_instance,
        "subscribe_task": _subscribe_task,
        "unsubscribe_task": _unsubscribe_task,
        "refresh_token": _refresh_token,
    }
