"""Handles the signals that interrupt a run: only while the agent's own code runs, never inside a write.

SIGUSR1 is Celery's soft time limit, SIGUSR2 is sent by the heartbeat, SIGTERM ends the worker. Signals are used because
a handler that raises also ends `time.sleep` and blocking reads of the main thread.
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

from swallowtail.workers.run.outcomes import TERMINATED, RunStopped, WorkerStopping
from swallowtail.workers.run.run_state import RunState

INTERRUPT = signal.SIGUSR2
_SIGNALS = (signal.SIGUSR1, INTERRUPT, signal.SIGTERM)


class SoftLimit(SoftTimeLimitExceeded, KeyboardInterrupt):
    """Celery's soft time limit; a KeyboardInterrupt, so that no event loop keeps it in a task's result."""


class Interrupts:
    """The signal handlers of one run, in the main thread of a pool child. A context manager around the whole run.

    Celery installs its own handlers before each child's first task, so each run restores the earlier ones.
    """

    def __init__(self, state: RunState) -> None:
        self.state = state
        self._soft_limit_due = False
        self._stop_due = False
        #: Whether the agent's own code is running.
        self.in_agent = False
        self._pid = os.getpid()
        self._thread = threading.current_thread()
        self._earlier: dict[int, Any] = {}

    def __enter__(self) -> Self:
        self._earlier = {number: signal.getsignal(number) for number in _SIGNALS}
        for number in _SIGNALS:
            signal.signal(number, self._on_signal)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._earlier.items():
            # A late interrupt would end the process under the default handler.
            signal.signal(number, signal.SIG_IGN if number == INTERRUPT else handler)
        earlier = self._earlier[signal.SIGTERM]
        if self.state.terminated and callable(earlier):
            earlier(signal.SIGTERM, None)

    def interrupt(self) -> None:
        """Have the run's thread check its state, even in a blocking call. Any thread may call this."""
        ident = self._thread.ident
        if ident is not None:
            signal.pthread_kill(ident, INTERRUPT)

    def announce_stop(self) -> None:
        """Raise WorkerStopping in the agent's code, once. Any thread may call this."""
        self._stop_due = True
        self.interrupt()

    def call(self, fn: Callable[..., Any], *args: Any) -> Any:
        """Call an agent's code. Signals raise RunStopped, WorkerStopping or SoftTimeLimitExceeded in it."""
        if threading.current_thread() is not self._thread:
            return fn(*args)
        earlier = self.in_agent
        try:
            try:
                self.in_agent = True
                self._raise_due()
                return fn(*args)
            finally:
                self._end_fork()
                self.in_agent = earlier
        except BaseException:
            # A signal that arrived just before the line above left the value as it was.
            self.in_agent = earlier
            raise

    @contextmanager
    def deferred(self) -> Iterator[None]:
        """Let no signal interrupt this block. Raises RuntimeError in a process that the agent forked."""
        if os.getpid() != self._pid:
            raise RuntimeError("a forked process cannot use the context of its run")
        if threading.current_thread() is not self._thread or not self.in_agent:
            yield
            return
        try:
            self.in_agent = False
            yield
        finally:
            self.in_agent = True
        self._raise_due()

    def _raise_due(self) -> None:
        if not self.in_agent:
            return
        outcome = self.state.forced_outcome()
        if outcome is not None:
            raise RunStopped(outcome)
        if self._stop_due:
            self._stop_due, self.state.stop_raised = False, True
            raise WorkerStopping
        if self._soft_limit_due:
            self._soft_limit_due = False
            raise SoftLimit

    def _end_fork(self) -> None:
        """End the process here if the agent forked it: only its parent ends this run or begins others."""
        if os.getpid() == self._pid:
            return
        error = sys.exc_info()[1]
        code = error.code if isinstance(error, SystemExit) else error
        for stream in (sys.stdout, sys.stderr):
            with suppress(Exception):
                stream.flush()
        os._exit(code & 0xFF if isinstance(code, int) else int(code is not None))

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if os.getpid() != self._pid:
            # The agent forked this process: apply the default action of the signal.
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
            return
        if number == signal.SIGUSR1:
            self.state.timed_out = self._soft_limit_due = True
        elif number == signal.SIGTERM:
            self.state.terminated = True
            if self.in_agent:
                raise RunStopped(self.state.forced_outcome() or TERMINATED)
        self._raise_due()
