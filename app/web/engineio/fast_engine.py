"""Serves websockets without python-engineio's queues and threads, behind the interface that python-socketio expects.

python-engineio gives every websocket a queue and two greenlets. Here a websocket is a `WebSocketConnection`, and
python-socketio gets a `FastSocket` where it looks up an `engineio.Socket`. Polling clients keep the library's class.
"""

from __future__ import annotations

import re
import socket as sockets
import time
from collections.abc import Callable
from functools import partial
from importlib.metadata import version
from typing import Any

import structlog
from engineio import exceptions, packet
from engineio.socket import Socket

from swallowtail.app.core.config.settings import Settings
from swallowtail.app.web.engineio.packets import CLIENT_TYPES, SharedFrame, TextFrame, open_payload, read_packet
from swallowtail.app.web.engineio.sessions import Sessions
from swallowtail.app.web.http.request_guard import RequestGuard
from swallowtail.app.web.websocket.budgets import MemoryBudgets
from swallowtail.app.web.websocket.connection import WebSocketConnection
from swallowtail.app.web.websocket.event_loop import EventLoop
from swallowtail.app.web.websocket.frames import BINARY, INVALID_TEXT, TEXT, pack
from swallowtail.app.web.websocket.handshake import UpgradeRequest, accept_key
from swallowtail.app.web.websocket.heartbeat import PingSchedule

log = structlog.get_logger(__name__)

#: The versions that this file was written for: the first one, and the first one that is too new.
_VERSIONS = {"python-engineio": ((4, 13), (5, 0)), "python-socketio": ((5, 16), (6, 0))}
_PING, _CLOSE = pack(b"2"), pack(b"1")


def is_usable() -> bool:
    """Return whether this file was written for the installed versions; if not, log why the stock engine serves."""
    for name, (first, end) in _VERSIONS.items():
        installed = version(name)
        if not first <= tuple(int(part) for part in re.findall(r"\d+", installed)[:2]) < end:
            log.info("stock_engine", reason=f"the fast engine was not written for {name} {installed}")
            return False
    return True


class FastSocket(Socket):  # type: ignore[misc] # the library has no types
    """An Engine.IO socket that is a websocket from the start."""

    def __init__(self, engine: FastEngine, sid: str, connect: Callable[[FastSocket], WebSocketConnection]) -> None:
        # Without the library's, which would create a queue.
        self.engine = engine
        self.server = engine.eio
        self.sid = sid
        self.last_ping: float | None = None
        self.connected = self.upgraded = True
        self.upgrading = self.closing = self.closed = False
        self.session: dict[str, Any] = {}
        self.connection = connect(self)

    def message_received(self, kind: int, payload: bytes) -> None:
        """See `ConnectionOwner`. A message that is no Engine.IO packet ends the connection."""
        try:
            if kind == BINARY:
                self.receive(packet.Packet(encoded_packet=payload))
            elif kind == TEXT:
                text = payload.decode()
                if text[:1] == "4":
                    self.server._trigger_event("message", self.sid, text[1:], run_async=False)
                elif (pkt := read_packet(text)).packet_type in CLIENT_TYPES:
                    self.receive(pkt)
        except UnicodeDecodeError:
            self.connection.close(INVALID_TEXT)
        except (ValueError, exceptions.EngineIOError):
            self.connection_lost()

    def connection_lost(self) -> None:
        """See `ConnectionOwner`."""
        self.close(wait=False, abort=True, reason=self.server.reason.TRANSPORT_CLOSE)

    def set_max_message(self, size: int) -> None:
        """Accept messages of at most `size` bytes from now on."""
        self.connection.set_max_message(size)

    def drained(self) -> None:
        """See `ConnectionOwner`."""
        self.engine.drained(self.sid)

    def defer(self, work: Callable[[], None]) -> None:
        """Run work that may block in a greenlet, and handle no message of the client until it is done."""
        connection = self.connection
        connection.pause()

        def run() -> None:
            try:
                connection.coalesce_writes(work)
            finally:
                connection.resume()

        self.engine.loop.spawn(run)

    def check_ping_timeout(self) -> bool:
        """Leave it to the ping schedule."""
        return not self.closed

    def send(self, pkt: Any) -> None:
        """Send a packet."""
        if self.closed:
            raise exceptions.SocketIsClosedError
        if isinstance(pkt, TextFrame):
            self.connection.enqueue(pkt.wire)
            return
        if isinstance(pkt, SharedFrame):
            self.connection.enqueue(*pkt.parts)
            return
        encoded = pkt.encode()
        self.connection.enqueue(pack(encoded.encode()) if isinstance(encoded, str) else pack(encoded, BINARY))

    def close(self, wait: bool = True, abort: bool = False, reason: Any = None) -> None:
        """Close the connection after what is queued, and report it to python-socketio."""
        if self.closed or self.closing:
            return
        self.closing = True
        self.server._trigger_event(
            "disconnect", self.sid, reason or self.server.reason.SERVER_DISCONNECT, run_async=False
        )
        if not abort:
            self.connection.enqueue(_CLOSE)
        self.closed = True
        self.engine.forget(self.sid)
        self.connection.close()

    def schedule_ping(self) -> None:
        """Schedule the next ping after a pong."""
        if self.last_ping is not None:
            self.last_ping = None
            self.engine.ping_schedule.add(self, self.engine.loop.now)

    def ping(self, now: float) -> None:
        """See `PingTarget`."""
        self.last_ping = now
        self.connection.enqueue(_PING)

    def is_overdue(self, asked_at: float) -> bool:
        """See `PingTarget`."""
        return self.last_ping == asked_at

    def time_out(self) -> None:
        """See `PingTarget`."""
        self.close(wait=False, abort=False, reason=self.server.reason.PING_TIMEOUT)


