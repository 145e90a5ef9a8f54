"""Reads the head of a connection's first request without removing it from the socket."""

from __future__ import annotations

import re
import socket
import time
from contextlib import suppress

from swallowtail.app.web.websocket.handshake import HEAD_END, MAX_HEAD

Address = tuple[str, int]
#: Headers that announce something after the head. A health request with one could keep its reserved connection.
_CONTINUES = re.compile(rb"^(content-length|transfer-encoding|upgrade)[ \t]*:", re.IGNORECASE | re.MULTILINE)


class PendingConnection:
    """A connection whose request head is incomplete."""

    __slots__ = ("address", "is_counted", "received_bytes", "since", "sock")

    def __init__(self, sock: socket.socket, address: Address) -> None:
        self.sock = sock
        self.address = address
        #: When the connection was accepted; later, when its first byte arrived.
        self.since = time.monotonic()
        #: Bytes that have arrived.
        self.received_bytes = 0
        #: Whether the address limit counts it.
        self.is_counted = False

    def peek(self) -> bytes | None:
        """Return the complete head, None while more may come, or an empty text when the client sends no more."""
        try:
            head = self.sock.recv(MAX_HEAD, socket.MSG_PEEK)
        except BlockingIOError:
            return None
        except OSError:
            head = b""
        if not self.received_bytes:
            self.since = time.monotonic()
        if not head or HEAD_END in head or b"\n\n" in head or len(head) == MAX_HEAD:
            return head
        if len(head) == self.received_bytes:
            # The poller reported the socket, yet nothing new has arrived: the client has closed its side.
            return b""
        self.received_bytes = len(head)
        # Otherwise the bytes that stay in the socket would wake the poller again and again.
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, self.received_bytes + 1)
        return None

    def restore(self) -> None:
        """Undo the socket option that `peek` set."""
        if self.received_bytes:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, 1)

    def respond(self, response: bytes) -> None:
        """Send a response as far as the socket takes it, and shut the sending side. Raises OSError."""
        with suppress(BlockingIOError):
            # Unread bytes would make the system drop the response.
            self.sock.recv(MAX_HEAD)
        self.sock.send(response)
        self.sock.shutdown(socket.SHUT_WR)


def is_health_request(head: bytes, paths: set[bytes]) -> bool:
    """Return whether this is a complete request for one of the health paths, without a body or an upgrade."""
    words = head[: head.find(b"\n")].split(b" ", 2)
    return (
        len(words) == 3
        and words[0] in (b"GET", b"HEAD")
        and words[1].partition(b"?")[0] in paths
        and head.endswith((HEAD_END, b"\n\n"))
        and not _CONTINUES.search(head)
    )
