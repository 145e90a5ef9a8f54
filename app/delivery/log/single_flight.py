"""Lets one caller at a time look up one key, so that the others find its result in a cache."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class SingleFlight:
    """A lock per key, kept while a caller holds it or waits for it. Safe for threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._active: dict[str, tuple[threading.Lock, int]] = {}

    @contextmanager
    def enter(self, key: str) -> Iterator[None]:
        """Wait until no other caller looks up this key."""
        with self._lock:
            lock, callers = self._active.get(key, (threading.Lock(), 0))
            self._active[key] = (lock, callers + 1)
        try:
            with lock:
                yield
        finally:
            with self._lock:
                callers = self._active[key][1] - 1
                if callers:
                    self._active[key] = (lock, callers)
                else:
                    del self._active[key]
