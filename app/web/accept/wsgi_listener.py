"""Passes accepted connections to a WSGI server that expects a listening socket."""

from __future__ import annotations

from typing import Any


class QueueListener:
    """Returns the connections in its queue from `accept`."""

    def __init__(self, listener: Any, queue: Any) -> None:
        self.queue = queue
        self.family = listener.family
        self._name = listener.getsockname()

    def getsockname(self) -> Any:
        """Return the address of the real listening socket."""
        return self._name

    def accept(self) -> Any:
        """Wait for a connection."""
        return self.queue.get()

    def close(self) -> None:
        """Do nothing: the acceptor closes the real listening socket."""
