"""Starts a thread with its first work, since most web processes never need most of their threads."""

from __future__ import annotations

import threading
from collections.abc import Callable


class LazyThread:
    """At most one daemon thread that runs `run`. Thread-safe."""

    def __init__(self, name: str, run: Callable[[], None]) -> None:
        self._name = name
        self._run = run
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Start the thread, unless it runs."""
        if self._thread is not None:
            return
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
                self._thread.start()

    def stop(self, signal: Callable[[], None], timeout: float) -> None:
        """Signal a running thread to end, and wait up to `timeout` seconds for it. `start` starts another."""
        with self._lock:
            thread, self._thread = self._thread, None
        if thread is not None:
            signal()
            thread.join(timeout)
