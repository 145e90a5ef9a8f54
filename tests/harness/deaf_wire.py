"""Beside the road: a line to Redis on which subscribers go deaf. A TCP proxy that swallows what they are sent.

The connection stays up, commands are answered on every other connection, and what is published is taken: only the
messages do not come. That is what a half-open connection or a filter in between looks like.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable
from typing import Any, Literal, Self
from urllib.parse import urlsplit

#: `all`: nothing at all arrives. `messages`: answers to commands still do, so that a ping finds nothing wrong.
What = Literal["all", "messages"]


class DeafWire:
    """A proxy on a loopback port before a Redis that listens on one. `subscribers` counts the connections so far."""

    def __init__(self, redis_url: str) -> None:
        target = urlsplit(redis_url)
        self._target = (target.hostname or "127.0.0.1", target.port or 6379)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"redis://127.0.0.1:{self._listener.getsockname()[1]}/0"
        self.subscribers = 0
        self._deaf: dict[int, What] = {}
        self._lasting: What | None = None
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []
        self._start(self._accept)

    def deafen(self, what: What = "all", *, lasting: bool = False) -> None:
        """Swallow what the present subscribers are sent from now on; with `lasting`, those to come too."""
        with self._lock:
            self._deaf = dict.fromkeys(range(1, self.subscribers + 1), what)
            self._lasting = what if lasting else None

    def heal(self) -> None:
        """Let subscribers to come hear again; what was swallowed is lost."""
        with self._lock:
            self._lasting = None

    def close(self) -> None:
        """End it with every connection."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._lock:
            standing = list(self._open)
        for end in standing:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _start(self, work: Callable[..., None], *given: Any) -> None:
        thread = threading.Thread(target=work, args=given, daemon=True)
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
            number: list[int] = []
            with self._lock:
                self._open |= {client, server}
            self._start(self._pump, client, server, lambda sent, number=number: self._look(sent, number))
            self._start(self._pump, server, client, lambda sent, number=number: self._pass(sent, number))

    def _pump(self, source: socket.socket, target: socket.socket, see: Callable[[bytes], bytes]) -> None:
        with contextlib.suppress(OSError):
            while chunk := source.recv(65536):
                target.sendall(see(chunk))
        for end in (source, target):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        with self._lock:
            self._open.discard(source)
        source.close()

    def _look(self, sent: bytes, number: list[int]) -> bytes:
        """See who subscribes."""
        if not number and b"\r\nSUBSCRIBE\r\n" in sent:
            with self._lock:
                self.subscribers += 1
                number.append(self.subscribers)
        return sent

    def _pass(self, sent: bytes, number: list[int]) -> bytes:
        with self._lock:
            what = self._deaf.get(number[0], self._lasting) if number else None
        # A new subscriber gets the answer to its subscription in any case: it is the silence after it that is deafness.
        if what is None or (what == "messages" and b"\r\nmessage\r\n" not in sent) or b"\r\nsubscribe\r\n" in sent:
            return sent
        return b""
