"""A TCP proxy to Redis that drops what subscribers are sent, without closing their connections.

The connection stays up, commands are answered on every other connection, and what is published is taken: only the
messages do not come. That is what a half-open connection or a filter in between looks like.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable
from typing import Literal
from urllib.parse import urlsplit

from tests.harness.proxies.proxy import CHUNK, Proxy

#: `all`: nothing at all arrives. `messages`: answers to commands still do, so that a ping finds nothing wrong.
What = Literal["all", "messages"]


class SilentWire(Proxy):
    """Stands before a Redis that listens on a port. `subscribers` counts the connections so far."""

    def __init__(self, redis_url: str) -> None:
        target = urlsplit(redis_url)
        self.subscribers = 0
        self._silenced: dict[int, What] = {}
        self._lasting: What | None = None
        super().__init__((target.hostname or "127.0.0.1", target.port or 6379))
        self.url = f"redis://127.0.0.1:{self.port}/0"

    def silence(self, what: What = "all", *, lasting: bool = False) -> None:
        """Swallow what the present subscribers are sent from now on; with `lasting`, those to come too."""
        with self._lock:
            self._silenced = dict.fromkeys(range(1, self.subscribers + 1), what)
            self._lasting = what if lasting else None

    def heal(self) -> None:
        """Forward messages to new subscribers again; dropped messages are lost."""
        with self._lock:
            self._lasting = None

    def _take(self, client: socket.socket, server: socket.socket) -> None:
        number: list[int] = []
        self._start(self._pump, client, server, lambda sent: self._look(sent, number))
        self._start(self._pump, server, client, lambda sent: self._pass(sent, number))

    def _pump(self, source: socket.socket, target: socket.socket, see: Callable[[bytes], bytes]) -> None:
        with contextlib.suppress(OSError):
            while chunk := source.recv(CHUNK):
                target.sendall(see(chunk))
        self._end(source, target)

    def _look(self, sent: bytes, number: list[int]) -> bytes:
        """See who subscribes."""
        if not number and b"\r\nSUBSCRIBE\r\n" in sent:
            with self._lock:
                self.subscribers += 1
                number.append(self.subscribers)
        return sent

    def _pass(self, sent: bytes, number: list[int]) -> bytes:
        with self._lock:
            what = self._silenced.get(number[0], self._lasting) if number else None
        # A new subscriber gets the answer to its subscription in any case: it is the silence after it that is tested.
        if what is None or (what == "messages" and b"\r\nmessage\r\n" not in sent) or b"\r\nsubscribe\r\n" in sent:
            return sent
        return b""
