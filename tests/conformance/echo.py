"""A Socket.IO application that echoes messages, as the test suites of the protocols require."""

from __future__ import annotations

from functools import partial
from typing import Any

from socketio import exceptions, packet

from swallowtail.app.web.engineio.packets import Ack

CUSTOM, CLOSED = "/custom", "/closed"


class Echo:
    """The event handlers of one python-socketio server."""

    def __init__(self, server: Any) -> None:
        self._server = server

    def message(self, sid: str, *arguments: Any, namespace: str = "/") -> None:
        """Send the arguments back."""
        self._emit(sid, "message-back", *arguments, namespace=namespace)

    def message_with_ack(self, sid: str, *arguments: Any, namespace: str = "/") -> Any:
        """Acknowledge with the arguments."""
        *fields, last = arguments
        if not isinstance(last, Ack):
            # A server that acknowledges with what its handlers return.
            return arguments
        answer = self._server.packet_class(packet.ACK, namespace=namespace, id=last.id, data=fields)
        self._server._send_packet(self._server.manager.eio_sid_from_sid(sid, namespace), answer)
        return None

    def burst(self, sid: str, count: int) -> None:
        """Send numbered notes."""
        for number in range(count):
            self._emit(sid, "note", number)

    def ask(self, sid: str, *arguments: Any) -> None:
        """Ask for an acknowledgement of the arguments, and send back what it holds."""
        callback = partial(self._emit, sid, "answered")
        self._server.manager.emit("question", arguments, namespace="/", room=sid, callback=callback, ignore_queue=True)

    def enter(self, sid: str, name: str, last: Any = None) -> Any:
        """Enter a room."""
        self._server.enter_room(sid, name)
        return self.message_with_ack(sid, last) if isinstance(last, Ack) else []

    def send(self, sid: str, rooms: list[str], *arguments: Any) -> None:
        """Send the arguments to rooms."""
        self._server.manager.emit("sent", arguments, namespace="/", room=rooms, ignore_queue=True)

    def leave(self, sid: str) -> None:
        """Disconnect the client after one more message."""
        self._emit(sid, "last")
        self._server.disconnect(sid)

    def refuse(self, sid: str, environ: dict[str, Any], auth: Any = None) -> None:
        """Refuse a connection."""
        raise exceptions.ConnectionRefusedError("Authentication error", {"a": "b", "c": 3})

    def accept(self, sid: str, environ: dict[str, Any], auth: Any = None) -> None:
        """Accept a connection, and send back what it was opened with."""
        self._server.start_background_task(self._send_auth, sid, auth)

    def _send_auth(self, sid: str, auth: Any) -> None:
        while not self._server.manager.is_connected(sid, CUSTOM):
            self._server.sleep(0.01)
        self._emit(sid, "auth", auth or {}, namespace=CUSTOM)

    def _emit(self, sid: str, name: str, *arguments: Any, namespace: str = "/") -> None:
        self._server.manager.emit(name, arguments, namespace=namespace, room=sid, ignore_queue=True)


def add_echo(server: Any) -> None:
    """Have a server echo on `/` and `/custom`, and refuse connections to `/closed`."""
    echo = Echo(server)
    for handler in (echo.message, echo.burst, echo.ask, echo.enter, echo.send):
        server.on(handler.__name__, handler)
    server.on("message-with-ack", echo.message_with_ack)
    server.on("leave-me", echo.leave)
    server.on("connect", echo.accept, namespace=CUSTOM)
    server.on("message", partial(echo.message, namespace=CUSTOM), namespace=CUSTOM)
    server.on("message-with-ack", partial(echo.message_with_ack, namespace=CUSTOM), namespace=CUSTOM)
    server.on("connect", echo.refuse, namespace=CLOSED)
