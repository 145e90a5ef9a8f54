"""A Socket.IO application that echoes messages, as the test suites of the protocols require."""

from __future__ import annotations

from functools import partial
from typing import Any

from socketio import exceptions, packet

from swallowtail.app.web.engineio.packets import Ack

CUSTOM, CLOSED = "/custom", "/closed"


def add_echo(server: Any) -> None:
    """Have a python-socketio server echo, greet those who come to `/custom`, and refuse those who come to `/closed`."""

    def emit(sid: str, name: str, *arguments: Any, namespace: str = "/") -> None:
        server.manager.emit(name, arguments, namespace=namespace, room=sid, ignore_queue=True)

    def message(sid: str, *arguments: Any) -> None:
        emit(sid, "message-back", *arguments)

    def message_in_custom(sid: str, *arguments: Any) -> None:
        emit(sid, "message-back", *arguments, namespace=CUSTOM)

    def message_with_ack(sid: str, *arguments: Any, namespace: str = "/") -> Any:
        *fields, last = arguments
        if not isinstance(last, Ack):
            # A server that acknowledges with what its handlers return.
            return arguments
        answer = server.packet_class(packet.ACK, namespace=namespace, id=last.id, data=fields)
        server._send_packet(server.manager.eio_sid_from_sid(sid, namespace), answer)
        return None

    def burst(sid: str, count: int) -> None:
        for number in range(count):
            emit(sid, "note", number)

    def ask(sid: str, *arguments: Any) -> None:
        def answered(*fields: Any) -> None:
            emit(sid, "answered", *fields)

        server.manager.emit("question", arguments, namespace="/", room=sid, callback=answered, ignore_queue=True)

    def enter(sid: str, name: str, last: Any = None) -> Any:
        server.enter_room(sid, name)
        return message_with_ack(sid, last) if isinstance(last, Ack) else []

    def tell(sid: str, rooms: list[str], *arguments: Any) -> None:
        server.manager.emit("told", arguments, namespace="/", room=rooms, ignore_queue=True)

    def leave_me(sid: str) -> None:
        emit(sid, "last")
        server.disconnect(sid)

    def refuse(sid: str, environ: dict[str, Any], auth: Any = None) -> None:
        raise exceptions.ConnectionRefusedError("Authentication error", {"a": "b", "c": 3})

    def greet_once_in(sid: str, auth: Any) -> None:
        while not server.manager.is_connected(sid, CUSTOM):
            server.sleep(0.01)
        emit(sid, "auth", auth or {}, namespace=CUSTOM)

    def greet(sid: str, environ: dict[str, Any], auth: Any = None) -> None:
        server.start_background_task(greet_once_in, sid, auth)

    for handler in (message, burst, ask, enter, tell):
        server.on(handler.__name__, handler)
    server.on("message-with-ack", message_with_ack)
    server.on("leave-me", leave_me)
    server.on("connect", greet, namespace=CUSTOM)
    server.on("message", message_in_custom, namespace=CUSTOM)
    server.on("message-with-ack", partial(message_with_ack, namespace=CUSTOM), namespace=CUSTOM)
    server.on("connect", refuse, namespace=CLOSED)
