"""The protocol of docs/protocol.md, as Socket.IO handlers. Last stop of the road: from here events reach the clients.

Handlers translate: they check what a client sent, call the hub, and answer. Every refusal is an `error` event and the
same in the acknowledgement, and the connection stays up, unless what came was no packet of the protocol at all. A
client's events are handled one after another, in order.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from functools import partial
from typing import Any

import structlog
from flask import Flask
from flask_socketio import SocketIO
from socketio import Server

from swallowtail.app.core.config.settings import Settings
from swallowtail.app.core.errors import Busy, InvalidInput, NotFound, SwallowtailError, Unauthenticated, Unavailable
from swallowtail.app.core.events import stamp
from swallowtail.app.core.identity.authenticate import Tokens
from swallowtail.app.core.security.permissions import Caller
from swallowtail.app.core.validation import check_instance_id, check_task_id
from swallowtail.app.delivery.access_monitor import EndReason
from swallowtail.app.delivery.hub import Hub
from swallowtail.app.delivery.wire import (
    CONNECTED,
    ERROR,
    EXPIRING,
    RESTARTING,
    SUBSCRIBED,
    UNSUBSCRIBED,
    Since,
    SubscriptionStart,
    room_of,
    task_room_of,
)
from swallowtail.app.web.background.denied_requests import DeniedRequestQueue
from swallowtail.app.web.container import WebContainer
from swallowtail.app.web.engineio.connect_timeout import Deadline
from swallowtail.app.web.engineio.packets import REFUSED, Ack, FastJson, Unreadable, make_packet_class
from swallowtail.app.web.engineio.polling import mend_polling
from swallowtail.app.web.http.cors import AllowedOrigins
from swallowtail.app.web.limits.limits import Limits
from swallowtail.app.web.limits.message_limits import MessageLimits
from swallowtail.app.web.limits.session_count import count_sessions
from swallowtail.app.web.socketio.client_manager import ClientManager
from swallowtail.app.web.socketio.connect_auth import ConnectAuth
from swallowtail.app.web.socketio.packet_order import PacketOrder
from swallowtail.app.web.socketio.resume_rate import ResumeRate, spread_reconnects
from swallowtail.app.web.socketio.transport import NAMESPACE, SocketTransport
from swallowtail.app.web.websocket.budgets import MemoryBudgets

log = structlog.get_logger(__name__)

#: When to try again what failed because the database was away.
RETRY_AFTER_MS = 1000
#: Why python-socketio says that a client is gone which has left the namespace.
GOODBYE = Server.reason.CLIENT_DISCONNECT
#: And why it says so of one that was sent away.
EXPELLED = Server.reason.SERVER_DISCONNECT
_ENDS = {
    "expired": "your token has expired",
    "revoked": "your token was revoked",
    "disabled": "your token was revoked",
}
#: What an event is about.
_KINDS = {"subscribe_instance": "instance", "subscribe_task": "task"}
_LARGEST_SEQ = 2**63 - 1
_LONGEST_EPOCH = 64

Payload = Mapping[str, Any]


def make_socketio(app: Flask, settings: Settings, budgets: MemoryBudgets) -> SocketIO:
    """Return the Socket.IO server of one web process; it connects to Redis with its first client.

    Messages above `max_body_bytes` are refused, frames above `max_frame_bytes` close the connection unread.
    """
    socketio = SocketIO(
        app,
        async_mode=settings.async_mode,
        client_manager=ClientManager(settings),
        serializer=make_packet_class(settings),
        json=FastJson,
        # Long polling is many requests for one session, and each may reach another of the processes.
        transports=["websocket"] if settings.processes > 1 else None,
        # One client's events in order; no greenlet or thread for each of them.
        async_handlers=False,
        cors_allowed_origins=AllowedOrigins(settings).admits,
        cors_credentials=False,
        manage_session=False,
        max_http_buffer_size=_longest(settings),
        http_compression=False,
        serve_client=False,
    )
    mend_polling(socketio.server, settings, budgets)
    return socketio


def register(
    socketio: SocketIO, hub: Hub, settings: Settings, tokens: Tokens, limits: Limits, refusals: DeniedRequestQueue
) -> SocketHandlers:
    """Have the protocol spoken on a Socket.IO server."""
    deadline = Deadline(socketio.server, settings.connect_timeout)
    count_sessions(socketio.server, limits)
    transport = SocketTransport(socketio.server, settings.client_backlog)
    door = ConnectAuth(socketio.server, settings, tokens, hub.permissions, transport, limits, refusals)
    PacketOrder(socketio.server, transport)
    limited = MessageLimits(limits, socketio.server)
    pace = ResumeRate(settings.resume_rate)
    sizes = (settings.max_opening_bytes, _longest(settings))
    conversation = SocketHandlers(hub, transport, deadline, door, limited, pace, refusals, sizes)
    socketio.server.manager.on_accepted = conversation.begin
    socketio.server.on("disconnect", conversation.end)
    socketio.server.on("*", conversation.hear)
    return conversation


class SocketHandlers:
    """What is said between clients and one web process."""

    def __init__(
        self,
        hub: Hub,
        transport: SocketTransport,
        deadline: Deadline,
        door: ConnectAuth,
        limits: MessageLimits,
        pace: ResumeRate,
        refusals: DeniedRequestQueue,
        sizes: tuple[int, int],
    ) -> None:
        """`sizes`: bytes of a message of who has joined no namespace, and of who has."""
        self._shortest, self._longest = sizes
        self._door = door
        self._hub = hub
        self._transport = transport
        self._deadline = deadline
        self._limits = limits
        self._pace = pace
        self._refusals = refusals
        self._handlers: dict[str, Callable[[str, Payload, Ack | None], None]] = {
            "subscribe_instance": self._subscribe_instance,
            "unsubscribe_instance": self._unsubscribe_instance,
            "subscribe_task": self._subscribe_task,
            "unsubscribe_task": self._unsubscribe_task,
            "refresh_token": self._refresh_token,
        }

    @property
    def events(self) -> frozenset[str]:
        """The events that clients may send."""
        return frozenset(self._handlers)

    def close(self) -> None:
        """Leave the connections to themselves: for the end of the application."""
        self._deadline.stop()

    def begin(self, sid: str) -> None:
        """Greet a connection that has been accepted."""
        actor, version = self._door.take(self._transport.find(sid) or "")
        self._limits.begin(sid, actor)
        self._hub.clients.add(sid, actor)
        self._hub.permissions.confirm(version)
        self._transport.limit(sid, self._longest)
        self._transport.tell(sid, CONNECTED, {"message": "Connected"})

    def end(self, sid: str, reason: str) -> None:
        """Forget a connection that is gone, or a client that has said goodbye and may keep its connection."""
        self._hub.subscriptions.disconnect(sid)
        self._limits.forget(sid)
        if reason in (GOODBYE, EXPELLED):
            self._transport.limit(sid, self._shortest)
            self._deadline.left(sid)

    def hear(self, event: str, sid: str, *args: Any) -> None:
        """Handle one event of a client."""
        ack = args[-1] if args and isinstance(args[-1], Ack) else None
        given = args if ack is None else args[:-1]

        def handle() -> None:
            self._limits.check(sid, event)
            handler = self._handlers.get(event)
            if handler is None:
                raise _find_refusal(event, given)
            handler(sid, _read_payload(given), ack)

        self._attempt(sid, ack, event, handle)

    def _attempt(self, sid: str, ack: Ack | None, event: str, work: Callable[[], None], about: str = "") -> None:
        """Do something for a client, with the thing of the id `about`; whatever goes wrong is its answer."""
        try:
            work()
        except SwallowtailError as refusal:
            self._refuse(sid, ack, refusal)
            self._note(sid, refusal, event, about)
            if isinstance(refusal, Unreadable):
                self._transport.hang_up(sid)
        except Exception:
            log.exception("event_failed", socket_event=event[:100])
            self._refuse(sid, ack, SwallowtailError("something went wrong that should not have"))

    def _subscribe_instance(self, sid: str, payload: Payload, ack: Ack | None) -> None:
        instance_id = check_instance_id(payload.get("instance_id"))
        since = read_since(payload.get("since"))
        if since is not None and (wait := self._pace.admit()):
            raise Busy(wait)

        def on_start(start: SubscriptionStart) -> None:
            # Other programs' messages into the room are about the whole instance, and cannot be projected.
            if self._hub.clients.find(sid).view.is_full:
                self._transport.enter(sid, room_of(instance_id))
            self._transport.tell(sid, SUBSCRIBED, {"instance_id": instance_id})
            self._transport.acknowledge(sid, ack, start.wire(), start.snapshot)

        if not self._hub.subscriptions.subscribe_now(sid, instance_id, since, on_start):
            subscribe = partial(self._hub.subscriptions.subscribe, sid, instance_id, since, on_start)
            self._later(sid, ack, "subscribe_instance", subscribe, instance_id)

    def _unsubscribe_instance(self, sid: str, payload: Payload, ack: Ack | None) -> None:
        instance_id = check_instance_id(payload.get("instance_id"))

        def on_end() -> None:
            self._transport.leave(sid, room_of(instance_id))
            self._transport.tell(sid, UNSUBSCRIBED, {"instance_id": instance_id})
            self._transport.acknowledge(sid, ack, {"ok": True, "instance_id": instance_id})

        self._hub.subscriptions.unsubscribe(sid, instance_id, on_end)

    def _subscribe_task(self, sid: str, payload: Payload, ack: Ack | None) -> None:
        task_id = check_task_id(payload.get("task_id"))

        def enter() -> None:
            if self._hub.clients.find(sid).view.fields is None:
                self._transport.enter(sid, task_room_of(task_id))

        def subscribe() -> None:
            self._hub.subscriptions.subscribe_task(sid, task_id, enter)
            self._transport.acknowledge(sid, ack, {"ok": True, "task_id": task_id})

        self._later(sid, ack, "subscribe_task", subscribe, task_id)

    def _unsubscribe_task(self, sid: str, payload: Payload, ack: Ack | None) -> None:
        task_id = check_task_id(payload.get("task_id"))
        self._hub.subscriptions.unsubscribe_task(sid, task_id)
        self._transport.leave(sid, task_room_of(task_id))
        self._transport.acknowledge(sid, ack, {"ok": True, "task_id": task_id})

    def _refresh_token(self, sid: str, payload: Payload, ack: Ack | None) -> None:
        token = payload.get("token")

        def refresh() -> None:
            actor, version = self._door.read(token)
            self._hub.permissions.replace_token(self._hub.clients.find(sid), actor)
            self._hub.permissions.confirm(version)
            self._transport.acknowledge(sid, ack, {"ok": True, "expires_at": stamp(actor.expires_at)})

        self._later(sid, ack, "refresh_token", refresh)

    def leave_rooms(self, client_id: str, instance_id: str, task_ids: Sequence[str]) -> None:
        """See `Connections`."""
        for room in (room_of(instance_id), *map(task_room_of, task_ids)):
            self._transport.leave(client_id, room)

    def warn(self, client_id: str, expires_at: datetime) -> None:
        """See `Connections`."""
        self._transport.tell(client_id, EXPIRING, {"expires_at": stamp(expires_at)})

    def expel(self, client_id: str, why: EndReason) -> None:
        """See `Connections`."""
        refusal = Unauthenticated(_ENDS[why]).as_dict()
        self._transport.tell(client_id, ERROR, {**refusal, "reason": "expired" if why == "expired" else "revoked"})
        self._transport.expel(client_id)

    def _later(self, sid: str, ack: Ack | None, event: str, work: Callable[[], None], about: str = "") -> None:
        """Do what may have to wait for the database."""
        self._transport.defer(sid, lambda: self._attempt(sid, ack, event, work, about))

    def _note(self, sid: str, refusal: SwallowtailError, event: str, about: str) -> None:
        """Have it in the audit log if a client was refused for want of rights."""
        if event not in self._handlers:
            return
        address = self._door.find_address(self._transport.find(sid) or "")
        with suppress(NotFound):
            caller = Caller(self._hub.clients.find(sid).actor, "socket", address)
            self._refusals.note(refusal, caller, event, _KINDS.get(event, ""), about)

    def _refuse(self, sid: str, ack: Ack | None, refusal: SwallowtailError) -> None:
        shape = refusal.as_dict()
        if isinstance(refusal, Unavailable):
            shape["retry_after_ms"] = RETRY_AFTER_MS
        self._transport.tell(sid, ERROR, shape)
        self._transport.acknowledge(sid, ack, {"ok": False, "error": shape})


def _longest(settings: Settings) -> int:
    return max(settings.max_frame_bytes, settings.max_body_bytes)


def read_since(value: Any) -> Since | None:
    """Return the position that a client resumes from; None when it gives none. Raises InvalidInput."""
    if value is None:
        return None
    if not isinstance(value, dict):
        raise InvalidInput("since must be an object with epoch and seq", field="since")
    epoch, seq = value.get("epoch"), value.get("seq")
    if not isinstance(epoch, str) or len(epoch) > _LONGEST_EPOCH:
        raise InvalidInput(f"since.epoch must be text of at most {_LONGEST_EPOCH} characters", field="since.epoch")
    # A bool is an int to Python, not to anybody else.
    if not isinstance(seq, int) or isinstance(seq, bool) or not 0 <= seq <= _LARGEST_SEQ:
        raise InvalidInput("since.seq must be an integer from 0", field="since.seq")
    return Since(epoch, seq)


def _read_payload(args: tuple[Any, ...]) -> Payload:
    if len(args) != 1 or not isinstance(args[0], dict):
        raise InvalidInput("an event has one object as its payload", field="payload")
    return args[0]


def _find_refusal(event: str, args: tuple[Any, ...]) -> SwallowtailError:
    """Return why nothing handles an event: it could not be read, or nobody knows it."""
    if event == REFUSED and args and isinstance(args[0], SwallowtailError):
        return args[0]
    return InvalidInput("there is no such event", field="event")


def announce_restart(web: WebContainer) -> None:
    """Tell every client of this process when to come back, not all at once. For the end of the process."""
    settings = web.rt.settings
    transport = SocketTransport(web.socketio.server, settings.client_backlog)
    clients = [client for client, _ in web.socketio.server.manager.get_participants(NAMESPACE, None)]
    for client, pause in zip(clients, spread_reconnects(len(clients), settings.resume_rate), strict=True):
        transport.tell(client, RESTARTING, {"retry_after_ms": math.ceil(pause * 1000)})


def close_connections(web: WebContainer) -> None:
    """Close every connection of this process, after what is queued for it.

    Clients see a lost transport and connect again, elsewhere; a Socket.IO disconnection would tell them to stay away.
    """
    if web.engine is not None:
        web.engine.close_all()
    engine = web.socketio.server.eio
    for socket in list(engine.sockets.values()):
        socket.close(wait=False, abort=True, reason=engine.reason.SERVER_DISCONNECT)
