"""Runs work in a thread periodically: after each interval, and at once when another thread wakes it."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable

import structlog

from swallowtail.app.core.errors import SwallowtailError

log = structlog.get_logger(__name__)


class PeriodicThread:
    """One daemon thread. An error of the work is logged, and the work runs again after the next interval."""

    def __init__(
        self,
        name: str,
        work: Callable[[], object],
        interval: float | Callable[[], float],
        *,
        settle: float = 0.0,
        woken: threading.Event | None = None,
    ) -> None:
        """`interval` is in seconds, or a function that returns them before each wait. Wake-ups do not postpone its end.

        Setting `woken` wakes the thread as `wake` does. Wake-ups within `settle` seconds cause one run.
        """
        self._name = name
        self._postponed, self._failed = f"{name}_postponed", f"{name}_failed"
        self._work = work
        self._interval = interval if callable(interval) else lambda: interval
        self._settle = settle
        self._woken = woken or threading.Event()
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        #: Whether the interval is over in the present run, which a wake-up may have started.
        self.is_due = False
        self._thread: threading.Thread | None = None

    @property
    def is_running(self) -> bool:
        """Whether the work runs and is not being stopped."""
        return self._thread is not None and self._thread.is_alive() and not self._stopping.is_set()

    @property
    def is_stopping(self) -> bool:
        """Whether `stop` was called; long work checks this."""
        return self._stopping.is_set()

    def start(self) -> None:
        """Start the thread, unless it has started. The first run comes after the interval, or when it is woken."""
        if self._thread is not None:
            return
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
                self._thread.start()

    def wake(self) -> None:
        """Run the work at once."""
        self._woken.set()

    def pause(self, seconds: float) -> None:
        """Sleep inside the work; `stop` ends the pause."""
        self._stopping.wait(seconds)

    def stop(self, timeout: float = 0.0) -> None:
        """End the thread after its present run, and wait up to `timeout` seconds for it."""
        self._stopping.set()
        self._woken.set()
        if self._thread is not None and timeout:
            self._thread.join(timeout)

    def _run(self) -> None:
        due = math.inf
        while not self._stopping.is_set():
            due = min(due, time.monotonic() + max(0.0, self._interval()))
            was_woken = self._woken.wait(max(0.0, due - time.monotonic()))
            if was_woken and self._settle:
                self._stopping.wait(self._settle)
            self._woken.clear()
            if self._stopping.is_set():
                return
            self.is_due = not was_woken or time.monotonic() >= due
            if self.is_due:
                due = math.inf
            try:
                self._work()
            except SwallowtailError as fault:
                log.warning(self._postponed, reason=fault.message)
            except Exception:
                log.exception(self._failed)
