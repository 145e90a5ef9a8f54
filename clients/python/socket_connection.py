"""One connection to the server by python-socketio, which passes on its messages in order."""

from __future__ import annotations

import logging
import ssl
import threading
from collections.abc import Callable
from contextlib import suppress
from socket import SHUT_RDWR
from typing import Any, Protocol
from urllib.parse import urlsplit

import engineio
import socketio

from .errors import ConnectionFailed
from .log_position import Payload

#: The library logs every packet; only its warnings are of interest, and none to a program that has no log: a lost
#: connection is opened again.
_wire_log = logging.getLogger(__name__)
_wire_log.setLevel(logging.WARNING)
_wire_log.addHandler(logging.NullHandler())

#: Seconds in which a closing connection may send what is left.
CLOSE_TIMEOUT = 1.0

Receive = Callable[[str, Payload], None]


class ServerConnection(Protocol):
    """One connection to the server, from `open` to its end; tests have one of their own."""

    def open(self, url: str, auth: Payload | None, timeout: float) -> None:
        """Connect within `timeout` seconds. Raises ConnectionFailed, or its subclass Refused."""

    def emit(self, name: str, payload: Payload, answer: Callable[..., None] | None = None) -> None:
        """Send an event; `answer` is called with its acknowledgement, if one comes. Does nothing once closed."""

    def wait(self) -> str:
        """Block until the connection has ended. Returns the reason."""

    def close(self) -> None:
        """End the connection."""


class Refused(ConnectionFailed):
    """The server refuses this client; trying again would not help."""


class _InOrder(engineio.Client):  # type: ignore[misc] # the library has no types
    """Passes on each message before it reads the next, and ends at once when it is closed.

    The library starts a thread for every message, and threads overtake each other. Its `disconnect` closes the
    descriptor that the reader waits for, which does not wake the reader before the next ping.
    """

    def _trigger_event(self, event: str, *args: Any, **options: Any) -> Any:
        if event == "disconnect" and self.state == "disconnecting":
            self._wake_reader()
        options["run_async"] = False
        return super()._trigger_event(event, *args, **options)

    def _wake_reader(self) -> None:
        writer = self.write_loop_task
        if writer is not None and writer is not threading.current_thread():
            writer.join(CLOSE_TIMEOUT)
        with suppress(OSError, AttributeError):
            self.ws.sock.shutdown(SHUT_RDWR)


class _Socket(socketio.Client):  # type: ignore[misc] # the library has no types
    def _engineio_client_class(self) -> type[engineio.Client]:
        return _InOrder


class SocketConnection:
    """A connection by python-socketio over a websocket alone. Calls `receive` in the order of arrival."""

    def __init__(self, receive: Receive, tls: ssl.SSLContext | None = None) -> None:
        """Prepare a connection; `tls` checks the server's certificate, by default as the library does."""
        self._ended = threading.Event()
        self._reason = "transport error"
        options = {} if tls is None else {"websocket_extra_options": {"sslopt": {"context": tls}}}
        self._socket = _Socket(
            reconnection=False, handle_sigint=False, logger=_wire_log, engineio_logger=_wire_log, **options
        )
        self._socket.on("connect", lambda: receive("connect", {}))
        self._socket.on("disconnect", self._end)
        self._socket.on("*", lambda name, payload=None, *_: receive(name, payload if payload is not None else {}))

    def open(self, url: str, auth: Payload | None, timeout: float) -> None:
        """See ServerConnection."""
        # The library leaves out the path of the URL.
        path = f"{urlsplit(url).path.strip('/')}/socket.io".lstrip("/")
        try:
            self._socket.connect(url, auth=auth, transports=["websocket"], socketio_path=path, wait_timeout=timeout)
        except socketio.exceptions.ConnectionError as fault:
            self._abandon()
            raise (Refused if self._socket.failed_namespaces else ConnectionFailed)(str(fault)) from fault

    def emit(self, name: str, payload: Payload, answer: Callable[..., None] | None = None) -> None:
        """See ServerConnection."""
        with suppress(socketio.exceptions.BadNamespaceError):
            self._socket.emit(name, payload, callback=answer)

    def wait(self) -> str:
        """See ServerConnection."""
        # The library reports no end that comes while `open` returns, so its state is checked as well.
        while not self._ended.wait(1.0) and self._socket.eio.state == "connected":
            pass
        self._abandon()
        return self._reason

    def close(self) -> None:
        """See ServerConnection."""
        self._socket.disconnect()

    def _end(self, reason: str = "") -> None:
        self._reason = reason or self._reason
        self._ended.set()

    def _abandon(self) -> None:
        """Close the file descriptor of a broken connection, which the library leaves open."""
        if self._socket.eio.ws is not None:
            self._socket.eio.ws.shutdown()