class FastEngine:
    """The fast sockets of one Engine.IO server."""

    def __init__(
        self,
        sessions: Sessions,
        settings: Settings,
        loop: EventLoop,
        budgets: MemoryBudgets,
        guard: RequestGuard,
        on_drained: Callable[[str], None],
    ) -> None:
        """`on_drained` is called with the id of each client that can receive messages again."""
        self._sessions = sessions
        eio = self.eio = sessions.server.eio
        self.loop = loop
        self.ping_schedule = PingSchedule(eio.ping_interval + eio.ping_interval_grace_period, eio.ping_timeout)
        self._on_drained = on_drained
        self._settings = settings
        #: A path prefix that websocket requests may have.
        self.prefix = settings.url_prefix
        self._budgets = budgets
        self._guard = guard
        self._sockets: dict[str, FastSocket] = {}
        self._library_get_socket = eio._get_socket
        # Fast sockets are not in `eio.sockets`: the library's monitor would visit each of them in turn.
        eio._get_socket = self._get_socket

    def __len__(self) -> int:
        return len(self._sockets)

    def start(self) -> None:
        """Start to ping connections."""
        self.ping_schedule.run(self.loop.call_later, time.monotonic)

    def is_allowed(self, upgrade: UpgradeRequest) -> bool:
        """Return whether the host and origin of a websocket request are allowed; its client is not authenticated."""
        self._guard.apply_proxies(upgrade.environ)
        return self._guard.find_refusal(upgrade.environ) is None

    def serve_socket(self, sock: sockets.socket, upgrade: UpgradeRequest) -> None:
        """Serve a websocket on a socket whose request has been read."""
        sid = self.eio.generate_id()
        connect = partial(
            WebSocketConnection,
            self.loop,
            sock,
            max_message=self._settings.max_opening_bytes,
            max_waiting=self._settings.client_bytes,
            max_frames=self._settings.client_rate,
            outgoing=self._budgets.outgoing,
            incoming=self._budgets.incoming,
        )
        fast = self._sockets[sid] = FastSocket(self, sid, connect)
        try:
            self._connect(fast, upgrade)
        except Exception:
            # No other code refers to it: it would be kept and counted forever.
            fast.connection.abort()
            self.forget(sid)
            raise

    def _connect(self, fast: FastSocket, upgrade: UpgradeRequest) -> None:
        eio, sid, connection = self.eio, fast.sid, fast.connection
        refusal = eio._trigger_event("connect", sid, upgrade.environ, run_async=False)
        if refusal is not None and refusal is not True:
            self.forget(sid)
            fast.closed = True
            connection.enqueue(b"HTTP/1.1 401 UNAUTHORIZED\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            connection.abort()
            return
        connection.start()
        connection.enqueue(accept_key(upgrade.key) + pack(self._open_packet(sid)))
        self.ping_schedule.add(fast, self.loop.now)

    def forget(self, sid: str) -> None:
        """Remove a closed socket."""
        self._sockets.pop(sid, None)

    def drained(self, sid: str) -> None:
        """Report that a client can receive messages again."""
        client = self._sessions.find_client(sid)
        if client is not None:
            self._on_drained(client)

    def close_all(self) -> None:
        """Close every connection after what is queued."""
        for fast in list(self._sockets.values()):
            fast.close(wait=False, abort=True, reason=self.eio.reason.SERVER_DISCONNECT)

    def _get_socket(self, sid: str) -> Any:
        return self._sockets.get(sid) or self._library_get_socket(sid)

    def _open_packet(self, sid: str) -> bytes:
        opening: str = packet.Packet(packet.OPEN, open_payload(self.eio, sid, [])).encode()
        return opening.encode()
