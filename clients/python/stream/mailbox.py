"""Passes items from the thread of the Socket.IO client to the reader of a stream; it has a limit."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import Any

#: Items that wait for the reader. At this number, the feed pauses until half of them are read.
CAPACITY = 1000


class Mailbox:
    """One thread puts items, another takes them."""

    def __init__(self, on_put: Callable[[], None], capacity: int = CAPACITY) -> None:
        """Prepare a mailbox; `on_put` is called after each item, in the thread that put it."""
        self._on_put = on_put
        self._capacity = capacity
        self._items: deque[Any] = deque()
        self._changed = threading.Condition()

    def put(self, item: Any) -> None:
        """Add an item. The caller checks `is_full` before."""
        with self._changed:
            self._items.append(item)
            self._changed.notify()
        self._on_put()

    def take(self, timeout: float = 0.0) -> Any | None:
        """Return the next item; None if there is none within `timeout` seconds."""
        with self._changed:
            if not self._items and timeout > 0:
                self._changed.wait(timeout)
            return self._items.popleft() if self._items else None

    @property
    def is_empty(self) -> bool:
        """Whether no item waits."""
        return not self._items

    @property
    def is_full(self) -> bool:
        """Whether it holds as many items as it may."""
        return len(self._items) >= self._capacity

    @property
    def is_half_empty(self) -> bool:
        """Whether a feed that paused may continue."""
        return len(self._items) <= self._capacity // 2
