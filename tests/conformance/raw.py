"""HTTP requests on plain sockets: a poll in progress, and requests that no client library sends."""

from __future__ import annotations

import contextlib
import http.client
import socket
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

from tests.conformance.line import GRACE, Peer

#: What asks for a websocket.
WANTS_SOCKET = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "DXR4dX615eRds8nRmlhqtw==",
}


class Raw:
    """One request on a connection of its own; `after` are bytes that follow its head."""

    def __init__(self, peer: Peer, url: str, headers: dict[str, str] | None = None, after: bytes = b"") -> None:
        address = urlsplit(url)
        self._socket = socket.create_connection((address.hostname or "", address.port or 80), timeout=GRACE)
        fields = {"Host": address.netloc, **(headers or {})}
        head = f"GET {address.path}?{address.query} HTTP/1.1\r\n" + "".join(f"{k}: {v}\r\n" for k, v in fields.items())
        self._socket.sendall(head.encode() + b"\r\n" + after)

    def answer(self) -> tuple[int, str]:
        """Return status and text at the end of the response; 0 when the connection ends without one."""
        response = http.client.HTTPResponse(self._socket)
        try:
            response.begin()
            return response.status, response.read().decode()
        except (http.client.HTTPException, OSError):
            return 0, ""

    def ends(self) -> bool:
        """Return whether the server ends the connection, after any response."""
        try:
            while self._socket.recv(65536):
                continue
        except TimeoutError:
            return False
        except OSError:
            pass
        return True

    def close(self) -> None:
        """Close the connection."""
        with contextlib.suppress(OSError):
            self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def start_poll(peer: Peer, sid: str) -> Raw:
    """Return a poll that the server is serving."""
    poll = Raw(peer, peer.http(sid=sid))
    peer.settle()
    return poll
