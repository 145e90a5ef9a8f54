"""Beside the road: a line that tears. A TCP proxy that cuts Socket.IO connections in the middle of an event.

Whatever the client and however fast the events come, the same number of connections is lost, each inside a message.
"""

from __future__ import annotations

import contextlib
import re
import socket
import struct
import threading
from collections.abc import Sequence
from typing import Self

#: Every numbered event has it once, and nothing else that a server says on a socket before its client is idle.
MARK = b'"seq":'


class TornWire:
    """A proxy on a loopback port; clients use its `url`. `after` says after how many events each connection is cut.

    The connections after those are left alone, and so is everything that is not Socket.IO. `cuts` counts.
    """

    def __init__(self, port: int, after: Sequence[int]) -> None:
        self.cuts = 0
        self._target = ("127.0.0.1", port)
        self._after = list(after)
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._start(self._accept)

    def cut_all(self) -> None:
        """Cut every connection that stands now."""
        with self._lock:
            standing = list(self._open)
        self._end(*standing)

    def close(self) -> None:
        """End it with every connection."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut_all()
        for thread in self._threads:
            thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _start(self, work: object, *args: object) -> None:
        thread = threading.Thread(target=work, args=args, daemon=True)  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            try:
                server = socket.create_connection(self._target)
            except OSError:
                client.close()
                continue
            with self._lock:
                self._open |= {client, server}
            self._start(self._pump_up, client, server)

    def _pump_up(self, client: socket.socket, server: socket.socket) -> None:
        with contextlib.suppress(OSError):
            first = client.recv(65536)
            is_socket = first.startswith(b"GET /socket.io")
            self._start(self._pump_down, server, client, is_socket)
            chunk = first
            while chunk:
                server.sendall(chunk)
                chunk = client.recv(65536)
        self._end(client, server)

    def _pump_down(self, server: socket.socket, client: socket.socket, is_socket: bool) -> None:
        left, tail = None, b""
        with contextlib.suppress(OSError):
            while chunk := server.recv(65536):
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

    def _end(self, *ends: socket.socket) -> None:
        with self._lock:
            self._open -= set(ends)
        for end in ends:
            _reset(end)


def _reset(end: socket.socket) -> None:
    with contextlib.suppress(OSError):
        # Closing with unsent data thrown away makes the kernel send a reset instead of an orderly end.
        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        end.shutdown(socket.SHUT_RDWR)
    end.close()
