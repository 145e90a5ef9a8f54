"""Lets one caller at a time look up how an instance's subscription begins. Inside `delivery/hub`."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Openings:
    """Instances whose log is being looked up, with how many wait for it. Safe for threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._under_way: dict[str, tuple[threading.Lock, int]] = {}

    @contextmanager
    def enter(self, instance_id: str) -> Iterator[None]:
        """Wait until nobody else looks this instance up."""
        with self._lock:
            lock, waiting = self._under_way.get(instance_id, (threading.Lock(), 0))
            self._under_way[instance_id] = (lock, waiting + 1)
        try:
            with lock:
                yield
        finally:
            with self._lock:
                waiting = self._under_way[instance_id][1] - 1
                if waiting:
                    self._under_way[instance_id] = (lock, waiting)
                else:
                    del self._under_way[instance_id]
