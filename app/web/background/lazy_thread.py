"""A thread that begins with its first work: most web processes never need most of them. Beside the road."""

from __future__ import annotations

import threading
from collections.abc import Callable


class LazyThread:
    """At most one thread that runs `run`, under a name. Safe to be called from any thread."""

    def __init__(self, name: str, run: Callable[[], None]) -> None:
        self._name = name
        self._run = run
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def begin(self) -> None:
        """Begin, unless it has begun."""
        if self._thread is not None:
            return
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
                self._thread.start()

    def end(self, tell: Callable[[], None], timeout: float) -> None:
        """Tell it to end, if it has begun, and wait for that so many seconds; `begin` begins another from now on."""
        with self._lock:
            thread, self._thread = self._thread, None
        if thread is not None:
            tell()
            thread.join(timeout)
