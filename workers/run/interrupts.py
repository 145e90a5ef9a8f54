"""Which signals may interrupt a run, and when: only while the agent's own code is running, never inside a write.

Beside the road, in a pool child. SIGUSR1 is Celery's soft time limit, SIGUSR2 our own nudge from the heartbeat, SIGTERM
the end of the worker. A Python signal handler that raises ends `time.sleep` and blocking reads of the main thread; that
is why this is done with signals.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any, Self

from billiard.exceptions import SoftTimeLimitExceeded

from swallowtail.workers.run.outcomes import TERMINATED, Ending, RunStopped, WorkerStopping

NUDGE = signal.SIGUSR2
_SIGNALS = (signal.SIGUSR1, NUDGE, signal.SIGTERM)


class SoftLimit(SoftTimeLimitExceeded, KeyboardInterrupt):
    """Celery's soft time limit; a KeyboardInterrupt, so that no event loop keeps it in a task's result."""


class Interrupts:
    """The signal handlers of one run, in the main thread of a pool child. Use it as a context around the whole run.

    Celery installs handlers of its own before each child's first task, so these are put in place for each run, and what
    was there before is put back.
    """

    def __init__(self) -> None:
        #: The soft time limit has struck, whatever the agent made of it.
        self.overtime = False
        #: The agent was told that its worker stops, whatever it made of it.
        self.told = False
        #: Somebody asked for the end of this process.
        self.terminated = False
        #: Asked for a reason to end the run by force, whenever a signal arrives or the agent's code is entered.
        self.reason: Callable[[], Ending | None] = lambda: None
        self._soft_due = False
        self._leave_due = False
        self._open = False
        self._pid = os.getpid()
        self._thread = threading.current_thread()
        self._before: dict[int, Any] = {}

    @property
    def open(self) -> bool:
        """Whether the agent's own code is running."""
        return self._open

    def __enter__(self) -> Self:
        self._before = {number: signal.getsignal(number) for number in _SIGNALS}
        signal.signal(signal.SIGUSR1, self._on_soft_limit)
        signal.signal(NUDGE, self._on_nudge)
        signal.signal(signal.SIGTERM, self._on_term)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            # A late nudge would end the process under the default handler.
            signal.signal(number, signal.SIG_IGN if number == NUDGE else handler)
        before = self._before[signal.SIGTERM]
        if self.terminated and callable(before):
            before(signal.SIGTERM, None)

    def nudge(self) -> None:
        """From any thread: have the run's thread look for a reason to end, even in the middle of a blocking call."""
        ident = self._thread.ident
        if ident is not None:
            signal.pthread_kill(ident, NUDGE)

    def leave(self) -> None:
        """From any thread: tell the agent's code, once, that its worker stops."""
        self._leave_due = True
        self.nudge()

    def call(self, fn: Callable[..., Any], *args: Any) -> Any:
        """Call an agent's code, which signals may interrupt.

        Raises:
            RunStopped: there is a reason to end the run.
            WorkerStopping: once, after `leave`.
            SoftTimeLimitExceeded: once, when the soft time limit strikes.
        """
        if threading.current_thread() is not self._thread:
            return fn(*args)
        before = self._open
        try:
            try:
                self._open = True
                self._strike()
                return fn(*args)
            finally:
                self._end_fork()
                self._open = before
        except BaseException:
            # A signal that came right at the line above left the door open.
            self._open = before
            raise

    @contextmanager
    def closed(self) -> Iterator[None]:
        """In this block no signal interrupts; what came meanwhile strikes at its end.

        Raises:
            RuntimeError: this is a process that the agent forked; the run is another's.
        """
        if os.getpid() != self._pid:
            raise RuntimeError("a forked process cannot use the context of its run")
        if threading.current_thread() is not self._thread or not self._open:
            yield
            return
        try:
            self._open = False
            yield
        finally:
            self._open = True
        self._strike()

    def _strike(self) -> None:
        if not self._open:
            return
        ending = self.reason()
        if ending is not None:
            raise RunStopped(ending)
        if self._leave_due:
            self._leave_due, self.told = False, True
            raise WorkerStopping
        if self._soft_due:
            self._soft_due = False
            raise SoftLimit

    def _end_fork(self) -> None:
        """End the process here if the agent forked it: no second one ends the run, or begins others."""
        if os.getpid() == self._pid:
            return
        fault = sys.exc_info()[1]
        code = fault.code if isinstance(fault, SystemExit) else fault
        for stream in (sys.stdout, sys.stderr):
            with suppress(Exception):
                stream.flush()
        os._exit(code & 0xFF if isinstance(code, int) else int(code is not None))

    def _is_fork(self, number: int) -> bool:
        """Tell whether this is a process that the agent forked, and treat the signal as it would be without us."""
        if os.getpid() == self._pid:
            return False
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
        return True

    def _on_soft_limit(self, number: int, frame: FrameType | None) -> None:
        if self._is_fork(number):
            return
        self.overtime = self._soft_due = True
        self._strike()

    def _on_nudge(self, number: int, frame: FrameType | None) -> None:
        if self._is_fork(number):
            return
        self._strike()

    def _on_term(self, number: int, frame: FrameType | None) -> None:
        if self._is_fork(number):
            return
        self.terminated = True
        if self._open:
            raise RunStopped(self.reason() or TERMINATED)
