"""Runs memory-hungry work in a few operating system threads.

A password hash takes many megabytes, and glibc keeps them with the thread that allocated them. So there are as many
threads as hashes may be computed at a time, however many threads or greenlets ask for one.
"""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any


class NativeThreads:
    """Runs functions in at most `count` threads, which start with their first work and end with the process."""

    def __init__(self, count: int, threading: ModuleType, queue: ModuleType, wait: Callable[..., Any]) -> None:
        """`threading` and `queue` are the unpatched modules; `wait(f)` returns `f()` and blocks only its caller."""
        self._free = count
        self._thread = threading.Thread
        self._lock = threading.Lock()
        self._new_queue = queue.SimpleQueue
        self._work = queue.SimpleQueue()
        self._wait = wait

    def run(self, work: Callable[..., Any], /, *arguments: Any) -> Any:
        """Return what `work(*arguments)` returns, or raise what it raises."""
        self._start_thread()
        outcome = self._new_queue()
        self._work.put((work, arguments, outcome))
        result, error = self._wait(outcome.get)
        if error is not None:
            raise error
        return result

    def _start_thread(self) -> None:
        with self._lock:
            if self._free == 0:
                return
            self._free -= 1
        self._thread(target=self._serve, name="native", daemon=True).start()

    def _serve(self) -> None:
        while True:
            work, arguments, outcome = self._work.get()
            try:
                outcome.put((work(*arguments), None))
            except BaseException as error:
                outcome.put((None, error))
