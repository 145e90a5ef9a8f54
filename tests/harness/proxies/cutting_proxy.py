"""A TCP proxy that cuts Socket.IO connections in the middle of an event.

For every client and speed, the same number of connections is cut, each inside a message.
"""

from __future__ import annotations

import contextlib
import re
import socket
from collections.abc import Sequence

from tests.harness.proxies.proxy import CHUNK, Proxy

#: Every numbered event has it once, and nothing else that a server says on a socket before its client is idle.
MARK = b'"seq":'


class TornWire(Proxy):
    """Clients use its `url`. `after` says after how many events each connection is cut.

    The connections after those are left alone, and so is everything that is not Socket.IO. `cuts` counts.
    """

    def __init__(self, port: int, after: Sequence[int]) -> None:
        self.cuts = 0
        self._after = list(after)
        super().__init__(("127.0.0.1", port))
        self.url = f"http://127.0.0.1:{self.port}"

    def _take(self, client: socket.socket, server: socket.socket) -> None:
        self._start(self._pump_up, client, server)

    def _pump_up(self, client: socket.socket, server: socket.socket) -> None:
        with contextlib.suppress(OSError):
            first = client.recv(CHUNK)
            is_socket = first.startswith(b"GET /socket.io")
            self._start(self._pump_down, server, client, is_socket)
            chunk = first
            while chunk:
                server.sendall(chunk)
                chunk = client.recv(CHUNK)
        self._end(client, server)

    def _pump_down(self, server: socket.socket, client: socket.socket, is_socket: bool) -> None:
        left, tail = None, b""
        with contextlib.suppress(OSError):
            while chunk := server.recv(CHUNK):
                seen = tail + chunk
                for mark in re.finditer(MARK, seen) if is_socket else ():
                    left = self._take_allowance() if left is None else left
                    left = None if left is None else left - 1
                    if left == 0:
                        self._cut(client, server, seen[len(tail) : mark.start()])
                        return
                client.sendall(chunk)
                # Too short to hold a mark that was counted already.
                tail = seen[-(len(MARK) - 1) :]
        self._end(client, server)

    def _take_allowance(self) -> int | None:
        with self._lock:
            return self._after.pop(0) if self._after else None

    def _cut(self, client: socket.socket, server: socket.socket, rest: bytes) -> None:
        # What comes before the mark still arrives, so that the event around it is torn.
        with contextlib.suppress(OSError):
            client.sendall(rest)
        with self._lock:
            self.cuts += 1
        self._end(client, server)
