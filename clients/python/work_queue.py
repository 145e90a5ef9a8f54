"""A queue of functions that one thread calls in order, with a function that is due at a time."""

from __future__ import annotations

import queue
import time
from collections.abc import Callable


class WorkQueue:
    """Any thread may `put`; one thread `run`s."""

    def __init__(self) -> None:
        self._items: queue.SimpleQueue[Callable[[], object] | None] = queue.SimpleQueue()

    def put(self, function: Callable[[], object]) -> None:
        """Have the thread call a function after all that were put before."""
        self._items.put(function)

    def stop(self) -> None:
        """End `run` after all functions that were put before."""
        self._items.put(None)

    def run(self, get_due: Callable[[], float | None], on_due: Callable[[], object]) -> None:
        """Call functions until `stop`, and `on_due` whenever the monotonic clock has reached `get_due()`."""
        while True:
            due = get_due()
            try:
                function = self._items.get(timeout=None if due is None else max(due - time.monotonic(), 0.0))
            except queue.Empty:
                function = on_due
            if function is None:
                return
            function()
