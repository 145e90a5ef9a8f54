"""Lets Ctrl-C end a process without a traceback as long as its libraries are imported; later it handles the signal."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager

_INTERRUPT = {signal.SIGINT}


def accept_interrupt(action: signal.Handlers = signal.SIG_DFL) -> None:
    """Let Ctrl-C end this process at once, or ignore it; also one that has come while it was blocked.

    Python's own handler would raise KeyboardInterrupt in the middle of an import.
    """
    signal.signal(signal.SIGINT, action)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _INTERRUPT)


@contextmanager
def blocked_interrupt() -> Iterator[None]:
    """Execute and start programs of ours in this block: Ctrl-C waits until they call `accept_interrupt`."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _INTERRUPT)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
