"""Long polling as the Engine.IO document has it: which requests are refused, what a poll holds, when a session ends.

Beside the road's last stop. python-engineio's sessions are kept, and its answers to a handshake and to an upgrade. What
is done here instead: a payload has any number of packets and is heard no faster than `client_rate`; an answer has no
more than python-engineio's own client reads; a session that is over is known no longer, unless the server ended it and
something is left to be fetched. docs/decisions tells why ("a packet that cannot be read").
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from urllib.parse import parse_qs

import socketio
from engineio import exceptions, packet

from swallowtail.app.core.config.settings import Settings
from swallowtail.app.web.engineio.compression import compress
from swallowtail.app.web.engineio.polling_errors import (
    NO_REQUEST,
    NO_SESSION,
    NO_TRANSPORT,
    refuse,
    refuse_opening,
    wants_socket,
)
from swallowtail.app.web.engineio.polling_session import Session
from swallowtail.app.web.websocket.budgets import MemoryBudgets


class Polling:
    """Answers the requests of one Engine.IO server; those that open a session or upgrade one go to the library."""

    def __init__(self, server: socketio.Server, settings: Settings, budgets: MemoryBudgets) -> None:
        self._budgets = budgets
        self._eio = server.eio
        self._settings = settings
        self._stock = server.eio.handle_request
        self._disconnect = server.eio.disconnect
        server.eio.handle_request = self.handle
        server.eio._handle_connect = self._connect
        server.eio.disconnect = self._end

    def handle(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """Answer a request, as a WSGI application."""
        answer = self._answer(environ)
        if answer is None:
            stock: Iterable[bytes] = self._stock(environ, start_response)
            return stock
        compress(answer, environ.get("HTTP_ACCEPT_ENCODING", ""))
        body = answer["response"]
        length = ("Content-Length", str(len(body)))
        start_response(answer["status"], [*answer["headers"], *self._eio._cors_headers(environ), length])
        return [body]

    def _answer(self, environ: dict[str, Any]) -> dict[str, Any] | None:
        """Return the answer to a request; None for one that is the library's."""
        method = environ["REQUEST_METHOD"]
        query = parse_qs(environ.get("QUERY_STRING", ""))
        transport, sid = query.get("transport", [""])[0], query.get("sid", [""])[0]
        if method == "OPTIONS":
            return None
        if transport not in self._eio.transports:
            return refuse(*NO_TRANSPORT)
        if not sid:
            return refuse_opening(environ, transport, query.get("EIO"))
        session = self._eio.sockets.get(sid)
        if session is None:
            return refuse(*NO_SESSION)
        return self._answer_session(session, environ, transport)

    def _answer_session(self, session: Any, environ: dict[str, Any], transport: str) -> dict[str, Any] | None:
        method = environ["REQUEST_METHOD"]
        if session.closed:
            return self._give_rest(session) if method == "GET" else self._forget(session)
        if not session.check_ping_timeout():
            return self._forget(session)
        if session.upgraded or not session.connected:
            return refuse(*NO_REQUEST)
        if method == "GET":
            if (is_wanted := wants_socket(environ)) != (transport == "websocket"):
                return refuse(*NO_REQUEST)
            return None if is_wanted else self._answer_poll(session)
        if method == "POST" and transport == "polling":
            return self._answer_post(session, environ)
        return None if method != "POST" else refuse(*NO_REQUEST)

    def _answer_poll(self, session: Any) -> dict[str, Any]:
        try:
            packets = session.answer_poll()
        except exceptions.EngineIOError:
            return self._forget(session)
        if session.closed and session.queue.empty():
            self._forget(session)
        return self._ok(packets)

    def _give_rest(self, session: Any) -> dict[str, Any]:
        rest = [] if session.upgraded else session.take_rest()
        return self._ok(rest) if rest else self._forget(session)

    def _answer_post(self, session: Any, environ: dict[str, Any]) -> dict[str, Any]:
        told = int(environ.get("CONTENT_LENGTH") or 0)
        is_chunked = environ.get("HTTP_TRANSFER_ENCODING", "").lower() == "chunked"
        length = session.longest + 1 if is_chunked else told
        body = b"" if length > session.longest + 1 else environ["wsgi.input"].read(length)
        if max(len(body), told) > session.longest:
            return {"status": "413 CONTENT TOO LARGE", "headers": [], "response": b""}
        try:
            if not is_chunked and len(body) < told:
                raise ValueError("the client left, or was too slow")
            session.take_payload(body.decode())
        except (ValueError, exceptions.EngineIOError):
            session.close(wait=False, reason=self._eio.reason.TRANSPORT_ERROR)
            return self._forget(session)
        return {"status": "200 OK", "headers": [("Content-Type", "text/plain")], "response": b"ok"}

    def _forget(self, session: Any) -> dict[str, Any]:
        """Know a session no longer; returns the refusal of whoever asks for it."""
        self._eio.sockets.pop(session.sid, None)
        return refuse(*NO_SESSION)

    def _ok(self, packets: list[Any]) -> dict[str, Any]:
        answer: dict[str, Any] = self._eio._ok(packets)
        return answer

    def _connect(self, environ: dict[str, Any], start_response: Any, transport: str, _: Any = None) -> Any:
        """Open a session, as the library does."""
        eio = self._eio
        if eio.start_service_task:
            eio.start_service_task = False
            eio.service_task_handle = eio.start_background_task(eio._service_task)
        sid = eio.generate_id()
        session = eio.sockets[sid] = Session(eio, sid, self._settings, self._budgets)
        pause = int(eio.ping_interval + eio.ping_interval_grace_period) * 1000
        greeting = {"sid": sid, "upgrades": eio._upgrades(sid, transport), "pingTimeout": int(eio.ping_timeout * 1000)}
        greeting |= {"pingInterval": pause, "maxPayload": eio.max_http_buffer_size}
        session.send(packet.Packet(packet.OPEN, greeting))
        refusal = eio._trigger_event("connect", sid, environ, run_async=False)
        if refusal is not None and refusal is not True:
            eio.sockets.pop(sid, None)
            return eio._unauthorized(refusal or None)
        session.schedule_ping()
        if transport == "websocket":
            answer = session.handle_get_request(environ, start_response)
            # Also when there was no websocket after all.
            session.close(wait=False, abort=True, reason=eio.reason.TRANSPORT_CLOSE)
            return answer
        session.connected = True
        return self._ok(session.poll())

    def _end(self, sid: str | None = None) -> None:
        """Disconnect a client; a session that polls is not waited for."""
        session: Any = None if sid is None else self._eio.sockets.get(sid)
        if session is None or session.upgraded:
            self._disconnect(sid)
        else:
            session.close(wait=False, reason=self._eio.reason.SERVER_DISCONNECT)


def mend_polling(server: socketio.Server, settings: Settings, budgets: MemoryBudgets) -> None:
    """Have a Socket.IO server poll as the document says, and its websockets hear frame by frame."""
    Polling(server, settings, budgets)
