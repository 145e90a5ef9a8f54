"""Answers long polling requests as the Engine.IO document defines it.

python-engineio's sessions, and its answers to a handshake and to an upgrade, are kept. Replaced is the rest: a request
has any number of packets, which are handled no faster than `client_rate`; a response has no more packets than
python-engineio's own client reads; a closed session is unknown, unless the server closed it and packets are left to be
fetched. docs/decisions gives the reasons ("a packet that cannot be read").
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from urllib.parse import parse_qs

import socketio
from engineio import exceptions, packet

from swallowtail.app.core.config.settings import Settings
from swallowtail.app.web.engineio import polling_responses as responses
from swallowtail.app.web.engineio.packets import open_payload
from swallowtail.app.web.engineio.polling_session import PollingSession
from swallowtail.app.web.websocket.budgets import MemoryBudgets


class PollingHandler:
    """Answers the requests of one Engine.IO server, except those that open a session or upgrade one."""

    def __init__(self, server: socketio.Server, settings: Settings, budgets: MemoryBudgets) -> None:
        """`server` answers polling requests and reads the websockets of its sessions with this package from now on."""
        self._budgets = budgets
        self._eio = server.eio
        self._settings = settings
        self._library_handle = server.eio.handle_request
        self._library_disconnect = server.eio.disconnect
        server.eio.handle_request = self.handle
        server.eio._handle_connect = self._connect
        server.eio.disconnect = self._disconnect

    def handle(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """Answer a request, as a WSGI application."""
        response = self._answer(environ)
        if response is None:
            body: Iterable[bytes] = self._library_handle(environ, start_response)
            return body
        responses.compress(response, environ.get("HTTP_ACCEPT_ENCODING", ""))
        content = response["response"]
        length = ("Content-Length", str(len(content)))
        start_response(response["status"], [*response["headers"], *self._eio._cors_headers(environ), length])
        return [content]

    def _answer(self, environ: dict[str, Any]) -> dict[str, Any] | None:
        """Return the response to a request; None when python-engineio has to answer it."""
        method = environ["REQUEST_METHOD"]
        query = parse_qs(environ.get("QUERY_STRING", ""))
        transport, sid = query.get("transport", [""])[0], query.get("sid", [""])[0]
        if method == "OPTIONS":
            return None
        if transport not in self._eio.transports:
            return responses.refuse(*responses.UNKNOWN_TRANSPORT)
        if not sid:
            return responses.refuse_opening(environ, transport, query.get("EIO"))
        session = self._eio.sockets.get(sid)
        if session is None:
            return responses.refuse(*responses.UNKNOWN_SESSION)
        return self._answer_session(session, environ, transport)

    def _answer_session(self, session: Any, environ: dict[str, Any], transport: str) -> dict[str, Any] | None:
        method = environ["REQUEST_METHOD"]
        if session.closed:
            return self._answer_closed(session) if method == "GET" else self._forget(session)
        if not session.check_ping_timeout():
            return self._forget(session)
        if session.upgraded or not session.connected:
            return responses.refuse(*responses.BAD_REQUEST)
        if method == "GET":
            if (is_upgrade := responses.asks_for_websocket(environ)) != (transport == "websocket"):
                return responses.refuse(*responses.BAD_REQUEST)
            return None if is_upgrade else self._answer_poll(session)
        if method == "POST" and transport == "polling":
            return self._answer_post(session, environ)
        return None if method != "POST" else responses.refuse(*responses.BAD_REQUEST)

    def _answer_poll(self, session: Any) -> dict[str, Any]:
        try:
            packets = session.answer_poll()
        except exceptions.EngineIOError:
            return self._forget(session)
        if session.closed and session.queue.empty():
            self._forget(session)
        return self._ok(packets)

    def _answer_closed(self, session: Any) -> dict[str, Any]:
        packets = [] if session.upgraded else session.remaining_packets()
        return self._ok(packets) if packets else self._forget(session)

    def _answer_post(self, session: Any, environ: dict[str, Any]) -> dict[str, Any]:
        announced = int(environ.get("CONTENT_LENGTH") or 0)
        is_chunked = environ.get("HTTP_TRANSFER_ENCODING", "").lower() == "chunked"
        length = session.max_message + 1 if is_chunked else announced
        body = b"" if length > session.max_message + 1 else environ["wsgi.input"].read(length)
        if max(len(body), announced) > session.max_message:
            return {"status": "413 CONTENT TOO LARGE", "headers": [], "response": b""}
        try:
            if not is_chunked and len(body) < announced:
                raise ValueError("the client left, or was too slow")
            session.receive_payload(body.decode())
        except (ValueError, exceptions.EngineIOError):
            session.close(wait=False, reason=self._eio.reason.TRANSPORT_ERROR)
            return self._forget(session)
        return {"status": "200 OK", "headers": [("Content-Type", "text/plain")], "response": b"ok"}

    def _forget(self, session: Any) -> dict[str, Any]:
        """Remove a session; return the error for a request that names it."""
        self._eio.sockets.pop(session.sid, None)
        return responses.refuse(*responses.UNKNOWN_SESSION)

    def _ok(self, packets: list[Any]) -> dict[str, Any]:
        response: dict[str, Any] = self._eio._ok(packets)
        return response

    def _connect(self, environ: dict[str, Any], start_response: Any, transport: str, _: Any = None) -> Any:
        eio = self._eio
        if eio.start_service_task:
            eio.start_service_task = False
            eio.service_task_handle = eio.start_background_task(eio._service_task)
        sid = eio.generate_id()
        session = eio.sockets[sid] = PollingSession(eio, sid, self._settings, self._budgets)
        session.send(packet.Packet(packet.OPEN, open_payload(eio, sid, eio._upgrades(sid, transport))))
        refusal = eio._trigger_event("connect", sid, environ, run_async=False)
        if refusal is not None and refusal is not True:
            eio.sockets.pop(sid, None)
            return eio._unauthorized(refusal or None)
        session.schedule_ping()
        if transport == "websocket":
            response = session.handle_get_request(environ, start_response)
            # Also when the request was refused.
            session.close(wait=False, abort=True, reason=eio.reason.TRANSPORT_CLOSE)
            return response
        session.connected = True
        return self._ok(session.poll())

    def _disconnect(self, sid: str | None = None) -> None:
        """Disconnect a client, without waiting for the next poll of a session."""
        session: Any = None if sid is None else self._eio.sockets.get(sid)
        if session is None or session.upgraded:
            self._library_disconnect(sid)
        else:
            session.close(wait=False, reason=self._eio.reason.SERVER_DISCONNECT)
