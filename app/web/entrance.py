"""What a WSGI server takes for its listener, and gets its connections from. Before the road, under `app/wsgi`."""

from __future__ import annotations

import time
from typing import Any

#: Seconds between two tries to take a connection in when one fails.
REFUSED_REST = 0.05


class Entrance:
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

    def admit(self, listener: Any) -> None:
        """Take in whoever comes, where there is no gate."""
        while True:
            try:
                self.queue.put(listener.accept())
            except OSError:
                # No descriptor is left, or the client is gone already.
                time.sleep(REFUSED_REST)

    def close(self) -> None:
        """Leave it to the gate."""
