"""Accepts connections on systems without epoll: limits connections per address, and dispatches all others."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from swallowtail.app.web.accept.served_connections import ServedConnections
from swallowtail.app.web.limits.limits import TOO_MANY_CONNECTIONS, Limits

#: Pause, in seconds, after a connection could not be accepted.
_RETRY_PAUSE = 0.05


class BlockingAcceptor:
    """Accepts in a thread or greenlet of its own."""

    def __init__(
        self, listener: Any, dispatch: Callable[[Any, Any, bool], None], served: ServedConnections, limits: Limits
    ) -> None:
        self._listener = listener
        self._dispatch = dispatch
        self._served = served
        self._limits = limits
        self._stopping = False

    def run(self) -> None:
        """Accept until `close`."""
        while not self._stopping:
            try:
                sock, address = self._listener.accept()
            except OSError:
                # The process has no descriptor left, or the client has gone.
                time.sleep(_RETRY_PAUSE)
                continue
            if self._limits.acquire_socket(address[0]):
                self._served.add(address, time.monotonic())
                self._dispatch(sock, address, False)
                continue
            with suppress(OSError):
                sock.sendall(TOO_MANY_CONNECTIONS)
            sock.close()

    def close(self) -> None:
        """Accept no more connections."""
        self._stopping = True
