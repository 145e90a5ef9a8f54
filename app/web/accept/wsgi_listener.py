"""What a WSGI server takes for its listener, and who accepts where no gate is. Before the road, under `app/wsgi`."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Protocol

from swallowtail.app.web.limits.limits import TOO_MANY_HERE, Limits

#: Seconds between two tries to take a connection in when one fails.
REFUSED_REST = 0.05


class Acceptor(Protocol):
    """Whoever accepts the connections of a process."""

    def close(self) -> None:
        """Accept nobody any more."""

    def left(self, address: Any) -> None:
        """Learn that a connection which was handed over is closed."""


class QueueListener:
    """Gives a WSGI server the connections that are put into its queue."""

    def __init__(self, listener: Any, queue: Any) -> None:
        self.queue = queue
        self.family = listener.family
        self._name = listener.getsockname()

    def getsockname(self) -> Any:
        """Return the listener's address."""
        return self._name

    def accept(self) -> Any:
        """Wait for a connection."""
        return self.queue.get()

    def close(self) -> None:
        """Leave it to whoever accepts."""


class BlockingAcceptor:
    """Accepts where the system has no epoll: counts addresses, and hands everybody over who comes."""

    def __init__(self, listener: Any, hand_over: Callable[[Any, Any, bool], None], limits: Limits) -> None:
        self._listener = listener
        self._hand_over = hand_over
        self._limits = limits
        self._stopping = False

    def run(self) -> None:
        """Take in whoever comes, until `close`."""
        while not self._stopping:
            try:
                sock, address = self._listener.accept()
            except OSError:
                # No descriptor is left, or the client is gone already.
                time.sleep(REFUSED_REST)
                continue
            if self._limits.hold(address[0]):
                self._hand_over(sock, address, False)
                continue
            with suppress(OSError):
                sock.sendall(TOO_MANY_HERE)
            sock.close()

    def left(self, address: Any) -> None:
        """See `Acceptor`."""
        self._limits.release(address[0])

    def close(self) -> None:
        """See `Acceptor`."""
        self._stopping = True
