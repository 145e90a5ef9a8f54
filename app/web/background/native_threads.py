"""Runs work whose memory its thread keeps in a few threads of the operating system. Beside the road.

A password hash takes many megabytes, and glibc leaves them with the thread that asked for them. So the threads are as
many as hashes are made at a time, whatever the number of threads or greenlets that want one.
"""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any


class NativeThreads:
    """Runs functions in at most `count` threads, which begin with their first work and end with the process."""

    def __init__(self, count: int, threading: ModuleType, queue: ModuleType, wait: Callable[..., Any]) -> None:
        """`threading` and `queue` are the unpatched modules; `wait(f)` returns `f()` and holds up only the caller."""
        self._free = count
        self._thread = threading.Thread
        self._lock = threading.Lock()
        self._new_queue = queue.SimpleQueue
        self._work = queue.SimpleQueue()
        self._wait = wait

    def run(self, work: Callable[..., Any], /, *arguments: Any) -> Any:
        """Return what `work(*arguments)` returns, or raise what it raises."""
        self._begin()
        answer = self._new_queue()
        self._work.put((work, arguments, answer))
        result, fault = self._wait(answer.get)
        if fault is not None:
            raise fault
        return result

    def _begin(self) -> None:
        with self._lock:
            if self._free == 0:
                return
            self._free -= 1
        self._thread(target=self._serve, name="native", daemon=True).start()

    def _serve(self) -> None:
        while True:
            work, arguments, answer = self._work.get()
            try:
                answer.put((work(*arguments), None))
            except BaseException as fault:
                answer.put((None, fault))
